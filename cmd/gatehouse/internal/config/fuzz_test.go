package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever a file holds, it is either a configuration, or every fault names a
// line that the file has and is one line of printable text.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "\n", "---\n", "a: b\n---\nc: d\n", "server: { listen: ':80' }\n", "routes: [{ auth: { groups: [] } }]\n",
		"tokens:\n  keys: [{ kid: main, alg: HS256, secret: x }]\nupstreams:\n  app: { url: http://a }\nroutes:\n  - to: app\n    rules:\n      - { path: /x/*, auth: public }\n",
		"server: &a { <<: *a }\n", "a: *b\n", "? [a]\n: b\n", "server:\n\tx\n", "\"\\u0000\": 1\n", "identity: { headers: { A: { claim: [a, b] }, a: email } }\n",
		"server: { idle_timeout: 9999999999d, max_body: 0x7f }\n", "x: !!binary |\n  aGk=\n", "- - - -\n", "{a: [}", "\xef\xbb\xbfserver: {}\n", "a: |\n  b\n c\n",
		"store: { dsn_file: /dev/null }\n", "login:\n  hashing: 1\n  hashing: 2\n",
	} {
		f.Add([]byte(text))
	}
	path := filepath.Join(f.TempDir(), "gatehouse.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("_file")) {
			t.Skip() // would open what the fuzzer names
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := Load(Input{Path: path})
		if err == nil {
			if loaded == nil {
				t.Fatal("neither a configuration nor an error")
			}
			return
		}
		var faults Faults
		if !errors.As(err, &faults) || loaded == nil {
			t.Fatalf("got %T (%v), want Faults and what could be read", err, err)
		}
		lines := strings.Count(string(data), "\n")
		if !bytes.HasSuffix(data, []byte("\n")) {
			lines++
		}
		before := 0
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > lines {
				t.Errorf("line %d of %d: %v", fault.Line, lines, fault)
			}
			if fault.Line < before {
				t.Errorf("line %d after line %d", fault.Line, before)
			}
			before = fault.Line
			if text := fault.Error(); strings.ContainsFunc(text, func(r rune) bool { return printable(r) != r }) {
				t.Errorf("not one printable line: %q", text)
			}
		}
	})
}
