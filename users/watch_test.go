package users_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// heard waits until the stores have read in the feed whatever was changed until now, and
// nothing is left to be read: a change to an account that nobody has, done past them, comes
// behind all of it.
func heard(t *testing.T, do func(change string), stores ...*users.Store) {
	t.Helper()
	const nobody = 1 << 40
	var last atomic.Int64
	told := make(chan int, 1000)
	for i, s := range stores {
		stop := s.Watch(func(n users.Notice) {
			if n.UserID == last.Load() {
				told <- i
			}
		})
		defer stop()
	}
	for try := range int64(12) { // whoever begins to read anew passes over one
		last.Store(nobody + try)
		do(fmt.Sprintf(`INSERT INTO user_changes (user_id, changed_at) VALUES (%d, 0)`, nobody+try))
		open, enough := map[int]bool{}, time.After(5*time.Second)
		for i := range stores {
			open[i] = true
		}
		for late := false; len(open) > 0 && !late; {
			select {
			case i := <-told:
				delete(open, i)
			case <-enough:
				late = true
			}
		}
		if len(open) == 0 {
			return
		}
	}
	t.Fatal("the feed is not read")
}

// patiently does something until the database answers in time. A machine that is busy may
// need more than what is set for a database that is away.
func patiently(t *testing.T, do func() error) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := do()
		if err == nil {
			return
		}
		if !errors.Is(err, users.ErrUnavailable) || time.Since(begin) > time.Minute {
			t.Fatal(err)
		}
	}
}

// Who watches is told of what ends a session, or changes an account, and no more
// after stop.
func TestWhoWatchesIsTold(t *testing.T) {
	store := userstest.Open(t)
	alice := userstest.Add(t, store, users.NewUser{Username: "alice", Password: "correct horse battery staple"})
	told := make(chan users.Notice, 100)
	stop := store.Watch(func(n users.Notice) { told <- n })
	next := func(what string, ok func(users.Notice) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			select {
			case n := <-told:
				if ok(n) {
					return
				}
			case <-ctx.Done():
				t.Fatalf("nobody is told of %s", what)
			}
		}
	}

	session := users.Token{ID: users.NewFamily().NewTokenID(), UserID: &alice.ID, Expires: time.Now().Add(time.Hour)}
	if err := store.EndSession(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	next("the end of a session", func(n users.Notice) bool { return n.Family == users.FamilyOf(session.ID) })
	off := false
	if _, err := store.UpdateUser(t.Context(), "alice", users.Change{Active: &off}); err != nil {
		t.Fatal(err)
	}
	next("a user who is disabled", func(n users.Notice) bool { return n.UserID == alice.ID })

	stop()
	time.Sleep(2500 * time.Millisecond) // the feed tells all of it once more, before
	for len(told) > 0 {
		<-told
	}
	if err := store.DeleteUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if len(told) > 0 {
		t.Errorf("told %v after stop", <-told)
	}
}
