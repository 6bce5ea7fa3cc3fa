package edge

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// crowd bounds the connections of all listeners together. When it is full the
// connection that has been idle longest makes room; where none is idle, accepting
// waits, and clients wait in the queue of the system.
type crowd struct {
	most int

	mu     sync.Mutex
	inside int
	idle   map[net.Conn]time.Time
	wanted int           // listeners that wait for room
	left   chan struct{} // closed and replaced when somebody leaves
}

func newCrowd(most int) *crowd {
	return &crowd{most: most, idle: map[net.Conn]time.Time{}, left: make(chan struct{})}
}

// bound makes l accept only what there is room for.
func (c *crowd) bound(l net.Listener) net.Listener {
	return &boundListener{Listener: l, crowd: c, closed: make(chan struct{})}
}

type boundListener struct {
	net.Listener
	crowd  *crowd
	once   sync.Once
	closed chan struct{}
}

// Accept waits for room first: what has been accepted is open, and a connection
// that nobody answers is worse than one that waits.
func (l *boundListener) Accept() (net.Conn, error) {
	if !l.crowd.enter(l.closed) {
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		l.crowd.leave()
		return nil, err
	}
	return &boundConn{Conn: conn, crowd: l.crowd}, nil
}

// Close ends an Accept that waits for room, too.
func (l *boundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type boundConn struct {
	net.Conn
	crowd *crowd
	once  sync.Once
}

func (c *boundConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.crowd.leave)
	return err
}

// enter takes a place, and tells whether it got one before closed.
func (c *crowd) enter(closed <-chan struct{}) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted++
	defer func() { c.wanted-- }()
	for c.inside >= c.most {
		left := c.left
		longest := c.longestIdle()
		c.mu.Unlock()
		if longest != nil {
			_ = longest.Close()
		}
		select {
		case <-left:
		case <-closed:
			c.mu.Lock()
			return false
		}
		c.mu.Lock()
	}
	c.inside++
	return true
}

func (c *crowd) longestIdle() net.Conn {
	var longest net.Conn
	var since time.Time
	for conn, at := range c.idle {
		if longest == nil || at.Before(since) {
			longest, since = conn, at
		}
	}
	delete(c.idle, longest)
	return longest
}

func (c *crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside--
	close(c.left)
	c.left = make(chan struct{})
}

// changed is http.Server's ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	if state != http.StateIdle {
		delete(c.idle, conn)
		c.mu.Unlock()
		return
	}
	crowded := c.wanted > 0 && c.inside >= c.most
	if !crowded {
		c.idle[conn] = time.Now()
	}
	c.mu.Unlock()
	if crowded {
		_ = conn.Close()
	}
}
