package proxy_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/users"
)

// world is a gateway and a backend, each behind a listener of its own.
type world struct {
	*testing.T
	backend *backend
	addr    string // of the gateway
	log     *lockedBuffer
}

// site is the configuration of most tests: one upstream, everything behind a
// token, an exception of each kind.
func site(backend string) proxy.Config {
	cfg := proxy.DefaultConfig()
	cfg.Upstreams = map[string]upstream.Config{"app": {URL: "http://" + backend}}
	cfg.Routes = []route.Config{{
		Name: "site",
		To:   "app",
		Rules: []route.RuleConfig{
			{Path: "/public/*", Auth: route.Auth{Word: "public"}},
			{Path: "/optional/*", Auth: route.Auth{Word: "optional"}},
			{Path: "/staff/*", Auth: route.Auth{Groups: []string{"staff", "support"}}},
			{Path: "/denied/*", Auth: route.Auth{Word: "deny"}},
			{Path: "/read/*", Methods: []string{"GET"}, Auth: route.Auth{Word: "public"}},
		},
	}}
	return cfg
}

// open starts a world with site, changed by change, and a backend that answers
// with handler (nil: 200 and "hello from the backend").
func open(t *testing.T, handler http.HandlerFunc, change ...func(*proxy.Config)) *world {
	t.Helper()
	w := &world{T: t, backend: newBackend(t, handler), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	for _, f := range change {
		f(&cfg)
	}
	w.addr = serve(t, newGateway(t, cfg, slog.New(slog.NewTextHandler(w.log, nil))), cfg)
	return w
}

// openWithStore is open with the store at hand.
func openWithStore(t *testing.T, change ...func(*proxy.Config)) (*world, *users.Store) {
	t.Helper()
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	for _, f := range change {
		f(&cfg)
	}
	p, store := partsAndStore(t, slog.New(slog.NewTextHandler(w.log, nil)))
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	return w, store
}

func newGateway(t testing.TB, cfg proxy.Config, logger *slog.Logger) *proxy.Gateway {
	t.Helper()
	gateway, err := proxy.New(cfg, parts(t, logger))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	return gateway
}

// serve listens as the program does.
func serve(t testing.TB, handler http.Handler, cfg proxy.Config) (addr string) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.MaxHeaderBytes = cfg.Server.HardHeaderBytes()
	server.Config.ReadHeaderTimeout = cfg.Server.ReadHeaderTimeout
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// seen is a request as it reached the backend.
type seen struct {
	Method, Target, Host string
	Header, Trailer      http.Header
	Body                 string
	Length               int64
}

// backend is an upstream that remembers what it was sent, also byte for byte.
type backend struct {
	addr string
	mu   sync.Mutex
	got  []seen
	wire lockedBuffer
}

func newBackend(t testing.TB, handler http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler != nil {
			b.note(r, "")
			handler(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		b.note(r, string(body))
		_, _ = io.WriteString(w, "hello from the backend")
	}))
	server.Listener = &tap{server.Listener, &b.wire}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.Start()
	t.Cleanup(server.Close)
	b.addr = server.Listener.Addr().String()
	return b
}

func (b *backend) note(r *http.Request, body string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), r.Trailer.Clone(), body, r.ContentLength})
}

// requests are those that arrived since the last call.
func (b *backend) requests() []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got
	b.got = nil
	return got
}

// only is the one request that arrived.
func (w *world) only() seen {
	w.Helper()
	got := w.backend.requests()
	if len(got) != 1 {
		w.Fatalf("%d requests reached the backend, want 1: %v", len(got), got)
	}
	return got[0]
}

// untouched fails if anything reached the backend.
func (w *world) untouched() {
	w.Helper()
	if got := w.backend.requests(); len(got) != 0 {
		w.Errorf("reached the backend: %s %s", got[0].Method, got[0].Target)
	}
}

// tap copies what is read from connections.
type tap struct {
	net.Listener
	into io.Writer
}

func (l *tap) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tapped{conn, l.into}, nil
}

type tapped struct {
	net.Conn
	into io.Writer
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	_, _ = c.into.Write(b[:n])
	return n, err
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}

// answer is what a client read.
type answer struct {
	*http.Response
	Text string
}

// raw sends bytes as they are and reads one answer. What reads well is a line
// feed; on the wire it is CR LF.
func (w *world) raw(lines string) answer {
	w.Helper()
	return w.rawBytes(strings.ReplaceAll(lines, "\n", "\r\n"))
}

func (w *world) rawBytes(request string) answer {
	w.Helper()
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	return w.read(bufio.NewReader(conn), method)
}

// all sends bytes and returns everything that comes back until the connection is
// closed. The last request should say Connection: close.
func (w *world) all(request string) string {
	w.Helper()
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, request)
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.Errorf("the connection stays open after %q", got)
	}
	return string(got)
}

func (w *world) dial() net.Conn {
	w.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(soon))
	return conn
}

func (w *world) read(from *bufio.Reader, method string) answer {
	w.Helper()
	response, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		w.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Logf("the answer breaks off: %v", err)
	}
	_ = response.Body.Close()
	return answer{response, string(body)}
}

// get asks for a path; headers are "Name: value".
func (w *world) get(target string, headers ...string) answer {
	w.Helper()
	return w.raw(head("GET", target, headers...))
}

func head(method, target string, headers ...string) string {
	lines := ""
	for _, h := range headers {
		lines += h + "\n"
	}
	return fmt.Sprintf("%s %s HTTP/1.1\nHost: app.example.com\n%s\n", method, target, lines)
}

// refused checks an answer of gatehouse's own.
func (w *world) refused(a answer, status int, body string) {
	w.Helper()
	if a.StatusCode != status || a.Text != body {
		w.Errorf("got  %d %s\nwant %d %s", a.StatusCode, a.Text, status, body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		w.Errorf("Content-Type %q", got)
	}
	want := ""
	if status == http.StatusUnauthorized {
		want = `Bearer realm="api"`
	}
	if got := a.Header.Get("WWW-Authenticate"); got != want {
		w.Errorf("WWW-Authenticate %q on a %d, want %q", got, status, want)
	}
}

// bearer logs a user in, through the gateway, and returns the header to send.
func (w *world) bearer(user string) string {
	w.Helper()
	return "Authorization: Bearer " + w.token(user)
}

func (w *world) token(user string) string {
	w.Helper()
	token, err := obtain(w.addr, user)
	if err != nil {
		w.Fatal(err)
	}
	return token
}

func obtain(addr, user string) (string, error) {
	body, err := json.Marshal(map[string]string{"username": user, "password": password})
	if err != nil {
		return "", err
	}
	client := &http.Client{Timeout: soon}
	response, err := client.Post("http://"+addr+"/api/token/", "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var pair struct{ Access string }
	if err := json.NewDecoder(response.Body).Decode(&pair); err != nil || pair.Access == "" {
		return "", fmt.Errorf("no token for %s: %d, %w", user, response.StatusCode, err)
	}
	return pair.Access, nil
}

const password = "correct horse battery staple"

// Bodies that are asked for again and again.
const (
	notProvided  = `{"detail":"Authentication credentials were not provided."}`
	noPermission = `{"detail":"You do not have permission to perform this action."}`
	notFound     = `{"detail":"Not found."}`
	badHeader    = `{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`
)
