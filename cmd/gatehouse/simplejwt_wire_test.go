package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// originalKey is what both sides sign with; testdata/simplejwt/original.py has it too.
const originalKey = "an-example-signing-key-of-32-bytes!!"

// originals is what all profiles begin with: the database of a Django site and the
// store that was imported from it.
type originals struct {
	python, gunicorn, source string
	database, store          string
	tokens                   map[string]string // refresh tokens that the site handed out
}

func newOriginals(t *testing.T) *originals {
	t.Helper()
	o := &originals{python: "/usr/bin/python3", gunicorn: needProgram(t, "gunicorn", "gunicorn3")}
	if err := exec.Command(o.python, "-c", "import django, rest_framework_simplejwt, argon2, bcrypt").Run(); err != nil {
		missing(t, "Django with SimpleJWT, argon2 and bcrypt is not installed for "+o.python)
	}
	var err error
	if o.source, err = filepath.Abs("testdata/simplejwt"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o.database, o.store = filepath.Join(dir, "site.sqlite3"), filepath.Join(dir, "gatehouse.db")
	fill := exec.Command(o.python, filepath.Join(o.source, "original.py"))
	fill.Env = o.environ(o.database, "")
	out, err := fill.Output()
	if err != nil {
		t.Fatalf("original.py: %v\n%s", err, causeOf(err))
	}
	if err := json.Unmarshal(out, &o.tokens); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	writeFile(t, filepath.Join(dir, "gatehouse.yaml"), "store: { dsn: gatehouse.db }\n")
	into := &site{binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml")}
	into.run(t, "", "import", "django", "--from", "sqlite://"+o.database, "--with-tokens")
	return o
}

func causeOf(err error) string {
	if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
		return string(exit.Stderr)
	}
	return ""
}

func (o *originals) environ(database, settings string) []string {
	return append(os.Environ(), "SITE_DATABASE="+database, "SITE_SIMPLE_JWT="+settings,
		"PYTHONPATH="+o.source, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
}

// startOriginal runs the Django site with these settings and returns its address.
func (o *originals) startOriginal(t *testing.T, settings string) string {
	t.Helper()
	database := filepath.Join(t.TempDir(), "site.sqlite3")
	copyFile(t, o.database, database)
	address := freeAddress(t)
	cmd := exec.Command(o.python, o.gunicorn, "--bind", address, "--worker-class", "gthread", "--workers", "2", "--threads", "4",
		"--preload", "--keep-alive", "30", "--log-level", "critical", "original:application")
	cmd.Env = o.environ(database, settings)
	startProgram(t, cmd, address)
	return address
}

const comparedConfig = `
server: { listen: %q }
store: { dsn: gatehouse.db }
identity: { headers: { X-User-Id: user_id }, forward_token: true }
upstreams:
  app: { url: "http://%s" }
  django: { url: "http://%s" }
routes:
  - { path: /protected/*, to: app }
  - { path: /open/*, to: app, auth: optional }
  - { path: /sales/*, to: app, auth: { groups: [sales] } }
  - { path: /behind/*, to: django }
%s`

// startCompared runs the built program with the same users; django is the address of
// the site, which stands behind /behind/ too.
func (o *originals) startCompared(t *testing.T, django string, p profile) *site {
	t.Helper()
	code, sections, fault := call(t, cmp.Or(p.settings, "{}"), "import", "django", "--settings", "-")
	if code != 0 {
		t.Fatal(fault)
	}
	if p.tokens != "" {
		sections = strings.Replace(sections, "tokens:\n", "tokens:\n  "+p.tokens+"\n", 1)
	}
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		id := in.Header.Get("X-User-Id")
		if id == "" {
			id = "null"
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":%s}`, id)
	}))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	s := &site{address: freeAddress(t), binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml")}
	copyFile(t, o.store, filepath.Join(dir, "gatehouse.db"))
	writeFile(t, filepath.Join(dir, "django.key"), originalKey)
	writeFile(t, s.config, fmt.Sprintf(comparedConfig, s.address, backend.Listener.Addr(), django, sections))
	cmd := exec.Command(s.binary, "serve", "--config", s.config)
	cmd.Dir = dir
	s.out = startProgram(t, cmd, s.address)
	return s
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(text))
}

// request is one request as it is written on the wire.
type request struct {
	method, target string
	header         []string // whole lines
	body           string
	hasBody        bool // an empty body may still have a Content-Length
}

func (r request) text() string {
	var b strings.Builder
	b.WriteString(r.method + " " + r.target + " HTTP/1.1\r\nHost: app.example\r\n")
	framed := false
	for _, line := range r.header {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		framed = framed || name == "content-length" || name == "transfer-encoding"
		b.WriteString(line + "\r\n")
	}
	if r.hasBody && !framed {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n" + r.body)
	return b.String()
}

// wire is a connection that is kept for the next request. gunicorn's are not: it may
// close one under a request that it has begun, whose answer is then lost, and asked once
// more it would answer differently, since the first has used up a token.
type wire struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	once    bool // each request has a connection of its own
}

// response is an answer with its body read, and when it was asked for and given.
type response struct {
	status       int
	header       http.Header
	body         string
	asked, given time.Time
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends a request and reads the answer. A kept connection that the server has
// closed in the meantime is replaced by a new one.
func (w *wire) ask(r request) (response, error) {
	kept := w.conn != nil
	res, err := w.exchange(r)
	if err != nil && kept {
		res, err = w.exchange(r)
	}
	return res, err
}

func (w *wire) exchange(r request) (response, error) {
	if w.conn == nil {
		conn, err := net.DialTimeout("tcp", w.address, time.Minute)
		if err != nil {
			return response{}, err
		}
		w.conn, w.in = conn, bufio.NewReader(conn)
	}
	got := response{asked: time.Now()}
	_ = w.conn.SetDeadline(got.asked.Add(time.Minute))
	_, sent := io.WriteString(w.conn, r.text())
	answer, err := http.ReadResponse(w.in, &http.Request{Method: r.method})
	if err != nil {
		w.close()
		if sent != nil {
			err = sent
		}
		return response{}, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if w.once || answer.Close || err != nil || sent != nil {
		w.close()
	}
	got.status, got.header, got.body, got.given = answer.StatusCode, answer.Header, string(body), time.Now()
	return got, err
}
