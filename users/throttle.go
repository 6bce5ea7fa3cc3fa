package users

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/users/password"
	"gatehouse/users/rate"
)

// Throttling are the budgets of failed logins. A rate that is not said bounds
// nothing; the zero value bounds nobody.
//
// All processes on one store share them. So many failures as a rate says may come at
// once, and they are given back one by one. Whoever uses the budget of an account up
// waits for the next attempt as long as one takes to be given back, and each time
// after that twice as long, but never longer than the time of the rate; when all is
// given back the wait is as short as at first. Nobody is locked out for good. The
// budget of a network, behind which many may be, only gives back.
type Throttling struct {
	AccountAndNetwork rate.Rate // of an account, from a network
	Account           rate.Rate // of an account, from everywhere
	Network           rate.Rate // of a network, for every account
	// Known is how long a network stays known for an account after a login that went
	// well. From there the account has a budget Account of its own, from which failures
	// elsewhere take nothing: who guesses at it from all over the world does not keep
	// its owner out. 0 is not at all.
	Known time.Duration
}

// Attempt is a login that is about to be tried.
type Attempt struct {
	By   Column
	Name string     // as it was typed
	Addr netip.Addr // who tries; all who have none are one network
}

// Budget is one that may be used up.
type Budget string

// The budgets of logins.
const (
	BudgetAccountAndNetwork Budget = "account_and_network"
	BudgetAccount           Budget = "account"
	BudgetNetwork           Budget = "network"
)

// Throttled is the refusal of an attempt for which nothing was left. It is the same
// for accounts that exist and others.
type Throttled struct {
	Budget Budget        // the one that lets wait longest
	Wait   time.Duration // until the next attempt; above 0
}

// Error names the budget.
func (t *Throttled) Error() string {
	return fmt.Sprintf("too many failed logins (%s); wait %v", t.Budget, t.Wait)
}

// maxBudgets is about how many rows there may be. It takes as many failed logins, each
// of which costs a hash, within the time of a rate to make them.
const maxBudgets = 1_000_000

// Charge is what was taken for an attempt, before anybody looks whether it is a good
// one. It counts as failed unless it is told otherwise.
type Charge struct {
	store *Store
	known time.Duration
	taken []taken
	// UsedUp are the budgets of which it was the last.
	UsedUp []Throttled
}

// taken is what a charge has taken from one budget.
type taken struct {
	bucket
	debt   int64 // microseconds
	strike int64
	anew   bool // the network is not known for the account
}

// bucket is a budget that an attempt takes from.
type bucket struct {
	kind         Budget
	key, account string
	rate         rate.Rate
	shared       bool // with others who found no place; never known
}

// level is a row.
type level struct {
	whole, strikes, known int64
	there                 bool
}

// ChargeLogin takes an attempt from all its budgets, or from none and answers
// [*Throttled]. Of any number of calls at once, in whatever process, no more succeed
// than the budgets have. One that is refused writes nothing. When too many wait it is
// [password.ErrBusy].
func (s *Store) ChargeLogin(ctx context.Context, t Throttling, a Attempt) (*Charge, error) {
	leave, err := s.budgets.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	buckets, own, err := s.buckets(ctx, t, a)
	if err != nil {
		return nil, err
	}
	// Most of a flood ends here, without a lock.
	now := s.now()
	err = s.read(ctx, func(ctx context.Context, db reads) error {
		for i := range buckets {
			if buckets[i].rate.N == 0 {
				continue
			}
			row, err := readLevel(ctx, db, buckets[i].key)
			if err != nil {
				return err
			}
			if !row.there && s.budgets.crowded.Load() {
				buckets[i].share()
			}
			if i == 0 && t.Known > 0 && row.known > micros(now) {
				buckets[1] = own
			}
			if _, wait := row.take(buckets[i], now); wait > 0 {
				return &Throttled{buckets[i].kind, wait}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.charge(ctx, t, buckets)
}

// charge is ChargeLogin for what does not seem to be used up. The rows are locked in the
// order of the kinds, so that no two wait for each other.
func (s *Store) charge(ctx context.Context, t Throttling, buckets [3]bucket) (*Charge, error) {
	var c *Charge
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c = &Charge{store: s, known: t.Known}
		now := s.now()
		var refused *Throttled
		for _, b := range buckets {
			if b.rate.N == 0 {
				continue
			}
			row, err := lockLevel(ctx, tx, b)
			if err != nil {
				return err
			}
			next, wait := row.take(b, now)
			if wait > 0 {
				if refused == nil || refused.Wait < wait {
					refused = &Throttled{b.kind, wait}
				}
				continue
			}
			c.taken = append(c.taken, taken{b, next.whole - max(row.whole, micros(now)), next.strikes - row.strikes, row.known <= micros(now)})
			if _, wait := next.take(b, now); wait > 0 {
				c.UsedUp = append(c.UsedUp, Throttled{b.kind, wait})
			}
			if err := writeLevel(ctx, tx, b.key, next); err != nil {
				return err
			}
		}
		if refused != nil {
			return refused
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.countBudgets(ctx)
	return c, nil
}

// clocksDiffer is how far those of replicas may be apart. No budget takes longer to be
// whole than twice the time of its rate: a row that says so, and this on top, was
// written by a clock that was wrong, or for a longer rate, and would keep people out until
// then. Where clocks differ by more no replica takes the tokens of another.
const clocksDiffer = time.Hour

// take returns the row after one more attempt, or how long to wait for that.
func (l level) take(b bucket, at time.Time) (level, time.Duration) {
	now := micros(at)
	interval := max(1, b.rate.In.Microseconds()/int64(b.rate.N))
	window := interval * int64(b.rate.N)
	if l.whole <= now || l.whole > now+2*window+clocksDiffer.Microseconds() {
		l.whole, l.strikes = now, 0
	}
	after := l.whole + interval
	if wait := after - window - now; wait > 0 {
		return l, time.Duration(wait) * time.Microsecond
	}
	l.whole = after
	if b.kind != BudgetNetwork && after+interval-window > now { // it was the last
		delay := window
		if l.strikes < 32 && interval <= window>>l.strikes {
			delay = interval << l.strikes
		}
		l.whole = max(after, now+window-interval+delay)
		l.strikes++
	}
	return l, 0
}

// Succeeded gives everything back to the budgets of the account, and to that of the
// network what this attempt has taken. The network is known then.
func (c *Charge) Succeeded(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.settle(ctx, func(ctx context.Context, tx *sql.Tx, t taken) error {
		if t.kind == BudgetNetwork || t.shared {
			return giveBack(ctx, tx, t)
		}
		var known int64
		if t.kind == BudgetAccountAndNetwork && c.known > 0 {
			known = micros(c.store.now().Add(c.known))
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE login_budgets SET whole_at = 0, strikes = 0, known_until = $2, until = $2 WHERE bucket = $1`, t.key, known)
		if err == nil && known > 0 && t.anew {
			err = c.store.forgetNetworks(ctx, tx, t.account)
		}
		return err
	})
}

// maxKnown is from how many networks an account is known; a person comes from fewer
// within a month. Whoever has an account and very many addresses could fill the table
// with them otherwise, and those who then find no place share budgets.
const maxKnown = 100

// forgetNetworks forgets all but the latest.
func (s *Store) forgetNetworks(ctx context.Context, tx *sql.Tx, account string) error {
	//nolint:gosec // what is put in is a clause of the dialect
	_, err := tx.ExecContext(ctx, `
		UPDATE login_budgets SET known_until = 0, until = whole_at WHERE bucket IN
			(SELECT bucket FROM login_budgets WHERE account = $1 AND account <> '' AND known_until > 0
			ORDER BY known_until DESC LIMIT 1000 OFFSET $2`+s.dialect.skipLocked+`)`, account, maxKnown)
	return err
}

// Undo gives back what was taken: nobody looked whether the attempt was a good one.
func (c *Charge) Undo(ctx context.Context) error {
	if c == nil {
		return nil
	}
	return c.settle(ctx, giveBack)
}

// settleTime bounds what is written after the client may have gone away.
const settleTime = 5 * time.Second

func (c *Charge) settle(ctx context.Context, each func(context.Context, *sql.Tx, taken) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	return c.store.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, t := range c.taken {
			if err := each(ctx, tx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

func giveBack(ctx context.Context, tx *sql.Tx, t taken) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE login_budgets SET whole_at = whole_at - $2, strikes = strikes - CASE WHEN strikes < $3 THEN strikes ELSE $3 END
		WHERE bucket = $1`, t.key, t.debt, t.strike)
	return err
}

// Unlock gives the account of that name, or of one that does not exist, all its
// budgets back. It returns how many had something taken.
func (s *Store) Unlock(ctx context.Context, by Column, name string) (int, error) {
	digests, err := s.secret(ctx)
	if err != nil {
		return 0, err
	}
	if name, err = s.spelled(ctx, by, name); err != nil {
		return 0, err
	}
	return s.unlock(ctx, unlockSet+` account = $2`, digests.account(by, name))
}

// UnlockNetwork gives the network of an address its budget back.
func (s *Store) UnlockNetwork(ctx context.Context, addr netip.Addr) (int, error) {
	digests, err := s.secret(ctx)
	if err != nil {
		return 0, err
	}
	return s.unlock(ctx, unlockSet+` bucket = $2`, digests.of(string(BudgetNetwork), networkText(addr)))
}

const unlockSet = `
	UPDATE login_budgets SET whole_at = 0, strikes = 0, until = known_until
	WHERE whole_at > $1 AND`

func (s *Store) unlock(ctx context.Context, statement, key string) (n int, err error) {
	err = s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, micros(s.now()), key)
		if err != nil {
			return err
		}
		rows, err := result.RowsAffected()
		n = int(rows)
		return err
	})
	return n, err
}

// buckets are the budgets of an attempt, in the order in which they are locked; own is
// the second where the account is known from the network.
func (s *Store) buckets(ctx context.Context, t Throttling, a Attempt) (all [3]bucket, own bucket, err error) {
	digests, err := s.secret(ctx)
	if err != nil {
		return all, own, err
	}
	name, err := s.spelled(ctx, a.By, a.Name)
	if err != nil {
		return all, own, err
	}
	account, network := digests.account(a.By, name), networkText(a.Addr)
	all = [3]bucket{
		{kind: BudgetAccountAndNetwork, key: digests.of(string(BudgetAccountAndNetwork), account, network), account: account, rate: t.AccountAndNetwork},
		{kind: BudgetAccount, key: digests.of(string(BudgetAccount), account), account: account, rate: t.Account},
		{kind: BudgetNetwork, key: digests.of(string(BudgetNetwork), network), rate: t.Network},
	}
	own = all[1]
	own.key = digests.of("own", account, network)
	return all, own, nil
}

// share makes b one of a few that those have who find no place.
func (b *bucket) share() {
	b.key, b.account, b.shared = "shared "+string(b.kind)+" "+b.key[:2], "", true
}

// networkText is "" for who has no address.
func networkText(addr netip.Addr) string {
	if !addr.IsValid() {
		return ""
	}
	return rate.NetworkOf(addr).String()
}

func readLevel(ctx context.Context, db reads, key string) (level, error) {
	var l level
	rows, err := db.QueryContext(ctx, `SELECT whole_at, strikes, known_until FROM login_budgets WHERE bucket = $1`, key)
	if err != nil {
		return l, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		l.there = true
		if err := rows.Scan(&l.whole, &l.strikes, &l.known); err != nil {
			return l, err
		}
	}
	return l, rows.Err()
}

// lockLevel keeps others from the row, which is made where there is none, until the
// transaction ends.
func lockLevel(ctx context.Context, tx *sql.Tx, b bucket) (level, error) {
	l := level{there: true}
	err := tx.QueryRowContext(ctx, `
		INSERT INTO login_budgets (bucket, account, whole_at, strikes, known_until, until) VALUES ($1, $2, 0, 0, 0, 0)
		ON CONFLICT (bucket) DO UPDATE SET account = excluded.account
		RETURNING whole_at, strikes, known_until`, b.key, b.account).Scan(&l.whole, &l.strikes, &l.known)
	return l, err
}

func writeLevel(ctx context.Context, tx *sql.Tx, key string, l level) error {
	_, err := tx.ExecContext(ctx, `UPDATE login_budgets SET whole_at = $2, strikes = $3, until = $4 WHERE bucket = $1`,
		key, l.whole, l.strikes, max(l.whole, l.known))
	return err
}

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
