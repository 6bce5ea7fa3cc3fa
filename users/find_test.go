package users_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestUserBy(t *testing.T) { userstest.Each(t, testUserBy) }

func testUserBy(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	for _, n := range []users.NewUser{
		{Username: "ada", Email: "ada@example.com"}, {Username: "bob"}, {Username: "cyd", Email: "same@example.com"}, {Username: "dan", Email: "same@example.com"},
	} {
		userstest.Add(t, s, n)
	}
	for _, c := range []struct {
		by          users.Column
		value, want string // "": nobody
	}{
		{users.ByName, "ada", "ada"},
		{users.ByName, "Ada", ""},
		{users.ByName, "ada@example.com", ""},
		{users.ByName, "", ""},
		{users.ByName, "a\xff", ""},
		{users.ByEmail, "ada@example.com", "ada"},
		{users.ByEmail, "Ada@example.com", ""},
		{users.ByEmail, "ada", ""},
		{users.ByEmail, "", ""}, // bob has none
		{users.ByEmail, "same@example.com", ""},
		{users.ByID, "1", ""},
		{"first_name", "ada", ""},
	} {
		for name, find := range map[string]func() (users.User, error){
			"stored": func() (users.User, error) { return s.UserBy(t.Context(), c.by, c.value) },
			"live":   func() (users.User, error) { return s.LiveUserBy(t.Context(), c.by, c.value) },
			"again":  func() (users.User, error) { return s.LiveUserBy(t.Context(), c.by, c.value) },
		} {
			u, err := find()
			if c.want == "" && !errors.Is(err, users.ErrNotFound) || c.want != "" && (err != nil || u.Username != c.want) {
				t.Errorf("%s %s %q: %v, %v; want %q", name, c.by, c.value, u, err, c.want)
			}
		}
	}
}

// What is held of a name must not outlive the name: it may be another's by then.
func TestALiveUserIsWhoHasTheNameNow(t *testing.T) {
	userstest.Each(t, testALiveUserIsWhoHasTheNameNow)
}

func testALiveUserIsWhoHasTheNameNow(t *testing.T, place *userstest.Place) {
	now := time.Now()
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	ada := userstest.Add(t, s, users.NewUser{Username: "ada", Email: "ada@example.com"})
	find := func(by users.Column, value string) int64 {
		t.Helper()
		u, err := s.LiveUserBy(t.Context(), by, value)
		if err != nil && !errors.Is(err, users.ErrNotFound) {
			t.Fatal(err)
		}
		return u.ID
	}
	find(users.ByName, "ada")
	find(users.ByEmail, "ada@example.com")
	change := func(name string, c users.Change) {
		t.Helper()
		if _, err := s.UpdateUser(t.Context(), name, c); err != nil {
			t.Fatal(err)
		}
	}
	change("ada", users.Change{Active: new(false)})
	if u, err := s.LiveUserBy(t.Context(), users.ByName, "ada"); err != nil || u.IsActive {
		t.Errorf("disabled, she is %v %v", u.IsActive, err)
	}
	change("ada", users.Change{Username: new("ada2"), Email: new("ada2@example.com")})
	if got := find(users.ByName, "ada"); got != 0 {
		t.Errorf("nobody is called so, and it is %d", got)
	}
	if got := find(users.ByEmail, "ada@example.com"); got != 0 {
		t.Errorf("nobody has the address, and it is %d", got)
	}
	eve := userstest.Add(t, s, users.NewUser{Username: "ada", Email: "ada@example.com"})
	if a, b := find(users.ByName, "ada"), find(users.ByEmail, "ada@example.com"); a != eve.ID || b != eve.ID {
		t.Errorf("they are now those of %d and are %d, %d", eve.ID, a, b)
	}
	if err := s.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if got := find(users.ByName, "ada"); got != 0 {
		t.Errorf("she is deleted, and it is %d", got)
	}
	if got := find(users.ByEmail, "ada2@example.com"); got != ada.ID {
		t.Errorf("got %d, want %d", got, ada.ID)
	}
	// An address that a second account is given is nobody's, at the latest after ten seconds.
	userstest.Add(t, s, users.NewUser{Username: "twin", Email: "ada2@example.com"})
	now = now.Add(10 * time.Second)
	if got := find(users.ByEmail, "ada2@example.com"); got != 0 {
		t.Errorf("two have the address, and it is that of %d", got)
	}
}

// What each refresh asks, of a client that may go away meanwhile.
func BenchmarkLookups(b *testing.B) {
	s := userstest.Open(b)
	for _, name := range []string{"eve", "ada"} {
		userstest.Add(b, s, users.NewUser{Username: name, Groups: []string{"staff"}})
	}
	u, err := s.UserByName(b.Context(), "ada")
	if err != nil {
		b.Fatal(err)
	}
	for name, ask := range map[string]func(ctx context.Context) error{
		"user": func(ctx context.Context) error { _, err := s.UserByID(ctx, u.ID); return err },
		"revoked": func(ctx context.Context) error {
			_, err := s.Revoked(ctx, "0123456789ab4cdef123456789abcdef")
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			b.ReportAllocs()
			for b.Loop() {
				if err := ask(ctx); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
