package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
)

// CVE-2024-32638, GHSA-5423-jcjm-2gpv, CVE-2022-2880 and all of request smuggling:
// where one request ends is a matter of opinion. Each of these is refused, or
// reaches the backend as the one request that we took it for; what was hidden in it is
// at most a request of its own, with its own policy.
func TestAttackSmuggling(t *testing.T) {
	const hidden = "GET /hidden HTTP/1.1\r\nHost: app.example.com\r\nX-User-Id: 1\r\n\r\n"
	post := func(framing, body string) string {
		return "POST /public/ HTTP/1.1\r\nHost: app.example.com\r\n" + framing + "\r\n" + body
	}
	for _, tc := range []struct {
		name, request string
		refused       bool
	}{
		{"Content-Length and Transfer-Encoding", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), false},
		{"Transfer-Encoding and Content-Length", post("Transfer-Encoding: chunked\r\nContent-Length: 65\r\n", "0\r\n\r\n"+hidden), false},
		{"two lengths", post("Content-Length: 0\r\nContent-Length: 65\r\n", hidden), true},
		{"two lengths in a list", post("Content-Length: 0, 65\r\n", hidden), true},
		{"a length with a sign", post("Content-Length: +65\r\n", hidden), true},
		{"a negative length", post("Content-Length: -1\r\n", hidden), true},
		{"a length in hexadecimal", post("Content-Length: 0x41\r\n", hidden), true},
		{"a length that is none", post("Content-Length: \r\n", hidden), true},
		{"a length that overflows", post("Content-Length: 18446744073709551616\r\n", hidden), true},
		{"space before the colon", post("Content-Length : 65\r\n", hidden), true},
		{"space before the colon of Transfer-Encoding", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"+hidden), true},
		{"an unknown coding", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden), true},
		{"two codings", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+hidden), true},
		{"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+hidden), true},
		{"identity", post("Transfer-Encoding: identity\r\nContent-Length: 65\r\n", hidden), true},
		{"a vertical tab before chunked", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"+hidden), true},
		{"a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+hidden), false},
		{"Transfer_Encoding", post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), false},
		{"HTTP/1.0 with Transfer-Encoding", "POST /public/ HTTP/1.0\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden, false},
		{"a bare line feed in a chunk size", post("Transfer-Encoding: chunked\r\n", "1;a\nb\r\nx\r\n0\r\n\r\n"+hidden), true},
		{"a chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+1\r\nx\r\n0\r\n\r\n"+hidden), true},
		{"a chunk size in 0x", post("Transfer-Encoding: chunked\r\n", "0x1\r\nx\r\n0\r\n\r\n"+hidden), true},
		{"a chunk size that overflows", post("Transfer-Encoding: chunked\r\n", "10000000000000001\r\nx\r\n0\r\n\r\n"+hidden), true},
		{"a chunk longer than its size", post("Transfer-Encoding: chunked\r\n", "1\r\nxx\r\n0\r\n\r\n"+hidden), true},
		{"endless chunk extensions", post("Transfer-Encoding: chunked\r\n", strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\nx\r\n", 100)+"0\r\n\r\n"+hidden), true},
		{"a header without a colon", post("Content-Length: 0\r\nhidden\r\n", hidden), true},
		{"a line that begins with a space", "POST /public/ HTTP/1.1\r\n Host: app.example.com\r\n\r\n" + hidden, true},
		{"a carriage return in a value", post("X: a\rContent-Length: 65\r\n", hidden), true},
		{"NUL in a value", post("X: a\x00b\r\n", hidden), true},
		{"a space in the target", "GET /public/ /x HTTP/1.1\r\nHost: app.example.com\r\n\r\n" + hidden, true},
		{"no version", "GET /public/\r\nHost: app.example.com\r\n\r\n" + hidden, true},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden, true},
		{"HTTP/3.0", "GET /public/ HTTP/3.0\r\nHost: app.example.com\r\n\r\n" + hidden, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := open(t, nil)
			got := w.half(tc.request, tc.refused)
			seen := w.backend.requests()
			for _, in := range seen {
				if in.Target != "/public/" {
					t.Errorf("the hidden request reached the backend: %s %s", in.Method, in.Target)
				}
				if strings.Contains(in.Body, "hidden") {
					t.Errorf("the backend got the hidden request as a body")
				}
				for name := range in.Header {
					if strings.EqualFold(name, "Transfer_Encoding") {
						t.Errorf("%s reached the backend", name)
					}
				}
			}
			if len(seen) > 1 {
				t.Errorf("%d requests reached the backend", len(seen))
			}
			if first, _, _ := strings.Cut(got, "\r\n"); tc.refused && (!strings.Contains(first, " 400 ") && !strings.Contains(first, " 501 ") && !strings.Contains(first, " 505 ") || strings.Count(got, "HTTP/1.1 ") != 1) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// half sends a request and no more, and returns what comes back until the
// connection is closed or, where it need not be, falls silent.
func (w *world) half(request string, closed bool) string {
	w.Helper()
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, request)
	if closed {
		got, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			w.Errorf("the connection stays open after %q", got)
		}
		return string(got)
	}
	first := make([]byte, 1)
	n, _ := io.ReadFull(conn, first)
	_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	got, _ := io.ReadAll(conn)
	return string(first[:n]) + string(got)
}

// A folded line (obs-fold) arrives as one value: it does not become a header of its own.
func TestAttackFoldedHeader(t *testing.T) {
	w := open(t, nil)
	w.backend.wire.Reset()
	got := w.rawBytes("GET /public/ HTTP/1.1\r\nHost: app.example.com\r\nX-Harmless: a\r\n X-User-Id: 1\r\n\tX-Forwarded-For: 6.6.6.6\r\n\r\n")
	if got.StatusCode == 400 {
		return
	}
	in := w.only()
	if in.Header.Get("X-User-Id") != "" || in.Header.Get("X-Forwarded-For") != "127.0.0.1" || strings.Contains(w.backend.wire.String(), "\nX-User-Id") {
		t.Errorf("the backend was sent\n%s", w.backend.wire.String())
	}
}

// The body of a refused request must not be taken for the next request.
func TestAttackRequestInARefusedBody(t *testing.T) {
	w := open(t, nil)
	const hidden = "GET /public/hidden HTTP/1.1\r\nHost: x\r\n\r\n"
	got := w.all(crlf(head("POST", "/x", fmt.Sprintf("Content-Length: %d", len(hidden)))) + hidden + crlf(head("GET", "/denied/", "Connection: close")))
	if strings.Count(got, "HTTP/1.1 ") != 2 || !strings.Contains(got, "HTTP/1.1 401 ") || !strings.Contains(got, "HTTP/1.1 403 ") {
		t.Errorf("got %q", got)
	}
	w.untouched()
}

// Behind h2c, or any protocol that we do not speak, a connection is a tunnel in
// which requests pass unseen. Only websocket is let through; the rest is an ordinary
// request.
func TestAttackUpgradeToATunnel(t *testing.T) {
	w := open(t, nil)
	for _, upgrade := range []string{"h2c", "H2C", "TLS/1.0", "websocket, h2c", "h2c, websocket", "connect-udp", "HTTP/2.0", "websocket2"} {
		w.backend.wire.Reset()
		got := w.get("/public/", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Upgrade: "+upgrade)
		if got.StatusCode != 200 {
			t.Errorf("%s: %d %s", upgrade, got.StatusCode, got.Text)
		}
		w.only()
		if wire := strings.ToLower(w.backend.wire.String()); strings.Contains(wire, "upgrade") || strings.Contains(wire, "http2-settings") {
			t.Errorf("%s: the backend was sent\n%s", upgrade, wire)
		}
	}
	for _, upgrade := range []string{"websöcket", "a\tb"} {
		w.refused(w.get("/public/", "Connection: Upgrade", "Upgrade: "+upgrade), 400, `{"detail":"Malformed request: the Upgrade header is not valid."}`)
	}
	w.untouched()
}

// An upgrade of a request that is refused is an answer and no tunnel.
func TestAttackTunnelThroughARefusal(t *testing.T) {
	w := open(t, nil)
	got := w.all(crlf(head("GET", "/x", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13") +
		head("GET", "/denied/", "Connection: close")))
	if strings.Count(got, "HTTP/1.1 ") != 2 || !strings.HasPrefix(got, "HTTP/1.1 401 ") || !strings.Contains(got, "HTTP/1.1 403 ") {
		t.Errorf("got %q", got)
	}
	w.untouched()
}

// CVE-2024-28869: a client that never ends what it began. The head is bounded by
// the server, the body here, on every path that reads one and on those that do not.
func TestAttackSlowBodies(t *testing.T) {
	const tooSlow = `{"detail":"The body of the request did not arrive in time."}`
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Server.ReadBodyTimeout, cfg.Server.MinBodyRate = 200*time.Millisecond, 0
	})
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		began := time.Now()
		w.refused(w.rawBytes(crlf(head("POST", "/public/", framing))+"5\r\nbegun"), 408, tooSlow)
		if got := w.all(crlf(head("POST", "/api/token/", framing, "Content-Type: application/json")) + "5\r\nbegun"); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.HasSuffix(got, tooSlow) {
			t.Errorf("the token endpoint answers %q", got)
		}
		if got := w.all(crlf(head("POST", "/x", framing)) + "5\r\nbegun"); !strings.HasPrefix(got, "HTTP/1.1 401 ") {
			t.Errorf("a refusal is %q", got)
		}
		if took := time.Since(began); took > soon {
			t.Errorf("took %v", took)
		}
	}
}

// Without a least rate a body that keeps coming may take as long as it likes.
func TestASlowBodyThatKeepsComing(t *testing.T) {
	atSomePace(t, 300*time.Millisecond, func(t *testing.T, pause time.Duration) error {
		w := open(t, nil, func(cfg *proxy.Config) {
			cfg.Server.ReadBodyTimeout, cfg.Server.MinBodyRate = pause, 0
		})
		conn := w.dial()
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, crlf(head("POST", "/public/slow", "Content-Length: 10", "Connection: close")))
		for range 10 {
			time.Sleep(pause / 5)
			_, _ = io.WriteString(conn, "x")
		}
		if got, _ := io.ReadAll(conn); !strings.HasPrefix(string(got), "HTTP/1.1 200 ") {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
}

// A pause between two requests, or while the backend thinks, is no slow body.
func TestAPauseAfterTheBodyIsNoFault(t *testing.T) {
	atSomePace(t, 50*time.Millisecond, func(t *testing.T, patience time.Duration) error {
		w := open(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			time.Sleep(3 * patience)
		}, func(cfg *proxy.Config) { cfg.Server.ReadBodyTimeout = patience })
		conn := w.dial()
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Time{})
		_, _ = io.WriteString(conn, crlf(head("POST", "/public/", "Content-Length: 4"))+"body")
		time.Sleep(3 * patience)
		_, _ = io.WriteString(conn, crlf(head("POST", "/public/", "Content-Length: 4", "Connection: close"))+"body")
		got, _ := io.ReadAll(conn)
		if strings.Count(string(got), "HTTP/1.1 200 ") != 2 {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
}

// HTTP/2 carries a method of any bytes, and net/http hands it on.
func TestAttackMethodsThatAreNone(t *testing.T) {
	gateway := newGateway(t, site("127.0.0.1:1"), nil)
	for _, method := range []string{"GET /staff", "GET\t", "GET\r\nX-User-Id: 1", "", "G\x00", "G|T", "GÉT"} {
		in := httptest.NewRequest(http.MethodGet, "http://app.example.com/public/x", nil)
		in.Method = method
		if _, refusal := gateway.Decide(in); refusal == nil || refusal.Reason != "bad_method" || refusal.Answer.Status != http.StatusBadRequest {
			t.Errorf("%q: %v", method, refusal)
		}
	}
}
