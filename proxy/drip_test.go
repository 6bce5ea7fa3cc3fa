package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
)

// The attack: a body of which a byte comes now and then, within the pause that is
// allowed.
func TestAttackABodyThatDrips(t *testing.T) {
	const tooSlow = "The body of the request did not arrive in time."
	w := open(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "whole")
	}, func(cfg *proxy.Config) {
		cfg.Server.ReadBodyTimeout = 500 * time.Millisecond
		cfg.Server.MinBodyRate = 1000
	})
	drip := func(lines ...string) string {
		conn := w.dial()
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(2 * soon))
		_, _ = io.WriteString(conn, crlf(head("POST", lines[0], lines[1:]...)))
		answered := make(chan string)
		go func() {
			got, _ := io.ReadAll(conn)
			answered <- string(got)
		}()
		for {
			select {
			case got := <-answered:
				return got
			case <-time.After(100 * time.Millisecond):
				_, _ = io.WriteString(conn, "x")
			}
		}
	}
	for _, path := range []string{"/public/slow", "/api/token/"} {
		if got := drip(path, "Content-Length: 10000", "Content-Type: application/json"); !strings.HasPrefix(got, "HTTP/1.1 408 ") || !strings.Contains(got, tooSlow) {
			t.Errorf("%s answers %q", path, got)
		}
	}
}

// What is waited for counts, and not what the backend takes to read it; and who has
// sent much may pause again.
func TestHowLongABodyIsWaitedFor(t *testing.T) {
	const pause = 10 * time.Second
	for _, c := range []struct {
		name   string
		rate   int64
		came   int64
		waited time.Duration
		want   time.Duration
	}{
		{"at the beginning", 100, 0, 0, pause},
		{"when half of the pause was waited", 100, 0, 5 * time.Second, 5 * time.Second},
		{"when all of it was, and some has come for it", 100, 300, 10 * time.Second, 3 * time.Second},
		{"when more was than what has come is worth", 100, 300, 14 * time.Second, -time.Second},
		{"never longer than the pause", 100, 1 << 30, time.Minute, pause},
		{"without a rate", 0, 1, time.Hour, pause},
	} {
		if got := proxy.Patience(pause, c.rate, c.came, c.waited); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
