package proxy_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
	"gatehouse/tokens"
)

// endpoints is a world with these endpoints in place of the real ones.
func endpoints(t *testing.T, all []tokens.Endpoint, change func(*proxy.Config)) *world {
	t.Helper()
	b := newBackend(t, nil)
	cfg := site(b.addr)
	change(&cfg)
	p := parts(t, nil)
	p.Endpoints = all
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	return &world{T: t, backend: b, addr: serve(t, gateway, cfg), log: &lockedBuffer{}}
}

var whoIsThere = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) })

func TestAnEndpointSeesTheClientAndNotTheProxyInFront(t *testing.T) {
	all := []tokens.Endpoint{{Path: "/api/token/", Handler: whoIsThere}}
	w := endpoints(t, all, trusting("127.0.0.1"))
	for sent, want := range map[string]string{"9.9.9.9": "9.9.9.9:0", "6.6.6.6, 2001:db8::1": "[2001:db8::1]:0"} {
		if got := w.get("/api/token/", "X-Forwarded-For: "+sent); got.Text != want {
			t.Errorf("behind %s: %s, want %s", sent, got.Text, want)
		}
	}
	w = endpoints(t, all, func(*proxy.Config) {})
	if got := w.get("/api/token/", "X-Forwarded-For: 9.9.9.9"); !strings.HasPrefix(got.Text, "127.0.0.1:") || strings.HasSuffix(got.Text, ":0") {
		t.Errorf("got %s", got.Text)
	}
}

func TestEndpointsAreTheSameOnEveryHost(t *testing.T) {
	w := endpoints(t, []tokens.Endpoint{
		{Path: "/api/token/", Handler: whoIsThere}, {Path: "/api/token/refresh/", Handler: whoIsThere}, {Path: "/jwks.json", Handler: whoIsThere},
	}, func(cfg *proxy.Config) {
		cfg.Routes = []route.Config{{To: "app", Host: []string{"app.example.com"}, Auth: route.Auth{Word: "public"}}}
	})
	for _, host := range []string{"app.example.com", "other.example.com", "10.0.0.1:8080"} {
		for path, status := range map[string]int{
			"/api/token/": 200, "/api/token/refresh/": 200, "/jwks.json": 200, "/api/token": 404, "/api/token/x": 404, "/jwks.json/x": 404, "/jwks.json/": 404,
		} {
			if got := w.raw("GET " + path + " HTTP/1.1\nHost: " + host + "\n\n"); got.StatusCode != status {
				t.Errorf("%s%s: %d, want %d", host, path, got.StatusCode, status)
			}
		}
	}
	w.untouched()
	for _, path := range []string{"/api/tokens", "/api/", "/jwks", "/jwks.json2"} {
		if got := w.get(path); got.StatusCode != 200 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestAClientThatClosesItsSideIsNotToldThatAllWentWell(t *testing.T) {
	w := open(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(soon):
		}
	})
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, crlf(head("GET", "/public/")))
	time.Sleep(50 * time.Millisecond)
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, _ := io.ReadAll(conn); len(got) != 0 {
		t.Errorf("got %q", got)
	}
	eventually(t, "line in the log", func() bool { return strings.Contains(w.log.String(), "decision=aborted reason=client_gone status=499") })
}
