package proxy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pacer lets so many refusals of tokens that nobody made go out in a second while there
// are others whose requests pass, and has the rest wait, for no longer than about a
// second. A client that shows such tokens one after the other so takes a tenth of the
// processors and not all of them. Where nobody else asks, nobody waits: there is nobody
// to be protected, and to wait costs more than to answer. Nobody else waits either: a token
// that has expired, or whose user is gone, was made by somebody.
//
// Those that wait go in batches, on one timer for all. A timer and a wake-up for each,
// on processors that are idle between them, cost several times the refusal.
//
// A nil *pacer has nobody wait. It is safe for concurrent use.
type pacer struct {
	interval time.Duration
	now      func() time.Time
	began    time.Time

	passed atomic.Int64 // when somebody was let in, in nanoseconds since it began; 0: never

	mu      sync.Mutex
	whole   time.Time // when all of the budget is there again
	batches map[int64]chan struct{}
}

const (
	pacedBurst = 100 * time.Millisecond // what may come at once
	pacedMost  = time.Second            // that anybody waits, but for a batch
	pacedBatch = 4 * time.Millisecond   // of those that wait; others wait behind a batch
	pacedFor   = time.Second            // after somebody was let in
)

// newPacer is for n in a second; 0 is nil.
func newPacer(n int, now func() time.Time) *pacer {
	if n <= 0 {
		return nil
	}
	return &pacer{interval: time.Second / time.Duration(n), now: now, began: now(), batches: map[int64]chan struct{}{}}
}

// pass notes that somebody was let in at a time. It costs a look; a word is written
// now and then.
func (p *pacer) pass(at time.Time) {
	if p == nil {
		return
	}
	since := int64(at.Sub(p.began)) + 1
	if last := p.passed.Load(); last == 0 || since-last > int64(pacedFor/16) {
		p.passed.Store(since)
	}
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
	wait := whole.Sub(now) - max(pacedBurst, p.interval)
	if wait > pacedMost {
		return pacedMost // and no debt that grows
	}
	p.whole = whole
	return max(0, wait)
}

// batch is closed when those go that wait for so long from now.
func (p *pacer) batch(wait time.Duration) <-chan struct{} {
	due := time.Since(p.began) + wait
	number := int64(due/pacedBatch) + 1
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := p.batches[number]
	if batch == nil {
		batch = make(chan struct{})
		p.batches[number] = batch
		time.AfterFunc(time.Duration(number)*pacedBatch-time.Since(p.began), func() {
			p.mu.Lock()
			delete(p.batches, number)
			p.mu.Unlock()
			close(batch)
		})
	}
	return batch
}

// garbage is the reason of a refusal for what is no token, or has no good signature.
const garbage = "token_invalid"

// hold has a request that came at a time wait where it is due, or until the client has gone.
func (p *pacer) hold(ctx context.Context, refusal *Refusal, at time.Time) {
	if p == nil || refusal.Reason != garbage {
		return
	}
	passed := p.passed.Load()
	if passed == 0 || at.Sub(p.began)-time.Duration(passed) > pacedFor {
		return
	}
	wait := p.delay()
	if wait <= 0 {
		return
	}
	select {
	case <-p.batch(wait):
	case <-ctx.Done():
	}
}
