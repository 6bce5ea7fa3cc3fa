package users

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"time"

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

// ChargeLogin takes an attempt from all its budgets, or from none and answers
// [*Throttled]. Of any number of calls at once, in whatever process, no more succeed
// than the budgets have. One that is refused writes nothing. When too many wait it is
// password.ErrBusy.
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
