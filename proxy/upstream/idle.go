package upstream

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// idleError is what the reader of a body gets that paused for too long.
type idleError struct {
	upstream string
	after    time.Duration
}

func (e *idleError) Error() string {
	return fmt.Sprintf("upstream %s sent nothing more of the body for %v (idle timeout)", e.upstream, e.after)
}

// watch bounds the pauses in the body of an answer. A tunnel has none.
func (l *Line) watch(answer *http.Response) *http.Response {
	if l.bounds.idle == 0 || answer.StatusCode == http.StatusSwitchingProtocols || answer.Body == http.NoBody {
		return answer
	}
	w := &watched{ReadCloser: answer.Body, line: l, born: time.Now()}
	w.timer = time.AfterFunc(time.Hour, w.look) // the first Read says when
	answer.Body = w
	return answer
}

// watched is a body whose pauses are bounded. The clock runs while somebody reads,
// not while a slow client takes its time.
type watched struct {
	io.ReadCloser
	line  *Line
	timer *time.Timer // it looks when it is due, and is not moved for each Read
	begun bool        // a Read
	born  time.Time
	since atomic.Int64 // when the Read began that waits, in ns behind born, at least 1; 0: nobody reads
	over  atomic.Bool  // nobody will read
	fired atomic.Bool
}

// look ends a Read that has waited too long, and otherwise comes again when that may be.
func (w *watched) look() {
	left := w.line.bounds.idle
	if since := w.since.Load(); since > 0 {
		left -= time.Since(w.born) - time.Duration(since)
	}
	switch {
	case w.over.Load():
	case left > 0:
		w.timer.Reset(left)
	default:
		w.fired.Store(true)
		_ = w.ReadCloser.Close() // ends the Read
	}
}

func (w *watched) Read(p []byte) (int, error) {
	w.since.Store(max(1, int64(time.Since(w.born))))
	if !w.begun {
		w.begun = true
		w.timer.Reset(w.line.bounds.idle)
	}
	n, err := w.ReadCloser.Read(p)
	w.since.Store(0)
	if err != nil {
		w.end()
		if err != io.EOF && w.fired.Load() {
			err = &idleError{w.line.upstream.name, w.line.bounds.idle}
		}
	}
	return n, err
}

// end stops the clock, also one that is just being set anew: it will see that it is over.
func (w *watched) end() {
	w.over.Store(true)
	w.timer.Stop()
}

func (w *watched) Close() error {
	w.end()
	return w.ReadCloser.Close()
}
