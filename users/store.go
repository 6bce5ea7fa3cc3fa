package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/pressly/goose/v3"

	"gatehouse/users/password"
)

// Parts are what a [Store] works with. The zero value is valid.
type Parts struct {
	Hasher *password.Hasher // nil: one with the default configuration
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// Store is the open database. It is made by [Open] and safe for concurrent use.
// Its methods return, beside the errors they name, those of ctx and of the
// database.
type Store struct {
	dialect  dialect
	writer   *sql.DB // one connection
	reader   *sql.DB
	hasher   *password.Hasher
	logger   *slog.Logger
	now      func() time.Time
	live     *live
	found    *found
	standing *standing
	ended    ended

	watchers watchers

	stop  context.CancelFunc // ends the background tasks
	tasks sync.WaitGroup
}

// Open opens the database of cfg, creates it if it is new, and brings its schema
// up to date. What the operator can mend comes as [*Fault].
func Open(ctx context.Context, cfg Config, parts Parts) (*Store, error) {
	d, path, err := cfg.compile()
	if err != nil {
		return nil, err
	}
	s := &Store{dialect: d, hasher: parts.Hasher, logger: parts.Logger, now: parts.Now, live: newLive(), found: newFound(), standing: newStanding()}
	s.live.watchers, s.ended.watchers = &s.watchers, &s.watchers
	if s.hasher == nil {
		if s.hasher, err = password.New(password.DefaultConfig()); err != nil {
			return nil, err
		}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(d.explain(path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	exists, err := s.dialect.prepare(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); exists && err == nil && info.Mode().Perm()&0o077 != 0 {
		s.logger.WarnContext(ctx, "other users of this machine may read the password hashes; run chmod 600 on the database",
			slog.String("path", path), slog.String("mode", info.Mode().Perm().String()))
	}
	if s.writer, s.reader, err = s.dialect.connect(path); err != nil {
		return err
	}
	err = patiently(ctx, s.dialect.busy, func() error { return s.dialect.claim(ctx, path, s.writer) })
	if err != nil {
		return err
	}
	if err := s.migrate(ctx, path); err != nil {
		return err
	}
	seq, err := lastChange(ctx, s.reader)
	if err != nil {
		return err
	}
	// After the end of the feed was read: what ends in between is read twice.
	if err := s.loadEnded(ctx); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.tasks.Go(func() { s.followChanges(background, seq) })
	s.tasks.Go(func() { s.pruneNowAndThen(background) })
	return nil
}

// migrate applies what is missing of the schema.
func (s *Store) migrate(ctx context.Context, path string) error {
	folder, err := fs.Sub(schemas, s.dialect.schema)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(s.dialect.goose, s.writer, folder, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	// Two processes may start at once, and SQLite has no lock that outlives a
	// transaction. Each step is one transaction, so whoever comes second fails at
	// the step, whole, and finds it done when looking again.
	again := func(err error) bool { _, fault := errors.AsType[*Fault](err); return !fault }
	return patiently(ctx, again, func() error {
		have, want, err := provider.GetVersions(ctx)
		if err == nil && have > want {
			return &Fault{
				At:      "dsn",
				Problem: fmt.Sprintf("the database %s has schema %d and was written by a newer gatehouse; this one knows schema %d", path, have, want),
				Fix:     "run the newer version, or restore the backup that was made before it",
			}
		}
		if err == nil && have < want {
			_, err = provider.Up(ctx)
		}
		if err != nil {
			return fmt.Errorf("bring the schema up to date: %w", err)
		}
		return nil
	})
}

// patiently tries until it works, at most ten times within about a second, as
// long as the error is worth trying again.
func patiently(ctx context.Context, again func(error) bool, try func() error) error {
	for attempt := 1; ; attempt++ {
		err := try()
		if err == nil || attempt == 10 || !again(err) || !pause(ctx, time.Duration(attempt)*20*time.Millisecond) {
			return err
		}
	}
}

// Close ends the background tasks and closes the database. Calls that are under
// way finish; later ones fail. It may be called again.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.tasks.Wait()
	var faults []error
	for _, db := range []*sql.DB{s.reader, s.writer} { // the last to close tidies the file
		if db != nil {
			faults = append(faults, db.Close())
		}
	}
	return errors.Join(faults...)
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := lastChange(ctx, s.reader)
	return err
}

// inTx runs do in a transaction that has the write lock from its beginning.
func (s *Store) inTx(ctx context.Context, do func(tx *sql.Tx) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// pause waits for d, or less when ctx ends; it tells whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
