package users

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"gatehouse/users/rate"
)

// bucket is a budget that an attempt takes from.
type bucket struct {
	kind         Budget
	key, account string
	rate         rate.Rate
	shared       bool // with others who found no place; never known
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

// level is what the table says of a bucket.
type level struct {
	whole, strikes, known int64
	there                 bool
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

func giveBack(ctx context.Context, tx *sql.Tx, t taken) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE login_budgets SET whole_at = whole_at - $2, strikes = strikes - CASE WHEN strikes < $3 THEN strikes ELSE $3 END
		WHERE bucket = $1`, t.key, t.debt, t.strike)
	return err
}
