package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// The statements of logins and refreshes, and of what parts those that are written
// together. They are the same text each time, so that a
// database whose driver does not remember what it has read needs to read them once.
// None of them is built, and so there are never more.
const (
	rememberSQL = `
		INSERT INTO tokens (jti, user_id, issued_at, expires_at, family)
		VALUES ($1, (SELECT id FROM users WHERE id = $2), $3, $4, $5)
		ON CONFLICT (jti) DO NOTHING`

	touchSessionSQL = `
		UPDATE sessions SET used_at = $2,
			expires_at = CASE WHEN $3 > expires_at THEN $3 ELSE expires_at END,
			access_until = CASE WHEN $4 > access_until THEN $4 ELSE access_until END
		WHERE family = $1 AND ended_at IS NULL`

	exchangeSQL = `
		UPDATE tokens SET revoked_at = $2, rotated_at = $2, next_jti = $3, access_jti = $4
		WHERE jti = $1 AND revoked_at IS NULL`

	startSessionSQL = `
		INSERT INTO sessions (family, user_id, created_at, used_at, expires_at, access_until, address, user_agent)
		SELECT $1, id, $3, $3, $4, $5, $6, $7 FROM users
		WHERE id = $2 AND is_active = 1 AND COALESCE(sessions_ended_at, 0) = COALESCE(CAST($8 AS BIGINT), 0)`

	noteLoginSQL = `
		UPDATE users SET last_login = CASE WHEN COALESCE(last_login, 0) < $1 THEN $1 ELSE last_login END
		WHERE id = $2`

	// Where the number is compared as it is, SQLite plans anew whenever it becomes or was 1.
	userByIDSQL   = selectUsers + ` WHERE u.id = CAST($1 AS BIGINT)` + orderUsers
	userByNameSQL = selectUsers + ` WHERE u.username = $1` + orderUsers

	revokedSQL = `SELECT COUNT(*) FROM tokens WHERE jti = $1 AND revoked_at IS NOT NULL`

	savepointSQL = `SAVEPOINT one`
	undoSQL      = `ROLLBACK TO one`
	releaseSQL   = `RELEASE one`
)

// prepared are statements of a pool, by their texts. It is not written any more
// once the store is open. A connection that does not know one yet, and one whose
// schema another process has changed since, reads it again by itself.
type prepared map[string]*sql.Stmt

// prepareStatements reads them with the tables as the migrations left them.
func (s *Store) prepareStatements(ctx context.Context) (err error) {
	if !s.dialect.forgets {
		return nil
	}
	s.prepared, err = prepare(ctx, s.writer, rememberSQL, touchSessionSQL, exchangeSQL, startSessionSQL, noteLoginSQL, savepointSQL, undoSQL, releaseSQL)
	if err == nil {
		s.lookups, err = prepare(ctx, s.reader, userByIDSQL, userByNameSQL, revokedSQL)
	}
	return err
}

func prepare(ctx context.Context, db *sql.DB, texts ...string) (prepared, error) {
	all := prepared{}
	for _, text := range texts {
		statement, err := db.PrepareContext(ctx, text) //nolint:sqlclosecheck // the store closes it
		if err != nil {
			return all, fmt.Errorf("prepare a statement: %w", err)
		}
		all[text] = statement
	}
	return all, nil
}

// close may be called more than once.
func (p prepared) close() error {
	var faults []error
	for _, statement := range p {
		faults = append(faults, statement.Close())
	}
	return errors.Join(faults...)
}

// change runs one of the statements, and tells how many rows it wrote.
func (s *Store) change(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error) {
	var result sql.Result
	var err error
	if statement, ok := s.prepared[text]; ok {
		result, err = tx.StmtContext(ctx, statement).ExecContext(ctx, args...) //nolint:sqlclosecheck // it ends with the transaction
	} else {
		result, err = tx.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// looking reads from a pool, by the statements that it knows where they are those.
type looking struct {
	*sql.DB
	known prepared
}

// QueryContext is not broken off where the statement is known: all of those take
// microseconds, and so does being ready to break one off.
func (l looking) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, ok := l.known[query]
	if !ok {
		return l.DB.QueryContext(ctx, query, args...)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return statement.QueryContext(context.WithoutCancel(ctx), args...)
}

// QueryRowContext likewise.
func (l looking) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	statement, ok := l.known[query]
	if !ok || ctx.Err() != nil {
		return l.DB.QueryRowContext(ctx, query, args...)
	}
	return statement.QueryRowContext(context.WithoutCancel(ctx), args...)
}
