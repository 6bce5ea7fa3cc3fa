package upstream

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// endpoint is where one server listens.
type endpoint struct {
	url    string // as it would be written
	scheme string // http, https, h2c or unix
	host   string // with the port, if one was given; "localhost" for a socket
	socket string // the file of unix
}

// wire is the scheme in the URL of a request.
func (e endpoint) wire() string {
	if e.scheme == "https" {
		return "https"
	}
	return "http"
}

// address is where http is listened to.
func (e endpoint) address() string {
	u := url.URL{Host: e.host}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80"))
}

// endpoints reads `url` or `urls`.
func (c *compiler) endpoints(cfg Config) []endpoint {
	if cfg.URL != "" && cfg.URLs != nil {
		c.fault("urls", "write all servers into urls", "url and urls are both there")
		return nil
	}
	if cfg.URLs == nil {
		e, err := parseURL(c.at+".url", cfg.URL)
		if err != nil {
			c.faults = append(c.faults, err)
		}
		return []endpoint{e}
	}
	if n := len(cfg.URLs); n == 0 || n > maxServers {
		c.fault("urls", fmt.Sprintf("write 1 to %d", maxServers), "%d servers are named", n)
		return nil
	}
	var list []endpoint
	for i, raw := range cfg.URLs {
		e, err := parseURL(fmt.Sprintf("%s.urls[%d]", c.at, i), raw)
		if err != nil {
			c.faults = append(c.faults, err)
			continue
		}
		for _, other := range list {
			if other.url == e.url {
				c.fault(fmt.Sprintf("urls[%d]", i), "take one out", "the server %s is named twice", e.url)
			}
		}
		list = append(list, e)
	}
	return list
}

// parseURL reads the URL of a server. It is strict because each thing that it could
// tolerate would be a guess at what the operator means: a path, above all, would
// make the forwarded path differ from the matched one.
func parseURL(at, raw string) (endpoint, error) {
	fault := func(fix, problem string, args ...any) (endpoint, error) {
		return endpoint{}, &Fault{At: at, Problem: fmt.Sprintf(problem, args...), Fix: fix}
	}
	const form = "write it as http://host:port"
	if raw == "" {
		return fault("write where it listens, for example http://127.0.0.1:8000", "the upstream has no url")
	}
	if scheme, file, ok := strings.Cut(raw, "://"); ok && strings.EqualFold(scheme, "unix") {
		// Not url.Parse: a file name may hold what a URL must not.
		if !strings.HasPrefix(file, "/") || path.Clean(file) != file || strings.ContainsAny(file, "\x00?#") {
			return fault("write it as unix:///run/app.sock", "%q is not the full path of a socket file", raw)
		}
		return endpoint{url: "unix://" + file, scheme: "unix", host: "localhost", socket: file}, nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the value, which may hold a password.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		if !strings.Contains(raw, "://") {
			return fault("write http://"+withoutUser(raw), "%q has no scheme", withoutUser(raw))
		}
		return fault(form, "%q is not a URL: %v", withoutUser(raw), err)
	}
	switch {
	case u.User != nil:
		// Not repeated in the message: what stands there is most likely a password.
		return fault("write it without the part before @", "the url holds a user")
	case !strings.Contains(raw, "://"):
		return fault("write http://"+withoutUser(raw), "%q has no scheme", withoutUser(raw))
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return fault("http://, https://, h2c:// and unix:// are supported", "the scheme %q of %q is not known", u.Scheme, raw)
	case u.Hostname() == "":
		return fault(form, "%q has no host", raw)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fault("write "+u.Scheme+"://"+u.Host, "%q holds a query or fragment", raw)
	case u.Path == "/" || u.Path == "":
	default:
		return fault("write "+u.Scheme+"://"+u.Host+"; paths are changed by strip_prefix on a route",
			"%q holds a path", raw)
	}
	if !validHostname(u.Hostname()) {
		return fault(form, "%q is not a host name or address", u.Hostname())
	}
	if strings.HasSuffix(u.Host, ":") {
		return fault(form, "%q has a colon without a port", raw)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fault("ports are 1 to 65535", "%q is not a port", port)
		}
	}
	return endpoint{url: u.Scheme + "://" + u.Host, scheme: u.Scheme, host: u.Host}, nil
}

// withoutUser cuts what stands before an @, for messages.
func withoutUser(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		return raw[i+1:]
	}
	return raw
}

// validHostname accepts addresses and names of letters, digits, dots, dashes and
// the underscore, which container networks use.
func validHostname(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// Server is where one server of an upstream listens, for who speaks to it without an
// Upstream.
type Server struct {
	URL     string      // as it would be written
	Network string      // "tcp" or "unix"
	Address string      // host:port, or a file
	Host    string      // for the header
	TLS     *tls.Config // nil: none
	HTTP2   bool        // nothing else is spoken there
}

// Servers reads where the servers of an upstream listen. The error joins every *Fault.
func Servers(name string, cfg Config) ([]Server, error) {
	c := &compiler{at: "upstreams." + name}
	endpoints := c.endpoints(cfg)
	secure := c.tls(cfg.TLS, endpoints)
	if err := errors.Join(c.faults...); err != nil {
		return nil, err
	}
	var list []Server
	for _, e := range endpoints {
		s := Server{URL: e.url, Network: "tcp", Address: e.address(), Host: e.host, HTTP2: e.scheme == "h2c"}
		switch e.scheme {
		case "unix":
			s.Network, s.Address = "unix", e.socket
		case "https":
			u := url.URL{Host: e.host}
			s.Address = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443"))
			s.TLS = secure.Clone()
			s.TLS.ServerName = cmp.Or(s.TLS.ServerName, u.Hostname())
		}
		list = append(list, s)
	}
	return list, nil
}
