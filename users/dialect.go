package users

import (
	"context"
	"database/sql"
	"embed"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed schema
var schemas embed.FS

// dialect is all in which one database differs from another. The statements are
// not in it: they are one text for all.
type dialect struct {
	place    string // which database it is, for people; without a secret
	goose    goose.Dialect
	schema   string                                               // folder of the migrations
	options  func() ([]goose.ProviderOption, error)               // may be nil
	prepare  func(ctx context.Context, logger *slog.Logger) error // before it is connected to
	connect  func() (writer, reader *sql.DB, err error)
	migrator func() (*sql.DB, error) // connections that may take their time; nil: the writer's
	claim    func(ctx context.Context, db *sql.DB) error
	explain  func(err error) error                                 // a cause at opening, as a Fault
	unique   func(err error) bool                                  // a unique column has that value already
	busy     func(err error) bool                                  // at opening: a lock was not had, and may be had later
	judge    func(err error) verdict                               // of a transaction that failed
	advance  func(ctx context.Context, tx *sql.Tx, id int64) error // gives no number of an account up to id any more

	// forgets: the driver reads the text of a statement each time that it is given it.
	forgets bool

	// serial: writers come one after the other.
	serial bool

	isolation sql.IsolationLevel // of what writes
	snapshot  sql.IsolationLevel // of what reads one moment; 0: every transaction does
	// last returns the highest number of an account that was ever given; nil: not known.
	last func(ctx context.Context, tx *sql.Tx, table, id string) (any, error)

	// Where writers are not one after the other, rows are locked before what is
	// decided by them: these end a SELECT. Empty where there is nothing to lock.
	// skipLocked passes over rows that others have.
	forUpdate, forShare, skipLocked string
	// lockUsers keeps others from writing accounts until the transaction ends. Who is
	// going to write one that it locks first must have said so with meanUsers before:
	// else it has a row that the other waits for, and waits for the table itself. May
	// be nil, both or none.
	lockUsers, meanUsers func(ctx context.Context, tx *sql.Tx) error
	patience             patience
	// suspect is called when a connection turned out to be dead. May be nil.
	suspect func()
	// listen calls wake whenever the feed may have grown, until ctx ends or the
	// connection is lost. May be nil: the feed is asked now and then.
	listen func(ctx context.Context, wake func()) error
	// exchange adds to budgets of requests, which owe most before that at most, and
	// returns what they owe. nil: one process has them all.
	exchange func(ctx context.Context, s *Store, uses []budgetUse, most time.Duration) ([]budgetUse, error)
}

// verdict is what a failed transaction is worth.
type verdict int

const (
	final    verdict = iota // it will not be different the next time
	conflict                // it was undone because of another one, and may be done again
	lost                    // the connection broke: unless it was at the commit, nothing was done
	slow                    // it took too long, and would again
)
