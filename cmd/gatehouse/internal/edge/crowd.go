package edge

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/proxy"
	"gatehouse/users/rate"
)

// crowd bounds the connections of all listeners together, and those of each network.
//
// When it is full, those make room on which no request is under way: that wait for
// their next one, that have never sent a byte, or that are at their first head for too
// long. Whoever comes pushes out one of a network that has more than their own, of the
// network that has most: the one that has rested longest. Where none rests, accepting
// waits, and clients wait in the queue of the system.
//
// Who is of the network that has most, or of one that has as many as it may, pushes out
// its own, and not often (replaceEach): those above wait without being served, which costs
// a file and no goroutine; and those for whom there is no place to wait are closed before a
// byte is read. So somebody who comes again as soon as they are pushed out has nothing of
// it, and costs little. Trusted proxies, and whoever comes over a socket file, come for
// many: they push out their own as often as they like.
//
// A request costs two atomic writes. What a newcomer costs does not depend on how many
// there are.
type crowd struct {
	most       int
	perNetwork int // 0: as many as there is room for
	began      time.Time
	trusted    atomic.Pointer[proxy.Peers]

	mu      sync.Mutex
	inside  networks
	waiting list[*boundConn] // of whom there are too many; nobody serves them
	due     bool             // whether admit is to be called
	budget  budget
	told    tallies

	wanted atomic.Int32  // listeners that wait for room
	moved  chan struct{} // told while one does that somebody rests, or leaves
}

// tallies count what became of whom there was no room for, by the bound.
type tallies struct{ pushedOut, refused [2]int }

// The bounds.
const (
	ofAll = iota
	ofNetwork
)

func newCrowd(most, perNetwork int, trusted proxy.Peers) *crowd {
	c := &crowd{most: most, perNetwork: perNetwork, began: time.Now(), moved: make(chan struct{}, 1), inside: newNetworks(), budget: budget{per: max(64, most/64)}}
	c.trusted.Store(&trusted)
	return c
}

// mostWaiting is how many may wait without being served.
func (c *crowd) mostWaiting() int { return max(16, min(c.most/4, 4096)) }

// boundConn is a place in the crowd.
type boundConn struct {
	net.Conn
	listener *boundListener
	once     sync.Once

	// Guarded by the crowd.
	network rate.Key
	exempt  bool                // it comes for many networks, or nobody knows yet for which one
	place   element[*boundConn] // among its network, or among those that wait
	of      *network            // nil: it is not inside
	placed  int64               // resting when it was put there

	// resting is since when no request is under way, in nanoseconds since the crowd
	// began; busy while one is, evicted for good.
	resting atomic.Int64
}

const (
	busy    = 0
	evicted = -1
)

func (c *boundConn) rest() int64 {
	since := int64(time.Since(c.listener.crowd.began)) + 1
	c.resting.Store(since)
	return since
}

// Close leaves the crowd.
func (c *boundConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.listener.crowd.leave(c) })
	return err
}

// refuse closes a connection without a goodbye: the client hears that it was reset, and
// nothing is left of it here.
func (c *boundConn) refuse() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// verdict is what becomes of a newcomer.
type verdict int

const (
	seated  verdict = iota // it has a place
	wait                   // it will have one as soon as anybody rests or leaves
	patient                // there are too many of its network: it may wait, unserved
	refused                // and there are too many of those
	gone                   // nobody listens any more
)

// seat gives a newcomer a place if there is one. The place was that of whom it returns,
// who is to be closed.
func (c *crowd) seat(conn *boundConn) (verdict, *boundConn) {
	size, bound := c.inside.size(conn.network), ofAll
	capped := c.perNetwork > 0 && !conn.exempt && size >= c.perNetwork
	switch {
	case capped:
		bound = ofNetwork
	case c.inside.all < c.most:
		c.add(conn)
		return seated, nil
	default:
		if out := c.inside.rester(size); out != nil {
			return c.replace(conn, out, bound)
		}
		if size == 0 {
			return wait, nil
		}
	}
	if !conn.exempt && !c.budget.take(time.Since(c.began)) {
		return patient, nil
	}
	if out := c.inside.of[conn.network].rester(new(looks)); out != nil {
		return c.replace(conn, out, bound)
	}
	if conn.exempt {
		return wait, nil
	}
	return patient, nil
}

func (c *crowd) add(conn *boundConn) {
	conn.placed = conn.rest()
	c.inside.add(conn)
}

func (c *crowd) replace(conn, out *boundConn, bound int) (verdict, *boundConn) {
	c.inside.remove(out)
	c.told.pushedOut[bound]++
	c.add(conn)
	return seated, out
}

// lookAgain is how often who waits looks for connections that have begun to rest without
// a word: new ones, from which nothing comes.
const lookAgain = 20 * time.Millisecond

// enter takes a place for conn, and waits for one where that is what is to be done.
func (c *crowd) enter(conn *boundConn) verdict {
	got := c.try(conn)
	if got != wait {
		return got
	}
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	// From before the next look: who rests after it says so.
	c.wanted.Add(1)
	defer c.wanted.Add(-1)
	for {
		if got = c.try(conn); got != wait {
			return got
		}
		select {
		case <-c.moved:
		case <-again.C:
		case <-conn.listener.closed:
			return gone
		}
	}
}

// try is seat, and closes who has lost the place, or lets conn wait unserved.
func (c *crowd) try(conn *boundConn) verdict {
	c.mu.Lock()
	got, out := c.seat(conn)
	if got == patient {
		if c.waiting.size < c.mostWaiting() {
			c.waiting.push(&conn.place)
			c.admitLater()
		} else {
			got = refused
			c.told.refused[c.boundOf(conn)]++
		}
	}
	c.mu.Unlock()
	if out != nil {
		// Not by way of TLS: its goodbye would wait for a client that does not read.
		_ = out.Close()
	}
	return got
}

// boundOf is the bound that a newcomer for whom there is no room has met.
func (c *crowd) boundOf(conn *boundConn) int {
	if c.perNetwork > 0 && c.inside.size(conn.network) >= c.perNetwork {
		return ofNetwork
	}
	return ofAll
}

// leave takes a connection out, wherever it is.
func (c *crowd) leave(conn *boundConn) {
	c.mu.Lock()
	if conn.of != nil {
		c.inside.remove(conn)
	} else if conn.place.in != nil {
		conn.place.in.remove(&conn.place)
	}
	c.mu.Unlock()
	c.tellWaiters()
}

// tellWaiters has a listener that waits for room look again.
func (c *crowd) tellWaiters() {
	if c.wanted.Load() > 0 {
		select {
		case c.moved <- struct{}{}:
		default:
		}
	}
}

// changed is http.Server's ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateActive && state != http.StateIdle {
		return
	}
	place := placeOf(conn)
	switch {
	case place == nil:
	case state == http.StateActive:
		place.resting.Store(busy)
	default:
		place.rest()
		// Somebody may wait, and looks again. It is not this one that must make room:
		// others may rest for longer, or have more of them.
		c.tellWaiters()
	}
}

// tell says of whom a connection is that a load balancer passes on, and tells whether it may stay.
func (c *crowd) tell(conn *boundConn, network rate.Key) bool {
	c.mu.Lock()
	if conn.of == nil {
		c.mu.Unlock()
		return true // it is closed already
	}
	full := c.inside.all >= c.most
	c.inside.remove(conn)
	conn.network, conn.exempt = network, false
	size := c.inside.size(network)
	capped := c.perNetwork > 0 && size >= c.perNetwork
	var out *boundConn
	if capped || full && size > 0 && size >= c.inside.largest {
		// A newcomer of a network that has most of all, or as many as it may.
		bound, may := ofAll, c.budget.take(time.Since(c.began))
		if capped {
			bound = ofNetwork
			if may {
				out = c.inside.of[network].rester(new(looks))
			}
			may = out != nil
		}
		if !may {
			c.told.refused[bound]++
			c.mu.Unlock()
			return false
		}
		if out != nil {
			c.inside.remove(out)
			c.told.pushedOut[bound]++
		}
	}
	c.inside.add(conn)
	c.mu.Unlock()
	if out != nil {
		_ = out.Close()
	}
	return true
}

// budget is how often those push out their own who have most: so often in a second.
type budget struct {
	per   int
	whole time.Duration // when all of it is there again
}

func (b *budget) take(now time.Duration) bool {
	whole := max(b.whole, now) + time.Second/time.Duration(b.per)
	if whole-now > time.Second {
		return false
	}
	b.whole = whole
	return true
}
