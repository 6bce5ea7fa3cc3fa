package rate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// table stands for the database: what is owed of each key, until when.
type table map[Key]time.Time

// exchange tells and hears what there is, and returns how many keys that were.
func (all table) exchange(l *Limiter, now time.Time) int {
	uses := l.Untold(100, now)
	for _, use := range uses {
		owed := max(0, all[use.Key].Sub(now)) + use.Debt
		all[use.Key] = now.Add(owed)
		l.Heard(use, owed, now)
	}
	return len(uses)
}

func TestSharedBudgets(t *testing.T) {
	const budget, many = 80, 3
	now := time.Now()
	all := table{}
	woken := make([]bool, many)
	limiters := make([]*Limiter, many)
	for i := range limiters {
		limiters[i] = New(budget, 80*time.Second, budget)
		limiters[i].began = now
		limiters[i].Share(func() { woken[i] = true })
	}
	key := Network(netip.MustParseAddr("192.0.2.1"))
	// Asked in turn, each tells the others when it is woken.
	passed := 0
	ask := func(n int) (got int) {
		for i := range n {
			l := limiters[i%many]
			if _, ok := l.Take(key, now); ok {
				got++
			}
			if woken[i%many] {
				woken[i%many] = false
				all.exchange(l, now)
			}
		}
		passed += got
		return got
	}
	if got, most := ask(1000), budget+many*budget/noticeable; got < budget || got > most {
		t.Errorf("%d passed, want %d and %d at most", got, budget, most)
	}
	for _, l := range limiters {
		all.exchange(l, now)
	}
	if got := ask(100); got != 0 {
		t.Errorf("%d more passed", got)
	}
	if _, ok := limiters[0].Take(Network(netip.MustParseAddr("192.0.2.2")), now); !ok {
		t.Error("another network is refused")
	}
	// Over a long time no more pass than the rate gives back, asked every second.
	began := now
	for range 600 {
		now = now.Add(time.Second)
		ask(30)
		for _, l := range limiters {
			all.exchange(l, now)
		}
	}
	if most := budget + many*budget/noticeable + int(now.Sub(began)/time.Second) + 2*many; passed > most || passed < 500 {
		t.Errorf("%d passed within ten minutes, want %d at most", passed, most)
	}
	// When all is whole again nothing is kept of it.
	now = now.Add(time.Hour)
	for i, l := range limiters {
		if n := all.exchange(l, now); n > 0 {
			t.Errorf("limiter %d tells of %d keys", i, n)
		}
		if s := l.sharing.Load(); len(s.shared)+len(s.next) > 0 {
			t.Errorf("limiter %d keeps %d keys", i, len(s.shared))
		}
	}
}

func TestNobodyIsToldOfALittleUse(t *testing.T) {
	now := time.Now()
	l := New(80, 80*time.Second, 80)
	l.Share(func() { t.Error("woken") })
	for i := range 5000 {
		for range 9 {
			l.Take(address(i), now)
		}
	}
	if uses := l.Untold(1000, now); len(uses) > 0 {
		t.Errorf("%d keys", len(uses))
	}
}

// What could not be told is told later, as far as it is not given back by then.
func TestWhatCouldNotBeToldIsKept(t *testing.T) {
	l := New(60, time.Minute, 60)
	l.Share(func() {})
	now := l.began
	key := User("1")
	for range 30 {
		l.Take(key, now)
	}
	for range 5 {
		now = now.Add(time.Second)
		uses := l.Untold(10, now)
		l.Keep(uses)
		if len(uses) != 1 || uses[0].Key != key {
			t.Fatalf("%v", uses)
		}
	}
	for range 5 {
		l.Take(key, now)
	}
	uses := l.Untold(10, now)
	if len(uses) != 1 || uses[0].Debt != 30*time.Second {
		t.Fatalf("%v, want 25 of those of before, and 5", uses)
	}
	// Another has taken all the rest, and more was taken here meanwhile.
	l.Take(key, now)
	l.Heard(uses[0], 59*time.Second, now)
	if wait, ok := l.Take(key, now); ok || wait != time.Second {
		t.Errorf("%v, %v", wait, ok)
	}
	// A row that owes a year does not.
	l.Heard(uses[0], 365*24*time.Hour, now)
	if wait, ok := l.Take(key, now); ok || wait > 2*time.Minute {
		t.Errorf("%v, %v", wait, ok)
	}
	// Nobody has less than was taken here.
	l.Heard(uses[0], 0, now)
	if _, ok := l.Take(key, now); ok {
		t.Error("a table that has lost its rows gives a fresh budget")
	}
}

// However many networks come while nobody can be told, no more are kept than have a
// budget of their own.
func TestAttackManyNetworksWhileNobodyIsTold(t *testing.T) {
	l := New(8, time.Second, 8)
	l.Share(func() {})
	now := l.began
	for round := range 5 {
		for i := range 2 * Most {
			l.Take(address(round<<24+i), now)
		}
		l.Keep(l.Untold(500, now))
		now = now.Add(2 * time.Second)
	}
	s := l.sharing.Load()
	if len(s.shared) > Most || len(s.next) > Most {
		t.Errorf("%d keys, %d of them in turn", len(s.shared), len(s.next))
	}
	now = now.Add(time.Minute)
	l.Untold(0, now)
	if len(s.shared)+len(s.next) > 0 {
		t.Errorf("%d are left", len(s.shared))
	}
}

func TestKeysAreToldApart(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range []Key{{}, User("1"), User("192.0.2.1"), Network(netip.MustParseAddr("192.0.2.1")), Network(netip.MustParseAddr("2001:db8::1"))} {
		if seen[key.String()] {
			t.Errorf("%q twice", key)
		}
		seen[fmt.Sprint(key)] = true
	}
}
