package users

import (
	"context"
	"database/sql"
	"log/slog"
	"time"
)

// How the change feed is read.
const (
	feedEvery = time.Second
	feedBatch = 1000            // more changes than that drop everything
	feedLimit = 5 * time.Second // for one read
	feedKept  = time.Hour       // how long changes stay in the table
)

// followChanges drops from memory what any process writes to accounts, this one
// included, until ctx ends. While the feed cannot be read, what is held ages out
// by itself.
func (s *Store) followChanges(ctx context.Context, seq int64) {
	failing := false
	read := time.Now()
	for pause(ctx, feedEvery) {
		next, err := s.readChanges(ctx, seq)
		if err == nil {
			read = time.Now()
		}
		s.ended.setUnsure(time.Since(read) > liveFor)
		s.ended.forget(s.now())
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			failing = true
			s.logger.WarnContext(ctx, "changes of users cannot be read; they count after ten seconds instead of one", slog.Any("error", err))
		case err == nil && failing:
			failing = false
			s.logger.InfoContext(ctx, "changes of users can be read again")
		}
		seq = next
	}
}

// readChanges drops what changed after seq and returns where to go on. A single
// writer at a time numbers the changes, so no smaller number appears later.
func (s *Store) readChanges(ctx context.Context, seq int64) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, feedLimit)
	defer cancel()
	rows, err := s.reader.QueryContext(ctx, `
		SELECT c.seq, c.user_id, s.family, s.access_until
		FROM user_changes c LEFT JOIN sessions s ON s.family = c.family AND s.ended_at IS NOT NULL
		WHERE c.seq > $1 ORDER BY c.seq LIMIT $2`, seq, feedBatch)
	if err != nil {
		return seq, err
	}
	defer func() { _ = rows.Close() }()
	next = seq
	n := 0
	var gone []endedFamily
	for ; rows.Next(); n++ {
		var id int64
		var family, until sql.Null[int64]
		if err := rows.Scan(&next, &id, &family, &until); err != nil {
			return seq, err
		}
		if family.Valid {
			gone = append(gone, endedFamily{Family(family.V), until.V})
			continue
		}
		s.live.drop(id)
	}
	s.ended.add(gone)
	if err := rows.Err(); err != nil {
		return seq, err
	}
	if n < feedBatch {
		return next, nil
	}
	// Where the feed ends is read before all is dropped: what comes in between is
	// read again the next time.
	if next, err = lastChange(ctx, s.reader); err != nil {
		return seq, err
	}
	s.live.dropAll()
	if err := s.loadEnded(ctx); err != nil {
		return seq, err
	}
	return next, nil
}

// lastChange returns the number of the latest change, or 0.
func lastChange(ctx context.Context, db *sql.DB) (int64, error) {
	var seq int64
	err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM user_changes`).Scan(&seq)
	return seq, err
}
