package users_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// began starts a session of the user and returns its refresh token.
func began(t *testing.T, s *users.Store, u users.User, at time.Time) users.Token {
	t.Helper()
	token := refreshToken(users.NewFamily(), u, at)
	client := users.Client{Address: "192.0.2.7", UserAgent: "phone"}
	if err := s.StartSession(t.Context(), u, token, at.Add(5*time.Minute), client, false); err != nil {
		t.Fatal(err)
	}
	return token
}

func refreshToken(f users.Family, u users.User, at time.Time) users.Token {
	return users.Token{ID: f.NewTokenID(), UserID: &u.ID, IssuedAt: at, Expires: at.Add(24 * time.Hour)}
}

// renewal exchanges old for a new token of its session.
func renewal(old users.Token, at time.Time, grace time.Duration) users.Renewal {
	f := users.FamilyOf(old.ID)
	next := users.Token{ID: f.NewTokenID(), UserID: old.UserID, IssuedAt: at, Expires: at.Add(24 * time.Hour)}
	return users.Renewal{
		Old: old, AccessID: f.NewTokenID(), AccessUntil: at.Add(5 * time.Minute),
		Next: &next, RevokeOld: true, Grace: grace,
	}
}

func ended(t *testing.T, s *users.Store, token users.Token) bool {
	t.Helper()
	yes, err := s.SessionEnded(t.Context(), users.FamilyOf(token.ID))
	if err != nil {
		t.Fatal(err)
	}
	return yes
}

func TestFamilies(t *testing.T) {
	const id = "0123456789ab4cdef123456789abcdef"
	for _, tt := range []struct {
		name, a, b string
		same       bool
	}{
		{"other random digits at the end", id, "0123456789ab4cdea000000000000000", true},
		{"another first digit", id, "1123456789ab4cdef123456789abcdef", false},
		{"another digit behind the version", id, "0123456789ab4cddf123456789abcdef", false},
		{"another version", id, "0123456789ab5cdef123456789abcdef", false},
		{"capitals", id, strings.ToUpper(id), false},
		{"dashes", id, "01234567-89ab-4cde-f123-456789abcdef", false},
		{"no UUID, the same", "made elsewhere", "made elsewhere", true},
		{"no UUID, another", "made elsewhere", "made elsewhere ", false},
		{"empty", "", " ", false},
	} {
		if got := users.FamilyOf(tt.a) == users.FamilyOf(tt.b); got != tt.same {
			t.Errorf("%s: the same family is %t", tt.name, got)
		}
	}
	if got := users.FamilyOf(id).String(); got != "0123456789abcde" {
		t.Errorf("got %s", got)
	}
	seen := map[string]bool{}
	for _, f := range []users.Family{users.NewFamily(), users.FamilyOf("made elsewhere"), 0, 1<<60 - 1} {
		for range 100 {
			id := f.NewTokenID()
			if users.FamilyOf(id) != f || len(id) != 32 || id[12] != '4' || !strings.Contains("89ab", id[16:17]) || seen[id] {
				t.Fatalf("%s: the id %q", f, id)
			}
			seen[id] = true
		}
		if got, ok := users.ParseFamily(f.String()); got != f || !ok {
			t.Errorf("%s is read as %s", f, got)
		}
	}
	for _, text := range []string{"", "x", "0", "-00000000000001", "0123456789ABCDE", "0123456789abcdef"} {
		if f, ok := users.ParseFamily(text); ok {
			t.Errorf("%q is read as %s", text, f)
		}
	}
	if n := testing.AllocsPerRun(100, func() { users.FamilyOf(id); users.FamilyOf("made elsewhere") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Every way in which sessions end: in this store at once, in another one soon.
func TestWhatEndsSessions(t *testing.T) { userstest.Each(t, testWhatEndsSessions) }

func testWhatEndsSessions(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	other := userstest.Open(t, userstest.In(place))
	for _, tt := range []struct {
		name   string
		act    func(u users.User, token users.Token) error
		others bool // the other session of the user too
	}{
		{"nothing", func(users.User, users.Token) error { return nil }, false},
		{"its token", func(_ users.User, token users.Token) error { return s.EndSession(t.Context(), token) }, false},
		{"its name", func(u users.User, token users.Token) error {
			return s.EndSessionOf(t.Context(), u.Username, users.FamilyOf(token.ID).String())
		}, false},
		{"all", func(u users.User, _ users.Token) error { return s.EndSessions(t.Context(), u.ID) }, true},
		{"a new password", func(u users.User, _ users.Token) error { return s.SetPassword(t.Context(), u.Username, "new") }, true},
		{"disabled", func(u users.User, _ users.Token) error {
			return second(s.UpdateUser(t.Context(), u.Username, users.Change{Active: new(false)}))
		}, true},
		{"another address", func(u users.User, _ users.Token) error {
			return second(s.UpdateUser(t.Context(), u.Username, users.Change{Email: new("a@example.com")}))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := userstest.Add(t, s, users.NewUser{Username: tt.name})
			stranger := began(t, s, userstest.Add(t, s, users.NewUser{Username: "not " + tt.name}), time.Now())
			first, second := began(t, s, u, time.Now()), began(t, s, u, time.Now())
			if err := tt.act(u, first); err != nil {
				t.Fatal(err)
			}
			for name, c := range map[string]struct {
				token users.Token
				want  bool
			}{"first": {first, tt.name != "nothing" && tt.name != "another address"}, "second": {second, tt.others}, "another's": {stranger, false}} {
				if got := ended(t, s, c.token); got != c.want {
					t.Errorf("%s: ended is %t", name, got)
				}
				for begin := time.Now(); ended(t, other, c.token) != c.want; time.Sleep(10 * time.Millisecond) {
					if time.Since(begin) > 60*time.Second {
						t.Fatalf("%s: another process does not see it", name)
					}
				}
				_, err := other.RenewSession(t.Context(), renewal(c.token, time.Now(), 0))
				if errors.Is(err, users.ErrRevoked) != c.want || err != nil && !c.want {
					t.Errorf("%s: renewed with %v", name, err)
				}
			}
			// A process that starts later knows it too.
			if got := ended(t, userstest.Open(t, userstest.In(place)), second); got != tt.others {
				t.Errorf("after a start: ended is %t", got)
			}
		})
	}
}

// The attack: log in with the old password while it is being changed.
func TestALoginUnderWayDoesNotOutliveANewPassword(t *testing.T) {
	userstest.Each(t, testALoginUnderWayDoesNotOutliveANewPassword)
}

func testALoginUnderWayDoesNotOutliveANewPassword(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "ada", Password: "old"})
	u, err := s.Authenticate(t.Context(), "ada", "old")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetPassword(t.Context(), "ada", "new"); err != nil {
		t.Fatal(err)
	}
	token := refreshToken(users.NewFamily(), u, time.Now())
	if err := s.StartSession(t.Context(), u, token, time.Now(), users.Client{}, false); !errors.Is(err, users.ErrCredentials) {
		t.Errorf("got %v", err)
	}
}

func TestGrace(t *testing.T) { userstest.Each(t, testGrace) }

func testGrace(t *testing.T, place *userstest.Place) {
	now := time.Unix(1_800_000_000, 123_456_789)
	at := now
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	for _, tt := range []struct {
		name  string
		grace time.Duration
		after time.Duration
		want  error
	}{
		{"no grace, at once", 0, 0, users.ErrReused},
		{"at once", 20 * time.Second, 0, nil},
		{"just within", 20 * time.Second, 20*time.Second - time.Microsecond, nil},
		{"its end", 20 * time.Second, 20 * time.Second, users.ErrReused},
		{"long after", 20 * time.Second, time.Hour, users.ErrReused},
		{"came first, was served second", 20 * time.Second, -time.Second, nil},
		{"no grace, came first, was served second", 0, -time.Second, users.ErrReused},
		{"a clock that was set back", 20 * time.Second, -time.Minute, users.ErrReused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now = at
			old := began(t, s, u, now)
			first, err := s.RenewSession(t.Context(), renewal(old, now, tt.grace))
			if err != nil || first.Again || !first.At.Equal(now.Truncate(time.Microsecond)) {
				t.Fatalf("%+v, %v", first, err)
			}
			now = at.Add(tt.after)
			again, err := s.RenewSession(t.Context(), renewal(old, now, tt.grace))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if first.Again = true; err == nil && again != first {
				t.Errorf("got  %+v\nwant %+v", again, first)
			}
			next := old
			next.ID = first.NextID
			if _, err := s.RenewSession(t.Context(), renewal(next, now, tt.grace)); err != nil {
				t.Errorf("the next token: %v", err)
			}
			// Also when the next one has been exchanged itself.
			if again, err = s.RenewSession(t.Context(), renewal(old, now, tt.grace)); !errors.Is(err, tt.want) || err == nil && again != first {
				t.Errorf("then: %+v, %v", again, err)
			}
		})
	}
	t.Run("the next token was revoked", func(t *testing.T) {
		now = at
		old := began(t, s, u, now)
		first, err := s.RenewSession(t.Context(), renewal(old, now, time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.RevokeToken(t.Context(), users.Token{ID: first.NextID, Expires: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RenewSession(t.Context(), renewal(old, now, time.Minute)); !errors.Is(err, users.ErrRevoked) {
			t.Errorf("got %v", err)
		}
	})
}

// Tokens that were made before the user's sessions were ended, elsewhere, have no
// session here; they are of one that was ended.
func TestATokenMadeElsewhereBeforeAllWasEnded(t *testing.T) {
	userstest.Each(t, testATokenMadeElsewhereBeforeAllWasEnded)
}

func testATokenMadeElsewhereBeforeAllWasEnded(t *testing.T, place *userstest.Place) {
	now := time.Unix(1_800_000_000, 0)
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	if err := s.EndSessions(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		made time.Time
		want error
	}{
		"before": {now.Add(-time.Second), users.ErrRevoked}, "since": {now, nil}, "never said": {time.Time{}, nil},
	} {
		token := users.Token{ID: name, UserID: &u.ID, IssuedAt: c.made, Expires: now.Add(time.Hour)}
		if _, err := s.RenewSession(t.Context(), renewal(token, now, 0)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.EndSessions(t.Context(), 4711); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestSessionsAreListed(t *testing.T) { userstest.Each(t, testSessionsAreListed) }

func testSessionsAreListed(t *testing.T, place *userstest.Place) {
	now := time.Unix(1_800_000_000, 0).UTC()
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	if list, err := s.Sessions(t.Context(), u.ID); list == nil || len(list) != 0 || err != nil {
		t.Errorf("before: %v, %v", list, err)
	}
	token := refreshToken(users.NewFamily(), u, now)
	agent := "\t\x1b[2JMozilla\u202e\xff " + strings.Repeat("ä", 300)
	if err := s.StartSession(t.Context(), u, token, now, users.Client{Address: "2001:db8::1", UserAgent: agent}, false); err != nil {
		t.Fatal(err)
	}
	blacklisted, over := began(t, s, u, now.Add(time.Second)), began(t, s, u, now)
	if err := s.RevokeToken(t.Context(), blacklisted); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	later := began(t, s, u, now)
	now = now.Add(time.Minute)
	r := renewal(token, now, 0)
	if _, err := s.RenewSession(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	list, err := s.Sessions(t.Context(), u.ID)
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	want := users.Session{
		ID: users.FamilyOf(token.ID).String(), Created: now.Add(-61 * time.Minute), Used: now, Expires: now.Add(24 * time.Hour),
		Address: "2001:db8::1", UserAgent: "?[2JMozilla?? " + strings.Repeat("ä", 186),
	}
	if list[0] != want {
		t.Errorf("got  %+v\nwant %+v", list[0], want)
	}
	if list[1].ID != users.FamilyOf(later.ID).String() {
		t.Errorf("second: %+v", list[1])
	}
	for _, c := range [][2]string{{"ada", "000000000000000"}, {"ada", "x"}, {"eve", list[0].ID}, {"ada", users.FamilyOf(over.ID).String()}} {
		if err := s.EndSessionOf(t.Context(), c[0], c[1]); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("end %v: %v", c, err)
		}
	}
	now = now.Add(48 * time.Hour)
	if list, err = s.Sessions(t.Context(), u.ID); len(list) != 0 || err != nil {
		t.Errorf("when all has expired: %v, %v", list, err)
	}
	now = now.Add(26 * time.Hour)
	if n, err := s.Prune(t.Context()); n < 8 || err != nil { // four sessions and their tokens
		t.Errorf("pruned %d, %v", n, err)
	}
}

func TestRenewingManyAtOnce(t *testing.T) { userstest.Each(t, testRenewingManyAtOnce) }

func testRenewingManyAtOnce(t *testing.T, place *userstest.Place) {
	stores := []*users.Store{userstest.Open(t, userstest.In(place)), userstest.Open(t, userstest.In(place))}
	u := userstest.Add(t, stores[0], users.NewUser{Username: "ada"})
	for _, grace := range []time.Duration{0, time.Hour} {
		t.Run(fmt.Sprint("grace ", grace), func(t *testing.T) {
			old := began(t, stores[0], u, time.Now())
			var mu sync.Mutex
			pairs, firsts, reused := map[string]int{}, 0, 0
			var group sync.WaitGroup
			for i := range 200 {
				group.Go(func() {
					out, err := stores[i%2].RenewSession(t.Context(), renewal(old, time.Now(), grace))
					mu.Lock()
					defer mu.Unlock()
					switch {
					case errors.Is(err, users.ErrReused):
						reused++
					case err != nil:
						t.Error(err)
					default:
						pairs[out.NextID+out.AccessID+out.At.String()]++
						if !out.Again {
							firsts++
						}
					}
				})
				if i%10 == 0 {
					group.Go(func() {
						if _, err := stores[1].UpdateUser(t.Context(), "ada", users.Change{FirstName: new(fmt.Sprint(i))}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			group.Wait()
			if firsts != 1 || len(pairs) != 1 || (reused == 0) != (grace > 0) || grace == 0 && reused != 199 {
				t.Errorf("%d first, %d pairs, %d reused", firsts, len(pairs), reused)
			}
		})
	}
}

func BenchmarkSessionEnded(b *testing.B) {
	s := userstest.Open(b)
	for range 1000 {
		if err := s.EndSession(b.Context(), users.Token{ID: users.NewFamily().NewTokenID(), Expires: time.Now().Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
	}
	const jti = "0123456789ab4cdef123456789abcdef"
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if yes, err := s.SessionEnded(b.Context(), users.FamilyOf(jti)); yes || err != nil {
				b.Error(yes, err)
			}
		}
	})
}
