package edge

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/socket"
)

// watchAfter is how long a request takes, up to twice, before anybody looks whether its
// client is still there.
const watchAfter = 100 * time.Millisecond

// lazyConn puts off what net/http does for each request and what is nearly never needed.
//
// Deadlines are set when somebody is about to wait, and stay where they are when they are
// right to within a sixteenth: never too early.
//
// While a handler works, net/http reads one byte more from the client, in a goroutine of
// its own, to notice that the client has left: starting that one, waking it and waiting for
// it are three hand-offs for each request, and on a machine with little to do each wakes
// a processor. Here that read ends at once with nothing, which net/http takes for
// that. It is done after all for a request that takes longer than watchAfter, and whoever
// has left by then has its request canceled, as net/http would.
type lazyConn struct {
	net.Conn
	stream *socket.Stream // Conn's reads and writes; nil: its own
	of     *watch
	cancel context.CancelFunc // what this connection asks for; nil: nobody watches
	short  proxy.Instead

	mu          sync.Mutex
	read, write deadline
	plain       bool // taken over from net/http: nothing is put off any more
	asked       bool // net/http may be about to watch
	watched     bool // since it has asked to, and until the next Read
	seen        bool // by a sweep since then
	watching    bool // somebody reads one byte
	over        sync.Cond

	ahead []byte // what was read in watching, of room
	err   error  // likewise
	room  [1]byte
}

// deadline is of reading or writing.
type deadline struct {
	want, set time.Time    // what was asked for, and what the connection below has
	waiting   atomic.Int32 // calls that are under way
}

// slackPart is the part of a time by which it may be late.
const slackPart = 16

// due returns what must be set before somebody waits, if anything must.
func (d *deadline) due() (time.Time, bool) {
	if d.want.IsZero() {
		if d.set.IsZero() {
			return time.Time{}, false
		}
		d.set = time.Time{}
		return d.set, true
	}
	slack := max(0, time.Until(d.want)/slackPart)
	if late := d.set.Sub(d.want); !d.set.IsZero() && late >= 0 && late <= slack && slack > 0 {
		return time.Time{}, false
	}
	d.set = d.want.Add(slack)
	return d.set, true
}

// exactly takes t for what is asked for and for what is set.
func (d *deadline) exactly(t time.Time) { d.want, d.set = t, t }

func (c *lazyConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// net/http takes the deadline away before it watches. Where a request is answered before
	// the watching has begun, a time that is long past is to end it: it ends at once anyway,
	// and the connection below need not hear of it.
	c.asked = c.cancel != nil && (t.IsZero() || c.asked && t.Before(c.of.began))
	if c.plain || c.read.waiting.Load() > 0 {
		c.read.exactly(t)
		return c.Conn.SetReadDeadline(t)
	}
	c.read.want = t
	return nil
}

func (c *lazyConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plain || c.write.waiting.Load() > 0 {
		c.write.exactly(t)
		return c.Conn.SetWriteDeadline(t)
	}
	c.write.want = t
	return nil
}

// SetDeadline is what net/http calls when a handler takes the connection over.
func (c *lazyConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plain, c.asked, c.watched = true, false, false
	c.read.exactly(t)
	c.write.exactly(t)
	return c.Conn.SetDeadline(t)
}

func (c *lazyConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.asked && len(p) == 1 && !c.plain {
		// Once: were it somebody else who reads one byte, they would ask again.
		c.asked, c.watched, c.seen = false, true, false
		c.mu.Unlock()
		c.of.tell()
		return 0, nil
	}
	c.asked, c.watched = false, false
	if c.watching || c.ahead != nil || c.err != nil {
		if n, err := c.takeOver(p); n > 0 || err != nil || len(p) == 0 {
			c.mu.Unlock()
			return n, err
		}
	}
	if t, due := c.read.due(); due && !c.plain {
		_ = c.Conn.SetReadDeadline(t) // of a connection that is closed Read says so
	}
	c.read.waiting.Add(1)
	c.mu.Unlock()
	n, err := c.receive(p)
	c.read.waiting.Add(-1)
	return n, err
}

// takeOver returns what the one who watches has read, and waits for it where it is still
// reading. It is called with c.mu.
func (c *lazyConn) takeOver(p []byte) (int, error) {
	if c.watching && !c.plain {
		c.read.exactly(c.read.want)
		_ = c.Conn.SetReadDeadline(c.read.want) // for the one who reads
	}
	c.read.waiting.Add(1)
	for c.watching {
		c.over.Wait()
	}
	c.read.waiting.Add(-1)
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if n > 0 {
			c.ahead = nil
		}
		return n, nil
	}
	err := c.err
	c.err = nil
	return 0, err
}

func (c *lazyConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if t, due := c.write.due(); due && !c.plain {
		_ = c.Conn.SetWriteDeadline(t) // as above
	}
	c.write.waiting.Add(1)
	c.mu.Unlock()
	n, err := c.sendOr(c.short.Take(p), p)
	c.write.waiting.Add(-1)
	return n, err
}

func (c *lazyConn) receive(p []byte) (int, error) {
	if c.stream != nil {
		return c.stream.Read(p)
	}
	return c.Conn.Read(p)
}

func (c *lazyConn) send(p []byte) (int, error) {
	if c.stream != nil {
		return c.stream.Write(p)
	}
	return c.Conn.Write(p)
}

// sendOr sends what is to go in the place of p, and counts it as that; nil is p itself.
func (c *lazyConn) sendOr(instead, p []byte) (int, error) {
	if instead == nil {
		return c.send(p)
	}
	if _, err := c.send(instead); err != nil {
		return 0, err
	}
	return len(p), nil
}

// streamOf is what is below a connection, where nothing between them changes bytes.
func streamOf(conn net.Conn) *socket.Stream {
	if place, ok := conn.(*boundConn); ok {
		conn = place.Conn
	}
	return socket.Of(conn)
}

// Close also ends what the connection has asked for, as net/http would by its watching.
func (c *lazyConn) Close() error {
	c.of.drop(c)
	err := c.Conn.Close()
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return err
}

// CloseWrite is for who asks for it.
func (c *lazyConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// look begins to watch for a request that the sweep before has seen too. It reports whether
// one must come again.
func (c *lazyConn) look() (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.watched || c.watching || c.ahead != nil || c.err != nil || c.plain:
		return false
	case !c.seen:
		c.seen = true
		return true
	}
	c.watching = true
	if !c.read.set.IsZero() {
		c.read.set = time.Time{}
		_ = c.Conn.SetReadDeadline(time.Time{})
	}
	go c.watch()
	return false
}

// watch reads one byte, which the next Read returns. Where there is none because
// the client has left, and its request is still under way, that is canceled.
func (c *lazyConn) watch() {
	n, err := c.receive(c.room[:])
	c.mu.Lock()
	c.watching = false
	if n > 0 {
		c.ahead = c.room[:n]
	} else {
		c.err = err
	}
	left := c.err != nil && c.watched
	c.over.Broadcast()
	c.mu.Unlock()
	if left {
		c.cancel()
	}
}

// watch is all connections that are not closed, for whoever looks after their clients.
// One timer is enough for all, and it runs only while requests are under way.
type watch struct {
	began time.Time
	timer *time.Timer
	armed atomic.Bool

	mu  sync.Mutex
	all map[*lazyConn]struct{}
}

func newWatch() *watch {
	w := &watch{began: time.Now(), all: map[*lazyConn]struct{}{}}
	w.timer = time.AfterFunc(time.Hour, w.sweep)
	w.timer.Stop()
	return w
}

// tell has the connections looked at.
func (w *watch) tell() {
	if !w.armed.Load() && w.armed.CompareAndSwap(false, true) {
		w.timer.Reset(watchAfter)
	}
}

func (w *watch) sweep() {
	w.armed.Store(false) // before the look: who asks behind it comes by the next one
	again := false
	w.mu.Lock()
	for c := range w.all {
		again = c.look() || again
	}
	w.mu.Unlock()
	if again {
		w.tell()
	}
}

func (w *watch) drop(c *lazyConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, c)
}

// listen makes the connections of l lazy.
func (w *watch) listen(l net.Listener) net.Listener { return &lazyListener{l, w} }

type lazyListener struct {
	net.Listener
	watch *watch
}

func (l *lazyListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &lazyConn{Conn: accepted, stream: streamOf(accepted), of: l.watch}
	c.over.L = &c.mu
	l.watch.mu.Lock()
	defer l.watch.mu.Unlock()
	l.watch.all[c] = struct{}{}
	return c, nil
}

// context is http.Server's ConnContext: it ends when the client leaves, or the connection is
// closed. Behind TLS the
// server watches by itself, for one byte there is none on the wire.
func (w *watch) context(ctx context.Context, conn net.Conn) context.Context {
	c, ok := conn.(*lazyConn)
	if !ok {
		return ctx
	}
	ctx, cancel := context.WithCancel(c.short.Context(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel = cancel
	return ctx
}
