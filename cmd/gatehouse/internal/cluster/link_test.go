package cluster

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// condition is what a network does to what is sent over it.
type condition int

const (
	passes  condition = iota
	swallow           // nothing arrives, nothing is refused, and nobody is told
	reset             // whoever is connected or connects is cut off
)

// link is the network between one replica and one server of PostgreSQL.
type link struct {
	listener net.Listener
	target   string

	mu        sync.Mutex
	changed   *sync.Cond
	condition condition
	pairs     map[*pair]bool
}

// pair is a connection over a link: of a client with the link, and of that with the
// server.
type pair struct {
	client, server net.Conn
	forgotten      bool // the server's side is gone, and the client does not know
}

func newLink(t testing.TB, target string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, target: target, pairs: map[*pair]bool{}}
	l.changed = sync.NewCond(&l.mu)
	t.Cleanup(func() {
		_ = listener.Close()
		l.become(reset)
	})
	go l.accept()
	return l
}

func (l *link) port() int { return l.listener.Addr().(*net.TCPAddr).Port }

// become changes the condition, for connections that are there too.
func (l *link) become(c condition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.condition = c
	l.changed.Broadcast()
	if c == reset {
		for p := range l.pairs {
			p.cut()
		}
	}
}

// forget makes every connection that is there half-open: the server's side is gone, and
// the client hears nothing, not even that. New ones are as the condition says.
func (l *link) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		if p.server != nil {
			p.forgotten = true
			_ = p.server.Close()
		}
	}
}

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.join(client)
	}
}

func (l *link) join(client net.Conn) {
	p := &pair{client: client}
	l.mu.Lock()
	l.pairs[p] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.pairs, p)
	}()
	if !l.wait(p) {
		return
	}
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		p.cut()
		return
	}
	l.mu.Lock()
	p.server = server
	cut := l.condition == reset
	l.mu.Unlock()
	if cut {
		p.cut()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.copy(p, server, client) })
	both.Go(func() { l.copy(p, client, server) })
	both.Wait()
	p.cut()
}

// copy passes on what it is given, as long as the network does.
func (l *link) copy(p *pair, to, from net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if l.isForgotten(p) {
			if from == p.client && err == nil {
				continue // it is sent, and never heard
			}
			if from == p.client {
				_ = p.client.Close()
			}
			return
		}
		if !l.wait(p) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			if half, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
				_ = half.CloseWrite()
			} else {
				_ = to.Close()
			}
			return
		}
	}
}

func (l *link) isForgotten(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.forgotten
}

// wait waits while everything is swallowed, and tells whether the pair goes on.
func (l *link) wait(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.condition == swallow {
		l.changed.Wait()
	}
	if l.condition == reset {
		p.cut()
		return false
	}
	return true
}

// cut ends both sides with a reset.
func (p *pair) cut() {
	for _, conn := range []net.Conn{p.client, p.server} {
		if tcp, ok := conn.(*net.TCPConn); ok && tcp != nil {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}
	}
}
