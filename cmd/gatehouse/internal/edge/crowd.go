package edge

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"

	"gatehouse/users/rate"
)

// crowd bounds the connections of all listeners together. When it is full, those make
// room on which no request is under way: that wait for their next one, that have never
// sent a byte, or that are at their first head for too long. They are taken from the
// network that has most of them, so that somebody who opens ten thousand pushes out
// their own; within it, the one that has rested longest goes first. Where none
// rests, accepting waits, and clients wait in the queue of the system.
//
// A request costs two atomic writes. Whoever needs room pays: all connections are looked
// at, and room is made for some more at once.
type crowd struct {
	most  int
	began time.Time

	mu     sync.Mutex
	inside map[*boundConn]struct{}
	left   chan struct{} // closed and replaced when somebody leaves

	wanted atomic.Int32  // listeners that wait for room
	rested chan struct{} // told while one does that somebody rests
}

func newCrowd(most int) *crowd {
	return &crowd{most: most, began: time.Now(), inside: map[*boundConn]struct{}{}, left: make(chan struct{}), rested: make(chan struct{}, 1)}
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

// Accept waits until there is room for who has come.
func (l *boundListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &boundConn{Conn: accepted, crowd: l.crowd, network: networkOf(accepted.RemoteAddr())}
	if !l.crowd.enter(conn, l.closed) {
		_ = accepted.Close()
		return nil, net.ErrClosed
	}
	return conn, nil
}

// Close ends an Accept that waits for room, too.
func (l *boundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// boundConn is a place in the crowd.
type boundConn struct {
	net.Conn
	crowd   *crowd
	once    sync.Once
	network rate.Key // guarded by the crowd
	told    bool     // network is the one that a PROXY header says; only for changed

	// resting is since when no request is under way, in nanoseconds since the crowd
	// began; busy while one is, evicted for good.
	resting atomic.Int64
}

const (
	busy    = 0
	evicted = -1
)

func (c *boundConn) rest() { c.resting.Store(int64(time.Since(c.crowd.began)) + 1) }

// evict takes a connection that has rested since then. It reports whether it did.
func (c *boundConn) evict(since int64) bool { return c.resting.CompareAndSwap(since, evicted) }

func (c *boundConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.crowd.leave(c) })
	return err
}

// lookAgain is how often who waits looks for connections that have begun to rest without
// a word: new ones, from which nothing comes.
const lookAgain = time.Second

// enter takes a place, and tells whether it got one before closed.
func (c *crowd) enter(conn *boundConn, closed <-chan struct{}) bool {
	if c.take(conn) {
		return true
	}
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	// From before the first look: who rests after it says so.
	c.wanted.Add(1)
	defer c.wanted.Add(-1)
	for {
		c.mu.Lock()
		left := c.left
		longest := c.longest(max(1, min(c.most/64, 256)))
		c.mu.Unlock()
		for _, conn := range longest {
			// Not by way of TLS: its goodbye would wait for a client that does not read.
			_ = conn.Close()
		}
		if c.take(conn) {
			return true
		}
		select {
		case <-left:
		case <-c.rested:
		case <-again.C:
		case <-closed:
			return false
		}
		if c.take(conn) {
			return true
		}
	}
}

func (c *crowd) take(conn *boundConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.inside) >= c.most {
		return false
	}
	conn.rest()
	c.inside[conn] = struct{}{}
	return true
}

// longest takes that many connections that rest out of the crowd, or as many as there are.
func (c *crowd) longest(n int) []*boundConn {
	type rester struct {
		conn  *boundConn
		since int64
	}
	byNetwork := map[rate.Key][]rester{}
	for conn := range c.inside {
		if since := conn.resting.Load(); since > busy {
			byNetwork[conn.network] = append(byNetwork[conn.network], rester{conn, since})
		}
	}
	// What is above the waterline goes: no network that keeps more loses less.
	sizes := make([]int, 0, len(byNetwork))
	for _, all := range byNetwork {
		sizes = append(sizes, len(all))
	}
	line := waterline(sizes, n)
	var over []rester
	for _, all := range byNetwork {
		if len(all) > line {
			slices.SortFunc(all, func(a, b rester) int { return cmp.Compare(a.since, b.since) })
			over = append(over, all[:len(all)-line]...)
		}
	}
	slices.SortFunc(over, func(a, b rester) int { return cmp.Compare(a.since, b.since) })
	var taken []*boundConn
	for _, r := range over {
		if len(taken) < n && r.conn.evict(r.since) {
			taken = append(taken, r.conn)
		}
	}
	return taken
}

// waterline is the highest level above which there are n or more, or 0.
func waterline(sizes []int, n int) int {
	slices.SortFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) })
	above := 0 // of the first i sizes, over the next one
	for i, size := range sizes {
		next := 0
		if i+1 < len(sizes) {
			next = sizes[i+1]
		}
		step := (i + 1) * (size - next)
		if above+step >= n {
			return size - (n-above+i)/(i+1)
		}
		above += step
	}
	return 0
}

func (c *crowd) leave(conn *boundConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.inside, conn)
	close(c.left)
	c.left = make(chan struct{})
}

// changed is http.Server's ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateActive && state != http.StateIdle {
		return
	}
	place, proxied := placeOf(conn)
	switch {
	case place == nil:
	case state == http.StateActive:
		place.resting.Store(busy)
	default:
		if proxied != nil && !place.told {
			// Its header has been read by now, and this does not wait.
			network := networkOf(proxied.RemoteAddr())
			c.mu.Lock()
			place.network, place.told = network, true
			c.mu.Unlock()
		}
		place.rest()
		if c.wanted.Load() > 0 {
			// Somebody waits, and looks again. It is not this one that must make room:
			// others may rest for longer, or have more of them.
			select {
			case c.rested <- struct{}{}:
			default:
			}
		}
	}
}

// placeOf finds our connection below what others have put around it.
func placeOf(conn net.Conn) (place *boundConn, proxied *proxyproto.Conn) {
	for {
		switch outer := conn.(type) {
		case *boundConn:
			return outer, proxied
		case *tls.Conn:
			conn = outer.NetConn()
		case *lazyConn:
			conn = outer.Conn
		case *proxyproto.Conn:
			proxied, conn = outer, outer.Raw()
		default:
			return nil, nil
		}
	}
}

// networkOf is the zero Key for whoever has no address, such as a socket file.
func networkOf(addr net.Addr) rate.Key {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return rate.Key{}
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return rate.Key{}
	}
	return rate.Network(ip)
}
