package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"gatehouse/proxy"
)

// leaving is an edge whose clients are to leave, and is told to them by the handler.
type leaving struct {
	*Edge
	drained chan struct{}
}

// drain begins to drain.
func drain(ctx context.Context, e *Edge) *leaving {
	l := &leaving{e, make(chan struct{})}
	go func() { e.Drain(ctx); close(l.drained) }()
	return l
}

func (l *leaving) over() bool {
	select {
	case <-l.drained:
		return true
	default:
		return false
	}
}

// await waits until everybody has left.
func (l *leaving) await(t *testing.T) {
	t.Helper()
	select {
	case <-l.drained:
	case <-time.After(time.Minute):
		t.Fatal("somebody is still waited for")
	}
}

// inside is how many connections the edge knows at these stages.
func (e *Edge) inside(stages ...uint32) (n int) {
	e.guests.mu.Lock()
	defer e.guests.mu.Unlock()
	for c := range e.guests.all {
		for _, stage := range stages {
			if c.stage.Load()%8 == stage {
				n++
			}
		}
	}
	return n
}

// goodbye answers as somebody who stops.
func goodbye(w http.ResponseWriter, in *http.Request) {
	body, _ := io.ReadAll(in.Body)
	w.Header().Set("Connection", "close")
	fmt.Fprintf(w, "%s %s %s", in.Method, in.URL.Path, body)
}

// Whoever was let in, and asks late, is answered all the same: long after those would have
// been closed who rest.
func TestNobodyWhoWasLetInGoesWithoutAnAnswer(t *testing.T) {
	const request = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	for name, test := range map[string]struct {
		before string
		stage  uint32
	}{
		"nothing is said yet":      {"", fresh},
		"a letter":                 {request[:1], greeted},
		"half of the head":         {request[:20], greeted},
		"the head without its end": {request[:44], greeted},
		"half of the body":         {request[:len(request)-2], working},
		"half of another head":     {"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + request[:20], asking},
		"half of another body":     {"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + request[:len(request)-2], working},
		"half of the third head":   {"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n" + request[:20], asking},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := run(t, settings(nil), http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
				if in.Method == http.MethodPost {
					goodbye(w, in)
				}
			}))
			conn, from := talk(t, e)
			rest := request
			for said := test.before; said != ""; {
				// Apart, so that what begins a request is not read with the one before.
				const other = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
				if len(said) > len(other) && said[:len(other)] == other {
					say(t, conn, other)
					hear(t, from)
					eventually(t, "at rest", func() bool { return e.inside(resting) == 1 })
					said = said[len(other):]
					continue
				}
				say(t, conn, said)
				rest = request[len(said):]
				break
			}
			eventually(t, "where it should be", func() bool { return e.inside(test.stage) == 1 })
			l := drain(t.Context(), e)
			eventually(t, "closed", func() bool { return deaf(e) })
			time.Sleep(5 * patience)
			if l.over() {
				t.Error("nobody is waited for")
			}
			say(t, conn, rest)
			if got, want := hear(t, from), "POST /a hello"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			l.await(t)
		})
	}
}

// deaf tells whether nobody listens any more.
func deaf(e *Edge) bool {
	conn, err := net.Dial("tcp", e.Addrs()[0].String())
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

// Whoever has nothing to say is not waited for.
func TestThoseWhoRestAreClosed(t *testing.T) {
	dir := t.TempDir()
	pair := pairOf(t, dir, 1, "gate.example")
	secure := func(cfg *proxy.Server) { cfg.TLS.CertFile, cfg.TLS.KeyFile = pair.CertFile, pair.KeyFile }
	over := func(protocol string) func(*testing.T, *Edge) net.Conn {
		return func(t *testing.T, e *Edge) net.Conn {
			conn, err := tls.Dial("tcp", e.Addrs()[0].String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			return conn
		}
	}
	plain := func(t *testing.T, e *Edge) net.Conn {
		conn, _ := talk(t, e)
		return conn
	}
	for name, test := range map[string]struct {
		change func(*proxy.Server)
		dial   func(*testing.T, *Edge) net.Conn
		asks   bool
		stage  uint32
	}{
		"after a request":                   {nil, plain, true, resting},
		"before the first":                  {nil, plain, false, fresh},
		"after a request over TLS":          {secure, over("http/1.1"), true, resting},
		"after the handshake, before any":   {secure, over("http/1.1"), false, greeted},
		"of TLS without a handshake either": {secure, plain, false, fresh},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := run(t, settings(test.change), nil)
			conn := test.dial(t, e)
			from := bufio.NewReader(conn)
			if test.asks {
				say(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				hear(t, from)
			}
			eventually(t, "where it should be", func() bool { return e.inside(test.stage) == 1 })
			drain(t.Context(), e).await(t)
			if b, err := from.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("got %q, %v; want the end of the connection", b, err)
			}
		})
	}
}

// stuck is a connection whose closing takes long, as of TLS to a client that does not read.
type stuck struct {
	net.Conn
	began *atomic.Int64
	free  chan struct{}
}

func (c stuck) Close() error {
	c.began.Add(1)
	<-c.free
	return nil
}

// No closing keeps others waiting, nor who drains.
func TestAClosingThatTakesLongIsNotWaitedFor(t *testing.T) {
	const all = 8
	var g guests
	var began atomic.Int64
	free := make(chan struct{})
	defer close(free)
	for range all {
		c := &lazyConn{Conn: stuck{began: &began, free: free}}
		g.changed(c, http.StateNew)
		g.changed(c, http.StateIdle)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		now := time.Now()
		for late := range time.Duration(2) {
			if left := g.leave(now.Add(late * patience)); left != all {
				t.Errorf("%d are left, want %d", left, all)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("who drains waits for a connection to be closed")
	}
	eventually(t, "each is being closed", func() bool { return began.Load() == all })
}

// A request that comes between the look and the closing is seen.
func TestWhoHasSpokenMeanwhileIsNotClosed(t *testing.T) {
	for name, speaks := range map[string]func(c *lazyConn, theirs net.Conn){
		"it was read":    func(c *lazyConn, _ net.Conn) { c.heard([]byte("G")) },
		"it is not read": func(_ *lazyConn, theirs net.Conn) { say(t, theirs, "G") },
	} {
		c, theirs := lazyPair(t)
		c.enter(resting)
		stage := c.stage.Load()
		speaks(c, theirs)
		if name == "it is not read" {
			eventually(t, "arrived", func() bool { return !c.silent() })
		}
		c.dismiss(c, stage)
		if _, err := c.Conn.Write([]byte("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who speaks HTTP/2 is told by http.Server what was heard, and nobody waits for it here, nor
// for who has left HTTP.
func TestOthersAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	pair := pairOf(t, dir, 1, "gate.example")
	held, free := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(free) })
	handler := http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		switch in.URL.Path {
		case "/hijack":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		case "/hold":
			close(held)
			<-free
		}
	})
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.TLS.CertFile, cfg.TLS.KeyFile = pair.CertFile, pair.KeyFile
		cfg.H2C = true
		cfg.Listen = []string{"http://127.0.0.1:0", "127.0.0.1:0"}
	}), handler)
	for name, client := range map[string]*http.Transport{
		"http://" + e.Addrs()[0].String():  {Protocols: new(http.Protocols)},
		"https://" + e.Addrs()[1].String(): {Protocols: new(http.Protocols), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	} {
		client.Protocols.SetHTTP2(true)
		client.Protocols.SetUnencryptedHTTP2(true)
		answer, err := client.RoundTrip(httpRequest(t, name+"/"))
		if err != nil || answer.ProtoMajor != 2 {
			t.Fatal(answer, err)
		}
		_ = answer.Body.Close()
		t.Cleanup(client.CloseIdleConnections)
	}
	// One that has not asked yet.
	quiet, _ := talk(t, e)
	say(t, quiet, http2.ClientPreface)
	framer := http2.NewFramer(quiet, quiet)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three who rest", func() bool { return e.inside(resting, asking) == 3 })
	upgraded, from := talk(t, e)
	say(t, upgraded, "GET /hijack HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n")
	if line, err := from.ReadString('\n'); err != nil || line != "HTTP/1.1 101 Switching Protocols\r\n" {
		t.Fatal(line, err)
	}
	drain(t.Context(), e).await(t)
	time.Sleep(2 * patience)
	if n := e.inside(resting, asking); n != 3 {
		t.Errorf("%d of 3 connections with HTTP/2 are left", n)
	}
	_ = upgraded.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(from); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection that has left HTTP ends with %v", err)
	}
}

func httpRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	in, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// A request that is at its handler may take until ctx ends, and no longer.
func TestDrainWaitsForRequestsUntilItsTimeIsOver(t *testing.T) {
	for name, early := range map[string]bool{"it is done": false, "the time is over": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held, free := make(chan struct{}), make(chan struct{})
			e, _ := run(t, settings(nil), http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
				close(held)
				<-free
				goodbye(w, in)
			}))
			conn, from := talk(t, e)
			say(t, conn, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
			<-held
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := drain(ctx, e)
			time.Sleep(2 * patience)
			if l.over() {
				t.Error("the request is not waited for")
			}
			if early {
				cancel()
				l.await(t)
			}
			close(free)
			if got, want := hear(t, from), "GET /a "; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			l.await(t)
		})
	}
}

// The listener that sends readers to https is drained with the others.
func TestARedirectIsNotCutOffEither(t *testing.T) {
	dir := t.TempDir()
	pair := pairOf(t, filepath.Join(dir, "a"), 1, "gate.example")
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.TLS.CertFile, cfg.TLS.KeyFile, cfg.TLS.HTTPListen = pair.CertFile, pair.KeyFile, "127.0.0.1:0"
	}), nil)
	conn, err := net.Dial("tcp", e.redirect.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	say(t, conn, "GET /a HTTP/1.1\r\n")
	eventually(t, "begun", func() bool { return e.inside(greeted) == 1 })
	l := drain(t.Context(), e)
	time.Sleep(2 * patience)
	say(t, conn, "Host: gate.example\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got, want := answer.Header.Get("Location"), "https://gate.example/a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	l.await(t)
}
