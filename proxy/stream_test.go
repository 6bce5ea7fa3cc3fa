package proxy_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// soon bounds what should happen at once.
// soon is how long a slow machine may take for what happens by itself.
const soon = 60 * time.Second

// atSomePace tries what a machine that is slow for a moment may be too late for,
// with more and more time: what is right succeeds at some pace, what is wrong at none.
func atSomePace(t *testing.T, pace time.Duration, try func(t *testing.T, pace time.Duration) error) {
	t.Helper()
	for {
		err := try(t, pace)
		if err == nil {
			return
		}
		if pace *= 3; pace > 20*time.Second {
			t.Fatal(err)
		}
		t.Logf("once more, at %v: %v", pace, err)
	}
}

func TestEventsArriveWhenTheyAreSent(t *testing.T) {
	for _, tc := range []struct{ name, contentType, length string }{
		{"server-sent events", "text/event-stream; charset=utf-8", ""},
		{"unknown length", "text/plain", ""},
		{"known length", "text/plain", "10"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			next := make(chan struct{})
			w := open(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tc.contentType)
				if tc.length != "" {
					w.Header().Set("Content-Length", tc.length)
				}
				for range 5 {
					_, _ = io.WriteString(w, "x\n")
					_ = http.NewResponseController(w).Flush()
					<-next
				}
			})
			request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/public/", nil)
			response, err := new(http.Transport).RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			lines := bufio.NewReader(response.Body)
			for i := range 5 {
				began := time.Now()
				if _, err := lines.ReadString('\n'); err != nil { // blocks for ever if it is held back
					t.Fatal(err)
				}
				if took := time.Since(began); took > soon {
					t.Errorf("event %d took %v", i, took)
				}
				next <- struct{}{}
			}
		})
	}
}

func TestTheHeadArrivesBeforeTheBody(t *testing.T) {
	release := make(chan struct{})
	w := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	defer close(release)
	request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/public/", nil)
	response, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

func TestAClientThatLeavesStopsTheBackend(t *testing.T) {
	for _, tc := range []struct {
		name string
		body io.Reader
		head bool // the backend has begun to answer
	}{
		{"before the answer", nil, false},
		{"in the middle of the answer", nil, true},
		{"after it sent a body", strings.NewReader("body"), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began, stopped := make(chan struct{}), make(chan struct{})
			w := open(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if tc.head {
					_, _ = io.WriteString(w, "begun")
					_ = http.NewResponseController(w).Flush()
				}
				close(began)
				<-r.Context().Done()
				close(stopped)
			})
			ctx, cancel := context.WithCancel(t.Context())
			request, _ := http.NewRequestWithContext(ctx, "POST", "http://"+w.addr+"/public/", tc.body)
			go func() {
				<-began
				cancel()
			}()
			if response, err := new(http.Transport).RoundTrip(request); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			select {
			case <-stopped:
			case <-time.After(soon):
				t.Fatal("the backend works on for nobody")
			}
		})
	}
}

// echoing is a backend that sends back what a socket says.
func echoing(w http.ResponseWriter, r *http.Request) {
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}})
	if err != nil {
		return
	}
	defer func() { _ = socket.CloseNow() }()
	for {
		kind, message, err := socket.Read(r.Context())
		if err != nil {
			return
		}
		if err := socket.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func TestWebSockets(t *testing.T) {
	w := open(t, echoing)
	header := http.Header{}
	name, value, _ := strings.Cut(w.bearer("alice"), ": ")
	header.Set(name, value)
	socket, answer, err := websocket.Dial(t.Context(), "ws://"+w.addr+"/live?x=1", &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	if answer.StatusCode != 101 {
		t.Errorf("status %d", answer.StatusCode)
	}
	for _, message := range []string{"one", "", strings.Repeat("two", 5000)} {
		if err := socket.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := socket.Read(t.Context()); err != nil || string(got) != message {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	in := w.only()
	if in.Target != "/live?x=1" || in.Header.Get("X-User-Name") != "alice" || in.Header.Get("Authorization") != "" {
		t.Errorf("the backend got %s with %v", in.Target, in.Header)
	}
	if err := socket.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("the close handshake does not pass: %v", err)
	}
	eventually(t, "a line in the access log", func() bool {
		return strings.Contains(w.log.String(), "path=/live decision=passed status=101")
	})
}

func TestAWebSocketThatIsRefused(t *testing.T) {
	w := open(t, echoing)
	_, answer, err := websocket.Dial(t.Context(), "ws://"+w.addr+"/live", nil)
	if err == nil || answer == nil || answer.StatusCode != 401 {
		t.Fatalf("got %v, %v", answer, err)
	}
	w.untouched()
}

func TestAWebSocketWhoseClientVanishes(t *testing.T) {
	gone := make(chan struct{})
	w := open(t, func(w http.ResponseWriter, r *http.Request) { defer close(gone); echoing(w, r) })
	socket, _, err := websocket.Dial(t.Context(), "ws://"+w.addr+"/public/", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = socket.CloseNow()
	select {
	case <-gone:
	case <-time.After(soon):
		t.Fatal("the backend keeps the socket of nobody")
	}
}

func TestAnUpgradeThatTheBackendDeclines(t *testing.T) {
	// The answer is an answer, and what follows is the next request with its own policy.
	w := open(t, nil)
	got := w.all(crlf(head("GET", "/public/", "Connection: Upgrade", "Upgrade: websocket") + head("GET", "/x", "Connection: close")))
	if strings.Count(got, "HTTP/1.1 ") != 2 || !strings.Contains(got, "HTTP/1.1 200 ") || !strings.Contains(got, "HTTP/1.1 401 ") {
		t.Errorf("got %q", got)
	}
	if in := w.only(); in.Header.Get("Upgrade") != "websocket" {
		t.Errorf("Upgrade is %q", in.Header.Get("Upgrade"))
	}
}

func TestATunnelThatNobodyAskedFor(t *testing.T) {
	w := open(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	})
	for _, headers := range [][]string{nil, {"Connection: Upgrade", "Upgrade: h2c"}} {
		w.refused(w.get("/public/", headers...), 502, `{"detail":"Upstream app switched the protocol unasked."}`)
	}
}

func crlf(lines string) string { return strings.ReplaceAll(lines, "\n", "\r\n") }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(soon); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func TestBothDirectionsAtOnce(t *testing.T) {
	// An answer that begins before the request has ended, as chatty protocols want it.
	w := open(t, func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		_ = connection.EnableFullDuplex()
		w.WriteHeader(200)
		_ = connection.Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = io.WriteString(w, "echo "+lines.Text()+"\n")
			_ = connection.Flush()
		}
	})
	from, to := io.Pipe()
	request, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+w.addr+"/public/", from)
	response, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	for _, line := range []string{"one", "two", "three"} {
		_, _ = io.WriteString(to, line+"\n")
		if got, err := lines.ReadString('\n'); got != "echo "+line+"\n" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = to.Close()
	if rest, err := io.ReadAll(lines); len(rest) != 0 || err != nil {
		t.Errorf("then %q, %v", rest, err)
	}
}
