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

	listenAgain = time.Second // and up to twice that, after the connection was lost
)

// followChanges drops from memory what any process writes to accounts, this one
// included, until ctx ends. While the feed cannot be read, what is held ages out
// by itself.
func (s *Store) followChanges(ctx context.Context, seq int64) {
	failing := false
	wake := make(chan struct{}, 1)
	if s.dialect.listen != nil {
		s.tasks.Go(func() { s.listenForEver(ctx, wake) })
	}
	for pauseOr(ctx, feedEvery, wake) {
		begin := time.Now()
		next, err := s.readChanges(ctx, seq)
		if err == nil && (failing || s.heardAnew.Swap(false)) {
			// What is old of the feed may be gone; and a server that took over may have
			// numbered its changes anew.
			if next, err = s.catchUp(ctx); err != nil {
				next = seq
			}
		}
		if err == nil {
			s.ended.setRead(begin)
		}
		s.ended.forget(time.Now()) // memory alone: what has ended has expired by its own time too
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

// listenForEver puts something into wake whenever the database says that the feed
// has grown, until ctx ends. While it does not say so, the feed is asked every second.
func (s *Store) listenForEver(ctx context.Context, wake chan<- struct{}) {
	for again := false; ; again = true {
		err := s.dialect.listen(ctx, func() {
			if again {
				again = false
				s.heardAnew.Store(true)
			}
			select {
			case wake <- struct{}{}:
			default: // it is to be read already
			}
		})
		if ctx.Err() != nil {
			return
		}
		s.logger.DebugContext(ctx, "the database does not tell of changes; the feed is asked every second", slog.Any("error", err))
		if !pause(ctx, listenAgain+jitter(listenAgain)) {
			return
		}
	}
}

// pauseOr is pause, or less when something is in wake.
func pauseOr(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// readChanges drops what changed after seq and returns where to go on. Whoever
// numbers changes is alone until it is done, so no smaller number appears later.
func (s *Store) readChanges(ctx context.Context, seq int64) (next int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, feedLimit)
	defer cancel()
	n := 0
	err = s.read(ctx, func(ctx context.Context, db reads) (err error) {
		next, n, err = s.readBatch(ctx, db, seq)
		return err
	})
	if err != nil {
		return seq, err
	}
	if n < feedBatch {
		return next, nil
	}
	if next, err = s.catchUp(ctx); err != nil {
		return seq, err
	}
	return next, nil
}

// catchUp drops everything that is held, and returns where the feed goes on.
func (s *Store) catchUp(ctx context.Context) (next int64, err error) {
	// Where the feed ends is read first: what comes in between is read again the next
	// time.
	if next, err = s.lastChange(ctx); err != nil {
		return 0, err
	}
	s.live.dropAll()
	return next, s.loadEnded(ctx)
}

// readBatch drops what the next changes after seq say, and counts them.
func (s *Store) readBatch(ctx context.Context, db reads, seq int64) (next int64, n int, err error) {
	rows, err := db.QueryContext(ctx, `
		SELECT c.seq, c.user_id, s.family, s.access_until
		FROM user_changes c LEFT JOIN sessions s ON s.family = c.family AND s.ended_at IS NOT NULL
		WHERE c.seq > $1 ORDER BY c.seq LIMIT $2`, seq, feedBatch)
	if err != nil {
		return seq, 0, err
	}
	defer func() { _ = rows.Close() }()
	next = seq
	var gone []endedFamily
	for ; rows.Next(); n++ {
		var id int64
		var family, until sql.Null[int64]
		if err := rows.Scan(&next, &id, &family, &until); err != nil {
			return seq, n, err
		}
		if family.Valid {
			gone = append(gone, endedFamily{Family(family.V), until.V})
			continue
		}
		s.live.drop(id)
	}
	s.ended.add(gone)
	return next, n, rows.Err()
}

// lastChange returns the number of the latest change, or 0.
func (s *Store) lastChange(ctx context.Context) (int64, error) {
	var seq int64
	err := s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM user_changes`).Scan(&seq)
	})
	return seq, err
}
