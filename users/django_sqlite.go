package users

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// ReadDjangoSQLite reads the SQLite database of a site, all of it at one moment,
// while the site may go on. It cannot write there. What is wrong with the data
// comes as one [*DjangoError].
func ReadDjangoSQLite(ctx context.Context, path string, how DjangoReading) (*DjangoSite, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return nil, djangoProblem(err, "name the file of the site's database (DATABASES in its settings)", "there is no database file %s", path)
	}
	return readDjango(ctx, djangoSQLite(path), how)
}

func djangoSQLite(path string) djangoEngine {
	return djangoEngine{
		place:  path,
		rename: "name the file of the site's database",
		open: func(write bool) (*sql.DB, error) {
			absolute, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			parameters := url.Values{"mode": {"ro"}, "_pragma": {"query_only(1)", "busy_timeout(10000)"}}
			if write {
				parameters = url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(10000)"}, "_txlock": {"immediate"}}
			}
			return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: parameters.Encode()}).String())
		},
		moment: func(at time.Time, zone *time.Location) string {
			if zone == nil {
				zone = time.UTC
			}
			return at.In(zone).Format("2006-01-02 15:04:05.000000")
		},
		begin: nil, // what a transaction reads is always of one moment
		table: quoted,
		asked: func(name string) string { return name },
		// The plus takes the declared type away, by which the driver would turn texts
		// into times as it thinks right.
		column:  func(name string) string { return "+" + quoted(name) },
		columns: `SELECT name FROM pragma_table_info($1)`,
		users: `
			SELECT t.name FROM sqlite_schema t
			WHERE t.type = 'table'
				AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'password')
				AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) c WHERE c.name = 'last_login')
			ORDER BY t.name`,
		last:    lastDjangoSQLite,
		explain: func(err error) error { return explainDjangoSQLite(path, err) },
	}
}

// lastDjangoSQLite reads the sequence, which is there once a table wants one.
func lastDjangoSQLite(ctx context.Context, tx *sql.Tx, table, _ string) (last any, err error) {
	var n int
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema WHERE name = 'sqlite_sequence'`).Scan(&n)
	if err != nil || n == 0 {
		return nil, err
	}
	err = tx.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = $1`, table).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return last, err
}

func explainDjangoSQLite(path string, err error) error {
	copied := "copy it with: sqlite3 " + path + " '.backup copy.sqlite3', and read the copy"
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return djangoProblem(err, "name the file of the site's database, or a dump", "%s is not an SQLite database", path)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR:
		return djangoProblem(err, copied, "%s cannot be read: %v", path, err)
	case sqlite3.SQLITE_BUSY:
		return djangoProblem(err, copied, "%s is held by another process", path)
	case sqlite3.SQLITE_CORRUPT:
		return djangoProblem(err, "restore it from a backup", "%s is damaged: %v", path, err)
	}
	return err
}
