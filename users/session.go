package users

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What the store says of the refresh token of a session that cannot be renewed.
// Compare with errors.Is.
var (
	// ErrRevoked: the token was revoked, or its session was ended.
	ErrRevoked = errors.New("the token or its session was revoked")
	// ErrReused: the token was exchanged for another one already, and not just now.
	ErrReused = errors.New("the token was exchanged already")
)

// Session is a login that goes on.
type Session struct {
	ID        string    `json:"id"` // its family, as 15 hex digits
	Created   time.Time `json:"created"`
	Used      time.Time `json:"last_used"` // by its latest refresh
	Expires   time.Time `json:"expires"`   // unless it is renewed
	Address   string    `json:"address"`   // of who began it; "": not known
	UserAgent string    `json:"user_agent"`
}

// Client is who asks, as far as sessions remember it. Every text may be put into
// it: what is not printable is replaced, and what is long is cut.
type Client struct {
	Address   string
	UserAgent string
}

const (
	maxAddress   = 64  // characters
	maxUserAgent = 200 // characters
)

// legible returns text with at most so many characters, all of them printable.
func legible(text string, most int) string {
	clean := func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}
	runes := make([]rune, 0, most)
	for _, r := range strings.TrimSpace(text) {
		if len(runes) == most {
			break
		}
		runes = append(runes, clean(r))
	}
	return strings.TrimSpace(string(runes))
}

// StartSession remembers the session of a login: user is what [Store.Authenticate]
// returned, and refresh the token that begins it. It answers [ErrCredentials] if
// all sessions of the user were ended since, by a new password for one: a login
// that was under way must not outlive that. With note the moment becomes the last
// login of the user.
func (s *Store) StartSession(ctx context.Context, user User, refresh Token, accessUntil time.Time, client Client, note bool) error {
	family := FamilyOf(refresh.ID)
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.holdLogin(ctx, tx, user.ID, refresh.IssuedAt, note); err != nil {
			return err
		}
		began, err := s.change(ctx, tx, startSessionSQL,
			int64(family), user.ID, micros(refresh.IssuedAt), micros(refresh.Expires), micros(accessUntil),
			legible(client.Address, maxAddress), legible(client.UserAgent, maxUserAgent), microsOrNull(user.SessionsEnded))
		if err != nil {
			return err
		}
		if began == 0 {
			return ErrCredentials
		}
		return s.insertToken(ctx, tx, refresh)
	})
	if note {
		s.live.drop(user.ID)
	}
	if err == nil {
		s.noteAtSite(ctx, user, refresh.IssuedAt)
	}
	return err
}

// holdLogin keeps others from changing the account that logs in until the transaction
// ends, with its last login in it if that is to be noted.
func (s *Store) holdLogin(ctx context.Context, tx *sql.Tx, id int64, at time.Time, note bool) error {
	if !note {
		return holdUser(ctx, tx, &id, s.dialect.forShare)
	}
	// The clocks of processes differ: a later login stays the last one.
	_, err := s.change(ctx, tx, noteLoginSQL, micros(at), id)
	return err
}

// insertToken remembers a refresh token that was handed out, unless its id is known.
func (s *Store) insertToken(ctx context.Context, tx *sql.Tx, t Token) error {
	_, err := s.change(ctx, tx, rememberSQL,
		storedID(t.ID), t.UserID, microsOrNull(t.IssuedAt), micros(t.Expires), int64(FamilyOf(t.ID)))
	return err
}

// Sessions returns the sessions of a user that go on, the latest used first. One of
// which every refresh token was revoked or has expired is none.
func (s *Store) Sessions(ctx context.Context, userID int64) ([]Session, error) {
	all := []Session{}
	err := s.read(ctx, func(ctx context.Context, db reads) (err error) {
		all, err = readSessions(ctx, db, userID, s.now())
		return err
	})
	return all, err
}

func readSessions(ctx context.Context, db reads, userID int64, now time.Time) ([]Session, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT family, created_at, used_at, expires_at, address, user_agent FROM sessions s
		WHERE user_id = $1 AND ended_at IS NULL AND EXISTS (
			SELECT 1 FROM tokens t WHERE t.family = s.family AND t.revoked_at IS NULL AND t.expires_at > $2)
		ORDER BY used_at DESC, created_at DESC, family`, userID, micros(now))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	all := []Session{}
	for rows.Next() {
		var one Session
		var family Family
		var created, used, expires int64
		if err := rows.Scan(&family, &created, &used, &expires, &one.Address, &one.UserAgent); err != nil {
			return nil, err
		}
		one.ID = family.String()
		one.Created, one.Used, one.Expires = time.UnixMicro(created).UTC(), time.UnixMicro(used).UTC(), time.UnixMicro(expires).UTC()
		all = append(all, one)
	}
	return all, rows.Err()
}

// EndSession ends the session that a token belongs to, one that nobody here began
// included: none of its refresh tokens is good when the call returns, and no access
// token of it passes [Store.SessionEnded]. It is on the disk then. To end it again
// does no harm.
func (s *Store) EndSession(ctx context.Context, t Token) error {
	now, family := micros(s.now()), FamilyOf(t.ID)
	var gone []endedFamily
	err := s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) (err error) {
		gone, err = readEnded(ctx, tx, `
			INSERT INTO sessions (family, user_id, created_at, used_at, expires_at, access_until, ended_at, address, user_agent)
			VALUES ($1, (SELECT id FROM users WHERE id = $2), $3, $3, $4, $4, $3, '', '')
			ON CONFLICT (family) DO UPDATE SET
				ended_at = COALESCE(sessions.ended_at, excluded.ended_at)
			RETURNING family, access_until`,
			int64(family), t.UserID, now, micros(t.Expires))
		return err
	})
	s.heldEnded(gone, err)
	return err
}

// EndSessionOf ends one session of the user of that name, as [Store.Sessions] names
// it. It answers [ErrNotFound] if there is no such user, or no such session of theirs.
func (s *Store) EndSessionOf(ctx context.Context, name, id string) error {
	family, ok := ParseFamily(id)
	if !ok || !storable(name) {
		return ErrNotFound
	}
	var gone []endedFamily
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		gone, err = readEnded(ctx, tx, `
			UPDATE sessions SET ended_at = $1
			WHERE family = $2 AND ended_at IS NULL AND user_id = (SELECT id FROM users WHERE username = $3)
			RETURNING family, access_until`, micros(s.now()), int64(family), name)
		if err == nil && len(gone) == 0 {
			return ErrNotFound
		}
		return err
	})
	s.heldEnded(gone, err)
	return err
}

// EndSessions ends all sessions of a user, or answers [ErrNotFound]. Tokens of
// theirs that others made count as of a session that was ended, if they were made
// in a second before this one.
func (s *Store) EndSessions(ctx context.Context, userID int64) error {
	var gone []endedFamily
	err := s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) (err error) {
		gone, err = s.endSessions(ctx, tx, userID)
		return err
	})
	s.live.drop(userID)
	s.heldEnded(gone, err)
	return err
}

// endSessions is EndSessions in a transaction. The caller holds what it returns
// when the transaction is done.
func (s *Store) endSessions(ctx context.Context, tx *sql.Tx, userID int64) ([]endedFamily, error) {
	now := micros(s.now())
	var id int64
	// It always grows: a login that is under way looks whether it is the same.
	err := tx.QueryRowContext(ctx, `
		UPDATE users SET sessions_ended_at = CASE WHEN sessions_ended_at >= $1 THEN sessions_ended_at + 1 ELSE $1 END
		WHERE id = $2 RETURNING id`, now, userID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return readEnded(ctx, tx, `
		UPDATE sessions SET ended_at = $1 WHERE user_id = $2 AND ended_at IS NULL
		RETURNING family, access_until`, now, userID)
}
