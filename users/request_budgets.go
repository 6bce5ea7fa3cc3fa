package users

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gatehouse/users/rate"
)

// How replicas tell each other what was taken from budgets of requests, which are counted
// in memory so that a request costs no write.
const (
	shareEvery = time.Second           // where nobody hurries
	sharePause = 20 * time.Millisecond // from one exchange to the next where somebody does
	shareBatch = 500                   // keys of a statement
)

// budgetUse is what is added to a row, and what it owes then to all replicas.
type budgetUse struct {
	bucket      string
	taken, owed time.Duration
}

// sharedBudgets are the limiters whose budgets are those of all replicas.
type sharedBudgets struct {
	mu   sync.Mutex
	all  map[*rate.Limiter]sharedBudget
	wake chan struct{}
}

type sharedBudget struct {
	kind string
	uses int // how often it is shared
}

func newSharedBudgets() *sharedBudgets {
	return &sharedBudgets{all: map[*rate.Limiter]sharedBudget{}, wake: make(chan struct{}, 1)}
}

// ShareBudgets makes the budgets of a limiter those of all limiters of the same kind on
// this store, until stop is called, which may be called again. It does nothing where
// the store is a file, which one process has.
//
// Each counts by itself, and tells the others what was taken from a budget of which an
// eighth or more is used: every second, and at once when another eighth was taken. So
// all together let pass what the budget has, and an eighth of it more for each of them
// at most, with what comes while they ask the database. While the database is away
// each goes by what it has counted and heard, and tells the rest later.
func (s *Store) ShareBudgets(kind string, l *rate.Limiter) (stop func()) {
	if s.dialect.exchange == nil {
		return func() {}
	}
	b := s.sharedBudgets
	l.Share(func() {
		select {
		case b.wake <- struct{}{}:
		default: // somebody has said so already
		}
	})
	b.add(kind, l, 1)
	return sync.OnceFunc(func() { b.add(kind, l, -1) })
}

func (b *sharedBudgets) add(kind string, l *rate.Limiter, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	uses := b.all[l].uses + n
	if b.all[l] = (sharedBudget{kind, uses}); uses == 0 {
		delete(b.all, l)
	}
}

// limiters are those that are shared now.
func (b *sharedBudgets) limiters() map[*rate.Limiter]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[*rate.Limiter]string{}
	for l, shared := range b.all {
		all[l] = shared.kind
	}
	return all
}

// exchangeBudgets tells and hears until ctx ends.
func (s *Store) exchangeBudgets(ctx context.Context) {
	for pauseOr(ctx, shareEvery, s.sharedBudgets.wake) {
		next := sharePause
		for l, kind := range s.sharedBudgets.limiters() {
			if err := s.exchange(ctx, kind, l); err != nil && ctx.Err() == nil {
				s.logger.DebugContext(ctx, "budgets could not be shared; each replica goes by its own until they can", slog.Any("error", err))
				next = shareEvery
			}
		}
		if !pause(ctx, next) {
			return
		}
	}
}

// exchange tells and hears of one limiter. What was not told is told later.
func (s *Store) exchange(ctx context.Context, kind string, l *rate.Limiter) error {
	for {
		uses := l.Untold(shareBatch, s.now())
		if len(uses) == 0 {
			return nil
		}
		if err := s.exchangeUses(ctx, kind, l, uses); err != nil {
			l.Keep(uses)
			return err
		}
	}
}

func (s *Store) exchangeUses(ctx context.Context, kind string, l *rate.Limiter, uses []rate.Use) error {
	digests, err := s.secret(ctx)
	if err != nil {
		return err
	}
	of := make(map[string]rate.Use, len(uses))
	told := make([]budgetUse, len(uses))
	for i, use := range uses {
		told[i] = budgetUse{bucket: digests.of(kind, use.Key.String()), taken: use.Debt}
		of[told[i].bucket] = use
	}
	heard, err := s.dialect.exchange(ctx, s, told, 2*l.Window())
	if err != nil {
		return err
	}
	now := s.now()
	for _, row := range heard {
		l.Heard(of[row.bucket], row.owed, now)
	}
	return nil
}
