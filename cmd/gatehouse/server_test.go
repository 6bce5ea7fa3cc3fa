package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/tokens"
)

// launchPublic makes a server in this process, in front of a backend, with everything public,
// and with some settings of the section server, each with a comma behind it.
func launchPublic(t *testing.T, backend http.Handler, settings ...string) (s *server, address string) {
	t.Helper()
	upstream := httptest.NewServer(backend)
	t.Cleanup(upstream.Close)
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	text := fmt.Sprintf(`
server: { listen: "127.0.0.1:0", max_header_bytes: 4KiB, max_uri: 4KiB, %sdrain: { timeout: 3m } }
store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: a, alg: HS256, secret: "0123456789abcdef0123456789abcdef" }] }
upstreams: { app: { url: %q } }
routes: [{ to: app, auth: public }]
`, strings.Join(settings, " "), upstream.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(config.Input{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s, err = launch(t.Context(), loaded, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s, s.edge.Addrs()[0].String()
}

// ending stops a server and returns what serve ends with, and how long that takes.
func ending(t *testing.T, stop context.CancelFunc, served <-chan error) (took time.Duration, err error) {
	t.Helper()
	began := time.Now()
	stop()
	select {
	case err := <-served:
		return time.Since(began), err
	case <-time.After(time.Minute):
		t.Fatal("the server does not end")
		return 0, nil
	}
}

// A lone WebSocket is closed as RFC 6455 asks, at both ends, and does not hold up the
// end of the server.
func TestAWebSocketIsClosedWhenTheServerStops(t *testing.T) {
	told := make(chan error, 1)
	s, address := launchPublic(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.CloseNow()
		_, text, _ := socket.Read(r.Context())
		_ = socket.Write(r.Context(), websocket.MessageText, text)
		_, _, err = socket.Read(context.Background())
		told <- err
	}))
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	socket, _, err := websocket.Dial(t.Context(), "ws://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	if err := socket.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := socket.Read(t.Context()); string(text) != "hello" {
		t.Fatalf("got %q, %v", text, err)
	}
	closed := make(chan error, 1)
	go func() {
		_, _, err := socket.Read(context.Background())
		closed <- err
	}()
	if took, err := ending(t, stop, served); err != nil {
		t.Errorf("serve ended with %v after %v", err, took)
	}
	if err := <-closed; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client is told %v", err)
	}
	if err := <-told; websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the backend is told %v", err)
	}
}

// Events may come until drain.streams is over. Then they end, long before drain.timeout, and the exit
// is a good one.
func TestEventsDoNotFailTheExit(t *testing.T) {
	s, address := launchPublic(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "data: tick\n\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	}))
	s.drain.Load().Timeout, s.drain.Load().Streams = 10*time.Minute, 500*time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	in, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/events", nil)
	answer, err := new(http.Transport).RoundTrip(in)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if took, err := ending(t, stop, served); err != nil || took < s.drain.Load().Streams {
		t.Errorf("serve ended with %v after %v", err, took)
	}
	if body, err := io.ReadAll(answer.Body); err != nil || !strings.HasSuffix(string(body), "data: tick\n\n") {
		t.Errorf("the stream ended with %v", err)
	}
}

// Who was let in before the stop and asks a second after it is answered, and told to come back
// on another connection.
func TestWhoWasLetInBeforeTheStopIsAnswered(t *testing.T) {
	for name, before := range map[string]string{
		"with nothing said yet": "",
		"with half of the head": "POST /a HTTP/1.1\r\nHo",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, address := launchPublic(t, http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
				_, _ = io.Copy(w, in.Body)
			}))
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- s.serve(ctx) }()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = io.WriteString(conn, before)
			next, err := plainClient.Get("http://" + address) // whoever came before it is let in by then
			if err != nil {
				t.Fatal(err)
			}
			_ = next.Body.Close()
			stop()
			time.Sleep(time.Second)
			_, _ = io.WriteString(conn, strings.TrimPrefix("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", before))
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			if err != nil || string(body) != "hello" || !answer.Close {
				t.Errorf("got %q, %v; to be closed: %v", body, err, answer.Close)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClientsThatTakeTooLongOrTooMuch(t *testing.T) {
	const hasty, idle = "read_header_timeout: 300ms, idle_timeout: 300ms,", "idle_timeout: 300ms,"
	for name, test := range map[string]struct{ settings, sent, want string }{
		"a head that never ends":         {hasty, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", ""},
		"nothing at all":                 {hasty, "", ""},
		"no second request":              {idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404 "},
		"headers without measure":        {idle, "GET / HTTP/1.1\r\nHost: a\r\nX-Large: " + strings.Repeat("x", 10<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		"a target without a measure":     {"", "GET /" + strings.Repeat("x", 5<<10) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 414 "},
		"a head that is read no further": {"", "GET / HTTP/1.1\r\nHost: a\r\nX-Large: " + strings.Repeat("x", 100<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
	} {
		t.Run(name, func(t *testing.T) {
			s, address := launchPublic(t, http.NotFoundHandler(), test.settings)
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- s.serve(ctx) }()
			defer func() {
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			}()
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = io.WriteString(conn, test.sent)
			got, err := io.ReadAll(conn) // until the server closes the connection
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("the connection is kept")
			}
			if test.want == "" && len(got) > 0 && !strings.HasPrefix(string(got), "HTTP/1.1 408 ") || !strings.HasPrefix(string(got), test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAServerWhoseListenerBreaks(t *testing.T) {
	s, address := launchPublic(t, http.NotFoundHandler())
	_ = s.edge.Close()
	if err := s.serve(t.Context()); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v, want an error with %s", err, address)
	}
}

func TestTheBodyOfALoginMayNotTakeForEver(t *testing.T) {
	began := time.Now()
	endpoints := hasten([]tokens.Endpoint{{Path: "/api/token/", Handler: http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		body := in.Body.(*hastenedBody)
		if left := time.Until(body.until); left > bodyTime || left < bodyTime-time.Since(began) {
			t.Errorf("the body has %v, want %v", left, bodyTime)
		}
		body.until = time.Now().Add(-time.Millisecond)
		if n, err := in.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %d, %v after the time was over", n, err)
		}
	})}})
	endpoints[0].Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/api/token/", strings.NewReader("a=b")))
}

func TestPasswordFromStandardInput(t *testing.T) {
	for name, test := range map[string]struct{ in, want, fault string }{
		"one line":            {"secret\n", "secret", ""},
		"a Windows line":      {"secret\r\n", "secret", ""},
		"no newline":          {"secret", "secret", ""},
		"spaces are its own":  {" secret \n", " secret ", ""},
		"as long as may be":   {strings.Repeat("x", maxPassword) + "\n", strings.Repeat("x", maxPassword), ""},
		"nothing":             {"", "", "is empty"},
		"a newline alone":     {"\n", "", "is empty"},
		"two lines":           {"one\ntwo\n", "", "more than one line"},
		"too long":            {strings.Repeat("x", maxPassword+1), "", "longer than"},
		"far too long":        {strings.Repeat("x", 10*maxPassword), "", "longer than"},
		"a newline in excess": {"secret\n\n", "", "more than one line"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readPassword(strings.NewReader(test.in))
			if got != test.want || (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %q, %v; want %q, %q", got, err, test.want, test.fault)
			}
		})
	}
}

func TestWhatIsStoredCannotSteerTheTerminal(t *testing.T) {
	var out strings.Builder
	if err := table(&out, []string{"NAME"}, [][]string{{"a\x1b[31m\u202eb"}}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "NAME\na\ufffd[31m\ufffdb\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
