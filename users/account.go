package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/users/password"
)

// CreateUser makes an account. The name is stored in NFKC and must not exist
// ([ErrExists]); every value that cannot be accepted is a [*Fault]. Hashing may
// answer [password.ErrBusy].
func (s *Store) CreateUser(ctx context.Context, n NewUser) (User, error) {
	if s.site != nil {
		return User{}, ErrManaged
	}
	u, err := n.check()
	if err != nil {
		return User{}, err
	}
	switch {
	case n.Encoded != "":
		u.Password = n.Encoded
	case n.Password != "":
		if u.Password, err = s.hasher.Hash(ctx, n.Password); err != nil {
			return User{}, err
		}
	default:
		u.Password = password.Unusable()
	}
	u.DateJoined = s.now()
	err = s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := insertUser(ctx, tx, &u); err != nil {
			return err
		}
		u, err = oneUser(ctx, tx, selectUsers+` WHERE u.id = $1`+orderUsers, u.ID)
		return err
	})
	s.live.drop(u.ID)
	if s.dialect.unique(err) {
		return User{}, ErrExists
	}
	return u, err
}

func insertUser(ctx context.Context, tx *sql.Tx, u *User) error {
	err := tx.QueryRowContext(ctx, `
		INSERT INTO users (username, password, first_name, last_name, email, is_active, is_staff, is_superuser, date_joined, attributes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		RETURNING id`,
		u.Username, u.Password, u.FirstName, u.LastName, u.Email,
		integer(u.IsActive), integer(u.IsStaff), integer(u.IsSuperuser), micros(u.DateJoined), attributesText(u.Attributes),
	).Scan(&u.ID)
	if err != nil {
		return err
	}
	return addGroups(ctx, tx, u.ID, u.Groups)
}

// UserByName returns the account of exactly that name, or [ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (User, error) {
	if !storable(name) {
		return User{}, ErrNotFound
	}
	if s.site != nil {
		return s.siteUser(ctx, ByName, name)
	}
	return s.readUser(ctx, userByNameSQL, name)
}

// UserByID returns the account as it is now, or [ErrNotFound].
func (s *Store) UserByID(ctx context.Context, id int64) (User, error) {
	if s.site != nil {
		return s.siteUser(ctx, ByID, id)
	}
	return s.readUser(ctx, userByIDSQL, id)
}

func (s *Store) readUser(ctx context.Context, query string, args ...any) (u User, err error) {
	err = s.read(ctx, func(ctx context.Context, db reads) (err error) {
		u, err = oneUser(ctx, db, query, args...)
		return err
	})
	return u, err
}

// Users returns all accounts, ordered by name.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	if s.site != nil {
		return s.site.users(ctx)
	}
	var all []User
	err := s.read(ctx, func(ctx context.Context, db reads) (err error) {
		all, err = readUsers(ctx, db, selectUsers+orderUsers)
		return err
	})
	return all, err
}

// UpdateUser changes the account of that name and returns it as it is then. Its
// errors are [ErrNotFound], [ErrExists] for a new name that is taken, and
// [*Fault]. What [Store.LiveUser] held of it is dropped before it returns. To disable
// an account ends its sessions, unless they are to be kept.
func (s *Store) UpdateUser(ctx context.Context, name string, c Change) (User, error) {
	if s.site != nil {
		return User{}, ErrManaged
	}
	c, err := c.check()
	if err != nil {
		return User{}, err
	}
	var u User
	var gone []endedFamily
	err = s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// Before it is read: what is read must be what is changed.
		if err := s.lockUser(ctx, tx, name); err != nil {
			return err
		}
		if u, err = oneUser(ctx, tx, selectUsers+` WHERE u.username = $1`+orderUsers, name); err != nil {
			return err
		}
		next := c.apply(u)
		if err := checkAttributes(next.Attributes); err != nil { // all of them may be too many
			return err
		}
		if err := updateUser(ctx, tx, u.ID, next); err != nil {
			return err
		}
		if c.Active != nil && !*c.Active && !c.KeepSessions {
			if gone, err = s.endSessions(ctx, tx, u.ID); err != nil {
				return err
			}
		}
		u, err = oneUser(ctx, tx, selectUsers+` WHERE u.id = $1`+orderUsers, u.ID)
		return err
	})
	s.heldEnded(gone, err)
	// Also after an error: a commit may have failed after it was done.
	s.live.drop(u.ID)
	if s.dialect.unique(err) {
		return User{}, ErrExists
	}
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// lockUser keeps the account of that name as it is until the transaction ends, which
// is going to change it, or answers ErrNotFound.
func (s *Store) lockUser(ctx context.Context, tx *sql.Tx, name string) error {
	if !storable(name) {
		return ErrNotFound
	}
	if s.dialect.forUpdate == "" {
		return nil
	}
	if err := s.dialect.meanUsers(ctx, tx); err != nil {
		return err
	}
	var id int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE username = $1`+s.dialect.forUpdate, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// holdUser keeps others from changing an account until the transaction ends, where
// a row of that number exists. The lock is one of the dialect. Who changes the account
// behind it has changed one before, or said so (dialect.meanUsers).
func holdUser(ctx context.Context, tx *sql.Tx, id *int64, lock string) error {
	if lock == "" || id == nil {
		return nil
	}
	var same int64
	err := tx.QueryRowContext(ctx, `SELECT id FROM users WHERE id = $1`+lock, *id).Scan(&same)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// apply returns u with c in it.
func (c Change) apply(u User) User {
	set(&u.Username, c.Username)
	set(&u.Email, c.Email)
	set(&u.FirstName, c.FirstName)
	set(&u.LastName, c.LastName)
	set(&u.IsActive, c.Active)
	set(&u.IsStaff, c.Staff)
	set(&u.IsSuperuser, c.Superuser)
	set(&u.Groups, c.SetGroups)
	u.Groups = slices.Concat(u.Groups, c.AddGroups)
	u.Groups = slices.DeleteFunc(u.Groups, func(name string) bool { return slices.Contains(c.RemoveGroups, name) })
	u.Attributes = changed(u.Attributes, c.SetAttributes, c.RemoveAttributes)
	return u
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

func updateUser(ctx context.Context, tx *sql.Tx, id int64, u User) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE users
		SET username = $2, first_name = $3, last_name = $4, email = $5, is_active = $6, is_staff = $7, is_superuser = $8, attributes = $9
		WHERE id = $1`,
		id, u.Username, u.FirstName, u.LastName, u.Email, integer(u.IsActive), integer(u.IsStaff), integer(u.IsSuperuser),
		attributesText(u.Attributes))
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM user_groups WHERE user_id = $1`, id); err != nil {
		return err
	}
	return addGroups(ctx, tx, id, u.Groups)
}

func addGroups(ctx context.Context, tx *sql.Tx, id int64, groups []string) error {
	for _, name := range groups {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO user_groups (user_id, name) VALUES ($1, $2)
			ON CONFLICT (user_id, name) DO NOTHING`, id, name)
		if err != nil {
			return err
		}
	}
	return nil
}

// SetPassword gives the account of that name a new password; "" makes one that
// cannot log in. It ends all sessions of the user. Its errors are [ErrNotFound], [*Fault], [password.ErrBusy].
func (s *Store) SetPassword(ctx context.Context, name, plain string) error {
	if s.site != nil {
		return ErrManaged
	}
	encoded := password.Unusable()
	if plain != "" {
		if err := checkPassword(plain); err != nil {
			return err
		}
		var err error
		if encoded, err = s.hasher.Hash(ctx, plain); err != nil {
			return err
		}
	}
	if !storable(name) {
		return ErrNotFound
	}
	var id int64
	var gone []endedFamily
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE users SET password = $1 WHERE username = $2 RETURNING id`, encoded, name).Scan(&id)
		if err != nil {
			return err
		}
		gone, err = s.endSessions(ctx, tx, id)
		return err
	})
	s.live.drop(id)
	s.heldEnded(gone, err)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// DeleteUser removes the account of that name, or answers [ErrNotFound]. Its
// number is never given again. Its sessions go with it; the ids of its refresh
// tokens stay, without a user.
func (s *Store) DeleteUser(ctx context.Context, name string) error {
	if s.site != nil {
		return ErrManaged
	}
	if !storable(name) {
		return ErrNotFound
	}
	return s.writeOne(ctx, `DELETE FROM users WHERE username = $1 RETURNING id`, name)
}

// writeOne runs a statement that returns the number of the account it wrote, and
// drops what is held of it.
func (s *Store) writeOne(ctx context.Context, statement string, args ...any) error {
	var id int64
	err := s.inTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, statement, args...).Scan(&id)
	})
	s.live.drop(id)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// One row for each group of a user, or one with a null: account and groups are
// read by one statement, so they are of one moment.
const (
	selectUsers = `
		SELECT u.id, u.username, u.password, u.first_name, u.last_name, u.email,
			u.is_active, u.is_staff, u.is_superuser, u.date_joined, u.last_login,
			u.sessions_ended_at, u.attributes, g.name
		FROM users u LEFT JOIN user_groups g ON g.user_id = u.id`
	orderUsers = ` ORDER BY u.username, g.name`
)

func oneUser(ctx context.Context, db reads, query string, args ...any) (User, error) {
	all, err := readUsers(ctx, db, query, args...)
	if err != nil {
		return User{}, err
	}
	if len(all) == 0 {
		return User{}, ErrNotFound
	}
	return all[0], nil
}

func readUsers(ctx context.Context, db reads, query string, args ...any) ([]User, error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var all []User
	for rows.Next() {
		var u User
		var active, staff, superuser, joined int64
		var login, ended sql.Null[int64]
		var group sql.Null[string]
		var attributes string
		err := rows.Scan(&u.ID, &u.Username, &u.Password, &u.FirstName, &u.LastName, &u.Email,
			&active, &staff, &superuser, &joined, &login, &ended, &attributes, &group)
		if err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].ID != u.ID {
			u.IsActive, u.IsStaff, u.IsSuperuser = active == 1, staff == 1, superuser == 1
			u.DateJoined = time.UnixMicro(joined).UTC()
			if login.Valid {
				u.LastLogin = time.UnixMicro(login.V).UTC()
			}
			if ended.Valid {
				u.SessionsEnded = time.UnixMicro(ended.V).UTC()
			}
			u.Groups = []string{}
			if u.Attributes, err = readAttributes(attributes); err != nil {
				return nil, fmt.Errorf("read %s: %w", u, err)
			}
			all = append(all, u)
		}
		if group.Valid {
			last := &all[len(all)-1]
			last.Groups = append(last.Groups, group.V)
		}
	}
	return all, rows.Err()
}

func integer(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
