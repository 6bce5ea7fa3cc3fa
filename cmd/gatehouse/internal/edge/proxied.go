package edge

import (
	"errors"
	"net"
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
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: within,
		ConnPolicy: func(conn proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if speakers.Hold(conn.Upstream) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
		ValidateHeader: tcpOnly,
	}
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
