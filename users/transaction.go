package users

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// ErrUnavailable is that the database cannot be reached, or did not answer in time:
// nobody knows what is in it. The same call may succeed in a moment. Compare with
// errors.Is.
var ErrUnavailable = errors.New("the store does not answer")

// reads is the part of a connection or transaction that reads.
type reads interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// How often a call is tried.
const (
	// minConflicts is how often a call meets others at least, however long that takes:
	// PostgreSQL looks for a deadlock after a second. From then on time decides.
	minConflicts = 12
	maxLost      = 3
	// longConflicts is for how long a call that takes its time is done over.
	longConflicts = 2 * time.Minute
	longestPause  = 500 * time.Millisecond
)

// work is one kind of transaction.
type work struct {
	// repeatable: it may be done a second time, if it is not known whether the first
	// was done.
	repeatable bool
	// long: it takes as long as it takes.
	long bool
}

// inTx runs do in a transaction, more than once if another transaction or a broken
// connection undid it: do must not keep anything of an earlier run. Where one writer
// comes after the other, it has the write lock from its beginning, and may be in one
// transaction with what others do, in which it sees what they have done before it.
func (s *Store) inTx(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	return s.transact(ctx, work{}, do)
}

func (s *Store) transact(ctx context.Context, w work, do func(ctx context.Context, tx *sql.Tx) error) error {
	how := &sql.TxOptions{Isolation: s.dialect.isolation}
	l := s.link(s.writer)
	l.operation = operationWrite
	switch {
	case w.long:
		l.operation = operationLong
	case s.batches != nil:
		return l.watch(ctx, func(ctx context.Context) error { return s.batches.write(ctx, do) })
	}
	return l.transact(ctx, w, how, do)
}

// read runs do with connections that read.
func (s *Store) read(ctx context.Context, do func(ctx context.Context, db reads) error) error {
	if s.lookups != nil { // a file, which is not away
		return s.link(s.reader).watch(ctx, func(ctx context.Context) error { return do(ctx, looking{s.reader, s.lookups}) })
	}
	return s.link(s.reader).insist(ctx, work{repeatable: true}, func(ctx context.Context, conn *sql.Conn) (bool, error) {
		return false, do(ctx, conn)
	})
}

func (s *Store) link(pool *sql.DB) link {
	l := link{pool: pool, judge: s.dialect.judge, patience: s.dialect.patience, suspect: s.dialect.suspect, metrics: s.metrics, operation: operationRead}
	if l.patience.acquire > 0 {
		l.circuit = &s.reads
		if pool == s.writer {
			l.circuit = &s.writes
		}
	}
	return l
}

// link is a pool of connections, and how much is put up with.
type link struct {
	pool     *sql.DB
	judge    func(err error) verdict // of a transaction that failed
	patience patience
	circuit  *circuit // may be nil
	suspect  func()   // may be nil

	metrics   *Metrics
	operation string
}

// patience bounds a call: how long it waits for a connection, and how long it may
// take with it. Zero: as long as the caller waits.
type patience struct{ acquire, call time.Duration }

func (l link) transact(ctx context.Context, w work, how *sql.TxOptions, do func(ctx context.Context, tx *sql.Tx) error) error {
	return l.insist(ctx, w, func(ctx context.Context, conn *sql.Conn) (committing bool, err error) {
		tx, err := conn.BeginTx(ctx, how)
		if err != nil {
			return false, err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after Commit
		if err := do(ctx, tx); err != nil {
			return false, err
		}
		return true, tx.Commit()
	})
}

// insist tries with a connection of the pool until it works, or is not worth trying.
func (l link) insist(ctx context.Context, w work, try func(ctx context.Context, conn *sql.Conn) (committing bool, err error)) error {
	return l.watch(ctx, func(ctx context.Context) error { return l.try(ctx, w, try) })
}

// watch has what is done traced and counted.
func (l link) watch(ctx context.Context, do func(ctx context.Context) error) error {
	began := time.Now()
	ctx, end := traced(ctx, l.operation)
	err := do(ctx)
	end(err)
	l.metrics.done(ctx, l.operation, began, err)
	return err
}

func (l link) try(ctx context.Context, w work, try func(ctx context.Context, conn *sql.Conn) (committing bool, err error)) error {
	if err := l.circuit.enter(); err != nil {
		return err
	}
	err := l.again(ctx, w, try)
	if err != nil && ctx.Err() != nil {
		l.circuit.left() // a caller that went away does not know
		return err
	}
	l.circuit.done(err, l.patience.acquire)
	return err
}

func (l link) again(ctx context.Context, w work, try func(ctx context.Context, conn *sql.Conn) (committing bool, err error)) error {
	conflicts, losses := 0, 0
	begin, limit := time.Now(), l.patience.call
	if w.long {
		limit = longConflicts
	}
	for {
		committing, err := l.attempt(ctx, w, try)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		switch l.judge(err) {
		case conflict:
			conflicts++
			worth := conflicts < minConflicts || time.Since(begin) < limit
			if worth && pause(ctx, jitter(min(time.Duration(conflicts)*10*time.Millisecond, longestPause))) {
				continue
			}
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case lost:
			losses++
			if losses < maxLost && (!committing || w.repeatable) && pause(ctx, jitter(20*time.Millisecond)) {
				continue
			}
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, errLost, err)
		case slow:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case final:
		}
		return err
	}
}

// attempt tries once.
func (l link) attempt(ctx context.Context, w work, try func(ctx context.Context, conn *sql.Conn) (committing bool, err error)) (committing bool, err error) {
	outer := ctx
	if limit := l.patience.call; limit > 0 && !w.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	conn, err := l.connection(ctx)
	if err != nil {
		// Where all are in use, others have them for too long. Else one was asked whether it
		// is there, or a new one was, and did not answer.
		if stats := l.pool.Stats(); stats.InUse < stats.MaxOpenConnections && l.judge(err) != final {
			l.isDead()
		}
		return false, err
	}
	defer func() { _ = conn.Close() }()
	committing, err = try(ctx, conn)
	// The server ends a statement before its caller gives up: one that answers nothing,
	// not even that, is not there.
	if err != nil && (l.judge(err) == lost || ctx.Err() != nil && outer.Err() == nil) {
		l.isDead()
	}
	if err != nil && l.judge(err) == lost {
		// Also one that is whole, to a server that has become a standby.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return committing, err
}

// isDead notes that a connection was dead.
func (l link) isDead() {
	if l.suspect != nil {
		l.suspect()
	}
}

func (l link) connection(ctx context.Context) (*sql.Conn, error) {
	limit := l.patience.acquire
	if limit == 0 {
		return l.pool.Conn(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := l.pool.Conn(waiting)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return nil, fmt.Errorf("no connection to the database within %v: %w", limit, errSlow)
	}
	return conn, err
}

// errLost is that connections broke, or could not be made.
var errLost = errors.New("the connection was lost")

// errSlow is that something took longer than it may.
var errSlow = errors.New("it takes too long")
