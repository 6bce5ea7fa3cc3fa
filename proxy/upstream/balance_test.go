package upstream

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// several is an upstream of n servers that nobody connects to.
func several(t testing.TB, n int, how balance) *Upstream {
	t.Helper()
	cfg := Config{Balance: string(how)}
	for i := range n {
		cfg.URLs = append(cfg.URLs, fmt.Sprintf("http://app-%d", i))
	}
	u, err := New("app", cfg, Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

// later moves the upstream's clock.
func (u *Upstream) later(d time.Duration) { u.began = u.began.Add(-d) }

// parts counts who gets n requests, each of another user.
func (u *Upstream) parts(n int) []int {
	parts := make([]int, len(u.servers))
	for i := range n {
		parts[u.pick(Key(fmt.Sprint(i), netip.Addr{}), 0)]++
	}
	return parts
}

// inOneGo tries what must happen while the clock hardly moves. Where the machine stood
// still meanwhile, it is tried again.
func inOneGo(t *testing.T, try func() error) {
	t.Helper()
	for range 20 {
		began := time.Now()
		err := try()
		if err == nil {
			return
		}
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Fatal(err)
		}
	}
	t.Fatal("the machine stands still again and again")
}

func TestEachServerInTurn(t *testing.T) {
	u := several(t, 3, roundRobin)
	for i, part := range u.parts(300) {
		if part != 100 {
			t.Errorf("server %d got %d of 300 requests, want 100", i, part)
		}
	}
}

func TestTheServerWithTheFewestRequests(t *testing.T) {
	u := several(t, 3, leastRequests)
	u.servers[0].inFlight.Store(5)
	u.servers[1].inFlight.Store(2)
	u.servers[2].inFlight.Store(9)
	if got := u.pick(0, 0); got != 1 {
		t.Errorf("got server %d, want the one with 2 requests", got)
	}
	for _, s := range u.servers {
		s.inFlight.Store(4)
	}
	for i, part := range u.parts(300) {
		if part != 100 {
			t.Errorf("all equal, and server %d got %d of 300 requests", i, part)
		}
	}
}

func TestStickyUsers(t *testing.T) {
	u := several(t, 4, sticky)
	const users = 4000
	before := make([]int, users)
	for i := range before {
		before[i] = u.pick(Key(fmt.Sprint(i), netip.Addr{}), 0)
	}
	for i, part := range u.parts(users) {
		if part < users/4*8/10 || part > users/4*12/10 {
			t.Errorf("server %d has %d of %d users", i, part, users)
		}
	}

	t.Run("stay while all is well", func(t *testing.T) {
		for i, want := range before {
			if got := u.pick(Key(fmt.Sprint(i), netip.Addr{}), 0); got != want {
				t.Fatalf("user %d went from server %d to %d", i, want, got)
			}
		}
	})
	t.Run("move only when their own server goes", func(t *testing.T) {
		u.servers[1].down.Store(true)
		defer u.servers[1].down.Store(false)
		for i, was := range before {
			got := u.pick(Key(fmt.Sprint(i), netip.Addr{}), 0)
			if got == 1 || was != 1 && got != was {
				t.Fatalf("user %d went from server %d to %d", i, was, got)
			}
		}
	})
	t.Run("have the same server whatever the order in the file", func(t *testing.T) {
		turned, err := New("app", Config{
			Balance: "sticky", URLs: []string{"http://app-3", "http://app-2", "http://app-1", "http://app-0"},
		}, Parts{})
		if err != nil {
			t.Fatal(err)
		}
		defer turned.Close()
		for i, want := range before {
			if got := 3 - turned.pick(Key(fmt.Sprint(i), netip.Addr{}), 0); got != want {
				t.Fatalf("user %d has server %d and %d", i, want, got)
			}
		}
	})
	t.Run("anonymous ones by their address", func(t *testing.T) {
		a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		if Key("", a) == Key("", b) {
			t.Error("two addresses have one key")
		}
		if Key("7", a) != Key("7", b) {
			t.Error("a user's key hangs on the address")
		}
		if Key("", netip.Addr{}) == 0 {
			t.Error("no address has no key")
		}
	})
}

func TestAServerThatBreaks(t *testing.T) {
	for _, how := range []balance{roundRobin, leastRequests, sticky} {
		t.Run(string(how), func(t *testing.T) { inOneGo(t, func() error { return breaks(t, how) }) })
	}
}

func breaks(t *testing.T, how balance) error {
	t.Helper()
	u := several(t, 2, how)
	bad := u.servers[1]
	for range ejectAfter - 1 {
		bad.broke(u)
	}
	bad.answered(u)
	if bad.broke(u) {
		return errors.New("left out, though not so many requests broke in a row")
	}
	bad.broke(u)
	if !bad.broke(u) {
		return errors.New("not left out")
	}
	if got := u.parts(1000); got[1] != 0 {
		return fmt.Errorf("left out, and got %d requests", got[1])
	}
	if got := u.pick(1, 1<<0); got != 1 {
		return fmt.Errorf("got server %d, want the one that is left out, for want of another", got)
	}

	// It returns slowly.
	u.later(ejectFor)
	early := u.parts(1000)[1]
	u.later(ramp / 2)
	half := u.parts(1000)[1]
	u.later(ramp / 2)
	whole := u.parts(1000)[1]
	t.Logf("of 1000 requests %d, %d, %d", early, half, whole)
	if early == 0 || early > 150 || half <= early || half > 400 || whole < 450 {
		return fmt.Errorf("of 1000 requests it got %d, %d in the middle of its return, %d after it", early, half, whole)
	}
	return nil
}

func TestAServerThatBreaksAgainIsLeftOutForLonger(t *testing.T) {
	inOneGo(t, func() error { return breaksAgain(t) })
}

func breaksAgain(t *testing.T) error {
	t.Helper()
	u := several(t, 2, roundRobin)
	bad := u.servers[1]
	for _, want := range []time.Duration{ejectFor, 2 * ejectFor, 4 * ejectFor, 8 * ejectFor, ejectMost, ejectMost} {
		for range ejectAfter {
			bad.broke(u)
		}
		u.later(want - time.Second)
		if got := u.parts(100)[1]; got != 0 {
			return fmt.Errorf("got %d requests before %v were over", got, want)
		}
		u.later(2 * time.Second)
		if got := u.parts(100)[1]; got == 0 {
			return fmt.Errorf("got no request after %v", want)
		}
	}
	u.later(ramp)
	u.parts(10)
	for range ejectAfter {
		bad.broke(u)
	}
	u.later(ejectFor + time.Second)
	if u.parts(100)[1] == 0 {
		return errors.New("what is long past still counts")
	}
	return nil
}

func TestAServerThatAnswersReturnsAtOnce(t *testing.T) {
	u := several(t, 2, roundRobin)
	for range ejectAfter {
		u.servers[1].broke(u)
	}
	u.servers[1].answered(u)
	if u.parts(1000)[1] == 0 {
		t.Error("it answered, and is still left out")
	}
}

func TestTheOnlyServerIsNeverLeftOut(t *testing.T) {
	u := several(t, 1, roundRobin)
	for range 10 * ejectAfter {
		u.servers[0].broke(u)
	}
	if got := u.pick(0, 0); got != 0 {
		t.Errorf("got %d", got)
	}
	u.servers[0].down.Store(true)
	if got := u.pick(0, 0); got != -1 {
		t.Errorf("got %d, and its health checks call it down", got)
	}
}

func TestPickingDoesNotAllocate(t *testing.T) {
	for _, how := range []balance{roundRobin, leastRequests, sticky} {
		u := several(t, 8, how)
		u.servers[3].back.Store(u.clock())
		if got := testing.AllocsPerRun(1000, func() { u.pick(Key("7", netip.Addr{}), 0) }); got != 0 {
			t.Errorf("%s: %v allocations", how, got)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 2, 8, maxServers} {
		for _, how := range []balance{roundRobin, leastRequests, sticky} {
			b.Run(fmt.Sprintf("%s/%d", how, n), func(b *testing.B) {
				u := several(b, n, how)
				b.ReportAllocs()
				for b.Loop() {
					u.pick(Key("7", netip.Addr{}), 0)
				}
			})
		}
	}
}
