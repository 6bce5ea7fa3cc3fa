package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackendsCheckAssertions runs the verifiers of docs/backends.md on what the built
// program sends, and on what somebody in its place might.
func TestBackendsCheckAssertions(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Join(r.Header.Values("X-Gatehouse-Assertion"), " and "))
	}))
	t.Cleanup(backend.Close)
	binary := mustBuild(t)
	dir := t.TempDir()
	s := &site{address: freeAddress(t), binary: binary, config: filepath.Join(dir, "gatehouse.yaml")}
	writeFile(t, s.config, fmt.Sprintf(`
server: { listen: %q }
store: { dsn: gatehouse.db }
tokens: { key_dir: keys, issuer: gatehouse, audience: app }
upstreams:
  app: { url: %q, assertion: { header: X-Gatehouse-Assertion, lifetime: 5s } }
  other: { url: %q, assertion: { audience: elsewhere } }
routes:
  - { to: app, rules: [{ path: /public/*, auth: public }, { path: /maybe/*, auth: optional }] }
  - { path: /other/*, to: other }
`, s.address, backend.URL, backend.URL))
	s.run(t, "", "keys", "new", "--alg", "ES256")
	s.run(t, passwordOf("alice")+"\n", "user", "add", "alice", "--password-stdin", "--group", "readers", "--group", "staff")
	gateway := exec.Command(binary, "serve", "--config", s.config)
	gateway.Dir = dir
	startProgram(t, gateway, s.address)
	access, refresh := s.login(t, "alice")

	forged := bearer(access)
	for _, name := range []string{"X-Gatehouse-Assertion", "X_Gatehouse_Assertion", "x-gatehouse.assertion"} {
		forged[name] = []string{"forged"}
	}
	assertion := string(s.do(t, "GET", "/x", "", forged).body)
	for path, header := range map[string]http.Header{"/public/x": {"X-Gatehouse-Assertion": {"forged"}}, "/maybe/x": {"X-Gatehouse-Assertion": {"forged"}}} {
		if got := string(s.do(t, "GET", path, "", header).body); got != "" {
			t.Errorf("%s without a user: the backend got %q", path, got)
		}
	}
	elsewhere := string(s.do(t, "GET", "/other/x", "", bearer(access)).body)
	if strings.Count(assertion, ".") != 2 || strings.Count(elsewhere, ".") != 2 || assertion == elsewhere {
		t.Fatalf("got %q and %q", assertion, elsewhere)
	}
	eventually(t, "the same assertion for a request a moment later", func() bool {
		first := string(s.do(t, "GET", "/x", "", bearer(access)).body)
		return string(s.do(t, "GET", "/x", "", bearer(access)).body) == first
	})
	// It opens nothing here.
	for _, token := range []string{assertion, elsewhere} {
		if got := s.do(t, "GET", "/x", "", bearer(token)); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("an assertion as bearer: %d", got.StatusCode)
		}
	}

	head, rest, _ := strings.Cut(assertion, ".")
	body, signature, _ := strings.Cut(rest, ".")
	flipped := []byte(signature)
	flipped[10] ^= 1
	if flipped[10] == '@' || flipped[10] == '^' || flipped[10] == '`' || flipped[10] == '[' || flipped[10] == '.' || flipped[10] == ',' || flipped[10] == '/' || flipped[10] == ':' || flipped[10] == '{' {
		flipped[10] = 'A'
	}
	accessHead, _, _ := strings.Cut(access, ".")
	cases := []struct{ name, token, want string }{
		{"what the gateway sent", assertion, "1 alice readers,staff"},
		{"one for another backend", elsewhere, "refused"},
		{"an access token", access, "refused"},
		{"a refresh token", refresh, "refused"},
		{"another signature", head + "." + body + "." + string(flipped), "refused"},
		{"none", head + "." + body + ".", "refused"},
		{"under the header of an access token", accessHead + "." + body + "." + signature, "refused"},
		{"nonsense", "a.b.c", "refused"},
	}
	for name, verifier := range map[string]func(t *testing.T) *exec.Cmd{
		"Python": func(t *testing.T) *exec.Cmd {
			const python = "/usr/bin/python3"
			if err := exec.Command(python, "-c", "import jwt, cryptography").Run(); err != nil {
				missing(t, "PyJWT is not installed for "+python)
			}
			return exec.Command(python, "testdata/backends/assertion/verify.py")
		},
		"Node": func(t *testing.T) *exec.Cmd {
			node := needProgram(t, "node", "nodejs")
			if err := exec.Command(node, "-e", "fetch").Run(); err != nil {
				missing(t, "this Node is older than 18")
			}
			return exec.Command(node, "testdata/backends/assertion/verify.js")
		},
		"Go": func(t *testing.T) *exec.Cmd {
			path := filepath.Join(t.TempDir(), "verify")
			if out, err := exec.Command("go", "build", "-o", path, "./testdata/backends/assertion").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return exec.Command(path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := verifier(t)
			cmd.Env = append(os.Environ(), "JWKS_URL=http://"+s.address+"/.well-known/jwks.json")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			errs := new(lockedBuffer)
			cmd.Stderr = errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
			lines := bufio.NewReader(out)
			ask := func(token string) string {
				t.Helper()
				if _, err := io.WriteString(in, token+"\n"); err != nil {
					t.Fatalf("%v\n%s", err, errs)
				}
				answer, err := lines.ReadString('\n')
				if err != nil {
					t.Fatalf("%v\n%s", err, errs)
				}
				return strings.TrimSpace(answer)
			}
			fresh := ""
			for _, c := range cases {
				token := c.token
				if token == assertion {
					eventually(t, "that it is taken before it has expired", func() bool {
						fresh = string(s.do(t, "GET", "/x", "", bearer(access)).body)
						return ask(fresh) == c.want
					})
					continue
				}
				if got := ask(token); got != c.want && (c.want != "refused" || !strings.HasPrefix(got, "refused:")) {
					t.Errorf("%s: got %q, want %q", c.name, got, c.want)
				}
			}
			for deadline := time.Now().Add(60 * time.Second); !strings.HasPrefix(ask(fresh), "refused:"); time.Sleep(200 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it is good for longer than it says")
				}
			}
		})
	}
}
