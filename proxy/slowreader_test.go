package proxy_test

import (
	"bufio"
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
	}, func(cfg *proxy.Config) { cfg.Server.WriteTimeout = 3 * time.Second })

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
		case <-time.After(20 * time.Second):
			t.Errorf("behind %d answers: the backend is still writing", before)
		}
	}
}

// A pause between two requests of one connection is none within an answer.
func TestAConnectionThatWasSilentServesTheNextRequest(t *testing.T) {
	w := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public/empty" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, "hello")
	}, func(cfg *proxy.Config) { cfg.Server.WriteTimeout = 100 * time.Millisecond })
	conn := w.dial()
	from := bufio.NewReader(conn)
	for _, target := range []string{"/public/x", "/public/empty", "/public/x"} {
		_, _ = io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: app.example\r\n\r\n")
		if got := w.read(from, "GET"); got.StatusCode >= 300 {
			t.Errorf("%s: got %d", target, got.StatusCode)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
