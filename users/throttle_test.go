package users_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/rate"
	"gatehouse/users/userstest"
)

// clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var usual = users.Throttling{
	AccountAndNetwork: rate.Rate{N: 3, In: 3 * time.Minute},
	Account:           rate.Rate{N: 6, In: time.Hour},
	Network:           rate.Rate{N: 10, In: 10 * time.Minute},
	Known:             24 * time.Hour,
}

func try(name, addr string) users.Attempt {
	return users.Attempt{By: users.ByName, Name: name, Addr: netip.MustParseAddr(addr)}
}

// fail charges an attempt that is not told to be a good one.
func fail(t *testing.T, s *users.Store, a users.Attempt) *users.Charge {
	t.Helper()
	c, err := s.ChargeLogin(t.Context(), usual, a)
	if err != nil {
		t.Fatalf("%s from %s: %v", a.Name, a.Addr, err)
	}
	return c
}

func succeed(t *testing.T, s *users.Store, a users.Attempt) {
	t.Helper()
	if err := fail(t, s, a).Succeeded(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// refused wants the attempt to be refused, and returns how long it has to wait.
func refused(t *testing.T, s *users.Store, a users.Attempt, by users.Budget) time.Duration {
	t.Helper()
	_, err := s.ChargeLogin(t.Context(), usual, a)
	throttled, ok := errors.AsType[*users.Throttled](err)
	if !ok {
		t.Fatalf("%s from %s: got %v, want to be throttled", a.Name, a.Addr, err)
	}
	if throttled.Budget != by || throttled.Wait <= 0 {
		t.Fatalf("%s from %s: %v, want %s", a.Name, a.Addr, throttled, by)
	}
	return throttled.Wait
}

func times(n int, do func()) {
	for range n {
		do()
	}
}

// throttledStore opens a store whose time is that of the clock.
func throttledStore(t *testing.T, at *userstest.Place, c *clock) *users.Store {
	return userstest.Open(t, userstest.In(at), userstest.Now(c.read))
}

func TestBudgetsOfLogins(t *testing.T) {
	userstest.Each(t, func(t *testing.T, at *userstest.Place) {
		c := newClock()
		s := throttledStore(t, at, c)
		fresh := 0
		anew := func() (name, addr string) {
			fresh++
			return fmt.Sprintf("user%d", fresh), fmt.Sprintf("192.0.2.%d", fresh)
		}

		t.Run("the wait grows to the time of the rate and is never longer", func(t *testing.T) {
			name, addr := anew()
			a := try(name, addr)
			times(2, func() { fail(t, s, a) })
			if c := fail(t, s, a); len(c.UsedUp) != 1 || c.UsedUp[0] != (users.Throttled{Budget: users.BudgetAccountAndNetwork, Wait: time.Minute}) {
				t.Errorf("used up: %v", c.UsedUp)
			}
			for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute} {
				if got := refused(t, s, a, users.BudgetAccountAndNetwork); got != want {
					t.Errorf("wait %v, want %v", got, want)
				}
				c.pass(want - time.Second)
				if got := refused(t, s, a, users.BudgetAccountAndNetwork); got != time.Second { // asking does not prolong it
					t.Errorf("wait %v, want a second", got)
				}
				c.pass(time.Second)
				fail(t, s, a)
			}
			c.pass(2 * time.Hour)
			times(3, func() { fail(t, s, a) })
			if got := refused(t, s, a, users.BudgetAccountAndNetwork); got != time.Minute {
				t.Errorf("when all is given back, wait %v", got)
			}
		})
		t.Run("an account from other networks", func(t *testing.T) {
			name, addr := anew()
			times(3, func() { fail(t, s, try(name, addr)) })
			refused(t, s, try(name, addr), users.BudgetAccountAndNetwork)
			times(3, func() { fail(t, s, try(name, "198.51.100.1")) })
			refused(t, s, try(name, "198.51.100.2"), users.BudgetAccount)
			fail(t, s, try("another", "198.51.100.2"))
		})
		t.Run("a network, for whatever names", func(t *testing.T) {
			_, addr := anew()
			for i := range 10 {
				fail(t, s, try(fmt.Sprintf("nobody%d", i), addr))
			}
			if got := refused(t, s, try("nobody10", addr), users.BudgetNetwork); got != time.Minute {
				t.Errorf("wait %v", got)
			}
			// Many may be behind it, so its wait does not grow.
			for range 3 {
				c.pass(time.Minute)
				fail(t, s, try("nobody11", addr))
				if got := refused(t, s, try("nobody12", addr), users.BudgetNetwork); got != time.Minute {
					t.Errorf("wait %v", got)
				}
			}
		})
		t.Run("a login that goes well gives back", func(t *testing.T) {
			name, addr := anew()
			for range 8 { // more than any budget has
				times(2, func() { fail(t, s, try(name, addr)) })
				succeed(t, s, try(name, addr))
				c.pass(2 * time.Minute) // for the network, to which nothing but itself is given back
			}
			times(3, func() { fail(t, s, try(name, addr)) })
			refused(t, s, try(name, addr), users.BudgetAccountAndNetwork)
		})
		t.Run("the owner comes in from a network that is known, whoever guesses elsewhere", func(t *testing.T) {
			name, addr := anew()
			succeed(t, s, try(name, addr))
			for i := range 6 {
				fail(t, s, try(name, fmt.Sprintf("203.0.113.%d", i)))
			}
			refused(t, s, try(name, "203.0.113.99"), users.BudgetAccount)
			succeed(t, s, try(name, addr))
			refused(t, s, try(name, "203.0.113.99"), users.BudgetAccount) // and it gives nothing to those
			// It has a budget there, and no more than that.
			for i := range 6 {
				if i%2 == 0 {
					c.pass(3 * time.Minute)
				}
				fail(t, s, try(name, addr))
			}
			c.pass(3 * time.Minute)
			refused(t, s, try(name, addr), users.BudgetAccount)
			c.pass(25 * time.Hour) // nobody was there for so long
			for i := range 6 {
				fail(t, s, try(name, fmt.Sprintf("203.0.113.%d", i)))
			}
			refused(t, s, try(name, addr), users.BudgetAccount)
		})
		t.Run("what nobody decided about is given back", func(t *testing.T) {
			name, addr := anew()
			times(20, func() {
				if err := fail(t, s, try(name, addr)).Undo(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
			times(3, func() { fail(t, s, try(name, addr)) })
			if got := refused(t, s, try(name, addr), users.BudgetAccountAndNetwork); got != time.Minute {
				t.Errorf("wait %v", got)
			}
		})
		t.Run("an operator gives back", func(t *testing.T) {
			name, addr := anew()
			times(3, func() { fail(t, s, try(name, addr)) })
			if n, err := s.Unlock(t.Context(), users.ByName, name); n != 2 || err != nil {
				t.Errorf("unlocked %d, %v; want the budgets of the account and of it from the network", n, err)
			}
			if n, err := s.Unlock(t.Context(), users.ByName, name); n != 0 || err != nil {
				t.Errorf("again: %d, %v", n, err)
			}
			times(3, func() { fail(t, s, try(name, addr)) })
			for i := range 4 {
				fail(t, s, try(fmt.Sprint(i), addr))
			}
			refused(t, s, try("other", addr), users.BudgetNetwork)
			if n, err := s.UnlockNetwork(t.Context(), netip.MustParseAddr(addr)); n != 1 || err != nil {
				t.Errorf("unlocked %d, %v", n, err)
			}
			fail(t, s, try("other", addr))
		})
	})
}

// One account, and one network, however they are written.
func TestBudgetsOfOneSpelling(t *testing.T) {
	userstest.Each(t, func(t *testing.T, at *userstest.Place) {
		s := throttledStore(t, at, newClock())
		for i, c := range []struct {
			name   string
			a, b   users.Attempt
			shared bool
		}{
			{"full width", try("ada", "192.0.2.1"), try("ａｄａ", "192.0.2.1"), true},
			{"a ligature", try("fifi", "192.0.2.1"), try("ﬁﬁ", "192.0.2.1"), true},
			{"é in one and two characters", try("zo\u00e9", "192.0.2.1"), try("zoe\u0301", "192.0.2.1"), true},
			{"case, which the store tells apart", try("Bob", "192.0.2.2"), try("bob", "192.0.2.2"), false},
			{"IPv4 in IPv6", try("eve", "192.0.2.3"), try("eve", "::ffff:192.0.2.3"), true},
			{"one /64", try("eve", "2001:db8::1"), try("eve", "2001:db8::ffff:ffff:ffff:ffff"), true},
			{"two /64", try("eve", "2001:db8:0:1::1"), try("eve", "2001:db8:0:2::1"), false},
			{"a zone", try("kim", "fe80::1"), try("kim", "fe80::2%eth0"), true},
			{"U+0000", try("a\x00b", "192.0.2.4"), try("a\x00b", "192.0.2.4"), true},
			{"bytes that are no text", try("a\xff", "192.0.2.5"), try("a\xfe", "192.0.2.5"), false},
			{"very long", try(strings.Repeat("x", 60_000), "192.0.2.6"), try(strings.Repeat("x", 60_000), "192.0.2.6"), true},
			{"nobody knows from where", users.Attempt{By: users.ByName, Name: "a"}, users.Attempt{By: users.ByName, Name: "a"}, true},
			{"a name that looks like another's digest", try("1:a", "192.0.2.7"), try("1", "192.0.2.7"), false},
		} {
			a, b := c.a, c.b
			if _, err := s.Unlock(t.Context(), users.ByName, a.Name); err != nil {
				t.Fatal(err)
			}
			times(3, func() { fail(t, s, a) })
			_, err := s.ChargeLogin(t.Context(), usual, b)
			throttled, ok := errors.AsType[*users.Throttled](err)
			if ok = ok && throttled.Budget == users.BudgetAccountAndNetwork; ok != c.shared || err != nil && !c.shared {
				t.Errorf("%d %s: got %v, want shared %v", i, c.name, err, c.shared)
			}
		}
	})
}

// Guesses that come at once get no more than those that come one by one.
func TestAttackParallelGuesses(t *testing.T) {
	userstest.Each(t, func(t *testing.T, at *userstest.Place) {
		replicas := []*users.Store{userstest.Open(t, userstest.In(at)), userstest.Open(t, userstest.In(at))}
		limits := usual
		limits.AccountAndNetwork = rate.Rate{N: 5, In: 24 * time.Hour}
		var mu sync.Mutex
		passed, throttled := 0, 0
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				_, err := replicas[i%2].ChargeLogin(t.Context(), limits, try("ada", "192.0.2.1"))
				_, refused := errors.AsType[*users.Throttled](err)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					passed++
				case refused:
					throttled++
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if passed != 5 || throttled != 195 {
			t.Errorf("%d of 200 passed and %d were throttled; want 5 and 195", passed, throttled)
		}
	})
}

// A flood of names from a network makes no more rows than its budget has, and those
// go when they say nothing any more.
func TestBudgetsAreBounded(t *testing.T) {
	userstest.Each(t, func(t *testing.T, at *userstest.Place) {
		c := newClock()
		s := throttledStore(t, at, c)
		for i := range 300 {
			_, err := s.ChargeLogin(t.Context(), usual, try(fmt.Sprintf("name%d", i), "192.0.2.1"))
			if _, ok := errors.AsType[*users.Throttled](err); ok != (i >= 10) {
				t.Fatalf("attempt %d: %v", i, err)
			}
		}
		rows := func() (n int) {
			if err := at.Row(t, `SELECT COUNT(*) FROM login_budgets`, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := rows(); n != 21 { // two for each account, one for the network
			t.Errorf("%d rows", n)
		}
		succeed(t, s, try("ada", "192.0.2.2"))
		c.pass(2 * time.Hour)
		if _, err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := rows(); n != 1 { // a network is known for an account
			t.Errorf("%d rows when all is given back", n)
		}
		c.pass(24 * time.Hour)
		if _, err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := rows(); n != 0 {
			t.Errorf("%d rows when nothing is known", n)
		}
	})
}

// The budgets are moved with the store, and mean the same there.
func TestBudgetsAreCopied(t *testing.T) {
	userstest.Each(t, func(t *testing.T, at *userstest.Place) {
		c := newClock()
		source := userstest.Open(t, userstest.Now(c.read))
		times(3, func() { fail(t, source, try("ada", "192.0.2.1")) })
		target := throttledStore(t, at, c)
		if _, err := target.NameDigest(t.Context(), "x"); err != nil { // with its own secret
			t.Fatal(err)
		}
		if _, err := source.CopyTo(t.Context(), target, users.Copying{}); err != nil {
			t.Fatal(err)
		}
		refused(t, target, try("ada", "192.0.2.1"), users.BudgetAccountAndNetwork)
		a, _ := source.NameDigest(t.Context(), "hunter2")
		b, err := target.NameDigest(t.Context(), "hunter2")
		if a != b || err != nil || len(a) != 16 {
			t.Errorf("a name is %q here and %q there, %v", a, b, err)
		}
	})
}

// What is in the table tells neither names nor addresses.
func TestBudgetsHoldNoNames(t *testing.T) {
	at := userstest.SQLite(t)
	s := userstest.Open(t, userstest.In(at))
	fail(t, s, try("correct horse battery", "192.0.2.77"))
	var all string
	if err := at.Row(t, `SELECT group_concat(bucket || ' ' || account, ' ') FROM login_budgets`, &all); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(all, "horse") || strings.Contains(all, "192") && strings.Contains(all, ".77") {
		t.Errorf("it holds %s", all)
	}
}

// Why a login is refused is known to who asks for it, and to nobody else.
func TestDenials(t *testing.T) {
	s := userstest.Open(t)
	userstest.Add(t, s, users.NewUser{Username: "ada", Password: "secret"})
	userstest.Add(t, s, users.NewUser{Username: "off", Password: "secret", Inactive: true})
	for _, c := range []struct {
		name, plain string
		want        users.DenialReason
		who         string
	}{
		{"ada", "secret", "", ""},
		{"ada", "wrong", users.DeniedWrongPassword, "ada"},
		{"nobody", "secret", users.DeniedUnknownUser, ""},
		{"off", "secret", users.DeniedDisabled, "off"},
		{"off", "wrong", users.DeniedWrongPassword, "off"},
	} {
		_, denial, err := s.AuthenticateFor(context.Background(), users.ByName, c.name, c.plain)
		if denial.Reason != c.want || denial.User.Username != c.who || (err == nil) != (c.want == "") {
			t.Errorf("%s %s: %+v, %v", c.name, c.plain, denial, err)
		}
	}
}
