package users_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestLocalWritesCountAtOnce(t *testing.T) { userstest.Each(t, testLocalWritesCountAtOnce) }

func testLocalWritesCountAtOnce(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret", Groups: []string{"staff"}})
	for _, tt := range []struct {
		name  string
		write func() error
		check func(u users.User, err error) bool
	}{
		{
			"disabled", func() error { return second(s.UpdateUser(t.Context(), "ada", users.Change{Active: new(false)})) },
			func(u users.User, err error) bool { return err == nil && !u.IsActive },
		},
		{
			"role removed", func() error {
				return second(s.UpdateUser(t.Context(), "ada", users.Change{RemoveGroups: []string{"staff"}}))
			},
			func(u users.User, err error) bool { return err == nil && len(u.Groups) == 0 },
		},
		{
			"renamed", func() error { return second(s.UpdateUser(t.Context(), "ada", users.Change{Username: new("ada2")})) },
			func(u users.User, err error) bool { return err == nil && u.Username == "ada2" },
		},
		{
			"deleted", func() error { return s.DeleteUser(t.Context(), "ada2") },
			func(_ users.User, err error) bool { return errors.Is(err, users.ErrNotFound) },
		},
		{
			"made, after it was asked for in vain",
			func() error {
				if _, err := s.LiveUser(t.Context(), u.ID+1); !errors.Is(err, users.ErrNotFound) {
					t.Errorf("before it is made: %v", err)
				}
				u = userstest.Add(t, s, users.NewUser{Username: "eve"})
				return nil
			},
			func(u users.User, err error) bool { return err == nil && u.Username == "eve" },
		},
	} {
		_, _ = s.LiveUser(t.Context(), u.ID) // is held now
		if err := tt.write(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.LiveUser(t.Context(), u.ID); !tt.check(got, err) {
			t.Errorf("%s: %v, %+v", tt.name, err, fields(got))
		}
	}
}

// What another process writes counts after about a second, whatever it wrote with.
func TestWritesOfAnotherProcessCountSoon(t *testing.T) {
	userstest.Each(t, testWritesOfAnotherProcessCountSoon)
}

func testWritesOfAnotherProcessCountSoon(t *testing.T, place *userstest.Place) {
	server := userstest.Open(t, userstest.In(place))
	command := userstest.Open(t, userstest.In(place))
	var ids []int64
	for i := range 5 {
		u := userstest.Add(t, server, users.NewUser{Username: fmt.Sprint("user", i), Groups: []string{"staff"}})
		ids = append(ids, u.ID)
	}
	for _, id := range append(ids, 6) {
		_, _ = server.LiveUser(t.Context(), id)
	}
	begin := time.Now()
	if _, err := command.UpdateUser(t.Context(), "user0", users.Change{Active: new(false)}); err != nil {
		t.Fatal(err)
	}
	if _, err := command.UpdateUser(t.Context(), "user1", users.Change{RemoveGroups: []string{"staff"}}); err != nil {
		t.Fatal(err)
	}
	if err := command.DeleteUser(t.Context(), "user2"); err != nil {
		t.Fatal(err)
	}
	place.Exec(t, `UPDATE users SET is_active = 0 WHERE username = 'user3'`) // sqlite3 on the command line
	place.Exec(t, `DELETE FROM user_groups WHERE user_id = 5`)
	userstest.Add(t, command, users.NewUser{Username: "user5"})
	for name, seen := range map[string]func() bool{
		"disabled":              func() bool { return !live(t, server, ids[0]).IsActive },
		"role removed":          func() bool { return len(live(t, server, ids[1]).Groups) == 0 },
		"deleted":               func() bool { _, err := server.LiveUser(t.Context(), ids[2]); return errors.Is(err, users.ErrNotFound) },
		"disabled with sqlite3": func() bool { return !live(t, server, ids[3]).IsActive },
		"group out by sqlite3":  func() bool { return len(live(t, server, ids[4]).Groups) == 0 },
		"made":                  func() bool { _, err := server.LiveUser(t.Context(), 6); return err == nil },
	} {
		for !seen() {
			if time.Since(begin) > 60*time.Second {
				t.Fatalf("%s: not seen after %v", name, time.Since(begin))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// The attack: have a request read the account while it is being disabled, so that
// what was true before is held after.
func TestReadThatOverlapsAWriteIsNotHeld(t *testing.T) {
	userstest.Each(t, testReadThatOverlapsAWriteIsNotHeld)
}

func testReadThatOverlapsAWriteIsNotHeld(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	var stop atomic.Bool
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for !stop.Load() {
				if _, err := s.LiveUser(t.Context(), u.ID); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 100 {
		active := i%2 == 1
		if _, err := s.UpdateUser(t.Context(), "ada", users.Change{Active: &active}); err != nil {
			t.Fatal(err)
		}
		if got := live(t, s, u.ID); got.IsActive != active {
			t.Fatalf("write %d: active is %t after it was set to %t", i, got.IsActive, active)
		}
	}
	stop.Store(true)
	group.Wait()
}

func BenchmarkLiveUser(b *testing.B) {
	s := userstest.Open(b)
	u := userstest.Add(b, s, users.NewUser{Username: "ada", Groups: []string{"staff"}})
	b.Run("held", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.LiveUser(b.Context(), u.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.UserByID(b.Context(), u.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("held, from all cores", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.LiveUser(b.Context(), u.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
