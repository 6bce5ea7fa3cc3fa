package users

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wires are the connections to a database, each as the system has it. When one of them
// turns out to be dead, those that wait in a pool are too, most likely: a machine that
// lost its power, or something between that forgot them, tells nobody. They are cut, so
// that not every one of them costs somebody the time that calls are waited for.
type wires struct {
	mu   sync.Mutex
	all  map[*wire]bool
	last time.Time // when they were cut
}

// wiresPause is how long they are not cut again.
const wiresPause = time.Second

// wire knows whether an answer is being waited for.
type wire struct {
	net.Conn
	of   *wires
	asks atomic.Bool
}

// dial wraps how connections are made.
func (w *wires) dial(dial func(ctx context.Context, network, address string) (net.Conn, error)) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		one := &wire{Conn: conn, of: w}
		one.asks.Store(true) // to be let in
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.all == nil {
			w.all = map[*wire]bool{}
		}
		w.all[one] = true
		return one, nil
	}
}

// cutIdle cuts those on which nobody waits for an answer.
func (w *wires) cutIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.last) < wiresPause {
		return
	}
	w.last = time.Now()
	for one := range w.all {
		if !one.asks.Load() {
			_ = one.Conn.Close()
		}
	}
}

// Write notes that an answer is waited for.
func (w *wire) Write(p []byte) (int, error) {
	w.asks.Store(true)
	return w.Conn.Write(p)
}

// Read notes that it came. What comes in several parts is not told from what is whole;
// a connection is cut between them only where another one is dead.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.asks.Store(false)
	}
	return n, err
}

// Close forgets it.
func (w *wire) Close() error {
	w.of.mu.Lock()
	delete(w.of.all, w)
	w.of.mu.Unlock()
	if err := w.Conn.Close(); !errors.Is(err, net.ErrClosed) { // it was cut
		return err
	}
	return nil
}
