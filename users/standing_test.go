package users_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestWhatIsRevokedHereCountsAtOnce(t *testing.T) {
	now := time.Now()
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	clock := userstest.Now(func() time.Time { return now })
	s, other := userstest.Open(t, userstest.At(path), clock), userstest.Open(t, userstest.At(path), clock)
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	revoked := func(s *users.Store, id string) bool {
		t.Helper()
		yes, err := s.LiveRevoked(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	token := users.Token{ID: "an id", UserID: &u.ID, Expires: now.Add(time.Hour)}
	for range 2 {
		if revoked(s, token.ID) || revoked(other, token.ID) {
			t.Fatal("revoked before it was")
		}
	}
	if err := s.RevokeToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if !revoked(s, token.ID) {
		t.Error("not revoked in the process that did it")
	}
	if revoked(other, token.ID) {
		t.Log("the other process has asked again") // it may
	}
	now = now.Add(time.Second)
	if !revoked(other, token.ID) {
		t.Error("not revoked in another process after a second")
	}
	if !revoked(other, token.ID) || !revoked(s, token.ID) {
		t.Error("not revoked any more")
	}

	// A token that is exchanged is revoked by that.
	old := began(t, s, u, now)
	if revoked(s, old.ID) {
		t.Fatal("revoked before it was")
	}
	if _, err := s.RenewSession(t.Context(), renewal(old, now, 0)); err != nil {
		t.Fatal(err)
	}
	if !revoked(s, old.ID) {
		t.Error("exchanged and not revoked")
	}
	// A clock that was set back prolongs nothing.
	if revoked(other, "third") {
		t.Fatal("revoked before it was")
	}
	if err := s.RevokeToken(t.Context(), users.Token{ID: "third", Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(-time.Hour)
	if !revoked(other, "third") {
		t.Error("held since a moment that is yet to come")
	}
}

func TestAStoreThatCannotAnswerKnowsOfNoToken(t *testing.T) {
	now := time.Now()
	s := userstest.Open(t, userstest.Now(func() time.Time { return now }))
	if yes, err := s.LiveRevoked(t.Context(), "x"); yes || err != nil {
		t.Fatal(yes, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if _, err := s.LiveRevoked(t.Context(), "x"); err == nil || errors.Is(err, users.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
