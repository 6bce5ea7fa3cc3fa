package wire_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

func contextAfter(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// crowd answers each request with what it was asked for, in changing forms, and
// sometimes closes.
func crowd(open *atomic.Int64) func(p *peer) {
	return func(p *peer) {
		open.Add(1)
		defer open.Add(-1)
		for p.head() {
			p.of.mu.Lock()
			heads := p.of.heard[p.n]
			_, id, _ := strings.Cut(heads[len(heads)-1], "X-Id: ")
			p.of.mu.Unlock()
			id = strings.TrimSpace(id)
			switch (p.n + p.asked) % 7 {
			case 0:
				p.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x", len(id)) + "\r\n" + id + "\r\n")
				time.Sleep(100 * time.Microsecond)
				p.say("0\r\n\r\n")
			case 1:
				p.say("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(id)) + "\r\n\r\n")
				time.Sleep(100 * time.Microsecond)
				p.say(id)
			case 2:
				p.say("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + id)
				return
			default:
				p.say("HTTP/1.1 200 OK\r\nContent-Length: " + fmt.Sprint(len(id)) + "\r\n\r\n" + id)
				if p.asked > 20 {
					return // without a word
				}
			}
		}
	}
}

// Whoever asks gets their own answer, however many ask, give up, or leave in the
// middle, and there are never more connections than they.
func TestEveryoneGetsTheirOwnAnswer(t *testing.T) {
	// A few more than 16, since the server notices late that one was closed; how many,
	// depends on how busy the machine is, but not every time.
	var most int64
	for range 5 {
		if most = crowded(t); most <= 16+8 || t.Failed() {
			return
		}
	}
	t.Errorf("there were %d connections at once, with at most 16 requests", most)
}

// crowded lets 32 ask at once, 16 of them served, and returns how many connections
// the server has seen at once.
func crowded(t *testing.T) int64 {
	t.Helper()
	check := leaks(t)
	var open, most atomic.Int64
	a := free(t, crowd(&open))
	plenty := 100
	v := visit(t, a, "direct", upstream.Config{MaxConnections: 16, MaxPending: &plenty})
	var group sync.WaitGroup
	for who := range 32 {
		group.Go(func() {
			for i := range 100 {
				id := fmt.Sprintf("%d-%d", who, i)
				ctx, cancel := context.WithCancel(t.Context())
				if i%9 == 0 {
					ctx, cancel = context.WithTimeout(t.Context(), time.Duration(i)*10*time.Microsecond)
				}
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://app/", nil)
				req.Header.Set("X-Id", id)
				call := &upstream.Call{Line: v.up.Line(upstream.Timeouts{})}
				answer, err := call.RoundTrip(req)
				for n := open.Load(); n > most.Load(); {
					most.Store(n)
				}
				if err == nil && i%5 == 0 {
					_ = answer.Body.Close() // does not want it
				} else if err == nil {
					var body []byte
					body, err = io.ReadAll(answer.Body)
					_ = answer.Body.Close()
					if err == nil && string(body) != id {
						t.Errorf("%s got the answer of %q", id, body)
					}
				}
				if err != nil && ctx.Err() == nil {
					t.Errorf("%s: %v", id, err)
				}
				call.Close()
				cancel()
			}
		})
	}
	group.Wait()
	v.up.Close()
	a.cage()
	check()
	return most.Load()
}

// What is closed while it waits for the next request is not kept open on our side.
func TestConnectionsThatTheServerClosedAreClosed(t *testing.T) {
	a := free(t, once(hello))
	defer a.cage()
	v := visit(t, a, "direct", upstream.Config{})
	check := leaks(t)
	v.tell(ask{}, nil)
	check() // without another request, and long before keep_alive
	v.up.Close()
}

// The body of an answer may be closed by another goroutine while it is read.
func TestABodyMayBeClosedWhileItIsRead(t *testing.T) {
	check := leaks(t)
	a := free(t, func(p *peer) {
		p.head()
		p.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
		p.gone()
	})
	v := visit(t, a, "direct", upstream.Config{})
	for range 20 {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app/", nil)
		call := &upstream.Call{Line: v.up.Line(upstream.Timeouts{})}
		answer, err := call.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Millisecond, func() { _ = answer.Body.Close() })
		if _, err := io.ReadAll(answer.Body); err == nil {
			t.Error("half a body was read as a whole one")
		}
		call.Close()
	}
	v.up.Close()
	a.cage()
	check()
}

// After Close requests in flight finish, and their connections are not kept.
func TestWhatIsInFlightFinishesAfterClose(t *testing.T) {
	check := leaks(t)
	begun, finish := make(chan bool), make(chan bool)
	a := free(t, func(p *peer) {
		for p.head() {
			close(begun)
			<-finish
			p.say(hello)
		}
	})
	v := visit(t, a, "direct", upstream.Config{})
	told := make(chan string)
	go func() { told <- v.tell(ask{}, nil) }()
	<-begun
	v.up.Close()
	close(finish)
	if text := <-told; !strings.Contains(text, `body "hello" end`) {
		t.Error(text)
	}
	a.cage() // waits until the connection is closed on our side
	check()
}

// A socket file is looked at like any other connection.
func TestSocketFiles(t *testing.T) {
	check := leaks(t)
	file := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", file)
	if err != nil {
		t.Fatal(err)
	}
	connections := 0
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections++
			from := bufio.NewReader(c)
			for range 2 {
				if _, err := http.ReadRequest(from); err != nil {
					break
				}
				_, _ = io.WriteString(c, hello)
			}
			_ = c.Close()
		}
	}()
	keepAlive := 20 * time.Second
	up, err := upstream.New("app", upstream.Config{URL: "unix://" + file, KeepAlive: &keepAlive}, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{up: up, t: t, files: openFiles()}
	for i := range 4 {
		// Were the end of the connection not noticed yet, a POST would not be sent again.
		if text := v.tell(ask{method: "POST", alone: i == 2}, nil); !strings.Contains(text, `body "hello" end`) {
			t.Error(text)
		}
	}
	up.Close()
	_ = l.Close()
	<-done
	if connections != 2 {
		t.Errorf("%d connections for 4 requests, two on each", connections)
	}
	check()
}
