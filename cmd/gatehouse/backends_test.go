package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/users/userstest/port"
)

// These tests put the built program in front of programs that we did not write
// and ask those what they believe. A program that is not installed skips its
// tests, and says so; with GATEHOUSE_TEST_REQUIRE set, as in CI, it fails them.

// needProgram returns the path of the first of the named programs that exists.
func needProgram(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, strings.Join(names, " or ")+" is not installed")
	return ""
}

// missing skips the test, or fails it where nothing may be missing.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// builtBinary compiles the program once for all tests.
var builtBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatehouse")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// mustBuild returns the built program. Under the race detector the test is skipped: what
// happens in another process, which was built without, it does not see.
func mustBuild(t *testing.T) string {
	t.Helper()
	if raced {
		t.Skip("asks the built program, into which the race detector does not look; it is run without")
	}
	binary, err := builtBinary()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// lockedBuffer collects what a program prints while others read it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = keep{}.Write(p)
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// startProgram runs a server until the test ends and waits until it answers.
func startProgram(t *testing.T, cmd *exec.Cmd, address string) *lockedBuffer {
	t.Helper()
	out := new(lockedBuffer)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(60 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), out)
		}
	})
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		network := "tcp"
		if strings.HasPrefix(address, "/") {
			network = "unix"
		}
		conn, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			_ = conn.Close()
			return out
		}
		select {
		case <-ended:
			t.Fatalf("%s ended before it listened:\n%s", filepath.Base(cmd.Path), out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s:\n%s", filepath.Base(cmd.Path), address, out)
		}
	}
}

// freeAddress is a loopback address with a port of its own.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := findAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func findAddress() (string, error) {
	free, err := port.Free()
	return fmt.Sprintf("127.0.0.1:%d", free), err
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// site is a gatehouse process in front of one backend.
type site struct {
	address string
	binary  string
	config  string
	out     *lockedBuffer
}

// siteConfig protects everything but /public/*, and lets staff alone into /admin/*; the
// same application is also below /old.
const siteConfig = `
server: { listen: %q }
store: { dsn: gatehouse.db }
tokens:
  keys: [{ kid: main, alg: HS256, secret_file: secret }]
upstreams:
  app: { url: "http://%s" }
routes:
  - to: app
    rules:
      - { path: /public/*, auth: public }
      - { path: /maybe/*, auth: optional }
      - { path: /admin/*, auth: { groups: [staff] } }
      - { path: /short/*, stream_max: 2s }
      - { path: /files/*, auth: public, encoded_slash: keep }
      - { path: /files/admin/*, auth: { groups: [staff] } }
  - to: app
    path: /old/*
    strip_prefix: /old
    rules:
      - { path: /old/public/*, auth: public, encoded_slash: keep }
      - { path: /old/admin/*, auth: { groups: [staff] } }
      - { path: /old/v1/*, auth: public, rewrite: { from: /old/v1/*, to: /public/v1/* } }
`

// startSite runs the program in front of a backend, with a user for each name.
func startSite(t *testing.T, backend string, names ...string) *site {
	t.Helper()
	return startSiteWith(t, siteConfig, backend, names...)
}

// startSiteWith is startSite with another configuration, in which two verbs stand for
// the address to listen on and the backend's.
func startSiteWith(t *testing.T, text, backend string, names ...string) *site {
	t.Helper()
	binary := mustBuild(t)
	dir := t.TempDir()
	s := &site{address: freeAddress(t), binary: binary, config: filepath.Join(dir, "gatehouse.yaml")}
	writeFile(t, s.config, fmt.Sprintf(text, s.address, backend))
	writeFile(t, filepath.Join(dir, "secret"), strings.Repeat("0123456789abcdef", 4)+"\n")
	for _, name := range names {
		s.run(t, passwordOf(name)+"\n", "user", "add", name, "--password-stdin", "--email", "mail@example.com", "--group", "readers")
	}
	cmd := exec.Command(binary, "serve", "--config", s.config)
	cmd.Dir = dir
	s.out = startProgram(t, cmd, s.address)
	return s
}

func passwordOf(name string) string { return "pass of " + name }

// run executes a command beside the server; it must succeed.
func (s *site) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(s.binary, append(args, "--config", s.config)...)
	cmd.Dir = filepath.Dir(s.config)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// login obtains a pair of tokens as a client would.
func (s *site) login(t *testing.T, name string) (access, refresh string) {
	t.Helper()
	form := url.Values{"username": {name}, "password": {passwordOf(name)}}
	answer := s.do(t, "POST", "/api/token/", form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	var pair struct{ Access, Refresh string }
	answer.decode(t, http.StatusOK, &pair)
	return pair.Access, pair.Refresh
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

// decode expects a status and a JSON body.
func (r *reply) decode(t *testing.T, status int, into any) {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("got status %d, want %d: %s", r.StatusCode, status, r.body)
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
}

// do sends one request whose path arrives as written and whose headers keep their spelling.
func (s *site) do(t *testing.T, method, path, body string, header http.Header) *reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	in, err := http.NewRequestWithContext(ctx, method, "http://"+s.address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	in.URL.RawPath, in.URL.RawQuery, _ = strings.Cut(path, "?")
	if in.URL.Path, err = url.PathUnescape(in.URL.RawPath); err != nil {
		t.Fatal(err)
	}
	in.Header = header.Clone()
	if in.Header == nil {
		in.Header = http.Header{}
	}
	in.Host = in.Header.Get("Host") // "": that of the address
	in.Header.Del("Host")
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(in)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &reply{Response: answer, body: text}
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// belief is what a backend says of the request that it received.
type belief struct {
	User *string        `json:"user"`
	Path string         `json:"path"`
	Meta map[string]any `json:"meta"`
}

// believes fails unless the backend takes the request for the user's ("" is nobody).
func (b belief) believes(t *testing.T, want string) {
	t.Helper()
	got := ""
	if b.User != nil {
		got = *b.User
	}
	if got != want {
		t.Errorf("the backend believes in user %q, want %q", got, want)
	}
}
