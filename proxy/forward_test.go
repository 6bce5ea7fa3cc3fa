package proxy_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"gatehouse/proxy"
)

func TestTheRequestArrivesAsItWasSent(t *testing.T) {
	w := open(t, nil)
	for _, tc := range []struct{ name, sent, received string }{
		{"path and query", "/public/a/b?x=1&y=2", "/public/a/b?x=1&y=2"},
		{"a query that Go's parser rejects", "/public/a?a=1;b=2&c=%zz&d", "/public/a?a=1;b=2&c=%zz&d"},
		{"an empty query", "/public/a?", "/public/a?"},
		{"a query of its own order and escapes", "/public/a?b=%7e&a=+&b=%2F?", "/public/a?b=%7e&a=+&b=%2F?"},
		{"many parameters", "/public/a?" + strings.Repeat("a&", 9000), "/public/a?" + strings.Repeat("a&", 9000)},
		{"escapes that stay escaped", "/public/a%20b%3Fc%25d%23e", "/public/a%20b%3Fc%25d%23e"},
		{"letters beyond ASCII", "/public/caf%c3%a9", "/public/caf%C3%A9"},
		{"raw bytes beyond ASCII", "/public/café", "/public/caf%C3%A9"},
		{"characters that Go would escape", "/public/a|b^c\"d", "/public/a%7Cb%5Ec%22d"},
		{"characters that Go would not", "/public/a$&+,:=@!*'()b", "/public/a$&+,:=@!*'()b"},
		{"unreserved characters that were escaped", "/public/%61%2d%7E", "/public/a-~"},
		{"a trailing slash", "/public/a/", "/public/a/"},
		{"absolute form", "http://app.example.com/public/a?b", "/public/a?b"},
	} {
		got := w.get(tc.sent)
		if got.StatusCode != 200 {
			t.Errorf("%s: %d %s", tc.name, got.StatusCode, got.Text)
			continue
		}
		in := w.only()
		if in.Target != tc.received {
			t.Errorf("%s: the backend got %s, want %s", tc.name, in.Target, tc.received)
		}
		if in.Host != "app.example.com" {
			t.Errorf("%s: Host %q", tc.name, in.Host)
		}
	}
}

func TestMethodsAndHeadersPass(t *testing.T) {
	w := open(t, nil)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		if got := w.raw(head(method, "/public/", "Accept-Encoding: br;q=1, gzip", "Cookie: a=1; b=2", "X-Custom: one",
			"X-Custom: two", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")); got.StatusCode != 200 {
			t.Errorf("%s: %d", method, got.StatusCode)
			continue
		}
		in := w.only()
		if in.Method != method {
			t.Errorf("method %s became %s", method, in.Method)
		}
		for name, want := range map[string]string{
			"Accept-Encoding": "br;q=1, gzip", "Cookie": "a=1; b=2", "X-Custom": "one|two",
			"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			"User-Agent":  "", // none was sent
		} {
			if got := strings.Join(in.Header.Values(name), "|"); got != want {
				t.Errorf("%s: %s is %q, want %q", method, name, got, want)
			}
		}
	}
}

func TestTheAnswerArrivesAsItWasSent(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		answer       http.HandlerFunc
		status       int
		length       int64
		body         string
		header       map[string]string
	}{
		{"a status of its own", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/x-own")
			w.WriteHeader(418)
			_, _ = io.WriteString(w, "teapot")
		}, 418, 6, "teapot", map[string]string{"Content-Type": "text/x-own"}},
		{"no Content-Type", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, "<html>")
		}, 200, 6, "<html>", map[string]string{"Content-Type": ""}},
		{"204", "DELETE", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, 0, "", nil},
		{"304", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"1"`)
			w.WriteHeader(304)
		}, 304, 0, "", map[string]string{"Etag": `"1"`, "Content-Type": ""}},
		{"HEAD", "HEAD", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "12345")
		}, 200, 12345, "", map[string]string{"Content-Length": "12345"}},
		{"a compressed body", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "not really")
		}, 200, 10, "not really", map[string]string{"Content-Encoding": "gzip"}},
		{"a redirect", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://app.example.com/elsewhere")
			w.WriteHeader(302)
		}, 302, 0, "", map[string]string{"Location": "http://app.example.com/elsewhere"}},
		{"the backend's own 401", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(401)
		}, 401, 0, "", map[string]string{"Www-Authenticate": "Basic"}},
		{"cookies and security headers", "GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "a=1")
			w.Header().Set("X-Frame-Options", "ALLOW")
			w.Header().Set("Cache-Control", "max-age=60")
		}, 200, 0, "", map[string]string{"Set-Cookie": "a=1", "X-Frame-Options": "ALLOW", "Cache-Control": "max-age=60"}},
		{"unknown length", "GET", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "one ")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "two")
		}, 200, -1, "one two", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := open(t, tc.answer)
			got := w.raw(head(tc.method, "/public/"))
			if got.StatusCode != tc.status || got.Text != tc.body || got.ContentLength != tc.length {
				t.Errorf("got %d %q of %d, want %d %q of %d",
					got.StatusCode, got.Text, got.ContentLength, tc.status, tc.body, tc.length)
			}
			for name, want := range tc.header {
				if got := got.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			for _, name := range []string{"X-Request-Id", "X-Content-Type-Options"} {
				if got := got.Header.Get(name); got != "" {
					t.Errorf("%s: %s was added to the answer", name, got)
				}
			}
		})
	}
}

func TestTrailersOfAnAnswerPass(t *testing.T) {
	w := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Sum", "42")
	})
	if got := w.get("/public/", "TE: trailers", "Connection: TE"); got.Text != "body" || got.Trailer.Get("X-Sum") != "42" {
		t.Errorf("body %q, trailer %v", got.Text, got.Trailer)
	}
}

// digest reads a body of any size.
func digest(r io.Reader) string {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d %x %v", n, h.Sum(nil), err)
}

// noise is endless and the same every time (xorshift).
type noise uint64

func (n *noise) Read(b []byte) (int, error) {
	for i := range b {
		*n ^= *n << 13
		*n ^= *n >> 7
		*n ^= *n << 17
		b[i] = byte(*n)
	}
	return len(b), nil
}

func bytesFrom(seed noise, n int64) io.Reader { return io.LimitReader(&seed, n) }

func TestLargeBodiesPassBothWays(t *testing.T) {
	const size = 24 << 20
	sent := digest(bytesFrom(1, size))
	received := digest(bytesFrom(2, size))
	for _, length := range []int64{size, -1} {
		w := open(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Received", digest(r.Body))
			if r.ContentLength > 0 {
				w.Header().Set("Content-Length", fmt.Sprint(size))
			}
			_, _ = io.Copy(w, bytesFrom(2, size))
		})
		request, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+w.addr+"/public/", bytesFrom(1, size))
		request.ContentLength = length
		response, err := new(http.Transport).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		if got := digest(response.Body); got != received {
			t.Errorf("length %d: the client got %s, want %s", length, got, received)
		}
		_ = response.Body.Close()
		if got := response.Header.Get("X-Received"); got != sent {
			t.Errorf("length %d: the backend got %s, want %s", length, got, sent)
		}
		if in := w.only(); in.Length != length {
			t.Errorf("a body of length %d arrived with length %d", length, in.Length)
		}
	}
}

func TestABodyThatIsAskedForFirst(t *testing.T) {
	t.Run("wanted", func(t *testing.T) {
		w := open(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
		conn := w.dial()
		defer func() { _ = conn.Close() }()
		from := bufio.NewReader(conn)
		_, _ = io.WriteString(conn, strings.ReplaceAll(head("POST", "/public/", "Expect: 100-continue", "Content-Length: 5"), "\n", "\r\n"))
		line, _ := from.ReadString('\n')
		if line != "HTTP/1.1 100 Continue\r\n" {
			t.Fatalf("got %q, want 100 Continue", line)
		}
		_, _ = from.ReadString('\n')
		_, _ = io.WriteString(conn, "hello")
		if got := w.read(from, "POST"); got.StatusCode != 200 || got.Text != "hello" {
			t.Errorf("got %d %q", got.StatusCode, got.Text)
		}
	})
	t.Run("refused by the backend", func(t *testing.T) {
		w := open(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) })
		if got := w.raw(head("POST", "/public/", "Expect: 100-continue", "Content-Length: 5")); got.StatusCode != 417 {
			t.Errorf("got %d, want the backend's 417 without the body having been sent", got.StatusCode)
		}
	})
	t.Run("refused by the policy", func(t *testing.T) {
		w := open(t, nil)
		w.refused(w.raw(head("POST", "/x", "Expect: 100-continue", "Content-Length: 5")), 401, notProvided)
		w.untouched()
	})
}

func TestEarlyHintsPass(t *testing.T) {
	w := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.WriteString(w, "page")
	})
	got := w.all(strings.ReplaceAll(head("GET", "/public/", "Connection: close"), "\n", "\r\n"))
	if !strings.HasPrefix(got, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n") || !strings.Contains(got, "HTTP/1.1 200 OK\r\n") {
		t.Errorf("got %q", got)
	}
	// A client of HTTP/1.0 takes the first head for the answer.
	got = w.all("GET /public/ HTTP/1.0\r\nHost: app.example.com\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\npage") {
		t.Errorf("HTTP/1.0 got %q", got)
	}
}

func TestStripPrefix(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Routes[0].Path = "/old/*"
		cfg.Routes[0].StripPrefix = "/old"
		cfg.Routes[0].Auth.Word = "public"
		cfg.Routes[0].Rules = nil
	})
	for sent, received := range map[string]string{
		"/old/x?y": "/x?y", "/old": "/", "/old/": "/", "/old/a%2fb": "", "/old/a%20b/": "/a%20b/", "/old/old/x": "/old/x",
		"/older/x": "", "/x": "",
	} {
		got := w.get(sent)
		if received == "" {
			if got.StatusCode != 404 && got.StatusCode != 400 {
				t.Errorf("%s: %d", sent, got.StatusCode)
			}
			w.untouched()
			continue
		}
		if in := w.only(); in.Target != received {
			t.Errorf("%s arrives as %s, want %s", sent, in.Target, received)
		}
	}
}

func TestTheTokenIsHandedOnWhereTheOperatorSaysSo(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) { cfg.Identity.ForwardToken = true })
	bearer := w.bearer("alice")
	w.get("/x", bearer)
	if in := w.only(); "Authorization: "+in.Header.Get("Authorization") != bearer {
		t.Errorf("Authorization is %q", in.Header.Get("Authorization"))
	}
}

func TestEachRequestHasAnId(t *testing.T) {
	w := open(t, nil)
	ids := map[string]bool{}
	for range 3 {
		w.get("/public/", "X-Request-Id: chosen-by-the-client")
		id := w.only().Header.Values("X-Request-Id")
		if len(id) != 1 || len(id[0]) != 32 || ids[id[0]] {
			t.Fatalf("id %q after %v", id, ids)
		}
		ids[id[0]] = true
		if !strings.Contains(w.log.String(), id[0]) {
			t.Errorf("the log does not name %s", id[0])
		}
	}
}
