package upstream_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

// forgetful is a backend that answers one request on a connection, promises to
// keep it, and closes it when the next request arrives: the race that every
// keep-alive connection may lose.
func forgetful(t *testing.T, seen *atomic.Int32) string {
	return listen(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		seen.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		_, _ = reader.Peek(1)
	})
}

func TestAStaleConnectionIsNoFailure(t *testing.T) {
	var seen atomic.Int32
	up, err := upstream.New("app", upstream.Config{URL: "http://" + forgetful(t, &seen)}, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app/", nil)
		answer, err := send(t, up, request)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	if got := seen.Load(); got != 20 {
		t.Errorf("the backend answered %d requests, want 20", got)
	}
}

func TestAPostIsNeverSentTwice(t *testing.T) {
	var seen atomic.Int32
	up, err := upstream.New("app", upstream.Config{URL: "http://" + forgetful(t, &seen)}, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	failed := 0
	for range 20 {
		// Not a strings.Reader: of that net/http knows how to read it twice.
		body := io.MultiReader(strings.NewReader("pay 10"))
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://app/", body)
		answer, err := send(t, up, request)
		if err != nil {
			failed++
			if got := upstream.Explain(t.Context(), err); got != upstream.Closed {
				t.Errorf("%v is explained as %s", err, got)
			}
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	if got := int(seen.Load()); got != 20-failed {
		t.Errorf("of 20 requests %d failed and the backend acted on %d", failed, got)
	}
}

func TestIdleConnectionsAreClosedBeforeTheBackendClosesThem(t *testing.T) {
	atSomePace(t, 50*time.Millisecond, idleConnectionsAreClosed(t))
}

func idleConnectionsAreClosed(t *testing.T) func(keepAlive time.Duration) error {
	var connections atomic.Int32
	address := listen(t, func(conn net.Conn) {
		connections.Add(1)
		reader := bufio.NewReader(conn)
		for {
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
	return func(keepAlive time.Duration) error {
		connections.Store(0)
		up, err := upstream.New("app", upstream.Config{URL: "http://" + address, KeepAlive: &keepAlive}, upstream.Parts{})
		if err != nil {
			t.Fatal(err)
		}
		for i, pause := range []time.Duration{0, 0, 6 * keepAlive} {
			time.Sleep(pause)
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app/", nil)
			answer, err := send(t, up, request)
			if err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			_ = answer.Body.Close()
		}
		if got := connections.Load(); got != 2 {
			return fmt.Errorf("%d connections, want 2: one kept for the second request, one after the pause", got)
		}
		return nil
	}
}
