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
	w := &watched{ReadCloser: answer.Body, line: l}
	w.timer = time.AfterFunc(time.Hour, w.late)
	w.timer.Stop()
	answer.Body = w
	return answer
}

// watched is a body whose pauses are bounded. The clock runs while somebody reads,
// not while a slow client takes its time.
type watched struct {
	io.ReadCloser
	line  *Line
	timer *time.Timer
	fired atomic.Bool
}

func (w *watched) late() {
	w.fired.Store(true)
	_ = w.ReadCloser.Close() // ends the Read
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(w.line.bounds.idle)
	n, err := w.ReadCloser.Read(p)
	w.timer.Stop()
	if err != nil && err != io.EOF && w.fired.Load() {
		err = &idleError{w.line.upstream.name, w.line.bounds.idle}
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
