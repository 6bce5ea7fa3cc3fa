package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// What may be wrong with a body while it is forwarded, beside its size.
var (
	errSlowBody   = fmt.Errorf("the client paused while it sent the body: %w", os.ErrDeadlineExceeded) // endpoints know it by this
	errBrokenBody = errors.New("the body cannot be read")
)

// afterRefusal is how long what is left of a refused request's body is waited for,
// so that the connection can be used again.
const afterRefusal = 2 * time.Second

// body bounds how long each part of a request's body is waited for, and all of them
// together. Without it a client that never ends its body, or sends a letter now and
// then, holds a connection, ours and an upstream's.
type body struct {
	io.ReadCloser
	connection *http.ResponseController
	pause      time.Duration
	rate       int64 // bytes in a second, at least, behind the first pause; 0: no bound

	reading sync.Mutex
	err     error         // what ended it: io.EOF, or why it is not whole
	waited  time.Duration // for what has come
	came    int64         // bytes
	until   time.Time     // the deadline that is set
}

// patience is how long the next part is waited for. Only waiting counts: who reads
// slowly what the client has sent long ago is an upstream.
func (b *body) patience() time.Duration {
	if b.rate <= 0 {
		return b.pause
	}
	earned := time.Duration(float64(b.came) / float64(b.rate) * float64(time.Second))
	return min(b.pause, b.pause+earned-b.waited)
}

func (b *body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	began := time.Now()
	// A deadline that is set, and comes a little too early, is as good as a new one.
	if until := began.Add(b.patience()); b.until.IsZero() || until.Before(b.until) || until.Sub(b.until) >= b.pause/patienceGrain {
		b.until = until
		_ = b.connection.SetReadDeadline(until)
	}
	n, err := b.ReadCloser.Read(p)
	b.waited += time.Since(began)
	b.came += int64(n)
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil, tooLarge:
	case err == io.EOF: //nolint:errorlint // io.Reader's own
		// From here on the connection is only watched for the client's leaving.
		_ = b.connection.SetReadDeadline(time.Time{})
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errSlowBody
	default:
		err = fmt.Errorf("%w: %w", errBrokenBody, err)
	}
	if err != nil {
		b.err = err
	}
	return n, err
}

// fault is what is wrong with the body, if it is the body that broke the request.
// net/http cancels a request whose body cannot be read, and the transport may
// notice that before it is told why.
func (b *body) fault(canceled bool) error {
	if b == nil {
		return nil
	}
	if canceled {
		_ = b.connection.SetReadDeadline(time.Now()) // whoever reads is on their way out
		b.reading.Lock()
	} else if !b.reading.TryLock() {
		return nil // it is still coming
	}
	defer b.reading.Unlock()
	if b.err == io.EOF { //nolint:errorlint // io.Reader's own
		return nil
	}
	return b.err
}

// halfRead reports whether what comes next on the connection is not the next request.
func (b *body) halfRead() bool {
	if b == nil {
		return false
	}
	if !b.reading.TryLock() {
		return true
	}
	defer b.reading.Unlock()
	return b.err != io.EOF //nolint:errorlint // io.Reader's own
}

// guardBody returns the request with a body that is bounded in time and size. It is
// a copy: net/http looks at in.Body to find out what it must do about a body that nobody
// has read.
func (g *Gateway) guardBody(out *recorder, in *http.Request) *http.Request {
	if in.Body == nil || in.Body == http.NoBody {
		return in
	}
	guarded := in.Body
	if in.ContentLength < 0 && g.maxBody > 0 {
		// A stated length has been checked; this one is found out on the way.
		guarded = http.MaxBytesReader(out.ResponseWriter, guarded, g.maxBody)
	}
	b := &body{ReadCloser: guarded, connection: http.NewResponseController(out.ResponseWriter), pause: g.pause, rate: g.bodyRate}
	if isGRPC(in) { // a stream of little messages is as it should be
		b.rate = 0
	}
	bounded := in.WithContext(in.Context())
	bounded.Body = b
	out.body = b
	return bounded
}

// leaveBody prepares for an answer to a request whose body nobody reads. net/http
// skips a small rest of it before it answers, and waits for that no longer than this.
func leaveBody(w http.ResponseWriter, in *http.Request) {
	if in.Body != nil && in.Body != http.NoBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(afterRefusal))
	}
}
