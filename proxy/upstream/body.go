package upstream

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

// maxKept is how much of a request's body is kept until it is certain that it was
// sent: what net/http gathers before the first byte leaves.
const maxKept = 4 << 10

// body is the body of a request that may have to be sent on another connection,
// because of the first one nothing was taken. It is read by one attempt at a time.
type body struct {
	from io.ReadCloser

	mu      sync.Mutex
	now     *attempt
	kept    []byte
	lost    bool  // more was read than is kept
	reading bool  // an attempt waits for the client
	err     error // of the client, other than io.EOF
	ended   bool
}

// attempt is the body as one connection reads it.
type attempt struct {
	of *body
	at int // of what is kept
}

var errSuperseded = errors.New("the body is sent elsewhere")

// attach gives out the body from its begin. It reports false if that is gone.
func (b *body) attach(out *http.Request) bool {
	next := b.next()
	if next == nil {
		return false
	}
	out.Body = next
	// net/http asks for the body again when it wrote nothing on a connection that
	// turned out dead, but also for requests that it takes for repeatable although
	// they were sent. Those it must not get.
	if isRepeatable(out) {
		return true
	}
	out.GetBody = func() (io.ReadCloser, error) {
		if next := b.next(); next != nil {
			return next, nil
		}
		return nil, errSuperseded
	}
	return true
}

// isRepeatable reports whether net/http would send a request a second time after
// it was sent a first time.
func isRepeatable(out *http.Request) bool {
	switch out.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return out.Header["Idempotency-Key"] != nil || out.Header["X-Idempotency-Key"] != nil
}

// next ends the attempt before and begins another; nil if it cannot begin at the begin.
func (b *body) next() *attempt {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost || b.reading || b.err != nil {
		return nil
	}
	b.now = &attempt{of: b}
	return b.now
}

// failed reports whether the client broke off.
func (b *body) failed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil
}

func (a *attempt) Read(p []byte) (int, error) {
	b := a.of
	b.mu.Lock()
	switch {
	case b.now != a || b.reading:
		b.mu.Unlock()
		return 0, errSuperseded
	case a.at < len(b.kept):
		n := copy(p, b.kept[a.at:])
		a.at += n
		b.mu.Unlock()
		return n, nil
	case b.ended:
		b.mu.Unlock()
		return 0, io.EOF
	}
	b.reading = true
	b.mu.Unlock()

	n, err := b.from.Read(p)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	switch {
	case b.lost:
	case len(b.kept)+n <= maxKept:
		b.kept = append(b.kept, p[:n]...)
		a.at = len(b.kept)
	default:
		b.lost, b.kept = true, nil
		a.at = 0
	}
	switch {
	case err == io.EOF:
		b.ended = true
	case err != nil:
		b.err = err
	}
	return n, err
}

// Close leaves the client's body open: another attempt may follow, and the server
// closes it when the handler returns.
func (a *attempt) Close() error { return nil }
