package upstream_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

func short() *time.Duration {
	d := 150 * time.Millisecond
	return &d
}

// atSomePace tries what a machine that is slow for a moment may be too late for,
// with more and more time: what is right succeeds at some pace, what is wrong at none.
func atSomePace(t *testing.T, pace time.Duration, try func(pace time.Duration) error) {
	t.Helper()
	for {
		err := try(pace)
		if err == nil {
			return
		}
		if pace *= 3; pace > 15*time.Second {
			t.Fatal(err)
		}
		t.Logf("once more, at %v: %v", pace, err)
	}
}

// ask sends one GET and returns its failure.
func ask(t *testing.T, ctx context.Context, cfg upstream.Config) upstream.Failure {
	t.Helper()
	up, err := upstream.New("app", cfg, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://app/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := send(t, up, request)
	if err == nil {
		_ = answer.Body.Close()
		t.Fatalf("answered %d, want a failure", answer.StatusCode)
	}
	failure := upstream.Explain(ctx, err)
	t.Logf("%s: %v", failure, err)
	return failure
}

// listen serves each connection with serve and then closes it.
func listen(t *testing.T, serve func(net.Conn)) string {
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
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// readHead reads a request up to the empty line.
func readHead(conn net.Conn) {
	var head []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(head), "\r\n\r\n") {
		if _, err := conn.Read(one); err != nil {
			return
		}
		head = append(head, one[0])
	}
}

func TestWhatAnUpstreamsSilenceMeans(t *testing.T) {
	answering := func(head string) func(*testing.T) string {
		return func(t *testing.T) string {
			return "http://" + listen(t, func(conn net.Conn) { readHead(conn); _, _ = io.WriteString(conn, head) })
		}
	}
	for _, tc := range []struct {
		name string
		url  func(t *testing.T) string
		want upstream.Failure
	}{
		{"nothing listens", func(*testing.T) string { return "http://127.0.0.1:1" }, upstream.Refused},
		{"no such name", func(*testing.T) string { return "http://no-such-host.invalid" }, upstream.NameUnknown},
		{"it closes without a word", answering(""), upstream.Closed},
		{"it closes in the middle of the head", answering("HTTP/1.1 200 OK\r\nServer: x\r\n"), upstream.Closed},
		{"it resets", func(t *testing.T) string {
			return "http://" + listen(t, func(conn net.Conn) {
				readHead(conn)
				_ = conn.(*net.TCPConn).SetLinger(0)
			})
		}, upstream.Closed},
		{"it speaks another protocol", answering("SSH-2.0-OpenSSH_9.2\r\n\r\n"), upstream.Malformed},
		{"a broken status line", answering("HTTP/1.1 twohundred OK\r\n\r\n"), upstream.Malformed},
		{"a broken header", answering("HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), upstream.Malformed},
		{"two lengths", answering("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), upstream.Malformed},
		{"an unknown transfer coding", answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), upstream.Malformed},
		{"endless headers", answering("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), upstream.HeadTooLarge},
		{"it takes the request and stays silent", func(t *testing.T) string {
			return "http://" + listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		}, upstream.FirstByteTimeout},
		{"it never finishes the TLS handshake", func(t *testing.T) string {
			return "https://" + listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		}, upstream.ConnectTimeout},
		{"https is said and http is spoken", func(t *testing.T) string {
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return "https://" + server.Listener.Addr().String()
		}, upstream.TLSFailed},
		{"a certificate that nobody vouches for", func(t *testing.T) string {
			server := httptest.NewTLSServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return server.URL
		}, upstream.TLSFailed},
		{"TLS of a past age", func(t *testing.T) string {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
			server.StartTLS()
			t.Cleanup(server.Close)
			return server.URL
		}, upstream.TLSFailed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantTimeout := tc.want == upstream.FirstByteTimeout || tc.want == upstream.ConnectTimeout
			long := time.Minute
			cfg := upstream.Config{URL: tc.url(t), Timeouts: upstream.Timeouts{Connect: &long, FirstByte: &long}}
			switch tc.want { // elsewhere a slow machine would run into it
			case upstream.FirstByteTimeout:
				cfg.Timeouts.FirstByte = short()
			case upstream.ConnectTimeout:
				cfg.Timeouts.Connect = short()
			}
			got := ask(t, t.Context(), cfg)
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if got.Timeout() != wantTimeout {
				t.Errorf("timeout %v, want %v", got.Timeout(), wantTimeout)
			}
		})
	}
}

func TestAClientThatLeftIsNobodysFailure(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address := listen(t, func(conn net.Conn) { readHead(conn); cancel(); _, _ = io.Copy(io.Discard, conn) })
	if got := ask(t, ctx, upstream.Config{URL: "http://" + address}); got != upstream.ClientGone {
		t.Errorf("got %s, want %s", got, upstream.ClientGone)
	}
}

func TestNoBoundMeansNoBound(t *testing.T) {
	none := time.Duration(0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(3 * *short())
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	up, err := upstream.New("app", upstream.Config{
		URL: server.URL, Timeouts: upstream.Timeouts{Connect: &none, FirstByte: &none}, KeepAlive: &none,
	}, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	answer, err := send(t, up, request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if !answer.Close {
		t.Error("keep_alive 0s must make a connection for every request")
	}
}

func TestTheEnvironmentDoesNotChooseWhereRequestsGo(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	up, err := upstream.New("app", upstream.Config{URL: "http://no-such-host.invalid"}, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	// The proxy would refuse the connection; without it the name is asked for.
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app/", nil)
	_, err = send(t, up, request)
	if got := upstream.Explain(t.Context(), err); got != upstream.NameUnknown {
		t.Errorf("%v is explained as %s: the transport asks the environment for a proxy", err, got)
	}
}
