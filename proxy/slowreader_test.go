package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"gatehouse/proxy"
)

// The attack: ask for a large answer and do not read it. A backend that serves one
// request at a time would wait with it, and so would everybody else.
func TestAttackAClientThatDoesNotRead(t *testing.T) {
	left := make(chan error, 1)
	w := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public/small" {
			return
		}
		part := make([]byte, 1<<20)
		for range 256 {
			if _, err := w.Write(part); err != nil {
				left <- err
				return
			}
		}
		left <- nil
	}, func(cfg *proxy.Config) { cfg.Server.WriteTimeout = 2 * time.Second })

	for _, before := range []int{0, 1, 2} { // net/http takes the deadline away behind each answer
		conn := w.dial()
		_ = conn.(*net.TCPConn).SetReadBuffer(4096)
		from := bufio.NewReader(conn)
		for range before {
			_, _ = io.WriteString(conn, "GET /public/small HTTP/1.1\r\nHost: app.example\r\n\r\n")
			w.read(from, "GET")
		}
		_, _ = io.WriteString(conn, "GET /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n")
		select {
		case err := <-left:
			if err == nil {
				t.Errorf("behind %d answers: the backend could write it all", before)
			}
		case <-time.After(soon):
			t.Errorf("behind %d answers: the backend is still writing", before)
		}
	}
}

// A pause between two requests of one connection is none within an answer.
func TestAConnectionThatWasSilentServesTheNextRequest(t *testing.T) {
	atSomePace(t, 100*time.Millisecond, silentAndServed)
}

func silentAndServed(t *testing.T, patience time.Duration) error {
	t.Helper()
	w := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public/empty" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}, func(cfg *proxy.Config) { cfg.Server.WriteTimeout = patience })
	conn := w.dial()
	from := bufio.NewReader(conn)
	for _, target := range []string{"/public/x", "/public/empty", "/public/x"} {
		_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: app.example\r\n\r\n")
		got, err := http.ReadResponse(from, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
		if _, err := io.Copy(io.Discard, got.Body); err != nil || got.StatusCode >= 300 {
			return fmt.Errorf("%s: got %d, %w", target, got.StatusCode, err)
		}
		time.Sleep(2 * patience)
		_ = conn.SetDeadline(time.Now().Add(soon))
	}
	return nil
}
