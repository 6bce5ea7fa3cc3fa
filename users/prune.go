package users

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"math/big"
	"time"
)

// How rows are removed that nobody asks for any more.
const (
	pruneEvery = 10 * time.Minute // and up to half as much again
	pruneBatch = 500              // rows of one transaction
	prunePause = 50 * time.Millisecond
	// tokensKept is how long a token stays after it has expired: longer than any
	// leeway with which an expired one may still be accepted, and than clocks differ.
	tokensKept = 48 * time.Hour
)

// Prune removes refresh tokens that expired more than two days ago, revoked or
// not, the sessions that they were the last of, budgets that are whole again,
// and what is old of the change feed. It returns how many rows it removed. It
// takes small steps, so that logins are not kept waiting. An open store does it by
// itself every few minutes.
func (s *Store) Prune(ctx context.Context) (removed int64, err error) {
	locked := s.dialect.skipLocked // another process may be at them, in another order
	for _, p := range []struct {
		statement string
		before    time.Time
	}{
		{`DELETE FROM tokens WHERE jti IN
			(SELECT jti FROM tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2` + locked + `)`, s.now().Add(-tokensKept)},
		// What of a session is ended is known from its row for as long as a token of
		// it may be shown.
		{`DELETE FROM sessions WHERE family IN
			(SELECT family FROM sessions WHERE expires_at < $1 AND access_until < $1 ORDER BY expires_at LIMIT $2` + locked + `)`, s.now().Add(-tokensKept)},
		{`DELETE FROM login_budgets WHERE bucket IN
			(SELECT bucket FROM login_budgets WHERE until < $1 ORDER BY until LIMIT $2` + locked + `)`, s.now()},
		// The rows have the time of the database.
		{`DELETE FROM request_budgets WHERE bucket IN
			(SELECT bucket FROM request_budgets WHERE whole_at < $1 ORDER BY bucket LIMIT $2` + locked + `)`, time.Now().Add(-clocksDiffer)},
		// Not by the clock that tests set: the rows have the time of the database.
		{`DELETE FROM user_changes WHERE seq IN
			(SELECT seq FROM user_changes WHERE changed_at < $1 ORDER BY changed_at LIMIT $2` + locked + `)`, time.Now().Add(-feedKept)},
	} {
		for {
			n, err := s.pruneStep(ctx, p.statement, p.before)
			removed += n
			if err != nil {
				return removed, err
			}
			if n < pruneBatch {
				break
			}
			if !pause(ctx, prunePause) {
				return removed, ctx.Err()
			}
		}
	}
	return removed, nil
}

func (s *Store) pruneStep(ctx context.Context, statement string, before time.Time) (n int64, err error) {
	err = s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, statement, micros(before), pruneBatch)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	return n, err
}

// pruneNowAndThen prunes until ctx ends, at times that differ from process to
// process; never at the start, which is when a command has other things to do.
func (s *Store) pruneNowAndThen(ctx context.Context) {
	for pause(ctx, pruneEvery+jitter(pruneEvery/2)) {
		n, err := s.Prune(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.logger.WarnContext(ctx, "expired tokens could not be removed; tried again later", slog.Any("error", err))
		case n > 0:
			s.logger.DebugContext(ctx, "expired rows removed", slog.Int64("rows", n))
		}
	}
}

// jitter returns less than limit, by chance.
func jitter(limit time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(limit)))
	if err != nil {
		return 0
	}
	return time.Duration(n.Int64())
}
