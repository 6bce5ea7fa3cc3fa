package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
	"gatehouse/users"
)

// shake is a handshake of RFC 6455, section 1.3, and its answer.
const (
	shakeKey = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
	shaken   = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

// opening is the head of a request for a WebSocket.
func opening(path string, headers ...string) string {
	return crlf(head("GET", path, append([]string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", shakeKey}, headers...)...))
}

// shortly is a world in which tokens have left for the gateway's clock, and the store.
func shortly(t *testing.T, left time.Duration, handler http.HandlerFunc, change ...func(*proxy.Config)) (*world, *users.Store, *proxy.Gateway) {
	t.Helper()
	w := &world{T: t, backend: newBackend(t, handler), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	for _, f := range change {
		f(&cfg)
	}
	p, store := partsAndStore(t, slog.New(slog.NewTextHandler(w.log, nil)))
	if left > 0 {
		const lifetime = 5 * time.Minute // of access tokens, by default
		p.Now = func() time.Time { return time.Now().Add(lifetime - left) }
	}
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	return w, store, gateway
}

// steady is a backend that goes on for ever: a socket that says something now and
// then and tells how it was closed, or an answer of the type that is asked for.
func steady(closes chan<- websocket.CloseError) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{OriginPatterns: []string{"*"}})
			if err != nil {
				return
			}
			defer func() { _ = socket.CloseNow() }()
			go func() {
				for socket.Write(r.Context(), websocket.MessageText, []byte("tick")) == nil {
					time.Sleep(10 * time.Millisecond)
				}
			}()
			_, _, err = socket.Read(context.Background())
			var closed websocket.CloseError
			if errors.As(err, &closed) {
				closes <- closed
			} else {
				closes <- websocket.CloseError{Code: -1, Reason: err.Error()}
			}
			return
		}
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "data: tick\n\n"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (w *world) socket(path, bearer string) *websocket.Conn {
	w.Helper()
	socket, err := w.trySocket(path, bearer)
	if err != nil {
		w.Fatal(err)
	}
	return socket
}

// trySocket is socket where a token may have expired meanwhile.
func (w *world) trySocket(path, bearer string) (*websocket.Conn, error) {
	header := http.Header{}
	if name, value, ok := strings.Cut(bearer, ": "); ok {
		header.Set(name, value)
	}
	socket, _, err := websocket.Dial(w.Context(), "ws://"+w.addr+path, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, err
	}
	w.Cleanup(func() { _ = socket.CloseNow() })
	return socket, nil
}

// closed reads until the socket is closed.
func (w *world) closed(socket *websocket.Conn) websocket.CloseError {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), soon)
	defer cancel()
	for {
		_, _, err := socket.Read(ctx)
		if err == nil {
			continue
		}
		var closed websocket.CloseError
		if !errors.As(err, &closed) {
			w.Fatalf("the socket ends with %v, not with a close frame", err)
		}
		return closed
	}
}

func streamMax(value route.StreamMax) func(*proxy.Config) {
	return func(cfg *proxy.Config) { cfg.Routes[0].StreamMax = value }
}

func TestAWebSocketEndsWithItsToken(t *testing.T) {
	t.Parallel()
	atSomePace(t, 1200*time.Millisecond, func(t *testing.T, left time.Duration) error {
		closes := make(chan websocket.CloseError, 1)
		w, _, _ := shortly(t, left, steady(closes))
		socket, err := w.trySocket("/live", w.bearer("alice"))
		if err != nil {
			return err
		}
		got := w.closed(socket)
		if got.Code != websocket.StatusPolicyViolation || got.Reason != "the token has expired" {
			t.Errorf("the client is told %v", got)
		}
		if got := <-closes; got.Code != websocket.StatusPolicyViolation || got.Reason != "the token has expired" {
			t.Errorf("the backend is told %v", got)
		}
		eventually(t, "reason in the log", func() bool { return strings.Contains(w.log.String(), "ended=token_expired") })
		return nil
	})
}

func TestHowLongAWebSocketMayLast(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		user       string
		change     func(*proxy.Config)
		reason     string // "": it outlives the token
	}{
		{"as long as its token, on an optional route", "/optional/", "alice", func(*proxy.Config) {}, "the token has expired"},
		{"said to be as long as its token", "/live", "alice", streamMax("token"), "the token has expired"},
		{"without a bound", "/live", "alice", streamMax("none"), ""},
		{"longer than its token", "/live", "alice", streamMax("1d"), ""},
		{"shorter than its token", "/live", "alice", streamMax("50ms"), "the stream has lasted long enough"},
		{"a rule's own", "/staff/", "alice", func(cfg *proxy.Config) { cfg.Routes[0].Rules[2].StreamMax = "none" }, ""},
		{"inherited from the route", "/staff/", "alice", streamMax("none"), ""},
		{"on a public route", "/public/", "alice", func(*proxy.Config) {}, ""},
		{"anonymous", "/optional/", "", func(*proxy.Config) {}, ""},
		{"anonymous, and a time", "/optional/", "", streamMax("50ms"), "the stream has lasted long enough"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			atSomePace(t, 1200*time.Millisecond, func(t *testing.T, left time.Duration) error {
				closes := make(chan websocket.CloseError, 1)
				w, _, _ := shortly(t, left, steady(closes), tc.change)
				bearer := ""
				if tc.user != "" {
					bearer = w.bearer(tc.user)
				}
				socket, err := w.trySocket(tc.path, bearer)
				if err != nil {
					return err
				}
				if tc.reason != "" {
					if got := w.closed(socket); got.Code != websocket.StatusPolicyViolation || got.Reason != tc.reason {
						return fmt.Errorf("the client is told %w", got)
					}
					return nil
				}
				for end := time.Now().Add(left + 300*time.Millisecond); time.Now().Before(end); {
					if _, _, err := socket.Read(t.Context()); err != nil {
						t.Fatalf("it ends: %v", err)
					}
				}
				return nil
			})
		})
	}
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	for _, tc := range []struct {
		name, contentType string
		change            func(*proxy.Config)
		ends, whole       bool
	}{
		{"events", "text/event-stream; charset=utf-8", func(*proxy.Config) {}, true, true},
		{"a camera", "multipart/x-mixed-replace;boundary=x", func(*proxy.Config) {}, true, false},
		{"lines of JSON", "application/x-ndjson", func(*proxy.Config) {}, true, false},
		{"a download", "text/csv", func(*proxy.Config) {}, false, false},
		{"a download where stream_max is written", "text/csv", streamMax("token"), true, false},
		{"events without a bound", "text/event-stream", streamMax("none"), false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			atSomePace(t, 1200*time.Millisecond, func(t *testing.T, left time.Duration) error {
				return streamed(t, left, tc.contentType, tc.change, tc.ends, tc.whole)
			})
		})
	}
}

func streamed(t *testing.T, left time.Duration, contentType string, change func(*proxy.Config), ends, whole bool) error {
	t.Helper()
	w, _, _ := shortly(t, left, steady(nil), change)
	patience := left + 300*time.Millisecond
	if ends {
		patience = soon
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", "http://"+w.addr+"/x?type="+url.QueryEscape(contentType), nil)
	name, value, _ := strings.Cut(w.bearer("alice"), ": ")
	request.Header.Set(name, value)
	answer, err := new(http.Transport).RoundTrip(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if len(body) == 0 || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("nothing has come: %d %s", answer.StatusCode, body)
	}
	switch {
	case !ends && !errors.Is(err, context.DeadlineExceeded):
		t.Errorf("it ends: %v", err)
	case ends && whole && err != nil:
		t.Errorf("it breaks off: %v", err)
	case ends && !whole && (err == nil || errors.Is(err, context.DeadlineExceeded)):
		t.Errorf("half of it looks like all of it, or it does not end: %v", err)
	}
	return nil
}

func TestAGRPCStreamEndsWithAStatus(t *testing.T) {
	t.Parallel()
	atSomePace(t, 1200*time.Millisecond, func(t *testing.T, left time.Duration) error {
		w, _, _ := shortly(t, left, steady(nil))
		request, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+w.addr+"/x?type=application/grpc", nil)
		request.Header.Set("Te", "trailers")
		name, value, _ := strings.Cut(w.bearer("alice"), ": ")
		request.Header.Set(name, value)
		answer, err := new(http.Transport).RoundTrip(request)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(answer.Body)
		if got := answer.Trailer; err != nil || got.Get("Grpc-Status") != "16" || got.Get("Grpc-Message") != "the token has expired" {
			return fmt.Errorf("%w, then %v", err, got)
		}
		return nil
	})
}

// What ends a session ends what it has opened.
func TestAStreamEndsWithItsSession(t *testing.T) {
	off := false
	for _, tc := range []struct {
		name string
		end  func(w *world, store *users.Store, token string) error
		ends bool
	}{
		{"logged out", func(w *world, store *users.Store, _ string) error {
			alice, err := store.UserByName(w.Context(), "alice")
			if err != nil {
				return err
			}
			sessions, err := store.Sessions(w.Context(), alice.ID)
			if err != nil {
				return err
			}
			return store.EndSessionOf(w.Context(), "alice", sessions[0].ID)
		}, true},
		{"disabled", func(w *world, store *users.Store, _ string) error {
			_, err := store.UpdateUser(w.Context(), "alice", users.Change{Active: &off})
			return err
		}, true},
		{"disabled, sessions kept", func(w *world, store *users.Store, _ string) error {
			_, err := store.UpdateUser(w.Context(), "alice", users.Change{Active: &off, KeepSessions: true})
			return err
		}, true},
		{"deleted", func(w *world, store *users.Store, _ string) error { return store.DeleteUser(w.Context(), "alice") }, true},
		{"a new password", func(w *world, store *users.Store, _ string) error {
			return store.SetPassword(w.Context(), "alice", "another staple battery horse")
		}, true},
		{"out of the group", func(w *world, store *users.Store, _ string) error {
			_, err := store.UpdateUser(w.Context(), "alice", users.Change{RemoveGroups: []string{"staff"}})
			return err
		}, true},
		{"another name", func(w *world, store *users.Store, _ string) error {
			name := "Alice"
			_, err := store.UpdateUser(w.Context(), "alice", users.Change{FirstName: &name})
			return err
		}, false},
		{"somebody else disabled", func(w *world, store *users.Store, _ string) error {
			_, err := store.UpdateUser(w.Context(), "bob", users.Change{Active: &off})
			return err
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			closes := make(chan websocket.CloseError, 1)
			w, store, _ := shortly(t, 0, steady(closes), streamMax("none"))
			token := w.token("alice")
			socket := w.socket("/staff/", "Authorization: Bearer "+token)
			if _, _, err := socket.Read(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := tc.end(w, store, token); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if !tc.ends {
				for time.Since(began) < time.Second {
					if _, _, err := socket.Read(t.Context()); err != nil {
						t.Fatalf("it ends: %v", err)
					}
				}
				return
			}
			if got := w.closed(socket); got.Code != websocket.StatusPolicyViolation || got.Reason != "the session has ended" {
				t.Errorf("the client is told %v", got)
			}
			if took := time.Since(began); took > soon {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestWhenTheGatewayStops(t *testing.T) {
	closes := make(chan websocket.CloseError, 1)
	w, _, gateway := shortly(t, 0, steady(closes))
	socket := w.socket("/public/", "")
	in, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/public/?type=text/event-stream", nil)
	answer, err := new(http.Transport).RoundTrip(in)
	if err != nil {
		t.Fatal(err)
	}
	gateway.EndStreams()
	if got := w.closed(socket); got.Code != websocket.StatusGoingAway || got.Reason != "the gateway is stopping" {
		t.Errorf("the client is told %v", got)
	}
	if got := <-closes; got.Code != websocket.StatusGoingAway {
		t.Errorf("the backend is told %v", got)
	}
	if _, err := io.ReadAll(answer.Body); err != nil {
		t.Errorf("events break off: %v", err)
	}
	_ = answer.Body.Close()
	if got := w.closed(w.socket("/public/late", "")); got.Code != websocket.StatusGoingAway {
		t.Errorf("one that begins later is told %v", got)
	}
}

func TestAnIdleWebSocket(t *testing.T) {
	t.Parallel()
	atSomePace(t, 300*time.Millisecond, idleSocket)
}

func idleSocket(t *testing.T, pause time.Duration) error {
	t.Helper()
	closes := make(chan websocket.CloseError, 2)
	quiet := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public/quiet" {
			echoing(w, r)
			return
		}
		steady(closes)(w, r)
	}
	w, _, _ := shortly(t, 0, quiet, func(cfg *proxy.Config) { cfg.Routes[0].Timeouts.Idle = &pause })
	if got := w.closed(w.socket("/public/quiet", "")); got.Code != websocket.StatusGoingAway || got.Reason != "nothing was said for too long" {
		t.Errorf("the client is told %v", got)
	}
	talking := w.socket("/public/talking", "")
	for end := time.Now().Add(3 * pause); time.Now().Before(end); {
		if _, _, err := talking.Read(t.Context()); err != nil {
			return fmt.Errorf("one that talks ends: %w", err)
		}
	}
	return nil
}

// A close frame of ours never falls into a frame of the backend's.
func TestACloseFrameWaitsForTheFrameThatIsPassing(t *testing.T) {
	atSomePace(t, 50*time.Millisecond, closedWithinAFrame)
}

func closedWithinAFrame(t *testing.T, pause time.Duration) error {
	t.Helper()
	half, rest := make(chan struct{}), make(chan struct{})
	addr := listen(t, func(conn net.Conn, from *bufio.Reader) {
		if _, err := http.ReadRequest(from); err != nil {
			return
		}
		_, _ = io.WriteString(conn, shaken+"\x82\x05he")
		close(half)
		<-rest
		_, _ = io.WriteString(conn, "llo\x81\x02no")
		_, _ = io.Copy(io.Discard, from)
	})
	w, _, gateway := shortly(t, 0, nil, func(cfg *proxy.Config) {
		app := cfg.Upstreams["app"]
		app.URL = "http://" + addr
		cfg.Upstreams["app"] = app
	})
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, opening("/public/"))
	from := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(from, nil); err != nil || answer.StatusCode != 101 {
		t.Fatal(answer, err)
	}
	<-half
	if got, _ := io.ReadAll(io.LimitReader(from, 4)); string(got) != "\x82\x05he" {
		t.Fatalf("got %q", got)
	}
	gateway.EndStreams()
	time.Sleep(pause) // until it wants to say so
	close(rest)
	got, _ := io.ReadAll(from)
	if want := "llo\x88\x19\x03\xe9the gateway is stopping"; string(got) != want {
		return fmt.Errorf("got  %q\nwant %q", got, want)
	}
	return nil
}

// What a client sends before it is answered is not lost.
func TestAnEagerClientOfAWebSocket(t *testing.T) {
	addr := listen(t, func(conn net.Conn, from *bufio.Reader) {
		if _, err := http.ReadRequest(from); err != nil {
			return
		}
		_, _ = io.WriteString(conn, shaken)
		_, _ = io.Copy(conn, from)
	})
	w := open(t, nil, func(cfg *proxy.Config) {
		app := cfg.Upstreams["app"]
		app.URL = "http://" + addr
		cfg.Upstreams["app"] = app
	})
	conn := w.dial()
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, opening("/public/")+"\x81\x05hello")
	from := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(from, nil); err != nil || answer.StatusCode != 101 {
		t.Fatal(answer, err)
	}
	if got, err := io.ReadAll(io.LimitReader(from, 7)); string(got) != "\x81\x05hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A backend that was made to say 101 by words of the client's does not know the key.
func TestAttackA101ThatIsNoHandshake(t *testing.T) {
	answer := ""
	addr := listen(t, func(conn net.Conn, from *bufio.Reader) {
		if _, err := http.ReadRequest(from); err != nil {
			return
		}
		_, _ = io.WriteString(conn, answer)
		_, _ = io.Copy(io.Discard, from)
	})
	w := open(t, nil, func(cfg *proxy.Config) {
		app := cfg.Upstreams["app"]
		app.URL = "http://" + addr
		cfg.Upstreams["app"] = app
	})
	const upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	for name, said := range map[string]string{
		"nothing proven":          upgrade + "\r\n",
		"another key":             upgrade + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
		"another protocol":        strings.Replace(shaken, "Upgrade: websocket", "Upgrade: h2c", 1),
		"no protocol":             strings.Replace(shaken, "Upgrade: websocket\r\n", "", 1),
		"a 101 to another number": strings.Replace(shaken, "s3pP", "s3pp", 1),
	} {
		answer = said
		conn := w.dial()
		_, _ = io.WriteString(conn, opening("/public/"))
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || got.StatusCode != 502 {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		_ = conn.Close()
	}
	answer = shaken
	got := w.get("/public/", "Connection: Upgrade", "Upgrade: websocket")
	if got.StatusCode != 502 {
		t.Errorf("without a key: %d", got.StatusCode)
	}
}
