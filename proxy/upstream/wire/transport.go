package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config is how a Transport works.
type Config struct {
	// Dial connects. Its errors are returned as they are.
	Dial func(ctx context.Context) (net.Conn, error)

	// Otherwise has the requests that this package does not send. Required.
	Otherwise *http.Transport

	KeepAlive time.Duration // of a connection that nobody uses; above 0
	MaxIdle   int           // such connections that are kept
	FirstByte time.Duration // from the request sent to the head of the answer, to within a sixteenth; 0 is no bound
	MaxHead   int64         // bytes of the head of an answer, informational ones included
}

// What an answer may be broken by, beside the errors of the network. An error of
// RoundTrip that is none of these, not the context's and no error of the network is
// one of Dial.
var (
	ErrMalformed    = errors.New("the answer is not valid HTTP")
	ErrHeadTooLarge = errors.New("the head of the answer is too large")
)

// ErrFirstByte is the end of FirstByte. Its Timeout is true.
var ErrFirstByte error = lateError{}

type lateError struct{}

func (lateError) Error() string   { return "timeout awaiting the head of the answer" }
func (lateError) Timeout() bool   { return true }
func (lateError) Temporary() bool { return true }

// Transport is an http.RoundTripper for one server. It is safe for concurrent use.
type Transport struct {
	cfg   Config
	watch watch

	mu      sync.Mutex
	idle    []*conn     // the longest unused first
	sweeper *time.Timer // runs while there are any
	closing bool        // since CloseIdleConnections, until the next request
}

// New makes a Transport. It connects to nothing.
func New(cfg Config) *Transport { return &Transport{cfg: cfg} }

// RoundTrip sends a request and returns its answer as http.Transport does, with
// this limit: of httptrace, Got1xxResponse alone is heeded.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var few [fewFields]field
	fields, ok := suits(req, few[:0])
	if !ok {
		return t.cfg.Otherwise.RoundTrip(req)
	}
	ctx := req.Context()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		c, err := t.get(ctx)
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, err
		}
		answer, err := c.exchange(ctx, req, fields)
		if err == nil {
			return answer, nil
		}
		if !c.mayRepeat(req, err) {
			return nil, err
		}
	}
}

// mayRepeat tells whether a request that failed on a connection may be sent on
// another one. Only on a connection that was used before: it may have been closed
// just then, and a server that hangs up on a fresh one does it again. If something
// was written, the server may have acted on it, and only a request that does no harm
// twice is sent again.
func (c *conn) mayRepeat(req *http.Request, err error) bool {
	var unanswered *unansweredError
	return c.used && errors.As(err, &unanswered) && (!c.wrote || replayable(req))
}

// unansweredError is one that came before the first byte of an answer, other than by
// a clock or the caller.
type unansweredError struct{ error }

func (e *unansweredError) Unwrap() error { return e.error }

// replayable is what net/http calls so.
func replayable(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return req.Header["Idempotency-Key"] != nil || req.Header["X-Idempotency-Key"] != nil
}
