package proxy

import (
	"context"
	"sync"
	"time"
)

// pacer lets so many refusals of tokens that nobody made go out in a second, and has the
// others wait, for no longer than a second. A client that shows such tokens one after
// the other so takes a tenth of the processors and not all of them. Nobody else waits:
// a token that has expired, or whose user is gone, was made by somebody.
//
// A nil *pacer has nobody wait. It is safe for concurrent use.
type pacer struct {
	interval time.Duration
	now      func() time.Time

	mu    sync.Mutex
	whole time.Time // when all of the budget is there again
}

const (
	pacedBurst = time.Second // what may come at once
	pacedMost  = time.Second // that anybody waits
)

// newPacer is for n in a second; 0 is nil.
func newPacer(n int, now func() time.Time) *pacer {
	if n <= 0 {
		return nil
	}
	return &pacer{interval: time.Second / time.Duration(n), now: now}
}

// delay takes one of the budget, and says how long to wait for it.
func (p *pacer) delay() time.Duration {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	whole := p.whole
	if whole.Before(now) {
		whole = now
	}
	whole = whole.Add(p.interval)
	wait := whole.Sub(now) - pacedBurst
	if wait > pacedMost {
		return pacedMost // and no debt that grows
	}
	p.whole = whole
	return max(0, wait)
}

// garbage is the reason of a refusal for what is no token, or has no good signature.
const garbage = "token_invalid"

// hold waits where it is due, or until the client has gone.
func (p *pacer) hold(ctx context.Context, refusal *Refusal) {
	if p == nil || refusal == nil || refusal.Reason != garbage {
		return
	}
	wait := p.delay()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
