package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// startNode runs a Node server with WebSocket and server-sent events.
func startNode(t *testing.T) string {
	t.Helper()
	node := needProgram(t, "node", "nodejs")
	address := freeAddress(t)
	env := append(os.Environ(), "PORT="+portOf(address), "NODE_PATH=/usr/share/nodejs:"+os.Getenv("NODE_PATH"))
	probe := exec.Command(node, "-e", "require('ws')")
	probe.Env = env
	if err := probe.Run(); err != nil {
		missing(t, "the Node package ws is not installed")
	}
	server := exec.Command(node, "testdata/backends/node/server.js")
	server.Env = env
	startProgram(t, server, address)
	return address
}

func TestNode(t *testing.T) {
	site := startSite(t, startNode(t), "alice")
	access, _ := site.login(t, "alice")

	t.Run("a plain call", func(t *testing.T) {
		var got belief
		site.do(t, "GET", "/report", "", bearer(access)).decode(t, http.StatusOK, &got)
		got.believes(t, "alice")
	})

	t.Run("a WebSocket speaks as the user of its token", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		header := bearer(access)
		header.Set("X_User_Name", "mallory")
		socket, _, err := websocket.Dial(ctx, "ws://"+site.address+"/socket", &websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.CloseNow()
		if err := socket.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		_, text, err := socket.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(text), "alice: hello"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})

	t.Run("a WebSocket without a token is refused before the backend hears of it", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		socket, answer, err := websocket.Dial(ctx, "ws://"+site.address+"/socket", nil)
		if err == nil {
			_ = socket.CloseNow()
			t.Fatal("it was opened")
		}
		if answer == nil || answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %v, want 401", answer)
		}
	})

	t.Run("a WebSocket and events end when stream_max is over", func(t *testing.T) {
		socket := openSocket(t, site, "/short/socket", access)
		events := openEvents(t, site, "/short/ticks", access)
		if err := untilClosed(t, socket); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("the client is told %v", err)
		}
		closedAs(t, site, "1008 the stream has lasted long enough")
		if text, err := io.ReadAll(events); err != nil || !strings.HasSuffix(string(text), "data: tick\n\n") {
			t.Errorf("the events end with %v", err)
		}
	})

	t.Run("a WebSocket and events end when another process ends the session", func(t *testing.T) {
		socket := openSocket(t, site, "/socket", access)
		events := openEvents(t, site, "/ticks", access)
		began := time.Now()
		site.run(t, "", "user", "logout", "alice")
		if err := untilClosed(t, socket); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("the client is told %v", err)
		}
		closedAs(t, site, "1008 the session has ended")
		if text, err := io.ReadAll(events); err != nil || !strings.HasSuffix(string(text), "data: tick\n\n") {
			t.Errorf("the events end with %v", err)
		}
		if took := time.Since(began); took > 60*time.Second {
			t.Errorf("it took %v, far above the bound of 10 s", took)
		}
	})

	access, _ = site.login(t, "alice")
	t.Run("server-sent events arrive one by one", func(t *testing.T) {
		// The backend lets 400 ms pass between the first and the last. Had they been held back, they
		// would come together each time; where we were not run meanwhile, they may do so once.
		for range 5 {
			lines, within := readEvents(t, site, access)
			if got, want := strings.Join(lines, "|"), "data: 1 for alice|data: 2 for alice|data: 3 for alice"; got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
			if within >= 100*time.Millisecond {
				return
			}
		}
		t.Error("the events came together")
	})
}

// readEvents returns the data of all events, and how long it took from the first to the last.
func readEvents(t *testing.T, site *site, token string) (lines []string, within time.Duration) {
	t.Helper()
	var first time.Time
	for scanner := bufio.NewScanner(openEvents(t, site, "/events", token)); scanner.Scan(); {
		if line := scanner.Text(); strings.HasPrefix(line, "data: ") {
			if first.IsZero() {
				first = time.Now()
			}
			within = time.Since(first)
			lines = append(lines, line)
		}
	}
	return lines, within
}

func openSocket(t *testing.T, site *site, path, token string) *websocket.Conn {
	t.Helper()
	socket, _, err := websocket.Dial(t.Context(), "ws://"+site.address+path, &websocket.DialOptions{HTTPHeader: bearer(token)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.CloseNow() })
	return socket
}

// untilClosed reads until the socket is closed, and returns how.
func untilClosed(t *testing.T, socket *websocket.Conn) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	for {
		if _, _, err := socket.Read(ctx); err != nil {
			return err
		}
	}
}

// closedAs waits until Node has seen a socket closed that way.
func closedAs(t *testing.T, site *site, want string) {
	t.Helper()
	var got []byte
	for until := time.Now().Add(60 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if _, got = site.raw(t, "/public/closes", ""); strings.Contains(string(got), want) {
			return
		}
	}
	t.Errorf("the backend was told %q, want %q", got, want)
}

func openEvents(t *testing.T, site *site, path, token string) io.Reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	in, err := http.NewRequestWithContext(ctx, "GET", "http://"+site.address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.Header = bearer(token)
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	return answer.Body
}
