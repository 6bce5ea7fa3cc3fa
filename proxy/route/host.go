package route

import (
	"errors"
	"net/netip"
	"strings"
)

// BadHost is a Host that cannot be one: a 400.
type BadHost struct {
	Reason string // a sentence from a fixed set
}

func (e *BadHost) Error() string { return "bad host: " + e.Reason }

// The reasons of a BadHost.
const (
	badLabel     = "a label of the name is empty or longer than 63 bytes"
	badHostByte  = "a byte that does not stand in a host name"
	badPort      = "the port is not a number up to 65535"
	badLength    = "the name is longer than 253 bytes"
	badIPLiteral = "the address in brackets is not an IPv6 address"
)

// CanonicalHost gives a Host (RFC 9110, section 7.2: a name or address, perhaps with a
// port) its one spelling: lower case, without port, without the dot at its end,
// IPv6 addresses in brackets and in their short form. No host at all stays "": that is what
// HTTP/1.0 sends. An error is a *BadHost. Names are ASCII; the underscore, which
// containers like, is let through.
func CanonicalHost(host string) (string, error) {
	b, err := appendHost(nil, host)
	return string(b), err
}

// appendHost does not allocate if b has room for 256 bytes.
func appendHost(b []byte, host string) ([]byte, error) {
	if host == "" {
		return b, nil
	}
	if host[0] == '[' {
		inside, port, ok := strings.Cut(host[1:], "]")
		address, err := netip.ParseAddr(inside)
		if !ok || err != nil || !address.Is6() || address.Zone() != "" {
			return nil, &BadHost{badIPLiteral}
		}
		if port != "" && (port[0] != ':' || !validPort(port[1:])) {
			return nil, &BadHost{badPort}
		}
		return append(address.AppendTo(append(b, '[')), ']'), nil
	}
	name, port, _ := strings.Cut(host, ":")
	if !validPort(port) {
		return nil, &BadHost{badPort}
	}
	name = strings.TrimSuffix(name, ".")
	if len(name) > 253 {
		return nil, &BadHost{badLength}
	}
	label := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '.' && label == 0:
			return nil, &BadHost{badLabel}
		case c == '.':
			label = -1
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return nil, &BadHost{badHostByte}
		}
		if label++; label > 63 {
			return nil, &BadHost{badLabel}
		}
		b = append(b, c)
	}
	if label == 0 {
		return nil, &BadHost{badLabel}
	}
	return b, nil
}

// validPort accepts an empty port, too: RFC 3986, section 3.2.3.
func validPort(port string) bool {
	if len(port) > 5 {
		return false
	}
	n := 0
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return false
		}
		n = 10*n + int(port[i]-'0')
	}
	return n <= 65535
}

// hostPattern is a host as written on a route: one name, all below a name, or any.
type hostPattern struct {
	name string // canonical; "" is any host
	wild bool
}

func (h hostPattern) String() string {
	if h.wild {
		return "*." + h.name
	}
	return h.name
}

// parseHost reads a host of the configuration. On a fault it says what to write.
func parseHost(text string) (h hostPattern, problem, fix string) {
	name, wild := strings.CutPrefix(text, "*.")
	switch {
	case text == "":
		return h, "the host is empty", "leave host out for any host"
	case text == "*":
		return h, "\"*\" is not a host", "leave host out for any host"
	case strings.Contains(name, "*"):
		fix = "write a name such as app.example.com or *.example.com"
		if rest := strings.TrimLeft(name[strings.LastIndexByte(name, '*')+1:], "-."); rest != "" {
			fix = "write " + quote("*."+rest)
		}
		return h, "a * stands only in front of a host, for one or more labels", fix
	case strings.Contains(name, "/"):
		_, rest, isURL := strings.Cut(name, "://")
		if !isURL {
			rest = name
		}
		rest, _, _ = strings.Cut(rest, "/")
		return h, "a host has no scheme and no path", "write \"" + rest + "\", and the path under path"
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			return h, "a host outside ASCII", "write its xn-- form (punycode), as it stands in DNS"
		}
	}
	if strings.Count(name, ":") > 1 && name[0] != '[' {
		return h, "an IPv6 address without brackets", "write \"[" + name + "]\""
	}
	canonical, err := CanonicalHost(name)
	if err != nil || canonical == "" {
		bad := &BadHost{badLabel}
		errors.As(err, &bad)
		return h, bad.Reason, "write a name such as app.example.com or *.example.com"
	}
	if port := name[strings.LastIndexByte(name, ']')+1:]; strings.Contains(port, ":") {
		return h, "the port is no part of the host that is matched", "write \"" + strings.TrimSuffix(text, port[strings.IndexByte(port, ':'):]) + "\""
	}
	if wild && canonical[0] == '[' {
		return h, "there is nothing below an address", "write \"" + canonical + "\""
	}
	return hostPattern{canonical, wild}, "", ""
}
