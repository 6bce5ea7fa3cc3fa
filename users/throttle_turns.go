package users

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/users/password"
)

// maxBudgets is about how many rows there may be. It takes as many failed logins, each
// of which costs a hash, within the time of a rate to make them.
const maxBudgets = 1_000_000

// budgets is what a process knows of the table.
type budgets struct {
	mu      sync.Mutex
	counted time.Time
	most    int // 0: maxBudgets
	crowded atomic.Bool

	slots   chan struct{} // of those who are at the database
	waiting atomic.Int64
}

// How many attempts of a process are looked at together, and how many may wait for that.
// Those of a flood wait for one another's rows: they must not do so on all connections,
// which refreshes and logouts need too.
const (
	chargesAtOnce  = 4
	chargesWaiting = 1000
)

func newBudgets() *budgets { return &budgets{slots: make(chan struct{}, chargesAtOnce)} }

// enter waits for a turn.
func (b *budgets) enter(ctx context.Context) (leave func(), err error) {
	for { // who is refused is never counted, and so costs nobody the last place
		n := b.waiting.Load()
		if n >= chargesWaiting {
			return nil, password.ErrBusy
		}
		if b.waiting.CompareAndSwap(n, n+1) {
			break
		}
	}
	defer b.waiting.Add(-1)
	select {
	case b.slots <- struct{}{}:
		return func() { <-b.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// countEvery is how often the rows are counted.
const countEvery = time.Minute

// countBudgets finds out whether there is room for more, now and then.
func (s *Store) countBudgets(ctx context.Context) {
	s.budgets.mu.Lock()
	now := s.now()
	if now.Sub(s.budgets.counted).Abs() < countEvery {
		s.budgets.mu.Unlock()
		return
	}
	s.budgets.counted = now
	most := cmp.Or(s.budgets.most, maxBudgets)
	s.budgets.mu.Unlock()
	var n int
	err := s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_budgets`).Scan(&n)
	})
	if err == nil {
		s.budgets.crowded.Store(n >= most)
	}
}
