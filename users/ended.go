package users

import (
	"context"
	"sync"
	"time"
)

// endedKept is how long a session that was ended is held beyond the end of its
// access tokens: longer than any leeway, and than clocks differ.
const endedKept = 2 * time.Hour

// ended are the sessions that were ended while an access token of theirs may still
// be good. They are few, so each process holds all of them.
type ended struct {
	mu    sync.RWMutex
	until map[Family]int64 // unix microseconds from which nobody asks any more
	read  time.Time        // when the feed was last begun to be read to its end

	watchers *watchers // are told what is added
}

// is tells whether f is held, and whether that can be relied on: not where the feed has
// not been read for long, by the clock of who asks, for a reading may be stuck.
func (e *ended) is(f Family) (yes, sure bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, yes = e.until[f]
	return yes, time.Since(e.read) <= liveFor
}

func (e *ended) add(families []endedFamily) {
	if len(families) == 0 {
		return
	}
	e.hold(families)
	for _, f := range families {
		e.watchers.tell(Notice{Family: f.family})
	}
}

func (e *ended) hold(families []endedFamily) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = map[Family]int64{}
	}
	for _, f := range families {
		e.until[f.family] = max(e.until[f.family], f.accessUntil+endedKept.Microseconds())
	}
}

// heldEnded holds what a transaction has ended, if that is known to be done. Of one that may
// have failed at its commit the feed tells, if it was done: whoever asks for the same
// again, and was told that it is over, would leave a session that goes on elsewhere.
func (s *Store) heldEnded(families []endedFamily, err error) {
	if err == nil {
		s.ended.add(families)
	}
}

// forget drops what nobody asks for any more.
func (e *ended) forget(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for f, until := range e.until {
		if until < micros(now) {
			delete(e.until, f)
		}
	}
}

// setRead notes that the feed was read, from a moment on.
func (e *ended) setRead(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.read = at
}

func (e *ended) readAt() time.Time {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.read
}

// endedFamily is a session that was ended, with the end of its access tokens.
type endedFamily struct {
	family      Family
	accessUntil int64
}

// SessionEnded tells whether the session of an access token was ended: at once when
// this process ended it, and after about a second when another one did. It answers
// from memory, without waiting or allocating, unless the change feed could not be
// read for ten seconds; then it asks the database.
func (s *Store) SessionEnded(ctx context.Context, f Family) (bool, error) {
	yes, sure := s.ended.is(f)
	if yes || sure {
		return yes, nil
	}
	var n int
	err := s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sessions WHERE family = $1 AND ended_at IS NOT NULL`, int64(f)).Scan(&n)
	})
	if s.stale(err, time.Since(s.ended.readAt())) {
		return false, nil // as far as was known then
	}
	return n > 0, err
}

// loadEnded holds all sessions that were ended and still matter.
func (s *Store) loadEnded(ctx context.Context) error {
	return s.read(ctx, func(ctx context.Context, db reads) error {
		families, err := readEnded(ctx, db, `
			SELECT family, access_until FROM sessions WHERE ended_at IS NOT NULL AND access_until > $1`,
			micros(s.now().Add(-endedKept)))
		s.ended.add(families)
		return err
	})
}

func readEnded(ctx context.Context, db reads, query string, args ...any) ([]endedFamily, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []endedFamily
	for rows.Next() {
		var f endedFamily
		if err := rows.Scan(&f.family, &f.accessUntil); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, rows.Err()
}
