package users_test

import (
	"context"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

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
