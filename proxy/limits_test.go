package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gatehouse/proxy"
)

// What is too large is answered in our words, on every path, and the connection can be used again.
func TestTooLongATargetAndTooLargeAHead(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Server.MaxURI = 1 * proxy.KiB
		cfg.Server.MaxHeaderBytes = 4 * proxy.KiB
	})
	for _, path := range []string{"/public/", "/x", "/api/token/", "/denied/"} {
		w.refused(w.get(path+"?"+strings.Repeat("x", 1<<10)), 414, `{"detail":"The target of the request is too long."}`)
		w.refused(w.get(path, "X-Large: "+strings.Repeat("x", 4<<10)), 431, `{"detail":"The headers of the request are too large."}`)
		var many []string
		for range 100 {
			many = append(many, "X: "+strings.Repeat("x", 40))
		}
		w.refused(w.get(path, many...), 431, `{"detail":"The headers of the request are too large."}`)
	}
	w.untouched()
	if got := w.get("/public/?"+strings.Repeat("x", 1000), "X-Large: "+strings.Repeat("x", 2<<10)); got.StatusCode != 200 {
		t.Errorf("got %d %s", got.StatusCode, got.Text)
	}
	if got := w.all(crlf(head("GET", "/public/?"+strings.Repeat("x", 2<<10)) + head("GET", "/public/", "Connection: close"))); !strings.HasPrefix(got, "HTTP/1.1 414 ") || !strings.Contains(got, "HTTP/1.1 200 ") {
		t.Errorf("got %q", got)
	}
}

// Old health checks send HTTP/1.0 without a Host. They are for the address that they
// came to, and so for routes without a host.
func TestHTTP10WithoutAHost(t *testing.T) {
	b := newBackend(t, nil)
	cfg := site(b.addr)
	w := &world{T: t, backend: b}
	w.addr = serve(t, newGateway(t, cfg, nil), cfg)
	if got := w.all("GET /public/ HTTP/1.0\r\n\r\n"); !strings.Contains(got, " 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
	in := w.only()
	if in.Host != w.addr || in.Header.Get("X-Forwarded-Host") != w.addr || in.Header.Get("X-Forwarded-Port") != w.addr[strings.LastIndexByte(w.addr, ':')+1:] {
		t.Errorf("the backend was told host %q, %v", in.Host, in.Header)
	}
	if got := w.all("GET /x HTTP/1.0\r\n\r\n"); !strings.Contains(got, " 401 Unauthorized\r\n") {
		t.Errorf("got %q", got)
	}

	cfg.Routes[0].Host = []string{"app.example.com"}
	w.addr = serve(t, newGateway(t, cfg, nil), cfg)
	if got := w.all("GET /public/ HTTP/1.0\r\n\r\n"); !strings.Contains(got, " 404 Not Found\r\n") {
		t.Errorf("got %q", got)
	}
	w.untouched()

	// Without a connection there is no address to go by.
	in10 := httptest.NewRequest(http.MethodGet, "/public/", nil)
	in10.Host, in10.Proto, in10.ProtoMinor = "", "HTTP/1.0", 0
	answer := httptest.NewRecorder()
	newGateway(t, cfg, nil).ServeHTTP(answer, in10)
	if answer.Code != http.StatusBadRequest {
		t.Errorf("got %d", answer.Code)
	}
}
