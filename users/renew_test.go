package users_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// What a store has prepared goes on when somebody else, such as a newer program at its
// start, changes the tables under it.
func TestRefreshesGoOnWhenTheSchemaChanges(t *testing.T) { userstest.Each(t, testNewColumns) }

func testNewColumns(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	token := began(t, s, u, time.Now())
	for _, change := range []string{
		`SELECT 1`,
		`ALTER TABLE tokens ADD COLUMN shade TEXT NOT NULL DEFAULT 'red'`,
		`ALTER TABLE sessions ADD COLUMN shade TEXT`,
		`CREATE INDEX tokens_shade ON tokens (shade)`,
		`DROP INDEX tokens_family`,
	} {
		place.Exec(t, change)
		r := renewal(token, time.Now(), 0)
		if _, err := s.RenewSession(t.Context(), r); err != nil {
			t.Fatalf("after %s: %v", change, err)
		}
		if _, err := s.RenewSession(t.Context(), renewal(token, time.Now(), 0)); !errors.Is(err, users.ErrReused) {
			t.Fatalf("after %s: the old token is renewed with %v", change, err)
		}
		token = *r.Next
	}
	began(t, s, u, time.Now())
}

// A token that others made, of which the store knows nothing, can be exchanged, and
// once; and so can one whose session alone is known.
func TestTokensOfOthersAreExchangedOnce(t *testing.T) { userstest.Each(t, testTokensOfOthers) }

func testTokensOfOthers(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	for name, token := range map[string]users.Token{
		"nothing is known":     refreshToken(users.NewFamily(), u, time.Now()),
		"the session is known": refreshToken(users.FamilyOf(began(t, s, u, time.Now()).ID), u, time.Now()),
	} {
		for _, want := range []error{nil, users.ErrReused} {
			if _, err := s.RenewSession(t.Context(), renewal(token, time.Now(), 0)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		if ended(t, s, token) {
			t.Errorf("%s: the session is ended", name)
		}
	}
}

// Calls after the store was closed fail, and do not hang or end the program.
func TestNoRefreshAfterClose(t *testing.T) { userstest.Each(t, testRefreshAfterClose) }

func testRefreshAfterClose(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	token := began(t, s, userstest.Add(t, s, users.NewUser{Username: "ada"}), time.Now())
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RenewSession(t.Context(), renewal(token, time.Now(), 0)); err == nil {
		t.Error("a closed store has renewed a session")
	}
}

// A refresh with rotation on a real file, of sessions that take turns. With TMPDIR in
// memory it is the processor's time alone, else that of the disk too.
func BenchmarkRenewSession(b *testing.B) {
	s := userstest.Open(b)
	u := userstest.Add(b, s, users.NewUser{Username: "ada"})
	tokens := make([]users.Token, 100)
	for i := range tokens {
		tokens[i] = refreshToken(users.NewFamily(), u, time.Now())
		if err := s.StartSession(b.Context(), u, tokens[i], time.Now().Add(5*time.Minute), users.Client{}, false); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r := renewal(tokens[i], time.Now(), 0)
		if _, err := s.RenewSession(b.Context(), r); err != nil {
			b.Fatal(err)
		}
		tokens[i] = *r.Next
		i = (i + 1) % len(tokens)
	}
}

// The same of 64 clients at once, each of which asks with what it was given before.
func BenchmarkRenewSessionsAtOnce(b *testing.B) {
	s := userstest.Open(b)
	u := userstest.Add(b, s, users.NewUser{Username: "ada"})
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(p *testing.PB) {
		// As a request has it: one that ends when its client goes away.
		ctx, stop := context.WithCancel(b.Context())
		defer stop()
		token := refreshToken(users.NewFamily(), u, time.Now())
		if err := s.StartSession(ctx, u, token, time.Now().Add(5*time.Minute), users.Client{}, false); err != nil {
			b.Error(err)
		}
		for p.Next() {
			r := renewal(token, time.Now(), 0)
			if _, err := s.RenewSession(ctx, r); err != nil {
				b.Error(err)
				return
			}
			token = *r.Next
		}
	})
}

// Many sessions at once, each token of which is shown several times at once: one of those
// succeeds, or with a grace all are given the same, and no session is touched by another.
func TestEachTokenHasOneWinnerInACrowd(t *testing.T) { userstest.Each(t, testOneWinner) }

func testOneWinner(t *testing.T, place *userstest.Place) {
	const sessions, turns, copies = 16, 5, 4
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	var all sync.WaitGroup
	for i := range sessions {
		grace := time.Duration(i%2) * time.Minute
		all.Go(func() {
			token := began(t, s, u, time.Now())
			for range turns {
				var crowd sync.WaitGroup
				got := make([]users.Renewed, copies)
				faults := make([]error, copies)
				for j := range copies {
					crowd.Go(func() { got[j], faults[j] = s.RenewSession(t.Context(), renewal(token, time.Now(), grace)) })
				}
				crowd.Wait()
				next, first := "", 0
				for j, err := range faults {
					switch {
					case err == nil && !got[j].Again:
						first++
						next = got[j].NextID
					case err != nil && (grace > 0 || !errors.Is(err, users.ErrReused)):
						t.Errorf("with a grace of %v: %v", grace, err)
					}
				}
				for j, err := range faults {
					if err == nil && got[j].NextID != next {
						t.Errorf("given are %s and %s", next, got[j].NextID)
					}
				}
				if first != 1 {
					t.Errorf("%d have exchanged one token", first)
					return
				}
				token.ID = next
			}
		})
	}
	all.Wait()
}
