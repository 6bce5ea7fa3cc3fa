package users

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Where users are read from a Django site, the store holds a row for each that was
// asked for: what its sessions refer to, and what tells whether the account is not
// what it was. It has no hash, no address and no groups; those are read from the site.

// mirrorMark begins the column password of such a row. Behind it are digests of the
// hashes that are known to be of one password.
const mirrorMark = "!site"

func mirrorPassword(encoded ...string) string {
	words := []string{mirrorMark}
	for _, hash := range encoded {
		sum := sha256.Sum256([]byte(hash))
		words = append(words, hex.EncodeToString(sum[:16]))
	}
	return strings.Join(words, " ")
}

// knows tells whether a row has the digest of that hash.
func (u User) knows(encoded string) bool {
	digest := strings.Fields(mirrorPassword(encoded))[1]
	return slices.Contains(strings.Fields(u.Password), digest)
}

// Managed tells whether users are read from a Django site, and so cannot be changed
// here.
func (s *Store) Managed() bool { return s.site != nil }

// siteUser reads an account from the site. What has happened to it there ends its
// sessions before it is returned.
func (s *Store) siteUser(ctx context.Context, by Column, value any) (User, error) {
	u, err := s.site.user(ctx, by, value)
	if id, ok := value.(int64); ok && errors.Is(err, ErrNotFound) {
		if err := s.mirrorGone(ctx, id); err != nil {
			return User{}, err
		}
	}
	if err != nil {
		return User{}, err
	}
	return s.mirror(ctx, u)
}

// mirrorRow reads the row of an account as it is here.
func (s *Store) mirrorRow(ctx context.Context, id int64) (User, error) {
	var row User
	err := s.read(ctx, func(ctx context.Context, db reads) (err error) {
		row, err = oneUser(ctx, db, selectUsers+` WHERE u.id = $1`+orderUsers, id)
		return err
	})
	return row, err
}

// mirror makes the row of u what the site has, and returns u with what only the store
// knows.
func (s *Store) mirror(ctx context.Context, u User) (User, error) {
	row, err := s.mirrorRow(ctx, u.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return User{}, err
	}
	if err == nil && row.Username == u.Username && row.IsActive == u.IsActive && row.knows(u.Password) {
		u.SessionsEnded = row.SessionsEnded
		return u, nil
	}
	var gone []endedFamily
	err = s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) (err error) {
		gone, err = s.writeMirror(ctx, tx, u)
		if err != nil {
			return err
		}
		row, err = oneUser(ctx, tx, selectUsers+` WHERE u.id = $1`+orderUsers, u.ID)
		return err
	})
	s.live.drop(u.ID)
	s.heldEnded(gone, err)
	u.SessionsEnded = row.SessionsEnded
	return u, err
}

func (s *Store) writeMirror(ctx context.Context, tx *sql.Tx, u User) ([]endedFamily, error) {
	// Somebody who had the name has another one by now, or none; that is read when it is
	// asked for.
	_, err := tx.ExecContext(ctx, `UPDATE users SET username = 'moved ' || id WHERE username = $1 AND id <> $2`, u.Username, u.ID)
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO users (id, username, password, first_name, last_name, email, is_active, is_staff, is_superuser, date_joined)
		VALUES ($1, $2, $3, '', '', '', $4, 0, 0, $5)
		ON CONFLICT (id) DO NOTHING`,
		u.ID, u.Username, mirrorPassword(u.Password), integer(u.IsActive), micros(s.now()))
	if err != nil {
		return nil, err
	}
	if err := holdUser(ctx, tx, &u.ID, s.dialect.forUpdate); err != nil {
		return nil, err
	}
	row, err := oneUser(ctx, tx, selectUsers+` WHERE u.id = $1`+orderUsers, u.ID)
	if err != nil {
		return nil, err
	}
	known := row.Password
	over := row.IsActive && !u.IsActive
	if !row.knows(u.Password) {
		known, over = mirrorPassword(u.Password), true
	}
	_, err = tx.ExecContext(ctx, `UPDATE users SET username = $2, password = $3, is_active = $4 WHERE id = $1`,
		u.ID, u.Username, known, integer(u.IsActive))
	if err != nil || !over {
		return nil, err
	}
	return s.endSessions(ctx, tx, u.ID)
}

// mirrorGone ends what there is of an account that the site has no more. Its row stays:
// the number may be given again, and the tokens of before must not become another's.
func (s *Store) mirrorGone(ctx context.Context, id int64) error {
	row, err := s.mirrorRow(ctx, id)
	if errors.Is(err, ErrNotFound) || err == nil && !row.IsActive {
		return nil
	}
	if err != nil {
		return err
	}
	var gone []endedFamily
	err = s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) (err error) {
		// Without a digest: whoever gets the number begins anew.
		_, err = tx.ExecContext(ctx, `UPDATE users SET is_active = 0, password = $2 WHERE id = $1`, id, mirrorMark)
		if err != nil {
			return err
		}
		gone, err = s.endSessions(ctx, tx, id)
		return err
	})
	s.live.drop(id)
	s.heldEnded(gone, err)
	return err
}

// replaceSiteHash is replaceHash for a user of the site. The new hash is known here
// before it is there: it is no new password, and must not end sessions.
func (s *Store) replaceSiteHash(ctx context.Context, u User, encoded string) error {
	know := func(hashes ...string) error {
		return s.transact(ctx, work{repeatable: true}, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE users SET password = $1 WHERE id = $2`, mirrorPassword(hashes...), u.ID)
			return err
		})
	}
	if err := know(u.Password, encoded); err != nil {
		return err
	}
	err := s.site.replaceHash(ctx, u, encoded)
	if err == nil {
		err = know(encoded)
	}
	s.live.drop(u.ID)
	return err
}

// noteAtSite writes the moment of a login into the site's database, where that is
// asked for. The login does not depend on it.
func (s *Store) noteAtSite(ctx context.Context, u User, at time.Time) {
	if s.site == nil || !s.site.cfg.LastLogin {
		return
	}
	if err := s.site.noteLogin(ctx, u.ID, at); err != nil {
		s.logger.WarnContext(ctx, "the last login could not be written into the site's database", slog.Any("user", u), slog.Any("error", err))
	}
	s.live.drop(u.ID)
}

// claimUsers refuses a store whose users are not of the kind that is wanted.
func (s *Store) claimUsers(ctx context.Context) error {
	var own, mirrored int
	err := s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, `
			SELECT COALESCE(SUM(CASE WHEN password LIKE $1 THEN 0 ELSE 1 END), 0), COALESCE(SUM(CASE WHEN password LIKE $1 THEN 1 ELSE 0 END), 0)
			FROM users`, mirrorMark+"%").Scan(&own, &mirrored)
	})
	switch {
	case err != nil:
		return err
	case s.site != nil && own > 0:
		return &Fault{
			At:      "users.source",
			Problem: fmt.Sprintf("the store %s has users of its own (%d), whose numbers would become those of the site's users", s.dialect.place, own),
			Fix:     "give store.dsn a new database, or write source: own",
		}
	case s.site == nil && mirrored > 0:
		s.logger.WarnContext(ctx, "the store knows users of a Django site, who cannot log in while store.users.source is own; gatehouse import django makes them the store's own",
			slog.Int("users", mirrored))
	}
	return nil
}
