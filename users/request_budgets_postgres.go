package users

import (
	"context"
	"database/sql"
	"time"
)

// The clock is that of the database, so that those of replicas may differ. A row owes no
// more than a time that it cannot, or else a clock that was wrong would keep people out.
// Rows are written in one order by all, so that no two wait for each other.
const exchangeBudgetsSQL = `
	INSERT INTO request_budgets AS b (bucket, whole_at)
	SELECT u.bucket, (EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::BIGINT + u.taken
	FROM unnest($1::TEXT[], $2::BIGINT[]) AS u (bucket, taken) ORDER BY u.bucket COLLATE "C"
	ON CONFLICT (bucket) DO UPDATE SET whole_at = excluded.whole_at + LEAST($3::BIGINT,
		GREATEST(0, b.whole_at - (EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::BIGINT))
	RETURNING bucket, whole_at - (EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::BIGINT`

// exchangePostgres adds what was taken to the rows, and returns what they owe. If it is
// not known whether that was done, it may be done again: budgets are stricter then.
func exchangePostgres(ctx context.Context, s *Store, uses []budgetUse, most time.Duration) ([]budgetUse, error) {
	buckets, taken := make([]string, len(uses)), make([]int64, len(uses))
	for i, use := range uses {
		buckets[i], taken[i] = use.bucket, use.taken.Microseconds()
	}
	var heard []budgetUse
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		heard = heard[:0]
		rows, err := tx.QueryContext(ctx, exchangeBudgetsSQL, buckets, taken, most.Microseconds())
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var use budgetUse
			var owed int64
			if err := rows.Scan(&use.bucket, &owed); err != nil {
				return err
			}
			use.owed = time.Duration(owed) * time.Microsecond
			heard = append(heard, use)
		}
		return rows.Err()
	})
	return heard, err
}
