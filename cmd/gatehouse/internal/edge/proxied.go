package edge

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"gatehouse/proxy"
)

// errNotTCP is a header for something that no listener of ours has accepted.
var errNotTCP = errors.New("the PROXY header is not about a TCP connection")

// proxied reads a PROXY header, which must be there, from each connection of the
// speakers. It is read by whoever asks the connection who it is, which net/http does in
// a goroutine of its own, and within the time. Others are not looked at: their
// header would be no HTTP, and no TLS.
func proxied(l net.Listener, speakers proxy.Peers, within time.Duration) net.Listener {
	return namedListener{&proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: within,
		ConnPolicy: func(conn proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if speakers.Hold(conn.Upstream) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
		ValidateHeader: tcpOnly,
	}}
}

// namedListener has the crowd hear of whom a connection is.
type namedListener struct{ net.Listener }

func (l namedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if named, ok := conn.(*proxyproto.Conn); ok && err == nil {
		return &namedConn{Conn: named}, nil
	}
	return conn, err
}

// namedConn is a connection with a PROXY header.
type namedConn struct {
	*proxyproto.Conn
	once sync.Once
}

// RemoteAddr is the client. It reads the header, and the connection is closed where
// that client has too many: net/http asks before it reads anything, and in a goroutine of its own.
func (c *namedConn) RemoteAddr() net.Addr {
	addr := c.Conn.RemoteAddr()
	c.once.Do(func() {
		place, ok := c.Raw().(*boundConn)
		if !ok || addr == place.RemoteAddr() { // a load balancer that comes for itself
			return
		}
		if network, unknown := networkOf(addr); !unknown && !place.listener.crowd.tell(place, network) {
			place.refuse()
		}
	})
	return addr
}

// tcpOnly accepts headers about TCP, those of connections that the proxy itself makes
// (LOCAL), and UNKNOWN of version 1; the latter two keep the proxy's address. A
// header about a socket file would make a client one whom `unix` trusts.
func tcpOnly(header *proxyproto.Header) error {
	switch {
	case header.Command.IsLocal():
		return nil
	case header.TransportProtocol == proxyproto.TCPv4, header.TransportProtocol == proxyproto.TCPv6:
		return nil
	case header.Version == 1 && header.TransportProtocol == proxyproto.UNSPEC:
		return nil
	}
	return errNotTCP
}
