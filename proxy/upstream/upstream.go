package upstream

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Upstream is a backend that requests can be sent to. It is immutable and safe for
// concurrent use.
type Upstream struct {
	name      string
	target    *url.URL
	transport *http.Transport
}

// New checks cfg and returns the upstream of that name. The error joins every
// Fault found. Nothing is connected to before the first request.
func New(name string, cfg Config) (*Upstream, error) {
	at := "upstreams." + name
	target, err := parseURL(at+".url", cfg.URL)
	faults := []error{err}

	duration := func(key string, value *time.Duration, otherwise time.Duration) time.Duration {
		if value == nil {
			return otherwise
		}
		if *value < 0 {
			faults = append(faults, &Fault{
				At:      at + "." + key,
				Problem: fmt.Sprintf("%v is negative", *value),
				Fix:     "write a time such as " + otherwise.String() + ", or 0s for none",
			})
		}
		return *value
	}
	limits := limits{
		connect:   duration("timeouts.connect", cfg.Timeouts.Connect, DefaultConnect),
		firstByte: duration("timeouts.first_byte", cfg.Timeouts.FirstByte, DefaultFirstByte),
		keepAlive: duration("keep_alive", cfg.KeepAlive, DefaultKeepAlive),
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Upstream{name: name, target: target, transport: newTransport(target.Scheme, limits)}, nil
}

// Name is the upstream's key in the configuration.
func (u *Upstream) Name() string { return u.name }

// Target is the scheme and host that requests go to; its path is empty. It must
// not be changed.
func (u *Upstream) Target() *url.URL { return u.target }

// Transport sends requests to the upstream.
func (u *Upstream) Transport() http.RoundTripper { return u.transport }

// CloseIdle closes the connections that no request is using.
func (u *Upstream) CloseIdle() { u.transport.CloseIdleConnections() }

// Fault is something wrong in the configuration, at a key of the file.
type Fault struct {
	At      string // "upstreams.app.url"
	Problem string // what is wrong, with the value at fault
	Fix     string // what to write instead
}

// Error is the problem and its remedy.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the path of the key at fault in the file.
func (f *Fault) Field() string { return f.At }

// parseURL reads `url`. It is strict because each thing that it could tolerate
// would be a guess at what the operator means: a path, above all, would make the
// forwarded path differ from the matched one.
func parseURL(at, raw string) (*url.URL, error) {
	fault := func(fix, problem string, args ...any) error {
		return &Fault{At: at, Problem: fmt.Sprintf(problem, args...), Fix: fix}
	}
	const form = "write it as http://host:port"
	if raw == "" {
		return nil, fault("write where it listens, for example http://127.0.0.1:8000", "the upstream has no url")
	}
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the value, which may hold a password.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		if !strings.Contains(raw, "://") {
			return nil, fault("write http://"+withoutUser(raw), "%q has no scheme", withoutUser(raw))
		}
		return nil, fault(form, "%q is not a URL: %v", withoutUser(raw), err)
	}
	switch {
	case u.User != nil:
		// Not repeated in the message: what stands there is most likely a password.
		return nil, fault("write it without the part before @", "the url holds a user")
	case !strings.Contains(raw, "://"):
		return nil, fault("write http://"+withoutUser(raw), "%q has no scheme", withoutUser(raw))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fault("http:// and https:// are supported", "the scheme %q of %q is not known", u.Scheme, raw)
	case u.Hostname() == "":
		return nil, fault(form, "%q has no host", raw)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fault("write "+u.Scheme+"://"+u.Host, "%q holds a query or fragment", raw)
	case u.Path == "/" || u.Path == "":
	default:
		return nil, fault("write "+u.Scheme+"://"+u.Host+"; paths are changed by strip_prefix on a route",
			"%q holds a path", raw)
	}
	if !validHostname(u.Hostname()) {
		return nil, fault(form, "%q is not a host name or address", u.Hostname())
	}
	if strings.HasSuffix(u.Host, ":") {
		return nil, fault(form, "%q has a colon without a port", raw)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return nil, fault("ports are 1 to 65535", "%q is not a port", port)
		}
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
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
