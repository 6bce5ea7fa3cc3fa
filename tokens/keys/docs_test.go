package keys

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheLinesOfTheDocumentationMakeKeys runs what docs/tokens.md tells operators to
// run, and takes what comes out as it is.
func TestTheLinesOfTheDocumentationMakeKeys(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl here")
	}
	text, err := os.ReadFile("../../docs/tokens.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	made := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "openssl ") {
			continue
		}
		words := strings.Fields(line)
		command := exec.CommandContext(t.Context(), words[0], words[1:]...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s%s%v", line, out, err)
		}
		file := words[len(words)-1]
		if i := strings.Index(line, "-out "); i >= 0 {
			file = strings.Fields(line[i:])[1]
		}
		key, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		name, kind, _ := strings.Cut(file, ".")
		cfg := Config{ID: name, Algorithm: strings.ToUpper(name)}
		if name == "eddsa" {
			cfg.Algorithm = "EdDSA"
		}
		switch value := strings.TrimSuffix(string(key), "\n"); kind {
		case "key":
			cfg.Secret = value
		case "pem":
			cfg.PrivateKey = value
		case "pub":
			cfg.PublicKey = value
		}
		if _, err := New([]Config{cfg}); err != nil {
			t.Errorf("%s: %v", strings.TrimSpace(line), err)
		}
		made++
	}
	if made < 9 {
		t.Errorf("%d lines were found", made)
	}
}
