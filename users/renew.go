package users

import (
	"context"
	"database/sql"
	"time"
)

// maxWait is by how much a call may have come before the one that was served before
// it: the time that a write waits for its lock, and what clocks differ.
const maxWait = 15 * time.Second

// Renewal is a refresh token that is about to be exchanged.
type Renewal struct {
	Old         Token     // the token that was shown
	AccessID    string    // the id that its new access token is to have
	AccessUntil time.Time // and its end
	Next        *Token    // the refresh token that is to follow; nil: Old stays
	RevokeOld   bool      // Old is good for nothing when Next is there
	Grace       time.Duration
	Client      Client // for a session that was not begun here
}

// Renewed is what a refresh token was exchanged for.
type Renewed struct {
	NextID   string // the refresh token; "" where Old stays
	AccessID string
	At       time.Time // when both were made, to the microsecond
	Again    bool      // by an earlier call, within the grace
}

// RenewSession exchanges a refresh token. Of any number of calls with one token that
// is revoked by it exactly one succeeds, in whatever process; those that come less
// than Grace later are answered with what that one was given, and the others with
// [ErrReused]. For a token that was revoked, or whose session was ended, it is
// [ErrRevoked]. What was answered is on the disk.
func (s *Store) RenewSession(ctx context.Context, r Renewal) (Renewed, error) {
	// To the microsecond, because that is what can be answered again.
	now := s.now().Truncate(time.Microsecond)
	var out Renewed
	if r.RevokeOld {
		defer s.standing.drop(r.Old.ID)
	}
	err := s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) (err error) {
		if err := holdUser(ctx, tx, r.Old.UserID, s.dialect.forShare); err != nil {
			return err
		}
		if err := s.touchSession(ctx, tx, r, now); err != nil {
			return err
		}
		if r.Next != nil && r.RevokeOld {
			out, err = s.swapToken(ctx, tx, r, now)
			return err
		}
		if err := s.insertToken(ctx, tx, r.Old); err != nil {
			return err
		}
		var revoked int64
		err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM tokens WHERE jti = $1 AND revoked_at IS NOT NULL`, storedID(r.Old.ID)).Scan(&revoked)
		if err != nil {
			return err
		}
		if revoked > 0 {
			out, err = exchanged(ctx, tx, r, now)
			return err
		}
		out = Renewed{AccessID: r.AccessID, At: now}
		if r.Next == nil {
			return nil
		}
		out.NextID = r.Next.ID
		return s.insertToken(ctx, tx, *r.Next)
	})
	return out, err
}

// touchSession notes that the session goes on, and makes a row of one that was not
// begun here. The row is then locked until the transaction ends.
func (s *Store) touchSession(ctx context.Context, tx *sql.Tx, r Renewal, now time.Time) error {
	expires := r.Old.Expires
	if r.Next != nil {
		expires = r.Next.Expires
	}
	touch := func() (int64, error) {
		return s.change(ctx, tx, touchSessionSQL,
			int64(FamilyOf(r.Old.ID)), micros(now), micros(expires), micros(r.AccessUntil))
	}
	// Nearly always it is there. Where it is not, or has ended, the second time decides.
	goesOn, err := touch()
	if err != nil || goesOn > 0 {
		return err
	}
	if err := adoptSession(ctx, tx, r, now); err != nil {
		return err
	}
	if goesOn, err = touch(); err == nil && goesOn == 0 {
		return ErrRevoked
	}
	return err
}

// adoptSession makes a row of a session that was not begun here, unless there is one.
func adoptSession(ctx context.Context, tx *sql.Tx, r Renewal, now time.Time) error {
	began := r.Old.IssuedAt
	if began.IsZero() {
		began = now
	}
	// Tokens of before the last time that all sessions were ended are of one that was.
	_, err := tx.ExecContext(ctx, `
		INSERT INTO sessions (family, user_id, created_at, used_at, expires_at, access_until, ended_at, address, user_agent)
		SELECT $1, (SELECT id FROM users WHERE id = $2), $3, $4, $5, $6,
			(SELECT sessions_ended_at FROM users WHERE id = $2 AND $3 < sessions_ended_at / 1000000 * 1000000), $7, $8
		WHERE true
		ON CONFLICT (family) DO NOTHING`,
		int64(FamilyOf(r.Old.ID)), r.Old.UserID, micros(began), micros(now), micros(r.Old.Expires), micros(r.AccessUntil),
		legible(r.Client.Address, maxAddress), legible(r.Client.UserAgent, maxUserAgent))
	return err
}

// swapToken revokes the old token and remembers the next one. The statement settles
// who is first.
func (s *Store) swapToken(ctx context.Context, tx *sql.Tx, r Renewal, now time.Time) (Renewed, error) {
	swap := func() (int64, error) {
		return s.change(ctx, tx, exchangeSQL, storedID(r.Old.ID), micros(now), r.Next.ID, r.AccessID)
	}
	first, err := swap()
	if err == nil && first == 0 {
		// It was revoked, or was never recorded: others made it.
		if err = s.insertToken(ctx, tx, r.Old); err == nil {
			first, err = swap()
		}
	}
	switch {
	case err != nil:
		return Renewed{}, err
	case first == 0:
		return exchanged(ctx, tx, r, now)
	}
	if err := s.insertToken(ctx, tx, *r.Next); err != nil {
		return Renewed{}, err
	}
	return Renewed{NextID: r.Next.ID, AccessID: r.AccessID, At: now}, nil
}

// exchanged returns what a revoked token was exchanged for, if that was just now and
// is still worth something. The moment that ends the grace is behind it.
func exchanged(ctx context.Context, tx *sql.Tx, r Renewal, now time.Time) (Renewed, error) {
	var next, access sql.Null[string]
	var at sql.Null[int64]
	var dead int64
	err := tx.QueryRowContext(ctx, `
		SELECT o.next_jti, o.access_jti, o.rotated_at,
			(SELECT COUNT(*) FROM tokens n WHERE n.jti = o.next_jti AND n.revoked_at IS NOT NULL AND n.next_jti IS NULL)
		FROM tokens o WHERE o.jti = $1`, storedID(r.Old.ID)).Scan(&next, &access, &at, &dead)
	if err != nil {
		return Renewed{}, err
	}
	// A client that revoked the next token by itself meant the session.
	if !next.Valid || dead > 0 {
		return Renewed{}, ErrRevoked
	}
	made := time.UnixMicro(at.V)
	// This very call, whose connection broke at the commit: nobody else knows the id.
	if r.Next != nil && next.V == r.Next.ID {
		return Renewed{NextID: next.V, AccessID: access.V, At: made}, nil
	}
	// Who came first is not always served first: the moment of a call is when it came,
	// and it may have waited for the lock. But a clock that was set back must not
	// prolong the grace for long.
	if age := now.Sub(made); r.Grace <= 0 || age >= r.Grace || age < -maxWait {
		return Renewed{}, ErrReused
	}
	return Renewed{NextID: next.V, AccessID: access.V, At: made, Again: true}, nil
}
