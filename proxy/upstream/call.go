package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Line is a way to an upstream with certain timeouts.
type Line struct {
	upstream   *Upstream
	bounds     bounds
	transports []transport // one for each server
}

// Upstream is where the line leads.
func (l *Line) Upstream() *Upstream { return l.upstream }

// Idle is how long the body of an answer may pause; 0 is for ever.
func (l *Line) Idle() time.Duration { return l.bounds.idle }

// Call sends one request through a Line; it is used once, and Close ends it. It is
// an http.RoundTripper that, other than that promises, sets the request's URL.Scheme
// and URL.Host to the server's, and its Body.
type Call struct {
	Line *Line
	Key  uint64 // see Key; only sticky looks at it

	server *server // that has the request
	held   bool    // a slot
	tries  int     // how many servers were asked
}

// Once tells whether no more than one server was asked, so that nobody is left who may still
// be busy with sending the request to another.
func (c *Call) Once() bool { return c.tries <= 1 }

// maxTries is how many servers are asked for one request.
const maxTries = 3

var errNoneHealthy = errors.New("no server is healthy")

// RoundTrip sends the request to a server, and to another one if nothing can happen
// twice by that. Errors are for Explain.
func (c *Call) RoundTrip(out *http.Request) (*http.Response, error) {
	u := c.Line.upstream
	if u.health.Path != "" && !u.asked.Load() {
		u.ask()
	}
	ctx := out.Context()
	if err := u.slots.take(ctx, c.Line.bounds.connect); err != nil {
		return nil, err
	}
	c.held = true

	var sent *body
	if out.Body != nil && out.Body != http.NoBody {
		sent = &body{from: out.Body}
	}
	var tried uint64
	var failed error
	for range maxTries {
		i := u.pick(c.Key, tried)
		if i < 0 {
			break
		}
		s := u.servers[i]
		tried |= 1 << i
		c.tries++
		if failed != nil {
			out = again(out)
		}
		out.URL.Scheme, out.URL.Host = s.endpoint.wire(), s.endpoint.host
		if sent != nil && !sent.attach(out) {
			break
		}
		s.inFlight.Add(1)
		answer, err := c.Line.transports[i].RoundTrip(out)
		if err == nil {
			s.answered(u)
			c.server = s
			return c.Line.watch(answer), nil
		}
		s.inFlight.Add(-1)
		failed = err
		if !u.judge(ctx, s, out, sent, err) {
			break
		}
	}
	if failed == nil {
		failed = errNoneHealthy
	}
	return nil, failed
}

// Close says that nothing more of the answer will be read.
func (c *Call) Close() {
	if c.server != nil {
		c.server.inFlight.Add(-1)
		c.server = nil
	}
	if c.held {
		c.held = false
		c.Line.upstream.slots.leave()
	}
}

// judge finds whose fault err is, and whether another server may be asked.
func (u *Upstream) judge(ctx context.Context, s *server, out *http.Request, sent *body, err error) (retry bool) {
	if sent != nil && sent.failed() {
		return false // the client did not send it
	}
	failure := Explain(ctx, err)
	switch failure {
	case Refused, Unreachable, NameUnknown, ConnectTimeout, TLSFailed, Closed, FirstByteTimeout:
		if s.broke(u) {
			u.logger.WarnContext(ctx, "server left out for a while", slog.String("upstream", u.name),
				slog.String("server", s.endpoint.url), slog.String("failure", string(failure)))
		}
	default:
		return false
	}
	return unsent(err) || u.idempotent && failure == Closed && isIdempotent(out.Method)
}

// unsent reports whether err came before anything of a request was sent. It goes by
// types, and where there is none by the whole text: parts of it a server may choose.
func unsent(err error) bool {
	_, connecting := errors.AsType[*notConnected](err)
	_, verifying := errors.AsType[*tls.CertificateVerificationError](err)
	return connecting || verifying || err.Error() == "net/http: TLS handshake timeout"
}

// isIdempotent: RFC 9110, section 9.2.2.
func isIdempotent(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// again is a copy to be sent elsewhere; somebody may still look at the first.
func again(out *http.Request) *http.Request {
	next := *out
	url := *out.URL
	next.URL = &url
	return &next
}
