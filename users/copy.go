package users

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Copying says how [Store.CopyTo] is to copy. The zero value copies.
type Copying struct {
	// DryRun does everything and keeps nothing.
	DryRun bool
	// Progress is told now and then how many rows of a table were written; nil: nobody
	// is told.
	Progress func(table string, rows int)
}

// CopyReport is what a copy wrote, or would have written.
type CopyReport struct {
	DryRun bool         `json:"dry_run"`
	Tables []CopyDigest `json:"tables"`
}

// CopyDigest is one table: the source and the target have the same.
type CopyDigest struct {
	Table  string `json:"table"`
	Rows   int    `json:"rows"`
	SHA256 string `json:"sha256"` // of all values, in the order of the key
}

// copiedTable is a table that is copied, with its columns; the first are the key.
type copiedTable struct {
	name, key string
	columns   []string
	// given: a new store has rows of its own, in whose place those of the source come.
	given bool
}

// Everything but the change feed, which tells of what is over, and budgets of requests,
// which say nothing a minute later.
func copiedTables() []copiedTable {
	return []copiedTable{
		{name: "users", key: "id", columns: []string{
			"id", "username", "password", "first_name", "last_name", "email", "is_active", "is_staff", "is_superuser", "date_joined", "last_login", "sessions_ended_at", "attributes",
		}},
		{name: "user_groups", key: "user_id, name", columns: []string{"user_id", "name"}},
		{name: "sessions", key: "family", columns: []string{"family", "user_id", "created_at", "used_at", "expires_at", "access_until", "ended_at", "address", "user_agent"}},
		{name: "tokens", key: "jti", columns: []string{"jti", "user_id", "issued_at", "expires_at", "revoked_at", "family", "next_jti", "access_jti", "rotated_at"}},
		{name: "login_budgets", key: "bucket", columns: []string{"bucket", "account", "whole_at", "strikes", "known_until", "until"}},
		{name: "secrets", key: "name", columns: []string{"name", "value"}, given: true},
	}
}

// copyBatch is how many rows are written by one statement.
const copyBatch = 200

// CopyTo writes all that the store remembers into another one, of any kind, which must
// be empty: users with their numbers, hashes and groups, sessions, tokens and budgets of logins. It reads
// one moment of the store, writes one transaction, and reads that again before it is
// done: if the target does not have what the store has, to the last value, nothing is
// written. What the store is told meanwhile is not in it.
func (s *Store) CopyTo(ctx context.Context, target *Store, how Copying) (CopyReport, error) {
	var report CopyReport
	kept := errors.New("a dry run keeps nothing")
	err := s.link(s.reader).transact(ctx, work{long: true}, &sql.TxOptions{Isolation: s.dialect.snapshot, ReadOnly: s.dialect.snapshot != 0},
		func(ctx context.Context, from *sql.Tx) error {
			return target.transact(ctx, work{long: true}, func(ctx context.Context, to *sql.Tx) error {
				report = CopyReport{DryRun: how.DryRun}
				if err := target.mustBeEmpty(ctx, to); err != nil {
					return err
				}
				for _, table := range copiedTables() {
					digest, err := copyTable(ctx, from, to, table, how.Progress)
					if err != nil {
						return fmt.Errorf("copy the table %s: %w", table.name, err)
					}
					report.Tables = append(report.Tables, digest)
				}
				if how.DryRun {
					return kept
				}
				last, err := s.dialect.last(ctx, from, "users", "id")
				if n, ok := asNumber(last); err == nil && ok {
					err = target.dialect.advance(ctx, to, n)
				}
				return err
			})
		})
	if errors.Is(err, kept) {
		err = nil
	}
	if err != nil {
		return CopyReport{}, err
	}
	target.live.dropAll()
	target.forgetSecret()
	return report, target.loadEnded(ctx)
}

func (s *Store) mustBeEmpty(ctx context.Context, tx *sql.Tx) error {
	if s.dialect.lockUsers != nil {
		if err := s.dialect.lockUsers(ctx, tx); err != nil {
			return err
		}
	}
	for _, table := range copiedTables() {
		if table.given {
			continue
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table.name).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return &Fault{At: "dsn", Problem: fmt.Sprintf("%s is not empty: it has %d rows of %s", s.dialect.place, n, table.name), Fix: "name a new database"}
		}
	}
	return nil
}

// copyTable writes a table and reads it again.
func copyTable(ctx context.Context, from, to *sql.Tx, table copiedTable, progress func(string, int)) (CopyDigest, error) {
	if table.given {
		//nolint:gosec // the names are those of our own tables
		if _, err := to.ExecContext(ctx, `DELETE FROM `+table.name); err != nil {
			return CopyDigest{}, err
		}
	}
	written, rows := sha256.New(), 0
	var batch []any
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := to.ExecContext(ctx, insertion(table, len(batch)/len(table.columns)), batch...)
		batch = batch[:0]
		return err
	}
	err := eachRow(ctx, from, table, written, func(values []any) error {
		batch = append(batch, values...)
		if rows++; rows%copyBatch == 0 {
			if progress != nil {
				progress(table.name, rows)
			}
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return CopyDigest{}, err
	}
	read, again := sha256.New(), 0
	if err := eachRow(ctx, to, table, read, func([]any) error { again++; return nil }); err != nil {
		return CopyDigest{}, err
	}
	digest := CopyDigest{Table: table.name, Rows: rows, SHA256: hex.EncodeToString(written.Sum(nil))}
	if got := hex.EncodeToString(read.Sum(nil)); again != rows || got != digest.SHA256 {
		return CopyDigest{}, fmt.Errorf("the target has %d rows (sha256 %s) where the source has %d (%s)", again, got, rows, digest.SHA256)
	}
	return digest, nil
}

func insertion(table copiedTable, rows int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "INSERT INTO %s (%s) VALUES ", table.name, strings.Join(table.columns, ", "))
	for row := range rows {
		if row > 0 {
			text.WriteString(", ")
		}
		for i := range table.columns {
			separator := "("
			if i > 0 {
				separator = ", "
			}
			fmt.Fprintf(&text, "%s$%d", separator, row*len(table.columns)+i+1)
		}
		text.WriteString(")")
	}
	return text.String()
}

// eachRow calls do with the values of every row, in the order of the key, and adds them
// to the digest.
func eachRow(ctx context.Context, tx *sql.Tx, table copiedTable, digest hash.Hash, do func(values []any) error) error {
	//nolint:gosec // the names are those of our own tables
	rows, err := tx.QueryContext(ctx, "SELECT "+strings.Join(table.columns, ", ")+" FROM "+table.name+" ORDER BY "+table.key)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		values := make([]any, len(table.columns))
		targets := make([]any, len(values))
		for i := range values {
			targets[i] = &values[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for _, value := range values {
			// Type, length and value: no two rows read the same.
			text := fmt.Sprintf("%v", value)
			fmt.Fprintf(digest, "%T %d %s\n", value, len(text), text)
		}
		if err := do(values); err != nil {
			return err
		}
	}
	return rows.Err()
}
