package edge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
)

// talk is a client of e that says what it likes.
func talk(t *testing.T, e *Edge) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", e.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn, bufio.NewReader(conn)
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// hear reads an answer and returns its body.
func hear(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	answer, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheRequestOfAClientThatLeavesIsCanceled(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"closes":      func(c *net.TCPConn) error { return c.Close() },
		"resets":      func(c *net.TCPConn) error { _ = c.SetLinger(0); return c.Close() },
		"half-closes": func(c *net.TCPConn) error { return c.CloseWrite() },
	} {
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		} {
			t.Run(name+" "+request[:4], func(t *testing.T) {
				there, gone := make(chan bool), make(chan error, 1)
				e, _ := run(t, settings(nil), http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
					_, _ = io.Copy(io.Discard, in.Body)
					there <- true
					select {
					case <-in.Context().Done():
						gone <- nil
					case <-time.After(time.Minute):
						gone <- errors.New("nobody has noticed")
					}
				}))
				conn, _ := talk(t, e)
				say(t, conn, request)
				<-there
				time.Sleep(20 * time.Millisecond) // it does not matter when
				_ = leave(conn.(*net.TCPConn))
				if err := <-gone; err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// Requests that take so long that their clients are watched, and others: each is
// answered once and in order, whenever the next one comes.
func TestRequestsFollowOneAnother(t *testing.T) {
	e, _ := run(t, settings(nil), http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if in.URL.Query().Has("slow") {
			time.Sleep(3 * watchAfter)
		}
		body, err := io.ReadAll(in.Body)
		if err != nil || in.Context().Err() != nil {
			t.Error(err, in.Context().Err())
		}
		fmt.Fprintf(w, "%s %s", in.URL.Path, body)
	}))
	get := func(i int, query string) string {
		return fmt.Sprintf("GET /%d%s HTTP/1.1\r\nHost: a\r\n\r\n", i, query)
	}
	t.Run("one after the other", func(t *testing.T) {
		conn, from := talk(t, e)
		for i := range 6 {
			say(t, conn, get(i, []string{"", "?slow"}[i%2]))
			if got := hear(t, from); got != fmt.Sprintf("/%d ", i) {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("the next before the answer", func(t *testing.T) {
		conn, from := talk(t, e)
		for i := range 3 {
			say(t, conn, get(2*i, "?slow"))
			time.Sleep(time.Duration(i) * watchAfter)
			say(t, conn, get(2*i+1, ""))
			for j := range 2 {
				if got := hear(t, from); got != fmt.Sprintf("/%d ", 2*i+j) {
					t.Errorf("got %q", got)
				}
			}
		}
	})
	t.Run("behind a body", func(t *testing.T) {
		conn, from := talk(t, e)
		for i := range 4 {
			say(t, conn, fmt.Sprintf("POST /%d%s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", i, []string{"", "?slow"}[i%2]))
			if got := hear(t, from); got != fmt.Sprintf("/%d hello", i) {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("idle for longer than anybody watches", func(t *testing.T) {
		conn, from := talk(t, e)
		for i := range 3 {
			say(t, conn, get(i, ""))
			if got := hear(t, from); got != fmt.Sprintf("/%d ", i) {
				t.Errorf("got %q", got)
			}
			time.Sleep(3 * watchAfter)
		}
	})
}

// net/http also reads one byte where that is what its buffer has room for.
func TestReadsOfOneByteAreNotMistaken(t *testing.T) {
	e, _ := run(t, settings(nil), http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		fmt.Fprintln(w, len(in.Header.Get("X-Long")), len(body), err)
	}))
	for length := 4060; length <= 4100; length++ {
		conn, from := talk(t, e)
		for range 2 {
			head := "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX-Long: "
			text := head + strings.Repeat("x", length) + "\r\n\r\n3;" + strings.Repeat("e", 4000) + "\r\nabc\r\n0\r\n\r\n"
			say(t, conn, text[:4095])
			time.Sleep(time.Millisecond)
			say(t, conn, text[4095:4096+len(head)+100])
			time.Sleep(time.Millisecond)
			say(t, conn, text[4096+len(head)+100:])
			if got, want := hear(t, from), fmt.Sprintln(length, 3, error(nil)); got != want {
				t.Fatalf("%d: got %q, want %q", length, got, want)
			}
		}
		_ = conn.Close()
	}
}

func TestATakenOverConnectionHasEveryByte(t *testing.T) {
	e, _ := run(t, settings(nil), http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if in.URL.Query().Has("slow") {
			time.Sleep(4 * watchAfter)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		early, _ := rw.Peek(rw.Reader.Buffered())
		_, _ = conn.Write(early)
		var one [1]byte // as small as can be
		_, _ = io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}, one[:])
	}))
	for _, query := range []string{"", "?slow"} {
		for _, wait := range []time.Duration{0, 2 * watchAfter, 6 * watchAfter} {
			conn, from := talk(t, e)
			say(t, conn, "GET /"+query+" HTTP/1.1\r\nHost: a\r\n\r\n")
			time.Sleep(wait)
			say(t, conn, "every byte")
			_ = conn.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(from); string(got) != "every byte" || err != nil {
				t.Errorf("%s, %v: got %q, %v", query, wait, got, err)
			}
		}
	}
}

// What a connection has asked for ends with it, also where a handler has taken it over: the
// context would stay with the server for good.
func TestTheContextOfAConnectionEndsWithIt(t *testing.T) {
	w := newWatch()
	for name, use := range map[string]func(*lazyConn){
		"closed":     func(*lazyConn) {},
		"taken over": func(c *lazyConn) { _ = c.SetDeadline(time.Time{}) },
	} {
		ours, other := net.Pipe()
		c := &lazyConn{Conn: ours, of: w}
		c.over.L = &c.mu
		ctx := w.context(t.Context(), c)
		use(c)
		if ctx.Err() != nil {
			t.Errorf("%s: it ends before the connection", name)
		}
		_, _ = c.Close(), other.Close()
		if ctx.Err() == nil {
			t.Errorf("%s: it stays", name)
		}
	}
}

// lazyPair is a connection and its other end.
func lazyPair(t *testing.T) (*lazyConn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	other, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := newWatch().listen(listener).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); _ = other.Close() })
	return conn.(*lazyConn), other
}

// Deadlines count for a call that is under way as for those to come, and again after each change.
func TestDeadlinesArePutOffAndNotForgotten(t *testing.T) {
	late := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
	buffer := make([]byte, 1<<20)
	write := func(c *lazyConn) error { // until the other one does not take it
		for {
			if _, err := c.Write(buffer); err != nil {
				return err
			}
		}
	}
	t.Run("set before", func(t *testing.T) {
		c, _ := lazyPair(t)
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(buffer)
		late(t, err)
		_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		late(t, write(c))
	})
	t.Run("passed already", func(t *testing.T) {
		c, other := lazyPair(t)
		_, _ = other.Write([]byte("hello"))
		_ = c.SetReadDeadline(time.Unix(1, 0))
		_, err := c.Read(buffer)
		late(t, err)
		_ = c.SetWriteDeadline(time.Unix(1, 0))
		_, err = c.Write(buffer)
		late(t, err)
	})
	t.Run("set while somebody waits", func(t *testing.T) {
		c, _ := lazyPair(t)
		ended := make(chan error, 2)
		go func() { _, err := c.Read(buffer); ended <- err }()
		go func() { ended <- write(c) }()
		for c.read.waiting.Load() == 0 || c.write.waiting.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		_ = c.SetReadDeadline(time.Now())
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		late(t, <-ended)
		late(t, <-ended)
	})
	t.Run("moved, and taken away", func(t *testing.T) {
		c, other := lazyPair(t)
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		_, _ = other.Write([]byte("a"))
		_, _ = c.Read(buffer)
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // sooner
		_, err := c.Read(buffer)
		late(t, err)
		_ = c.SetReadDeadline(time.Time{})
		time.AfterFunc(100*time.Millisecond, func() { _, _ = other.Write([]byte("b")) })
		if n, err := c.Read(buffer); n != 1 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
	t.Run("never too early", func(t *testing.T) {
		c, other := lazyPair(t)
		for range 200 {
			began := time.Now()
			until := began.Add(time.Minute)
			_ = c.SetReadDeadline(until)
			_, _ = other.Write([]byte("a"))
			_, _ = c.Read(buffer)
			if early := until.Sub(c.read.set); early > 0 || early < -time.Minute/slackPart-time.Since(began)-time.Second {
				t.Fatalf("it is off by %v", early)
			}
		}
	})
	t.Run("of one who watches", func(t *testing.T) {
		c, _ := lazyPair(t)
		c.cancel = func() {}
		_ = c.SetReadDeadline(time.Time{})
		if n, err := c.Read(buffer[:1]); n != 0 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		for watching := false; !watching; time.Sleep(time.Millisecond) {
			c.mu.Lock()
			watching = c.watching
			c.mu.Unlock()
		}
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err := c.Read(buffer)
		late(t, err)
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err = c.Read(buffer)
		late(t, err)
	})
}

// A client that is slow is cut off on each request of its connection, not only the first.
func TestDeadlinesCountForEachRequest(t *testing.T) {
	e, _ := run(t, settings(func(cfg *proxy.Server) { cfg.ReadHeaderTimeout, cfg.IdleTimeout = 500*time.Millisecond, time.Minute }), nil)
	for _, before := range []int{0, 1, 3} {
		var conn net.Conn
		var from *bufio.Reader
		until(t, "answers in time", func() bool { // on a machine that is slow for a moment it may be late, too
			conn, from = talk(t, e)
			for range before {
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				answer, err := http.ReadResponse(from, nil)
				if err != nil || answer.StatusCode != http.StatusOK {
					return false
				}
				_, _ = io.Copy(io.Discard, answer.Body)
			}
			return true
		})
		say(t, conn, "GET / HTTP/1.1\r\nHost:")
		if rest, err := io.ReadAll(from); err != nil && !errors.Is(err, io.EOF) || bytes.Contains(rest, []byte("200")) {
			t.Errorf("behind %d requests: %q, %v", before, rest, err)
		}
	}
	idle, _ := run(t, settings(func(cfg *proxy.Server) { cfg.ReadHeaderTimeout, cfg.IdleTimeout = time.Minute, 500*time.Millisecond }), nil)
	var from *bufio.Reader
	until(t, "three answers on one connection", func() bool {
		var conn net.Conn
		conn, from = talk(t, idle)
		for range 3 {
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			answer, err := http.ReadResponse(from, nil)
			if err != nil {
				return false
			}
			_, _ = io.Copy(io.Discard, answer.Body)
		}
		return true
	})
	if _, err := from.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection ends with %v", err)
	}
}

// Who comes to wait just when a deadline is set is held to it: neither takes a lock for that.
func TestADeadlineThatIsSetWhileSomebodyComesToWaitCounts(t *testing.T) {
	conn, _ := lazyPair(t)
	for range 2000 {
		_ = conn.SetReadDeadline(time.Time{})
		ended := make(chan error, 1)
		go func() { _, err := conn.Read(make([]byte, 2)); ended <- err }()
		_ = conn.SetReadDeadline(time.Unix(1, 0))
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the deadline was forgotten")
		}
	}
}

// Only those with a request under way are looked at, however many others there are.
func TestIdleConnectionsAreNotLookedAt(t *testing.T) {
	w := newWatch()
	w.timer = time.AfterFunc(time.Hour, func() {}) // sweeps come when the test says so
	defer w.timer.Stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	begin := func(c *lazyConn) {
		_ = c.SetReadDeadline(time.Time{})
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	goOn := func(c *lazyConn, other net.Conn) {
		if _, err := other.Write([]byte("next")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 4)); n == 0 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	const many = 20
	var all [many]*lazyConn
	var others [many]net.Conn
	for i := range all {
		if others[i], err = net.Dial("tcp", listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = others[i].Close() }()
		conn, err := w.listen(listener).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		all[i] = conn.(*lazyConn)
		all[i].cancel = func() {}
	}
	asked := func(when string, want int) {
		t.Helper()
		if len(w.asked) != want || w.armed != (want > 0) {
			t.Errorf("%s: %d are looked at, want %d; a sweep comes: %v", when, len(w.asked), want, w.armed)
		}
	}
	asked("nobody has asked", 0)
	for i, c := range all {
		begin(c)
		goOn(c, others[i])
		begin(c)
	}
	asked("each has asked, twice", many)
	for i, c := range all[1:] {
		goOn(c, others[i+1])
	}
	w.sweep()
	asked("all but one have gone on", 1)
	w.sweep()
	asked("that one is watched", 0)
	goOn(all[0], others[0])
	begin(all[0])
	asked("it has asked anew", 1)
	_ = all[0].Close()
	w.sweep()
	asked("it is closed", 0)
}

func TestNothingIsWatchedAtRest(t *testing.T) {
	e, _ := run(t, settings(nil), nil)
	for range 20 {
		conn, from := talk(t, e)
		say(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		hear(t, from)
		_ = conn.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		e.watch.mu.Lock()
		left, armed := len(e.watch.asked), e.watch.armed
		e.watch.mu.Unlock()
		if left == 0 && !armed {
			return
		}
	}
	t.Error("somebody is still looked at")
}
