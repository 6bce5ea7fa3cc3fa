package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteDialect is for the file of that path.
func sqliteDialect(path string) dialect {
	return dialect{
		place:   path,
		goose:   goose.DialectSQLite3,
		schema:  "schema/sqlite",
		prepare: func(ctx context.Context, logger *slog.Logger) error { return prepareSQLite(ctx, path, logger) },
		connect: func() (writer, reader *sql.DB, err error) { return connectSQLite(path) },
		claim:   func(ctx context.Context, db *sql.DB) error { return claimSQLite(ctx, path, db) },
		explain: func(err error) error { return explainSQLite(path, err) },
		unique:  func(err error) bool { return sqliteCode(err) == sqlite3.SQLITE_CONSTRAINT_UNIQUE },
		// The switch of a new file to WAL does not wait for the busy timeout.
		busy:    func(err error) bool { return sqliteCode(err)&0xff == sqlite3.SQLITE_BUSY },
		last:    lastDjangoSQLite,
		forgets: true,
		serial:  true,
		judge:   func(error) verdict { return final }, // it waits for locks itself
		advance: func(ctx context.Context, tx *sql.Tx, id int64) error {
			// The row is there once the table has had one.
			_, err := tx.ExecContext(ctx, `
				INSERT INTO sqlite_sequence (name, seq)
				SELECT 'users', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'users')`)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `UPDATE sqlite_sequence SET seq = $1 WHERE name = 'users' AND seq < $1`, id)
			return err
		},
	}
}

// applicationID marks our files (PRAGMA application_id): "gate".
const applicationID = 0x67617465

// prepareSQLite creates the file, because SQLite would make it readable by all;
// the two files beside it get its mode.
func prepareSQLite(ctx context.Context, path string, logger *slog.Logger) error {
	exists, err := createSQLite(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); exists && err == nil && info.Mode().Perm()&0o077 != 0 {
		logger.WarnContext(ctx, "other users of this machine may read the password hashes; run chmod 600 on the database",
			slog.String("path", path), slog.String("mode", info.Mode().Perm().String()))
	}
	return nil
}

func createSQLite(path string) (exists bool, err error) {
	at := func(problem, fix string, cause error) error {
		return &Fault{At: "dsn", Problem: problem, Fix: fix, Err: cause}
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return false, at("the directory "+dir+" does not exist", "create it, writable by the user that runs gatehouse, or name another path", err)
	case err != nil:
		return false, at("the directory "+dir+" cannot be entered", "make it readable by the user that runs gatehouse", err)
	case !info.IsDir():
		return false, at(dir+" is not a directory", "name a path whose directory exists", nil)
	}
	// Only ever opened when it is new: closing a file drops every lock that this
	// process has on it, those of SQLite included.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		return false, file.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		reason := err
		if p, ok := errors.AsType[*fs.PathError](err); ok {
			reason = p.Err
		}
		return false, at(fmt.Sprintf("the database %s cannot be created: %v", path, reason),
			"make the directory "+dir+" writable by the user that runs gatehouse, or name another path", err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return true, at(path+" is not a regular file", "name the path of a database file, new or old", nil)
	}
	return true, nil
}

// connectSQLite returns a pool of one connection that writes and a pool that
// cannot write.
func connectSQLite(path string) (writer, reader *sql.DB, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, nil, err
	}
	dsn := func(q url.Values) string {
		q.Add("_pragma", "busy_timeout(10000)") // for another process's write, milliseconds
		q.Add("_pragma", "foreign_keys(1)")
		// A URL, because a path may contain ? and %.
		return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
	}
	writer, err = sql.Open("sqlite", dsn(url.Values{
		// FULL: a revoked token is on the disk before the answer is given.
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)"},
		// Immediate: a transaction that begins as a read and then writes fails at
		// once when another process wrote in between; no timeout would help.
		"_txlock": {"immediate"},
	}))
	if err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)
	reader, err = sql.Open("sqlite", dsn(url.Values{"_pragma": {"query_only(1)"}}))
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	reader.SetMaxOpenConns(8)
	reader.SetMaxIdleConns(8)
	return writer, reader, nil
}

// claimSQLite refuses the file of another program, such as Django's db.sqlite3,
// before tables are put into it, and marks an empty one as ours.
func claimSQLite(ctx context.Context, path string, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	var id, tables int64
	if err := tx.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return err
	}
	if id == applicationID {
		return nil
	}
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema`).Scan(&tables); err != nil {
		return err
	}
	if id != 0 || tables != 0 {
		return &Fault{At: "dsn", Problem: path + " is the database of another program", Fix: "name a path of its own for gatehouse"}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return err
	}
	return tx.Commit()
}

// explainSQLite says what to do about a cause that opening ran into.
func explainSQLite(path string, err error) error {
	if _, ok := errors.AsType[*Fault](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f := &Fault{At: "dsn", Err: err}
	switch sqliteCode(err) & 0xff {
	case sqlite3.SQLITE_NOTADB:
		f.Problem, f.Fix = path+" is not a database", "name another path, or move the file away and start again"
	case sqlite3.SQLITE_CORRUPT:
		f.Problem, f.Fix = "the database "+path+" is damaged", "restore it from a backup"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		f.Problem = "the database " + path + " cannot be written"
		f.Fix = "make the file and its directory writable by the user that runs gatehouse"
	case sqlite3.SQLITE_BUSY:
		f.Problem, f.Fix = "the database "+path+" is held by another process", "wait for that process, or end it"
	case sqlite3.SQLITE_FULL:
		f.Problem, f.Fix = "there is no room to write the database "+path, "make room on its disk"
	default:
		f.Problem, f.Fix = fmt.Sprintf("the database %s cannot be used: %v", path, err), "mend the cause, or name another path"
	}
	return f
}

// sqliteCode returns the extended result code, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
