package users_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestRevocation(t *testing.T) { userstest.Each(t, testRevocation) }

func testRevocation(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	other := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	nobody := int64(4711)
	soon := time.Now().Add(time.Hour)
	token := func(id string) users.Token {
		return users.Token{ID: id, UserID: &u.ID, IssuedAt: time.Now(), Expires: soon}
	}
	for _, tt := range []struct {
		name  string
		write func() error
		id    string
		want  bool
	}{
		{"never heard of", func() error { return nil }, "unknown", false},
		{"recorded", func() error { return s.RecordToken(t.Context(), token("a")) }, "a", false},
		{"recorded twice", func() error { return s.RecordToken(t.Context(), token("a")) }, "a", false},
		{"revoked", func() error { return s.RevokeToken(t.Context(), token("a")) }, "a", true},
		{"revoked twice", func() error { return s.RevokeToken(t.Context(), token("a")) }, "a", true},
		{"recorded after it was revoked", func() error { return s.RecordToken(t.Context(), token("a")) }, "a", true},
		{"revoked without a record", func() error { return s.RevokeToken(t.Context(), token("b")) }, "b", true},
		{"an id in another case", func() error { return nil }, "B", false},
		{"without a user or a beginning", func() error { return s.RevokeToken(t.Context(), users.Token{ID: "c", Expires: soon}) }, "c", true},
		{"of a user who is gone", func() error { return s.RevokeToken(t.Context(), users.Token{ID: "d", UserID: &nobody, Expires: soon}) }, "d", true},
		{"an empty id", func() error { return s.RevokeToken(t.Context(), token("")) }, "", true},
		{"an id with a null and stray bytes", func() error { return s.RevokeToken(t.Context(), token("a\x00\xff")) }, "a\x00\xff", true},
		{"only its beginning", func() error { return nil }, "a\x00", false},
		{"its user is deleted", func() error { return s.DeleteUser(t.Context(), "ada") }, "b", true},
	} {
		if err := tt.write(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for _, store := range []*users.Store{s, other} {
			if got, err := store.Revoked(t.Context(), tt.id); got != tt.want || err != nil {
				t.Errorf("%s: revoked is %t, %v", tt.name, got, err)
			}
		}
	}
	for name, write := range map[string]func(context.Context, users.Token) error{"RecordToken": s.RecordToken, "RevokeToken": s.RevokeToken} {
		if err := write(t.Context(), users.Token{ID: "endless"}); err == nil {
			t.Errorf("%s takes a token without an end", name)
		}
	}
}

func TestTokenColumns(t *testing.T) { userstest.Each(t, testTokenColumns) }

func testTokenColumns(t *testing.T, place *userstest.Place) {
	now := time.Unix(1_800_000_000, 0)
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	token := users.Token{ID: "a", UserID: &u.ID, IssuedAt: now.Add(-time.Hour), Expires: now.Add(time.Hour)}
	if err := s.RecordToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if err := s.RevokeToken(t.Context(), token); err != nil { // keeps the first moment
		t.Fatal(err)
	}
	row := func() string {
		var user, issued, expires, revoked sql.Null[int64]
		err := place.Row(t, `SELECT user_id, issued_at, expires_at, revoked_at FROM tokens`, &user, &issued, &expires, &revoked)
		return fmt.Sprint(user, issued, expires, revoked, err)
	}
	if got, want := row(), "{1 true} {1799996400000000 true} {1800003600000000 true} {1800000000000000 true} <nil>"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := s.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if got := row(); !strings.HasPrefix(got, "{0 false}") {
		t.Errorf("after its user is deleted: %s", got)
	}
}

// Two processes write at once, and none hears that the database is locked.
func TestStormFromTwoProcesses(t *testing.T) { userstest.Each(t, testStormFromTwoProcesses) }

func testStormFromTwoProcesses(t *testing.T, place *userstest.Place) {
	server := userstest.Open(t, userstest.In(place))
	command := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, server, users.NewUser{Username: "ada", Password: "secret"})
	soon := time.Now().Add(time.Hour)
	var group sync.WaitGroup
	try := func(f func() error) {
		group.Go(func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 200 {
		id := fmt.Sprint("token", i)
		try(func() error {
			return errors.Join(
				server.RecordToken(t.Context(), users.Token{ID: id, UserID: &u.ID, Expires: soon}),
				server.RevokeToken(t.Context(), users.Token{ID: id, UserID: &u.ID, Expires: soon}),
			)
		})
		if i%4 == 0 {
			try(func() error {
				return second(command.CreateUser(t.Context(), users.NewUser{Username: fmt.Sprint("user", i), Groups: []string{"a", "b"}}))
			})
			// Reads first and then writes, in one transaction.
			for _, store := range []*users.Store{server, command} {
				try(func() error { return second(store.UpdateUser(t.Context(), "ada", users.Change{FirstName: &id})) })
			}
			try(func() error { return command.RevokeToken(t.Context(), users.Token{ID: id, Expires: soon}) })
			try(func() error { return second(server.LiveUser(t.Context(), u.ID)) })
			try(func() error { return second(server.Authenticate(t.Context(), "ada", "secret")) })
			try(func() error { return second(command.Prune(t.Context())) })
		}
	}
	group.Wait()
	for i := range 200 {
		if revoked, err := command.Revoked(t.Context(), fmt.Sprint("token", i)); !revoked || err != nil {
			t.Errorf("token%d: revoked is %t, %v", i, revoked, err)
		}
	}
	if all, err := server.Users(t.Context()); len(all) != 51 || err != nil {
		t.Errorf("%d users, %v", len(all), err)
	}
}

// revokeIn names the variable by which the process that is killed learns its database.
const revokeIn = "GATEHOUSE_TEST_REVOKE_IN"

// A process is killed in the middle of revoking. What it said was revoked, is.
func TestRevocationsOutliveAKilledProcess(t *testing.T) {
	if place := os.Getenv(revokeIn); place != "" {
		driver, dsn, _ := strings.Cut(place, " ")
		revokeForEver(t, users.Config{Driver: driver, DSN: dsn})
		return
	}
	userstest.Each(t, testRevocationsOutliveAKilledProcess)
}

func testRevocationsOutliveAKilledProcess(t *testing.T, place *userstest.Place) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestRevocationsOutliveAKilledProcess$")
	child.Env = append(os.Environ(), revokeIn+"="+place.Config.Driver+" "+place.Config.DSN)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "revoked "); ok {
			said = append(said, id)
		}
		if len(said) == 50 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait()
	if len(said) < 50 {
		t.Fatalf("the process said %d lines", len(said))
	}
	s := userstest.Open(t, userstest.In(place))
	for _, id := range said {
		if revoked, err := s.Revoked(t.Context(), id); !revoked || err != nil {
			t.Errorf("%s: revoked is %t, %v", id, revoked, err)
		}
	}
}

func revokeForEver(t *testing.T, in users.Config) {
	s := userstest.Open(t, userstest.In(&userstest.Place{Config: in}))
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprint(worker, "-", i)
				if err := s.RevokeToken(t.Context(), users.Token{ID: id, Expires: time.Now().Add(time.Hour)}); err != nil {
					t.Error(err)
					return
				}
				_, _ = fmt.Fprintln(os.Stdout, "revoked "+id)
			}
		})
	}
	group.Wait()
}
