package users

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// Token is what is remembered of a refresh token: not the token, only its id.
type Token struct {
	ID       string    // the jti claim
	UserID   *int64    // nil: none; a number without an account is stored as none
	IssuedAt time.Time // zero: not known
	Expires  time.Time // the exp claim; must be given
}

// RecordToken remembers a refresh token that was handed out. It does nothing if
// the id is known.
func (s *Store) RecordToken(ctx context.Context, t Token) error {
	return s.writeToken(ctx, t, func(ctx context.Context, tx *sql.Tx) error {
		return s.insertToken(ctx, tx, t)
	})
}

// RevokeToken makes [Store.Revoked] answer true for the id of t, also when it was
// never recorded; when it returns nil the revocation is on the disk. To revoke
// again does no harm. Tokens that share an id are revoked together, until the last
// of them that was named has expired.
func (s *Store) RevokeToken(ctx context.Context, t Token) error {
	if err := s.RevokeLiveToken(ctx, t); !errors.Is(err, ErrRevoked) {
		return err
	}
	return nil
}

// RevokeLiveToken is [Store.RevokeToken] for a token that is not revoked: of any
// number of calls, in whatever process, one succeeds, and none after a refresh that
// revoked the token. The others are told [ErrRevoked].
func (s *Store) RevokeLiveToken(ctx context.Context, t Token) error {
	now := micros(s.now())
	first := false
	err := s.writeToken(ctx, t, func(ctx context.Context, tx *sql.Tx) error {
		// The moment is this one too where an earlier run of this very call was done
		// although the connection broke at the commit.
		return tx.QueryRowContext(ctx, `
			INSERT INTO tokens (jti, user_id, issued_at, expires_at, revoked_at, family)
			VALUES ($1, (SELECT id FROM users WHERE id = $2), $3, $4, $5, $6)
			ON CONFLICT (jti) DO UPDATE SET
				revoked_at = COALESCE(tokens.revoked_at, excluded.revoked_at),
				expires_at = CASE WHEN excluded.expires_at > tokens.expires_at THEN excluded.expires_at ELSE tokens.expires_at END
			RETURNING revoked_at = $5 AND rotated_at IS NULL`,
			storedID(t.ID), t.UserID, microsOrNull(t.IssuedAt), micros(t.Expires), now, int64(FamilyOf(t.ID))).Scan(&first)
	})
	if err == nil && !first {
		return ErrRevoked
	}
	return err
}

func (s *Store) writeToken(ctx context.Context, t Token, write func(ctx context.Context, tx *sql.Tx) error) error {
	if t.Expires.IsZero() {
		return errors.New("a token without an end cannot be remembered")
	}
	defer s.standing.drop(t.ID) // also after an error: a commit may have failed after it was done
	return s.transact(ctx, work{repeatable: true}, write)
}

// Revoked tells whether a token of that id was revoked, by any process.
func (s *Store) Revoked(ctx context.Context, jti string) (bool, error) {
	var n int
	err := s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, revokedSQL, storedID(jti)).Scan(&n)
	})
	return n > 0, err
}

// storedID is how the id of a token stands in the database. PostgreSQL has no texts
// with U+0000 or bytes that are not UTF-8, which a token that others made may have
// there; such an id is written in hex digits.
func storedID(jti string) string {
	const mark = "hex:"
	if storable(jti) && !strings.HasPrefix(jti, mark) {
		return jti
	}
	return mark + hex.EncodeToString([]byte(jti))
}

// storable tells whether every database can have text in a column.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// microsOrNull returns nil for the zero moment.
func microsOrNull(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(micros(t))
}

// micros returns the microseconds since 1970, within what an integer holds: an
// end beyond reason must not turn into one long past, and its row be removed.
func micros(t time.Time) int64 {
	const most = 1 << 62
	switch seconds := t.Unix(); {
	case seconds > most/1_000_000:
		return most
	case seconds < -most/1_000_000:
		return -most
	}
	return t.UnixMicro()
}

// TokenState tells whether a refresh token was revoked, and whether that was because
// it was exchanged for another.
func (s *Store) TokenState(ctx context.Context, jti string) (revoked, exchanged bool, err error) {
	err = s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, `SELECT revoked_at IS NOT NULL, next_jti IS NOT NULL FROM tokens WHERE jti = $1`,
			storedID(jti)).Scan(&revoked, &exchanged)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, false, nil
	}
	return revoked, exchanged, err
}
