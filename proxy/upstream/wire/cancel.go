package wire

import (
	"context"
	"sync"
	"time"
)

// watchAfter is how long an exchange takes, up to twice, before somebody watches whether its
// request is canceled.
const watchAfter = 50 * time.Millisecond

// watch hangs up on the servers of requests that are canceled. To tell a context of each
// request, and to tell it otherwise when it is answered a moment later, costs more than to read
// the head of the answer. So one timer, which runs only beside exchanges, does that
// for those that it meets a second time. By then no client of HTTP/1.1 can have left that
// anybody knows of: whether one is still there is not looked at any earlier.
//
// The zero value watches nothing.
type watch struct {
	mu    sync.Mutex
	young []*conn // in exchanges of which no context was told
	timer *time.Timer
	runs  bool
}

// watched is what a connection knows of it, under the lock of the watch.
type watched struct {
	ctx  context.Context //nolint:containedctx // of the exchange; nil: there is none to watch, or it was told
	at   int             // among the young
	seen bool            // by the timer
	stop func() bool     // what the context has said; nil: it was not told
}

// begin watches the exchange of a connection.
func (w *watch) begin(ctx context.Context, c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.watched = watched{ctx: ctx, at: len(w.young)}
	w.young = append(w.young, c)
	if w.runs {
		return
	}
	w.runs = true
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.sweep)
	} else {
		w.timer.Reset(watchAfter)
	}
}

// end ends that. It returns false where the connection is being closed.
func (w *watch) end(c *conn) bool {
	w.mu.Lock()
	stop := c.watched.stop
	c.watched.stop = nil
	if c.watched.ctx != nil {
		w.forget(c)
	}
	w.mu.Unlock()
	return stop == nil || stop()
}

// sweep has the contexts told of those that it has met before.
func (w *watch) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.young) - 1; i >= 0; i-- { // forget puts the last, which was looked at, in the place of another
		c := w.young[i]
		if !c.watched.seen {
			c.watched.seen = true
			continue
		}
		c.watched.stop = context.AfterFunc(c.watched.ctx, c.hang)
		w.forget(c)
	}
	if w.runs = len(w.young) > 0; w.runs {
		w.timer.Reset(watchAfter)
	}
}

// forget takes a connection from the young.
func (w *watch) forget(c *conn) {
	last := len(w.young) - 1
	other := w.young[last]
	w.young[c.watched.at] = other
	other.watched.at = c.watched.at
	w.young[last] = nil
	w.young = w.young[:last]
	c.watched.ctx = nil
}
