package users

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Column is what an account can be known by, to a login or to a token.
type Column string

// The columns by which [Store.UserBy] and others look for an account.
const (
	ByID    Column = "id"
	ByName  Column = "username"
	ByEmail Column = "email"
)

// UserBy returns the account that has exactly this name or e-mail address, or
// [ErrNotFound]. An address that several accounts have is nobody's, and so is the
// empty one. [ByID] is not for it.
func (s *Store) UserBy(ctx context.Context, by Column, value string) (User, error) {
	if !findable(value) {
		return User{}, ErrNotFound
	}
	switch by {
	case ByName:
		return s.UserByName(ctx, value)
	case ByEmail:
		return s.userByEmail(ctx, value)
	}
	return User{}, ErrNotFound
}

// findable tells whether an account can have such a name or address; the database is not
// asked about others.
func findable(value string) bool {
	return value != "" && len(value) <= maxEmail*utf8.UTFMax && storable(value)
}

func (s *Store) userByEmail(ctx context.Context, email string) (User, error) {
	if s.site != nil {
		return s.siteUser(ctx, ByEmail, email)
	}
	var all []User
	err := s.read(ctx, func(ctx context.Context, db reads) (err error) {
		all, err = readUsers(ctx, db, selectUsers+` WHERE u.email = $1`+orderUsers, email)
		return err
	})
	switch {
	case err != nil:
		return User{}, err
	case len(all) != 1:
		return User{}, ErrNotFound
	}
	return all[0], nil
}

// LiveUserBy is [Store.LiveUser] for an account that is known by its name or e-mail
// address. That another account was given the same address counts after ten seconds
// at most.
func (s *Store) LiveUserBy(ctx context.Context, by Column, value string) (User, error) {
	now := s.now()
	key := foundKey{by, value}
	if id, ok := s.found.get(key, now); ok {
		u, err := s.LiveUser(ctx, id)
		switch {
		case err == nil && u.has(by, value):
			return u, nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return User{}, err
		}
	}
	u, err := s.UserBy(ctx, by, value)
	if err == nil {
		s.found.put(key, u.ID, now)
	}
	return u, err
}

func (u User) has(by Column, value string) bool {
	return by == ByName && u.Username == value || by == ByEmail && u.Email == value
}

// found remembers whose a name or an address was. It is a hint: the account is read
// by its number and must have it still.
type found struct {
	mu  sync.Mutex
	ids *simplelru.LRU[foundKey, foundID]
}

type foundKey struct {
	by    Column
	value string
}

type foundID struct {
	id int64
	at time.Time
}

func newFound() *found {
	ids, _ := simplelru.NewLRU[foundKey, foundID](liveUsers, nil)
	return &found{ids: ids}
}

func (f *found) get(key foundKey, now time.Time) (int64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.ids.Get(key)
	return e.id, ok && fresh(e.at, now)
}

func (f *found) put(key foundKey, id int64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ids.Add(key, foundID{id, at})
}
