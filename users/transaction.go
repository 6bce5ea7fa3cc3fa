package users

import (
	"context"
	"database/sql"
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
	maxConflicts = 12
	maxLost      = 3
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
// comes after the other, it has the write lock from its beginning.
func (s *Store) inTx(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	return s.transact(ctx, work{}, do)
}

func (s *Store) transact(ctx context.Context, w work, do func(ctx context.Context, tx *sql.Tx) error) error {
	return s.insist(ctx, w, s.writer, func(ctx context.Context, conn *sql.Conn) (committing bool, err error) {
		tx, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.isolation})
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

// read runs do with a connection that reads.
func (s *Store) read(ctx context.Context, do func(ctx context.Context, db reads) error) error {
	return s.insist(ctx, work{repeatable: true}, s.reader, func(ctx context.Context, conn *sql.Conn) (bool, error) {
		return false, do(ctx, conn)
	})
}

// insist tries with a connection of the pool until it works, or is not worth trying.
func (s *Store) insist(ctx context.Context, w work, pool *sql.DB, try func(ctx context.Context, conn *sql.Conn) (committing bool, err error)) error {
	conflicts, losses := 0, 0
	for {
		committing, err := s.attempt(ctx, w, pool, try)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		switch s.dialect.judge(err) {
		case conflict:
			if conflicts++; conflicts < maxConflicts && pause(ctx, jitter(time.Duration(conflicts)*10*time.Millisecond)) {
				continue
			}
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case lost:
			losses++
			if losses < maxLost && (!committing || w.repeatable) && pause(ctx, jitter(20*time.Millisecond)) {
				continue
			}
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case slow:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case final:
		}
		return err
	}
}

// attempt tries once, within the patience of the dialect.
func (s *Store) attempt(ctx context.Context, w work, pool *sql.DB, try func(ctx context.Context, conn *sql.Conn) (committing bool, err error)) (committing bool, err error) {
	if limit := s.dialect.patience.call; limit > 0 && !w.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	conn, err := s.acquire(ctx, pool)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	return try(ctx, conn)
}

func (s *Store) acquire(ctx context.Context, pool *sql.DB) (*sql.Conn, error) {
	limit := s.dialect.patience.acquire
	if limit == 0 {
		return pool.Conn(ctx)
	}
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := pool.Conn(waiting)
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		return nil, fmt.Errorf("no connection to the database within %v: %w", limit, errSlow)
	}
	return conn, err
}

// errSlow is that something took longer than the patience of the dialect.
var errSlow = errors.New("it takes too long")
