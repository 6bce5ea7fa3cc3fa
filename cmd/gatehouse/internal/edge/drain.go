package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// guests are the connections that there are, so that they can be told from one another when
// all are to leave.
//
// http.Server.Shutdown drops a request of HTTP/1 that it meets between its arrival and its
// handler: one on a connection that was accepted a moment before, one of which half of the head
// has come, one whose goroutine had no turn yet. Its client gets no answer, and does not know
// whether it was heard. So those connections are closed here, one by one, and only those
// on which nothing has come and nothing waits to be read. Shutdown is for what is left.
type guests struct {
	mu  sync.Mutex
	all map[*lazyConn]*guest
}

// guest is what the one who closes knows of a connection. Guarded by guests.
type guest struct {
	outer net.Conn  // what net/http has: with TLS around it, where there is any
	stage uint32    // of the connection, at the last look
	since time.Time // when it was first seen at that
}

// Where a connection is, between two requests of HTTP/1.
const (
	fresh   = iota // nothing has come yet
	greeted        // something has: part of a head, or a handshake
	resting        // nothing has come since the last answer
	asking         // something has: part of a head
	working        // a request is with its handler
	stages  = 8    // of which there are fewer; beyond it counts how often they have changed
)

// enter notes where the connection is. Only its own goroutine says so.
func (c *lazyConn) enter(stage uint32) {
	if at := c.stage.Load(); at%stages != stage {
		c.stage.Store(at - at%stages + stages + stage)
	}
}

// heard notes that something has come.
func (c *lazyConn) heard(p []byte) {
	switch c.stage.Load() % stages {
	case fresh:
		c.http2 = len(p) >= len(preface) && string(p[:len(preface)]) == preface
		c.enter(greeted)
	case resting:
		c.enter(asking)
	}
}

// preface begins a connection of HTTP/2 without TLS; no method of HTTP/1 begins so.
const preface = "PRI"

// changed is http.Server's ConnState.
func (g *guests) changed(conn net.Conn, state http.ConnState) {
	c := lazyOf(conn)
	if c == nil {
		return
	}
	switch state {
	case http.StateActive:
		c.enter(working)
	case http.StateIdle:
		c.enter(resting)
	case http.StateNew:
		g.mu.Lock()
		if g.all == nil {
			g.all = map[*lazyConn]*guest{}
		}
		g.all[c] = &guest{outer: conn}
		g.mu.Unlock()
	case http.StateHijacked, http.StateClosed:
		g.mu.Lock()
		delete(g.all, c)
		g.mu.Unlock()
	}
}

func lazyOf(conn net.Conn) *lazyConn {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	c, _ := conn.(*lazyConn)
	return c
}

const (
	drainEach = 10 * time.Millisecond

	// patience is for who has been answered before, and told with that to come back on another
	// connection: a request that was on its way then has arrived.
	patience = 300 * time.Millisecond

	// freshPatience is for who has just connected, and means to ask. Some connect in advance.
	freshPatience = 5 * time.Second
)

// Drain stops listening and returns when those who speak HTTP/1 have left, or when ctx ends.
// Whoever is let in is answered, and so is who has sent part of a request; the handler is to tell
// them with each answer to close the connection. Those that rest are closed. HTTP/2, which can tell
// its clients what was heard, is left to http.Server.Shutdown, which is to be called behind it.
// It is called once Serve has been.
func (e *Edge) Drain(ctx context.Context) {
	_ = e.Close()
	select {
	case <-e.ended: // now all who were accepted are known
		e.seeOff(ctx)
	case <-ctx.Done():
	}
	if e.redirect != nil {
		_ = e.redirect.http.Close()
	}
}

func (e *Edge) seeOff(ctx context.Context) {
	look := time.NewTicker(drainEach)
	defer look.Stop()
	for e.guests.leave(time.Now()) > 0 {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// leave closes whom nobody waits for any more, and returns how many of HTTP/1 are left.
func (g *guests) leave(now time.Time) (left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c, guest := range g.all {
		stage := c.stage.Load()
		if c.speaksHTTP2(guest.outer, stage%stages) {
			continue
		}
		left++
		if guest.since.IsZero() || guest.stage != stage {
			guest.stage, guest.since = stage, now
		} else if rests(guest.outer, stage%stages, now.Sub(guest.since)) {
			// By itself: TLS says goodbye first, and waits for room to say it. Nobody is to
			// wait for that, nor is a request to arrive on another connection meanwhile that
			// was looked at before.
			go c.dismiss(guest.outer, stage)
		}
	}
	return left
}

// dismiss closes a connection if nothing has come since it was seen at this stage. Its own
// goroutine sees that, and takes it off the list.
func (c *lazyConn) dismiss(outer net.Conn, stage uint32) {
	if c.silent() && c.stage.Load() == stage {
		_ = outer.Close()
	}
}

// rests tells whether a connection may be closed that has been at this stage for so long.
func rests(outer net.Conn, stage uint32, long time.Duration) bool {
	switch stage {
	case fresh:
		return long >= freshPatience
	case greeted:
		// What has come may be the handshake. Without TLS it is a request.
		_, secure := outer.(*tls.Conn)
		return secure && long >= freshPatience
	case resting:
		return long >= patience
	}
	return false
}

// speaksHTTP2 is known behind the handshake, during which nobody may ask a tls.Conn for it.
func (c *lazyConn) speaksHTTP2(outer net.Conn, stage uint32) bool {
	if stage == fresh {
		return false
	}
	secure, ok := outer.(*tls.Conn)
	if !ok {
		return c.http2
	}
	return stage != greeted && secure.ConnectionState().NegotiatedProtocol == "h2"
}

// silent tells whether nothing has arrived that nobody has read.
func (c *lazyConn) silent() bool {
	c.mu.Lock()
	ahead := len(c.ahead) > 0
	c.mu.Unlock()
	n, err := peek(c)
	return !ahead && n <= 0 && err == nil
}

// peek looks at the first byte that has arrived, without reading it: 1 if there is one, 0 at the
// end of the connection, -1 if there is none yet.
func peek(conn net.Conn) (int, error) {
	for {
		next := within(conn)
		if next == nil {
			break
		}
		conn = next
	}
	own, ok := conn.(syscall.Conn)
	if !ok {
		return -1, nil
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return -1, err
	}
	n, fault := -1, error(nil)
	err = raw.Control(func(fd uintptr) {
		var first [1]byte
		n, _, fault = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if errors.Is(fault, syscall.EAGAIN) || errors.Is(fault, syscall.EINTR) {
			n, fault = -1, nil
		}
	})
	if err != nil {
		return -1, err
	}
	return n, fault
}
