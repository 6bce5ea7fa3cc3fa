package upstream

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// slots bound how many requests an upstream has at once, and how many wait. nil is
// no bound.
type slots struct {
	taken   chan struct{}
	waiting atomic.Int64
	most    int64 // that wait
}

var errFull = errors.New("max_connections is reached, and so is max_pending or the time to wait")

// take waits for a slot for as long as wait (0: as long as it takes). The error is
// errFull or the context's.
func (s *slots) take(ctx context.Context, wait time.Duration) error {
	if s == nil {
		return nil
	}
	select {
	case s.taken <- struct{}{}:
		return nil
	default:
	}
	if !s.queue() {
		return errFull
	}
	defer s.waiting.Add(-1)
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case s.taken <- struct{}{}:
		return nil
	case <-late:
		return errFull
	case <-ctx.Done():
		return ctx.Err()
	}
}

// queue takes a place among those who wait, if there is one. Who is refused was never
// counted, so that it cannot cost another one the last place.
func (s *slots) queue() bool {
	for {
		n := s.waiting.Load()
		if n >= s.most {
			return false
		}
		if s.waiting.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// leave gives a slot back.
func (s *slots) leave() {
	if s != nil {
		<-s.taken
	}
}
