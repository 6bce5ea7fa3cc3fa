package wire

import (
	"context"
	"time"
)

// sweepEvery is how often unused connections are looked at, at least.
const sweepEvery = time.Second

// get takes the connection that was used last, or connects.
func (t *Transport) get(ctx context.Context) (*conn, error) {
	for {
		c := t.take()
		if c == nil {
			break
		}
		// One with a stream is looked at when it is asked.
		if time.Since(c.since) < t.cfg.KeepAlive && (c.stream != nil || c.silent()) {
			return c, nil
		}
		c.hang()
	}
	n, err := t.cfg.Dial(undated{ctx})
	if err != nil {
		return nil, err
	}
	return t.newConn(n), nil
}

// undated is a context without its deadline. A dialer would take that for one of its
// own, and a caller that gives up for a server that does not answer.
type undated struct{ context.Context }

func (undated) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

func (t *Transport) take() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closing = false
	last := len(t.idle) - 1
	if last < 0 {
		return nil
	}
	c := t.idle[last]
	t.idle[last] = nil
	t.idle = t.idle[:last]
	return c
}

// put keeps a connection for the next request.
func (t *Transport) put(c *conn) {
	c.used, c.since = true, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing || len(t.idle) >= t.cfg.MaxIdle {
		c.hang()
		return
	}
	t.idle = append(t.idle, c)
	if t.sweeper == nil {
		t.sweeper = time.AfterFunc(min(t.cfg.KeepAlive, sweepEvery), t.sweep)
	}
}

// sweep closes the connections that were unused for too long, or on which something
// has happened, and comes again for as long as there are others.
func (t *Transport) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.idle[:0]
	for _, c := range t.idle {
		if time.Since(c.since) < t.cfg.KeepAlive && c.silent() {
			kept = append(kept, c)
		} else {
			c.hang()
		}
	}
	clear(t.idle[len(kept):])
	t.idle = kept
	if len(kept) == 0 {
		t.sweeper = nil // the next put makes another
		return
	}
	t.sweeper.Reset(min(t.cfg.KeepAlive-time.Since(kept[0].since), sweepEvery))
}

// CloseIdleConnections closes the connections that no request is using, and those
// in use when their requests are done, unless others come.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	for _, c := range t.idle {
		c.hang()
	}
	t.idle = nil
	t.closing = true
	if t.sweeper != nil && t.sweeper.Stop() {
		t.sweeper = nil
	}
	t.mu.Unlock()
	t.cfg.Otherwise.CloseIdleConnections()
}
