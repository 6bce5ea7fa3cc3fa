package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/upstream"
)

// listen is a backend that is not an HTTP server: serve has the connection.
func listen(t *testing.T, serve func(conn net.Conn, from *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return listener.Addr().String()
}

// answering reads a request, writes these bytes and closes the connection.
func answering(t *testing.T, text string) string {
	return listen(t, func(conn net.Conn, from *bufio.Reader) {
		if _, err := http.ReadRequest(from); err == nil {
			_, _ = io.WriteString(conn, text)
		}
	})
}

// before is a world whose upstream is at addr.
func before(t *testing.T, addr string, timeouts upstream.Timeouts) *world {
	t.Helper()
	return open(t, nil, func(cfg *proxy.Config) {
		cfg.Upstreams["app"] = upstream.Config{URL: "http://" + addr, Timeouts: timeouts}
	})
}

func TestABackendThatDoesNotAnswer(t *testing.T) {
	for _, tc := range []struct {
		name   string
		addr   func(t *testing.T) string
		status int
		detail string
		reason string
	}{
		{
			"nothing listens", func(*testing.T) string { return "127.0.0.1:1" },
			502, "Upstream app refused the connection.", "upstream_refused",
		},
		{
			"its name is unknown", func(*testing.T) string { return "no-such-host.invalid:80" },
			502, "Upstream app cannot be found.", "upstream_name_unknown",
		},
		{"it hangs", func(t *testing.T) string {
			return listen(t, func(conn net.Conn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, conn) })
		}, 504, "Upstream app did not answer in time (first_byte timeout).", "upstream_first_byte_timeout"},
		{"it hangs in the middle of the head", func(t *testing.T) string {
			return listen(t, func(conn net.Conn, from *bufio.Reader) {
				_, _ = http.ReadRequest(from) // what answers before it is asked is another fault
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nServer:")
				_, _ = io.Copy(io.Discard, conn)
			})
		}, 504, "Upstream app did not answer in time (first_byte timeout).", "upstream_first_byte_timeout"},
		{
			"it closes the connection", func(t *testing.T) string { return answering(t, "") },
			502, "Upstream app closed the connection before it answered.", "upstream_closed",
		},
		{
			"it dies in the middle of the head", func(t *testing.T) string { return answering(t, "HTTP/1.1 200 OK\r\nServer: x\r\n") },
			502, "Upstream app closed the connection before it answered.", "upstream_closed",
		},
		{"it resets in the middle of the head", func(t *testing.T) string {
			return listen(t, func(conn net.Conn, from *bufio.Reader) {
				_, _ = http.ReadRequest(from)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nServer: x\r\n")
				time.Sleep(20 * time.Millisecond)
				_ = conn.(*net.TCPConn).SetLinger(0)
			})
		}, 502, "Upstream app closed the connection before it answered.", "upstream_closed"},
		{
			"it is no HTTP server", func(t *testing.T) string { return answering(t, "SSH-2.0-OpenSSH\r\n\r\n") },
			502, "Upstream app sent an answer that is not valid HTTP.", "upstream_malformed",
		},
		{
			"it names two lengths", func(t *testing.T) string {
				return answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc")
			},
			502, "Upstream app sent an answer that is not valid HTTP.", "upstream_malformed",
		},
		{
			"it names a length that is none", func(t *testing.T) string { return answering(t, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") },
			502, "Upstream app sent an answer that is not valid HTTP.", "upstream_malformed",
		},
		{
			"it sends a line that is no header", func(t *testing.T) string { return answering(t, "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n") },
			502, "Upstream app sent an answer that is not valid HTTP.", "upstream_malformed",
		},
		{
			"it sends a status that is none", func(t *testing.T) string { return answering(t, "HTTP/1.1 abc OK\r\n\r\n") },
			502, "Upstream app sent an answer that is not valid HTTP.", "upstream_malformed",
		},
		{"its headers never end", func(t *testing.T) string {
			return answering(t, "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
		}, 502, "Upstream app sent an answer with too large headers.", "upstream_head_too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr := tc.addr(t)
			var timeouts upstream.Timeouts
			if tc.status == 504 {
				brief := 200 * time.Millisecond
				timeouts.FirstByte = &brief
			}
			w := before(t, addr, timeouts)
			got := w.get("/public/", "Cookie: secret=1")
			w.refused(got, tc.status, fmt.Sprintf(`{"detail":%q}`, tc.detail))
			if host, _, _ := net.SplitHostPort(addr); strings.Contains(got.Text, host) {
				t.Errorf("the answer holds the address: %s", got.Text)
			}
			eventually(t, "line in the log with the reason", func() bool {
				return strings.Contains(w.log.String(), "reason="+tc.reason+" status="+fmt.Sprint(tc.status))
			})
		})
	}
}

func TestABackendThatDiesInMidBody(t *testing.T) {
	// A client must be able to tell half an answer from a whole one.
	for _, tc := range []struct{ name, head string }{
		{"of known length", "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 50_000)},
		{"in chunks", "Transfer-Encoding: chunked\r\n\r\nc350\r\n" + strings.Repeat("x", 50_000) + "\r\n"},
		{"in the middle of a chunk", "Transfer-Encoding: chunked\r\n\r\nffff\r\n" + strings.Repeat("x", 50_000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := before(t, answering(t, "HTTP/1.1 200 OK\r\n"+tc.head), upstream.Timeouts{})
			request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/public/", nil)
			response, err := new(http.Transport).RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			got, err := io.ReadAll(response.Body)
			if err == nil {
				t.Errorf("the client takes %d bytes for a whole answer", len(got))
			}
			eventually(t, "line in the log", func() bool { return strings.Contains(w.log.String(), "decision=aborted status=200") })
		})
	}
}

func TestABackendThatForgetsItsConnections(t *testing.T) {
	// It promises to keep a connection and closes it when the next request comes.
	w := before(t, listen(t, func(conn net.Conn, from *bufio.Reader) {
		if _, err := http.ReadRequest(from); err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = from.Peek(1)
	}), upstream.Timeouts{})
	for i := range 20 {
		if got := w.get("/public/"); got.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, got.StatusCode, got.Text)
		}
	}
}

func TestABackendThatAnswersBeforeItHasReadTheBody(t *testing.T) {
	w := before(t, listen(t, func(conn net.Conn, from *bufio.Reader) {
		_, _ = http.ReadRequest(from)
		_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
		_, _ = io.Copy(io.Discard, from)
	}), upstream.Timeouts{})
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, crlf(head("POST", "/public/", "Content-Length: 1000000"))+"begun")
	if got := w.read(bufio.NewReader(conn), "POST"); got.StatusCode != 403 || got.Text != "no" {
		t.Errorf("got %d %q", got.StatusCode, got.Text)
	}
}

func TestTooLargeABody(t *testing.T) {
	const tooLarge = `{"detail":"The body of the request is too large."}`
	limit := func(cfg *proxy.Config) { cfg.Server.MaxBody = 100 * proxy.KiB }
	body := strings.Repeat("x", 100<<10)
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }

	t.Run("by its length", func(t *testing.T) {
		w := open(t, nil, limit)
		w.refused(w.rawBytes(crlf(head("POST", "/public/", "Content-Length: 102401"))+body+"x"), 413, tooLarge)
		w.untouched()
	})
	t.Run("found out on the way", func(t *testing.T) {
		broken := make(chan error, 1)
		w := open(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			broken <- err
		}, limit)
		w.refused(w.rawBytes(crlf(head("POST", "/public/", "Transfer-Encoding: chunked"))+chunked(body+"x")), 413, tooLarge)
		select {
		case err := <-broken:
			if err == nil {
				t.Error("the backend took the part for the whole")
			}
		case <-time.After(soon):
			t.Error("the backend waits for the rest")
		}
	})
	t.Run("exactly at the limit", func(t *testing.T) {
		w := open(t, nil, limit)
		for _, request := range []string{
			crlf(head("POST", "/public/", "Content-Length: 102400")) + body,
			crlf(head("POST", "/public/", "Transfer-Encoding: chunked")) + chunked(body),
		} {
			if got := w.rawBytes(request); got.StatusCode != 200 || w.only().Body != body {
				t.Errorf("got %d %s", got.StatusCode, got.Text)
			}
		}
	})
	t.Run("not told to who may not come in", func(t *testing.T) {
		w := open(t, nil, limit)
		w.refused(w.raw(head("POST", "/x", "Content-Length: 102401")), 401, notProvided)
	})
	t.Run("no limit", func(t *testing.T) {
		w := open(t, nil, func(cfg *proxy.Config) { cfg.Server.MaxBody = 0 })
		if got := w.rawBytes(crlf(head("POST", "/public/", "Transfer-Encoding: chunked")) + chunked(body)); got.StatusCode != 200 {
			t.Errorf("got %d", got.StatusCode)
		}
	})
}
