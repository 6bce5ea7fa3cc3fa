package users_test

import (
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// A session whose end failed at the commit has not ended, in this process either: a client
// that asks again must not be told that it is over while other replicas go on.
func TestAnEndThatFailsAtTheCommitIsNone(t *testing.T) {
	t.Parallel()
	place := userstest.Postgres(t)
	s := userstest.Open(t, userstest.In(place))
	ada := userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret"})
	place.Exec(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no commit''; END';
		CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON sessions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()`)
	token := began(t, s, ada, time.Now())
	inactive := false
	for name, end := range map[string]func() error{
		"logout":           func() error { return s.EndSession(t.Context(), token) },
		"logout of all":    func() error { return s.EndSessions(t.Context(), ada.ID) },
		"by a command":     func() error { return s.EndSessionOf(t.Context(), "ada", users.FamilyOf(token.ID).String()) },
		"another password": func() error { return s.SetPassword(t.Context(), "ada", "another") },
		"disabled":         func() error { _, err := s.UpdateUser(t.Context(), "ada", users.Change{Active: &inactive}); return err },
	} {
		if err := end(); err == nil {
			t.Errorf("%s: it is said to be done", name)
		}
		if ended(t, s, token) {
			t.Errorf("%s: the session is over here, and nowhere else", name)
		}
	}
	place.Exec(t, `DROP TRIGGER fail ON sessions`)
	if err := s.EndSession(t.Context(), token); err != nil || !ended(t, s, token) {
		t.Errorf("then: %v", err)
	}
}
