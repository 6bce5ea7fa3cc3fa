package users

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/users/rate"
)

// A clock that was wrong, or a rate that was longer, keeps nobody out until then.
func TestBudgetsOfAClockThatWasWrong(t *testing.T) {
	b := bucket{kind: BudgetAccountAndNetwork, rate: rate.Rate{N: 5, In: 5 * time.Minute}}
	now := time.Now()
	fails := func(at time.Time, l level, n int) level {
		for range n {
			next, wait := l.take(b, at)
			if wait > 0 {
				t.Fatalf("wait %v", wait)
			}
			l = next
		}
		return l
	}
	for _, ahead := range []time.Duration{2 * time.Hour, 24 * time.Hour, 73 * 365 * 24 * time.Hour} {
		l := fails(now.Add(ahead), level{}, 5)
		if l = fails(now, l, 5); l.strikes != 1 {
			t.Errorf("%v ahead: strikes %d", ahead, l.strikes)
		}
		if _, wait := l.take(b, now); wait != time.Minute {
			t.Errorf("%v ahead: wait %v after what the budget has", ahead, wait)
		}
	}
	// One that is a little wrong gives nothing away: replicas differ by as much.
	l := fails(now.Add(30*time.Minute), level{}, 5)
	if _, wait := l.take(b, now); wait != 31*time.Minute {
		t.Errorf("wait %v", wait)
	}
}

// The wait stays what it has grown to, however long somebody goes on and however slow
// the rate is.
func TestWaitsThatHaveGrownStay(t *testing.T) {
	for _, r := range []rate.Rate{{N: 5, In: 5 * time.Minute}, {N: 5, In: 24 * time.Hour}, {N: 2, In: 366 * 24 * time.Hour}, {N: 1, In: time.Hour}, {N: rate.MaxN, In: time.Millisecond}} {
		b := bucket{kind: BudgetAccount, rate: r}
		now, l := time.Unix(1_800_000_000, 0), level{}
		for range r.N {
			l, _ = l.take(b, now)
			if l.strikes > 0 {
				break
			}
		}
		last := time.Duration(0)
		for i := range 200 {
			_, wait := l.take(b, now)
			if wait <= 0 || wait < last || wait > max(r.In, time.Second) {
				t.Fatalf("%s: attempt %d waits %v after %v", r, i, wait, last)
			}
			last = wait
			now = now.Add(wait)
			if l, wait = l.take(b, now); wait > 0 {
				t.Fatalf("%s: attempt %d waits %v more", r, i, wait)
			}
		}
	}
}

// An account with very many addresses does not fill the table with them.
func TestAttackAnAccountFromManyNetworks(t *testing.T) {
	onEach(t, func(t *testing.T, in Config) {
		c := &clock{now: time.Now()}
		s := openBare(t, in, Parts{Now: c.Now})
		limits := Throttling{AccountAndNetwork: rate.Rate{N: 1, In: 24 * time.Hour}, Account: rate.Rate{N: 1, In: 24 * time.Hour}, Known: 720 * time.Hour}
		from := func(name string, i int) Attempt {
			return Attempt{By: ByName, Name: name, Addr: netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})}
		}
		succeed := func(name string, i int) {
			t.Helper()
			charge, err := s.ChargeLogin(t.Context(), limits, from(name, i))
			if err == nil {
				err = charge.Succeeded(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			c.add(time.Second)
		}
		succeed("another", 0)
		for i := range 3 * maxKnown {
			succeed("ada", i)
		}
		if _, err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rows int
		if err := s.reader.QueryRow(`SELECT COUNT(*) FROM login_budgets`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		if rows != maxKnown+1 {
			t.Errorf("%d rows, want %d", rows, maxKnown+1)
		}
		// The latest are known still, and the network of somebody else.
		if _, err := s.ChargeLogin(t.Context(), limits, from("ada", 9999)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.ChargeLogin(t.Context(), limits, from("ada", 0)); err == nil {
			t.Error("the oldest is known")
		}
		succeed("ada", 3*maxKnown-1)
		succeed("another", 0)
	})
}
