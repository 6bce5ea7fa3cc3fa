package users

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"gatehouse/users/password"
)

// Authenticate is [Store.AuthenticateBy] for the name of an account.
func (s *Store) Authenticate(ctx context.Context, username, plain string) (User, error) {
	return s.AuthenticateBy(ctx, ByName, username, plain)
}

// AuthenticateBy returns the account that has exactly this name or e-mail address
// if plain is its password and it is active. Every refusal is [ErrCredentials], whatever its reason, and
// takes the time of one hash, of a kind and cost that users of the site have
// ([password.Mix]). When too many logins wait it is [password.ErrBusy].
//
// A hash that is outdated is replaced on the way.
func (s *Store) AuthenticateBy(ctx context.Context, by Column, value, plain string) (User, error) {
	u, _, err := s.AuthenticateFor(ctx, by, value, plain)
	return u, err
}

// Denial is why a login was refused, for those who watch over the accounts. Whoever
// tried must not learn it.
type Denial struct {
	Reason DenialReason
	User   User // who has the name; the zero value: nobody
}

// DenialReason is one word.
type DenialReason string

// Why a login is refused.
const (
	DeniedUnknownUser   DenialReason = "unknown_user"
	DeniedWrongPassword DenialReason = "wrong_password"
	DeniedDisabled      DenialReason = "disabled" // and the password is right
	// DeniedChanged is that the account or its password changed while it was looked at.
	DeniedChanged DenialReason = "changed"
)

// AuthenticateFor is [Store.AuthenticateBy] that says beside ErrCredentials why.
func (s *Store) AuthenticateFor(ctx context.Context, by Column, value, plain string) (User, Denial, error) {
	u, err := s.UserBy(ctx, by, value)
	deny := func(reason DenialReason) (User, Denial, error) { return User{}, Denial{reason, u}, ErrCredentials }
	// A hash that another login replaces meanwhile is checked anew. Who meets that
	// three times over is not the user.
	for range 3 {
		if errors.Is(err, ErrNotFound) {
			if err := s.verifyNobody(ctx, value, plain); err != nil {
				return User{}, Denial{}, err
			}
			return deny(DeniedUnknownUser)
		}
		if err != nil {
			return User{}, Denial{}, err
		}
		if !password.Usable(u.Password) {
			if err := s.verifyNobody(ctx, value, plain); err != nil {
				return User{}, Denial{}, err
			}
			return deny(DeniedWrongPassword)
		}
		match, outdated, err := s.hasher.Verify(ctx, plain, u.Password)
		if err != nil {
			return User{}, Denial{}, err
		}
		switch {
		case !match:
			return deny(DeniedWrongPassword)
		case !u.IsActive:
			return deny(DeniedDisabled)
		}
		verified := u.Password
		if outdated {
			verified = s.rehash(ctx, u, plain)
		}
		// The check may have waited: what counts is what the account is now.
		u, err = s.UserByID(ctx, u.ID)
		if errors.Is(err, ErrNotFound) {
			return deny(DeniedChanged)
		}
		if err != nil {
			return User{}, Denial{}, err
		}
		if u.Password == verified {
			if !u.IsActive {
				return deny(DeniedDisabled)
			}
			return u, Denial{}, nil
		}
	}
	return deny(DeniedChanged)
}

// rehash replaces the hash of u by a preferred one of the same password, unless
// it is no longer what was verified. It returns the hash that the account has now,
// as far as is known. The login succeeds either way.
func (s *Store) rehash(ctx context.Context, u User, plain string) string {
	if s.site != nil && !s.site.cfg.UpgradeHashes {
		return u.Password
	}
	encoded, err := s.hasher.Hash(ctx, plain)
	if err == nil {
		err = s.replaceHash(ctx, u, encoded)
	}
	switch {
	case err == nil:
		return encoded
	case errors.Is(err, ErrNotFound): // another login or a new password came first
	default:
		s.logger.WarnContext(ctx, "an outdated password hash could not be replaced; the next login tries again",
			slog.Any("user", u), slog.Any("error", err))
	}
	return u.Password
}

// replaceHash is a compare-and-swap: a password that was changed in the meantime
// must not come back.
func (s *Store) replaceHash(ctx context.Context, u User, encoded string) error {
	if s.site != nil {
		return s.replaceSiteHash(ctx, u, encoded)
	}
	var id int64
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE users SET password = $1 WHERE id = $2 AND password = $3 RETURNING id`,
			encoded, u.ID, u.Password).Scan(&id)
	})
	s.live.drop(u.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
