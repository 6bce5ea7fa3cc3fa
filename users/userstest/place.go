package userstest

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"gatehouse/users"
	"gatehouse/users/userstest/postgres"
)

// Place is a database of a test's own.
type Place struct {
	Config users.Config
	driver string
	dsn    string
}

// Each runs a test on every database, on a new one each: it is what the store
// promises that holds, not what one database does.
func Each(t *testing.T, test func(t *testing.T, at *Place)) {
	t.Helper()
	t.Parallel() // most of them wait more than they work
	for name, place := range map[string]func(testing.TB) *Place{"sqlite": SQLite, "postgres": Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, place(t))
		})
	}
}

// SQLite returns a file that does not exist yet.
func SQLite(t testing.TB) *Place {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	return &Place{
		Config: users.Config{Driver: "sqlite", DSN: path},
		driver: "sqlite", dsn: "file:" + path + "?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)",
	}
}

// Postgres returns an empty database of the server that the tests of the process share.
func Postgres(t testing.TB) *Place {
	t.Helper()
	// Patient, since the machine that runs the tests may have much else to do.
	dsn := postgres.Shared(t).Database(t) + "&connect_timeout=30"
	return &Place{
		Config: users.Config{Driver: "postgres", DSN: dsn, AcquireTimeout: 30 * time.Second, StatementTimeout: 30 * time.Second},
		driver: "pgx", dsn: dsn,
	}
}

// New returns another database of the same kind.
func (p *Place) New(t testing.TB) *Place {
	t.Helper()
	if p.driver == "sqlite" {
		return SQLite(t)
	}
	return Postgres(t)
}

// IsPostgres tells which kind it is, for what only one of them has.
func (p *Place) IsPostgres() bool { return p.driver == "pgx" }

// Exec runs a statement as somebody who does not go through a store.
func (p *Place) Exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	db := p.open(t)
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatal(err)
	}
}

// Row reads one row as somebody who does not go through a store.
func (p *Place) Row(t testing.TB, query string, targets ...any) error {
	t.Helper()
	db := p.open(t)
	defer func() { _ = db.Close() }()
	return db.QueryRowContext(t.Context(), query).Scan(targets...)
}

func (p *Place) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(p.driver, p.dsn)
	if err != nil {
		t.Fatal(err)
	}
	return db
}
