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
//
// Where nothing has changed since the last one, such as in a tunnel, or within a body, a
// call costs no lock and no look at the clock.
type lazyConn struct {
	net.Conn
	stream *socket.Stream // Conn's reads and writes; nil: its own
	of     *watch
	cancel context.CancelFunc // what this connection asks for; nil: nobody watches
	short  proxy.Instead
	stage  atomic.Uint32 // between two requests (see drain.go)
	http2  bool          // without TLS; known from the first byte on

	mu          sync.Mutex
	read, write deadline
	plain       bool // taken over from net/http: nothing is put off any more
	asked       bool // net/http may be about to watch
	watched     bool // since it has asked to, and until the next Read
	seen        bool // by a sweep since then
	listed      bool // sweeps look at it
	watching    bool // somebody reads one byte
	over        sync.Cond

	ahead []byte // what was read in watching, of room
	err   error  // likewise
	room  [1]byte
}

// deadline is of reading or writing.
//
// Who sets it says that there is news, and then looks whether somebody waits, for whom it
// counts at once. Who is about to wait says so, and then looks for news. So one of them
// sees the other.
type deadline struct {
	want, set time.Time    // what was asked for, and what the connection below has
	waiting   atomic.Int32 // calls that are under way
	news      atomic.Bool  // the next call has something to do before it waits
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
	if c.watching && c.watched {
		c.read.want = t // it is not for the one who watches, who must not end by it
		return nil
	}
	return c.put(&c.read, t, c.Conn.SetReadDeadline)
}

func (c *lazyConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(&c.write, t, c.Conn.SetWriteDeadline)
}

// put notes a deadline for the next call, and sets it where there is one under way. It is
// called with c.mu.
func (c *lazyConn) put(d *deadline, t time.Time, set func(time.Time) error) error {
	d.want = t
	d.news.Store(true)
	if c.plain || d.waiting.Load() > 0 {
		d.set = t
		return set(t)
	}
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
	c.read.waiting.Add(1)
	if c.read.news.Load() {
		if n, done, err := c.prepare(p); done {
			c.read.waiting.Add(-1)
			if n > 0 {
				c.heard(p[:n])
			}
			return n, err
		}
	}
	n, err := c.receive(p)
	c.read.waiting.Add(-1)
	if n > 0 {
		c.heard(p[:n])
	}
	return n, err
}

// prepare does what was put off until the next Read, or answers it.
func (c *lazyConn) prepare(p []byte) (n int, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked && len(p) == 1 && !c.plain {
		// Once: were it somebody else who reads one byte, they would ask again.
		c.asked, c.watched, c.seen = false, true, false
		if !c.listed {
			c.listed = true
			c.of.add(c)
		}
		return 0, true, nil
	}
	c.asked, c.watched = false, false
	if c.watching || c.ahead != nil || c.err != nil {
		if n, err := c.takeOver(p); n > 0 || err != nil || len(p) == 0 {
			return n, true, err // there may be more of it
		}
	}
	if t, due := c.read.due(); due && !c.plain {
		_ = c.Conn.SetReadDeadline(t) // of a connection that is closed Read says so
	}
	c.read.news.Store(false)
	return 0, false, nil
}

// takeOver returns what the one who watches has read, and waits for it where it is still
// reading. It is called with c.mu.
func (c *lazyConn) takeOver(p []byte) (int, error) {
	if c.watching && !c.plain {
		c.read.exactly(c.read.want)
		_ = c.Conn.SetReadDeadline(c.read.want) // for the one who reads
	}
	for c.watching {
		c.over.Wait()
	}
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
	c.write.waiting.Add(1)
	if c.write.news.Load() {
		c.mu.Lock()
		if t, due := c.write.due(); due && !c.plain {
			_ = c.Conn.SetWriteDeadline(t) // as above
		}
		c.write.news.Store(false)
		c.mu.Unlock()
	}
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
	err := c.Conn.Close()
	c.mu.Lock()
	c.asked, c.watched = false, false
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
// one must come again; else it is not listed any more.
func (c *lazyConn) look() (again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.listed = again }()
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

// watch is the connections with a request whose client somebody is to look after: those
// that have asked for that since the sweep before, and those that a sweep has seen once.
// One timer is enough for all, and it runs only while there are any. Those that are idle
// cost nothing.
type watch struct {
	began time.Time
	timer *time.Timer

	mu    sync.Mutex
	armed bool
	asked []*lazyConn // each once
	spare []*lazyConn // what the sweep before has looked at, to be used again
}

func newWatch() *watch {
	w := &watch{began: time.Now()}
	w.timer = time.AfterFunc(time.Hour, w.sweep)
	w.timer.Stop()
	return w
}

// add has the next sweep look at c.
func (w *watch) add(c *lazyConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, c)
	w.arm()
}

// arm has a sweep come. It is called with w.mu.
func (w *watch) arm() {
	if !w.armed {
		w.armed = true
		w.timer.Reset(watchAfter)
	}
}

// sweep looks at all that have asked. The lock of a connection is not taken with that of w,
// which is taken with the lock of a connection.
func (w *watch) sweep() {
	w.mu.Lock()
	asked := w.asked
	w.asked, w.spare = w.spare[:0], nil
	w.mu.Unlock()
	again := asked[:0]
	for _, c := range asked {
		if c.look() {
			again = append(again, c)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, again...)
	clear(asked) // what is closed is kept by nobody
	if cap(asked) <= mostSpare {
		w.spare = asked[:0]
	}
	w.armed = false
	if len(w.asked) > 0 {
		w.arm()
	}
}

// mostSpare is how many connections a list has room for that is used again.
const mostSpare = 4096

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
