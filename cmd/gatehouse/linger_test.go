package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A client that says it will close hears its refusal to the end, whatever it still
// sends, and is not kept when it sends nothing.
func TestWhoClosesHearsTheAnswer(t *testing.T) {
	server := httptest.NewServer(linger(func(w http.ResponseWriter, in *http.Request) {
		if in.URL.Path == "/read" {
			_, _ = io.Copy(io.Discard, in.Body)
		}
		w.Header().Set("Content-Length", "13")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "who are you?\n")
	}))
	t.Cleanup(server.Close)
	for _, c := range []struct {
		name, version, path string
		length, sent        int
	}{
		{"nothing", "1.0", "/", 0, 0},
		{"what was read", "1.1", "/read", 100_000, 100_000},
		{"what was not", "1.0", "/", 100_000, 100_000},
		{"what was not, by HTTP/1.1", "1.1", "/", 3_000_000, 3_000_000},
		{"less than it said", "1.0", "/", 100_000, 10},
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
		_, err = fmt.Fprintf(conn, "POST %s HTTP/%s\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", c.path, c.version, c.length, strings.Repeat("x", c.sent))
		if err != nil {
			t.Errorf("%s: it was not let finish: %v", c.name, err)
		}
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\nwho are you?\n") {
			t.Errorf("%s: %q, %v", c.name, answer, err)
		}
		_ = conn.Close()
	}
}
