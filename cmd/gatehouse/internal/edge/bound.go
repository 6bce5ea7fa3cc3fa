package edge

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"gatehouse/proxy"
	"gatehouse/users/rate"
)

// bound makes l accept only what there is room for. Speakers of the PROXY protocol come
// for others, whom they will name.
func (c *crowd) bound(l net.Listener, speakers proxy.Peers) *boundListener {
	return &boundListener{Listener: l, crowd: c, speakers: speakers, arrivals: make(chan arrival), closed: make(chan struct{}), ended: make(chan struct{})}
}

// boundListener accepts in a goroutine of its own, so that who waits without being served
// can come in beside who has just arrived.
type boundListener struct {
	net.Listener
	crowd    *crowd
	speakers proxy.Peers
	begin    sync.Once
	arrivals chan arrival
	once     sync.Once
	closed   chan struct{}
	ended    chan struct{} // closed behind the last arrival
}

type arrival struct {
	conn *boundConn
	err  error
}

// Accept waits until there is room for who has come. Who was accepted before Close is
// still returned: a socket that systemd keeps has lost them already.
func (l *boundListener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.receive() })
	select {
	case a := <-l.arrivals:
		if a.err != nil {
			return nil, a.err
		}
		return a.conn, nil
	case <-l.ended:
		return nil, net.ErrClosed
	}
}

// receive accepts until nobody listens any more. Whoever calls Accept hears of errors,
// and decides whether to go on.
func (l *boundListener) receive() {
	defer close(l.ended)
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.arrivals <- arrival{err: err}:
				continue
			case <-l.closed:
				return
			}
		}
		conn := l.newcomer(accepted)
		switch l.crowd.enter(conn) {
		case seated:
			l.deliver(conn)
		case refused:
			conn.refuse()
		case gone:
			_ = conn.Close()
			return
		case wait, patient: // it comes with admit
		}
	}
}

// lastAccept is how long somebody may take to call Accept when the listener is closed. It is
// over if nobody does.
const lastAccept = 10 * time.Second

// deliver hands over a connection that has a place, and closes it where nobody takes it.
func (l *boundListener) deliver(conn *boundConn) {
	select {
	case l.arrivals <- arrival{conn: conn}:
		return
	case <-l.closed:
	}
	select {
	case l.arrivals <- arrival{conn: conn}:
	case <-time.After(lastAccept):
		_ = conn.Close()
	}
}

func (l *boundListener) newcomer(accepted net.Conn) *boundConn {
	addr := accepted.RemoteAddr()
	conn := &boundConn{Conn: accepted, listener: l}
	conn.place.value = conn
	conn.network, conn.exempt = networkOf(addr)
	switch {
	case l.speakers.Hold(addr):
		conn.network, conn.exempt = rate.Key{}, true
	case l.crowd.trusted.Load().Hold(addr):
		conn.exempt = true
	}
	return conn
}

// Close ends an Accept that waits for room, and those that wait for a place.
func (l *boundListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	err := l.Listener.Close()
	for _, conn := range l.crowd.abandoned(l) {
		_ = conn.Close()
	}
	return err
}

func (c *crowd) abandoned(l *boundListener) []*boundConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*boundConn
	for e := c.waiting.first; e != nil; e = e.behind {
		if e.value.listener == l {
			all = append(all, e.value)
		}
	}
	return all
}

// admitEach is how often places are looked for for those that wait unserved, and
// admitMost how many of them get one at once.
const (
	admitEach = 20 * time.Millisecond
	admitMost = 256
)

// admitLater calls admit. The crowd is locked.
func (c *crowd) admitLater() {
	if !c.due {
		c.due = true
		time.AfterFunc(admitEach, c.admit)
	}
}

// admit serves those that have waited for it, the first ones first.
func (c *crowd) admit() {
	var in, out []*boundConn
	c.mu.Lock()
	for range min(admitMost, c.waiting.size) {
		conn := c.waiting.first.value
		c.waiting.remove(&conn.place)
		if conn.hasGone() {
			out = append(out, conn)
			continue
		}
		got, instead := c.seat(conn)
		if got != seated {
			c.waiting.push(&conn.place)
			if got == patient && c.boundOf(conn) == ofAll {
				break // nor will another one have a place, or few
			}
			continue
		}
		in = append(in, conn)
		if instead != nil {
			out = append(out, instead)
		}
	}
	c.mu.Unlock()
	for _, conn := range out {
		_ = conn.Close()
	}
	for _, conn := range in {
		conn.listener.deliver(conn)
	}
	c.mu.Lock()
	c.due = false
	if c.waiting.size > 0 {
		c.admitLater()
	}
	c.mu.Unlock()
}

// hasGone tells whether the client has closed the connection, without reading what
// it has sent.
func (c *boundConn) hasGone() bool {
	n, err := peek(c)
	return n == 0 || err != nil
}

// placeOf finds our connection below what others have put around it.
func placeOf(conn net.Conn) *boundConn {
	for conn != nil {
		if place, ok := conn.(*boundConn); ok {
			return place
		}
		conn = within(conn)
	}
	return nil
}

// within is what a connection was put around; nil is nothing.
func within(conn net.Conn) net.Conn {
	switch outer := conn.(type) {
	case *lazyConn:
		return outer.Conn
	case *boundConn:
		return outer.Conn
	case *tls.Conn:
		return outer.NetConn()
	case *namedConn:
		return outer.Raw()
	case *proxyproto.Conn:
		return outer.Raw()
	}
	return nil
}

// networkOf is the zero Key for whoever has no address, such as a socket file: of those
// nobody knows how many they come for.
func networkOf(addr net.Addr) (network rate.Key, unknown bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return rate.Key{}, true
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	if !ok {
		return rate.Key{}, true
	}
	return rate.Network(ip), false
}
