package users

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/users/password"
)

// Parts are what a [Store] works with. The zero value is valid.
type Parts struct {
	Hasher *password.Hasher // nil: one with the default configuration
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now

	Metrics *Metrics // nil: nothing is counted
}

// Store is the open database. It is made by [Open] and safe for concurrent use.
// Its methods return, beside the errors they name, those of ctx and of the
// database.
type Store struct {
	dialect  dialect
	writer   *sql.DB
	reader   *sql.DB  // may be the same
	prepared prepared // of the writer
	lookups  prepared // of the reader
	batches  *batches // nil: writers need not wait for each other
	hasher   *password.Hasher
	logger   *slog.Logger
	now      func() time.Time
	metrics  *Metrics
	live     *live
	found    *found
	nobody   nobody
	standing *standing
	ended    ended

	// The connection that hears of changes was lost, and there is another, maybe to a
	// server that took over and numbers changes anew.
	heardAnew atomic.Bool

	site *site // nil: users are the store's own

	schema [2]int64 // before and after it was opened

	reads, writes circuit
	staleFor      time.Duration // how long what is known is served while the database is away

	watchers watchers

	budgets       *budgets
	sharedBudgets *sharedBudgets

	digestsMu sync.Mutex
	digests   digests // nil: not read yet

	stop  context.CancelFunc // ends the background tasks
	tasks sync.WaitGroup
}

// Open opens the database of cfg, creates it if it is new, and brings its schema
// up to date. What the operator can mend comes as [*Fault].
func Open(ctx context.Context, cfg Config, parts Parts) (*Store, error) {
	d, err := cfg.compile()
	engine, how, siteErr := cfg.Users.compile()
	staleFor, outageErr := cfg.Outage.compile(cfg.Driver)
	if err := errors.Join(err, siteErr, outageErr); err != nil {
		return nil, err
	}
	s := &Store{dialect: d, hasher: parts.Hasher, logger: parts.Logger, now: parts.Now, metrics: parts.Metrics, live: newLive(), found: newFound(), standing: newStanding(), budgets: newBudgets(), sharedBudgets: newSharedBudgets()}
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
	s.staleFor = staleFor
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(d.explain(err), s.Close())
	}
	if engine != nil {
		if s.site, err = openSite(ctx, cfg.Users, *engine, how, s.logger); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if err := s.claimUsers(ctx); err != nil {
		return nil, errors.Join(d.explain(err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := s.dialect.prepare(ctx, s.logger); err != nil {
		return err
	}
	if s.writer, s.reader, err = s.dialect.connect(); err != nil {
		return err
	}
	err = patiently(ctx, s.dialect.busy, func() error { return s.dialect.claim(ctx, s.writer) })
	if err != nil {
		return err
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if err := s.prepareStatements(ctx); err != nil {
		return err
	}
	if s.dialect.serial {
		s.batches = newBatches(s.writer, s.change)
	}
	s.ended.setRead(time.Now())
	seq, err := s.lastChange(ctx)
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
	if s.dialect.exchange != nil {
		s.tasks.Go(func() { s.exchangeBudgets(background) })
	}
	return nil
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
	if s.site != nil {
		faults = append(faults, s.site.close())
	}
	s.batches.close()
	faults = append(faults, s.prepared.close(), s.lookups.close())
	for _, db := range []*sql.DB{s.reader, s.writer} { // the last to close tidies the file
		if db != nil {
			faults = append(faults, db.Close())
		}
	}
	return errors.Join(faults...)
}

// Schema returns the versions of the schema before the store was opened and since.
func (s *Store) Schema() (before, now int64) { return s.schema[0], s.schema[1] }

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.lastChange(ctx)
	return err
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
