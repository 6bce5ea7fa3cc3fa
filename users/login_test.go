package users_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/password"
	"gatehouse/users/userstest"
)

// Made by Django, of the password "pässwörd-密码".
const djangoHash = "pbkdf2_sha256$1000$seasalt1234567890abcdef$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="

func TestLogin(t *testing.T) { userstest.Each(t, testLogin) }

func testLogin(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "éclair", Password: "inner  space", Groups: []string{"staff"}})
	userstest.Add(t, s, users.NewUser{Username: "gone", Password: "secret", Inactive: true})
	userstest.Add(t, s, users.NewUser{Username: "bot"})
	userstest.Add(t, s, users.NewUser{Username: "moved", Encoded: djangoHash})
	for _, tt := range []struct {
		name, username, plain string
		want                  bool
	}{
		{"right", "éclair", "inner  space", true},
		{"wrong password", "éclair", "inner space", false},
		{"empty password", "éclair", "", false},
		{"name in another case", "Éclair", "inner  space", false},
		{"name in decomposed form", "e\u0301clair", "inner  space", false},
		{"name with a space behind", "éclair ", "inner  space", false},
		{"unknown name", "nobody", "secret", false},
		{"empty name", "", "", false},
		{"name that no account can have", strings.Repeat("x", 1<<20), "secret", false},
		{"name that is not UTF-8", "\xff", "secret", false},
		{"name with SQL", "' OR 1=1 --", "secret", false},
		{"inactive with the right password", "gone", "secret", false},
		{"inactive with a wrong password", "gone", "wrong", false},
		{"without a password", "bot", "", false},
		{"the hash is not the password", "bot", "!", false},
		{"hash from Django", "moved", "pässwörd-密码", true},
		{"hash from Django, wrong password", "moved", "passwort", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := s.Authenticate(t.Context(), tt.username, tt.plain)
			switch {
			case tt.want && (err != nil || u.Username != tt.username):
				t.Errorf("got %v, %v", u, err)
			case !tt.want && (err != users.ErrCredentials || u.ID != 0): //nolint:errorlint // the very same for all
				t.Errorf("got %v, %v; want nobody and ErrCredentials itself", u, err)
			}
		})
	}
}

func TestOutdatedHashIsReplacedAtLogin(t *testing.T) {
	userstest.Each(t, testOutdatedHashIsReplacedAtLogin)
}

func testOutdatedHashIsReplacedAtLogin(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	made := userstest.Add(t, s, users.NewUser{Username: "moved", Encoded: djangoHash})
	live(t, s, made.ID) // what is held must not outlive the replacement
	if _, err := s.Authenticate(t.Context(), "moved", "wrong"); !errors.Is(err, users.ErrCredentials) {
		t.Fatal(err)
	}
	if u := live(t, s, made.ID); u.Password != djangoHash {
		t.Errorf("a refused login changed the hash to %q", u.Password)
	}
	u, err := s.Authenticate(t.Context(), "moved", "pässwörd-密码")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(u.Password, "argon2$argon2id$") {
		t.Errorf("the account that logged in has %q", u.Password)
	}
	if l := live(t, s, made.ID); l.Password != u.Password {
		t.Errorf("held %q, want %q", l.Password, u.Password)
	}
	again, err := s.Authenticate(t.Context(), "moved", "pässwörd-密码")
	if err != nil || again.Password != u.Password {
		t.Errorf("the second login: %v; the hash is %q, was %q", err, again.Password, u.Password)
	}
}

func TestInactiveUserKeepsTheOutdatedHash(t *testing.T) {
	userstest.Each(t, testInactiveUserKeepsTheOutdatedHash)
}

func testInactiveUserKeepsTheOutdatedHash(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "moved", Encoded: djangoHash, Inactive: true})
	if _, err := s.Authenticate(t.Context(), "moved", "pässwörd-密码"); !errors.Is(err, users.ErrCredentials) {
		t.Error(err)
	}
	if u := live(t, s, u.ID); u.Password != djangoHash {
		t.Errorf("the hash is %q", u.Password)
	}
}

// Twenty first logins of a moved user at one moment: all succeed, one hash stays.
func TestParallelLoginsReplaceTheHashOnce(t *testing.T) {
	userstest.Each(t, testParallelLoginsReplaceTheHashOnce)
}

func testParallelLoginsReplaceTheHashOnce(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	made := userstest.Add(t, s, users.NewUser{Username: "moved", Encoded: djangoHash})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := s.Authenticate(t.Context(), "moved", "pässwörd-密码"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if u := live(t, s, made.ID); !strings.HasPrefix(u.Password, "argon2$") {
		t.Errorf("the hash is %q", u.Password)
	}
}

func TestNewPassword(t *testing.T) { userstest.Each(t, testNewPassword) }

func testNewPassword(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada", Password: "old"})
	before := live(t, s, u.ID)
	if err := s.SetPassword(t.Context(), "ada", "new"); err != nil {
		t.Fatal(err)
	}
	if after := live(t, s, u.ID); after.Password == before.Password {
		t.Error("the old hash is still held")
	}
	if _, err := s.Authenticate(t.Context(), "ada", "old"); !errors.Is(err, users.ErrCredentials) {
		t.Errorf("old password: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), "ada", "new"); err != nil {
		t.Errorf("new password: %v", err)
	}
	if err := s.SetPassword(t.Context(), "ada", " new"); faultFields(t, err) != "password" {
		t.Errorf("password with a space before: %v", err)
	}
	if err := s.SetPassword(t.Context(), "ada", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), "ada", "new"); !errors.Is(err, users.ErrCredentials) {
		t.Errorf("after the password was taken away: %v", err)
	}
}

func TestLoginIsGivenUp(t *testing.T) { userstest.Each(t, testLoginIsGivenUp) }

func testLoginIsGivenUp(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"ada", "nobody"} {
		if _, err := s.Authenticate(ctx, name, "secret"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The attack: many logins at once, to use up memory and cores. What does not fit
// into the queue is told so, known name or not.
func TestFloodOfLoginsIsRefused(t *testing.T) { userstest.Each(t, testFloodOfLoginsIsRefused) }

func testFloodOfLoginsIsRefused(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place), userstest.Hashing(password.Config{Preferred: "argon2id", MaxParallel: "1", MaxQueue: 2}))
	userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret"})
	counts := make(chan error, 40)
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			_, err := s.Authenticate(t.Context(), []string{"ada", "nobody"}[i%2], "secret")
			counts <- err
		})
	}
	group.Wait()
	close(counts)
	busy, in := 0, 0
	for err := range counts {
		switch {
		case errors.Is(err, password.ErrBusy):
			busy++
		case err == nil:
			in++
		case !errors.Is(err, users.ErrCredentials):
			t.Error(err)
		}
	}
	if busy < 10 || busy == 40 {
		t.Errorf("%d of 40 were refused, %d logged in", busy, in)
	}
}

// The attack: time the login and learn which names exist, which are inactive.
func TestRefusalsTakeOneTime(t *testing.T) {
	if testing.Short() || userstest.Raced {
		t.Skip("measures time")
	}
	s := userstest.Open(t, userstest.Hashing(password.DefaultConfig()))
	userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret"})
	userstest.Add(t, s, users.NewUser{Username: "gone", Password: "secret", Inactive: true})
	userstest.Add(t, s, users.NewUser{Username: "bot"})
	attempts := []struct{ name, username, plain string }{
		{"wrong password", "ada", "wrong"},
		{"unknown", "nobody", "secret"},
		{"inactive, right password", "gone", "secret"},
		{"inactive, wrong password", "gone", "wrong"},
		{"no usable password", "bot", "wrong"},
		{"a name that no account can have", "\xff", "wrong"},
	}
	times := make([][]time.Duration, len(attempts))
	for range 9 { // in turn, so that a noisy moment disturbs all alike
		for i, a := range attempts {
			begin := worked(t)
			if _, err := s.Authenticate(t.Context(), a.username, a.plain); !errors.Is(err, users.ErrCredentials) {
				t.Fatal(err)
			}
			times[i] = append(times[i], worked(t)-begin)
		}
	}
	oneTime(t, attempts[0].name, func(i int) string { return attempts[i].name }, times)
}

// A site whose users came from Django, with other hashes than new users get: nobody
// and somebody take the same time there too.
func TestRefusalsOfAnImportedSiteTakeOneTime(t *testing.T) {
	// Not side by side: it is the time of the process that is looked at.
	t.Run("sqlite", func(t *testing.T) { testRefusalsOfAnImportedSite(t, userstest.SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { testRefusalsOfAnImportedSite(t, userstest.Postgres(t)) })
}

func testRefusalsOfAnImportedSite(t *testing.T, place *userstest.Place) {
	if testing.Short() || userstest.Raced {
		t.Skip("measures time")
	}
	theirs, err := password.New(password.Config{Preferred: "pbkdf2_sha256", Cost: "t=400000"})
	if err != nil {
		t.Fatal(err)
	}
	s := userstest.Open(t, userstest.In(place), userstest.Hashing(password.DefaultConfig()))
	userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret"})
	userstest.Add(t, s, users.NewUser{Username: "gone", Password: "secret", Inactive: true})
	encoded, err := theirs.Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	place.Exec(t, `UPDATE users SET password = '`+encoded+`'`)
	names := []string{"ada", "nobody", "gone", "somebody else"}
	times := make([][]time.Duration, len(names))
	for range 3 {
		for i, name := range names {
			begin := worked(t)
			if _, err := s.Authenticate(t.Context(), name, "wrong"); !errors.Is(err, users.ErrCredentials) {
				t.Fatal(err)
			}
			times[i] = append(times[i], worked(t)-begin)
		}
	}
	oneTime(t, "a wrong password", func(i int) string { return names[i] }, times)
}

// oneTime compares the least times with that of the first.
func oneTime(t *testing.T, first string, name func(i int) string, times [][]time.Duration) {
	t.Helper()
	want := slices.Min(times[0])
	for i := range times {
		// Minima of the time on a core, which other programs do not lengthen: an omitted hash is 100 % off.
		if got := slices.Min(times[i]); got < want*6/10 || got > want*16/10 {
			t.Errorf("%s takes %v, %s %v", name(i), got, first, want)
		}
	}
}

// worked is the time that this process has spent on cores.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// The attack: have a login wait in the queue while the account is disabled.
func TestDisabledWhileTheLoginWaits(t *testing.T) { userstest.Each(t, testDisabledWhileTheLoginWaits) }

func testDisabledWhileTheLoginWaits(t *testing.T, place *userstest.Place) {
	// A machine that is busy may come to the update only when the hash is done. That
	// says nothing, and a longer hash is tried.
	for _, cost := range []string{"t=600000", "t=2400000", "t=9600000"} {
		name := "ada" + cost[2:]
		s := userstest.Open(t, userstest.In(place), userstest.Hashing(password.Config{Preferred: "pbkdf2_sha256", Cost: cost}))
		userstest.Add(t, s, users.NewUser{Username: name, Password: "secret"})
		done := make(chan error, 1)
		go func() {
			_, err := s.Authenticate(t.Context(), name, "secret")
			done <- err
		}()
		time.Sleep(20 * time.Millisecond) // the hash takes ten times that
		place.Exec(t, `UPDATE users SET is_active = 0`)
		err := <-done
		if errors.Is(err, users.ErrCredentials) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Error("nobody who was disabled meanwhile was refused")
}

func live(t *testing.T, s *users.Store, id int64) users.User {
	t.Helper()
	u, err := s.LiveUser(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
