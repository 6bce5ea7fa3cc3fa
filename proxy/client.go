package proxy

import (
	"cmp"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Client is who sent a request and how they addressed it, as far as it can be
// believed.
type Client struct {
	Addr netip.Addr // invalid when the connection has no address (a socket file)
	Host string     // as asked for, with the port if one was given
	Port string     // "443"
	TLS  bool       // they speak https, to us or to a trusted proxy
}

// Scheme is "http" or "https".
func (c Client) Scheme() string {
	if c.TLS {
		return "https"
	}
	return "http"
}

// trusted is the set of proxies in front of us; the zero value trusts nobody.
type trusted struct{ Peers }

func newTrusted(entries []string) (trusted, []error) {
	peers, faults := ParsePeers("server.trusted_proxies", entries)
	return trusted{peers}, faults
}

// client finds out who sent the request. believed says whether the peer is a
// trusted proxy; what others say about themselves is not looked at.
func (t trusted) client(in *http.Request) (c Client, believed bool) {
	c = Client{Host: cmp.Or(in.Host, unsaidHost(in)), TLS: in.TLS != nil}
	if peer, err := netip.ParseAddrPort(in.RemoteAddr); err == nil {
		c.Addr = peer.Addr().Unmap().WithZone("")
	}
	// A socket file's other end has no address. Whether this is such a connection is
	// asked of our own end: the other one chooses what it is called.
	believed = c.Addr.IsValid() && t.holds(c.Addr) || !c.Addr.IsValid() && t.unix && ours(in) == "unix"
	if believed {
		c.Addr = t.walk(c.Addr, in.Header["X-Forwarded-For"])
		switch strings.ToLower(first(in.Header["X-Forwarded-Proto"])) {
		case "https":
			c.TLS = true
		case "http":
			c.TLS = false
		}
		if host := first(in.Header["X-Forwarded-Host"]); validHost(host) {
			c.Host = host
		}
	}
	c.Port = portOf(c.Host, c.TLS)
	if believed {
		if port := first(in.Header["X-Forwarded-Port"]); validPort(port) {
			c.Port = port
		}
	}
	return c, believed
}

// ours is the network of our end of the connection: "tcp", "unix", or "".
func ours(in *http.Request) string {
	if local, ok := in.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		return local.Network()
	}
	return ""
}

// walk goes from the peer towards the client, right to left, for as long as the
// one who speaks is trusted. Left of the first who is not, everything is hearsay.
func (t trusted) walk(addr netip.Addr, headers []string) netip.Addr {
	for i := len(headers) - 1; i >= 0; i-- {
		for rest := headers[i]; ; {
			cut := strings.LastIndexByte(rest, ',')
			next, ok := parseForwarded(strings.Trim(rest[cut+1:], " \t"))
			if !ok {
				return addr // the last one that is known
			}
			addr = next
			if !t.holds(addr) {
				return addr
			}
			if cut < 0 {
				break
			}
			rest = rest[:cut]
		}
	}
	return addr
}

// parseForwarded reads an address with or without a port, as some proxies write.
func parseForwarded(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// first is the only value of a header that must occur once; a list, or a second
// line, has been added to by someone and says nothing.
func first(values []string) string {
	if len(values) != 1 || strings.IndexByte(values[0], ',') >= 0 {
		return ""
	}
	return strings.Trim(values[0], " \t")
}

// validHost accepts name, name:port, 10.0.0.1:port and [::1]:port.
func validHost(host string) bool {
	if host == "" || len(host) > 255+6 {
		return false
	}
	if host[0] == '[' {
		end := strings.IndexByte(host, ']')
		if end < 0 {
			return false
		}
		addr, err := netip.ParseAddr(host[1:end])
		return err == nil && addr.Is6() && addr.Zone() == "" && (end == len(host)-1 || host[end+1] == ':' && validPort(host[end+2:]))
	}
	name, port, ok := strings.Cut(host, ":")
	if ok && !validPort(port) {
		return false
	}
	before := byte('.')
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.' && before != '.': // no empty label, and so not ".." either
		default:
			return false
		}
		before = c
	}
	return name != ""
}

func validPort(port string) bool {
	if port == "" || len(port) > 5 {
		return false
	}
	n := 0
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
		n = n*10 + int(port[i]-'0')
	}
	return 0 < n && n < 65536
}

// portOf is the port that the client addressed: the one in the host, or the
// scheme's. The port that we listen on is not it where ports are mapped.
func portOf(host string, tls bool) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[i+1:]
	}
	if tls {
		return "443"
	}
	return "80"
}

// remoteAddr is the client's address in the form of http.Request.RemoteAddr.
func (c Client) remoteAddr() string {
	if !c.Addr.IsValid() {
		return ""
	}
	return net.JoinHostPort(c.Addr.String(), "0")
}

// addrText is the client's address, or "" where there is none.
func (c Client) addrText() string {
	if !c.Addr.IsValid() {
		return ""
	}
	return c.Addr.String()
}

// HostName is the host of a Host header without its port, or "" if the header is not valid.
func HostName(host string) string {
	if !validHost(host) {
		return ""
	}
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[:i]
	}
	return host
}
