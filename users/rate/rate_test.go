package rate

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestABudget(t *testing.T) {
	l := New(60, time.Minute, 3) // one a second, three at once
	now := l.began
	key := User("1")
	type step struct {
		after time.Duration
		ok    bool
		wait  time.Duration
	}
	for i, s := range []step{
		{0, true, 0},
		{0, true, 0},
		{0, true, 0},
		{0, false, time.Second},
		{400 * time.Millisecond, false, 600 * time.Millisecond},
		{600 * time.Millisecond, true, 0},
		{0, false, time.Second},
		{time.Hour, true, 0},
		{0, true, 0},
		{0, true, 0},
		{0, false, time.Second}, // an hour saves no more than a burst
	} {
		now = now.Add(s.after)
		if wait, ok := l.Peek(key, now); ok != s.ok || wait != s.wait {
			t.Errorf("step %d: a look says %v, %v", i, wait, ok)
		}
		if wait, ok := l.Take(key, now); ok != s.ok || wait != s.wait {
			t.Errorf("step %d: %v, %v, want %v, %v", i, wait, ok, s.wait, s.ok)
		}
	}
	if _, ok := l.Take(User("2"), now); !ok {
		t.Error("another user shares the budget")
	}
	if wait, ok := l.Take(key, l.began.Add(-time.Hour)); ok {
		t.Errorf("a clock that is put back opens: %v", wait)
	}
}

func TestWhatIsOneNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		one  bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "64:ff9b::192.0.2.1", true},
		{"::ffff:192.0.2.1", "64:ff9b::c000:201", true},
		{"64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false},
		{"64:ff9b::1:192.0.2.1", "64:ff9b::2:192.0.2.1", true}, // the prefix has 96 bits, and this is a /64 as any other
		{"64:ff9b::1:192.0.2.1", "192.0.2.1", false},
		{"64:ff9b:1::192.0.2.1", "192.0.2.1", false}, // of a translator that nobody here knows
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:0:1::1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1", "fe80::1%eth0", true},
		{"::", "0.0.0.0", false},
	} {
		if got := Network(netip.MustParseAddr(c.a)) == Network(netip.MustParseAddr(c.b)); got != c.one {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
	if Network(netip.Addr{}) == Network(netip.MustParseAddr("::")) || User("") != Network(netip.Addr{}) {
		t.Error("who has no address shares a budget with one that has")
	}
}

func address(i int) Key {
	return Network(netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}))
}

// A million networks neither fill the memory, nor give one that has used its budget up a fresh one.
func TestAttackAMillionNetworks(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := New(10, time.Hour, 2)
	now := l.began
	victim := address(7)
	for range 2 {
		l.Take(victim, now)
	}
	passed := 0
	for i := range 1_000_000 {
		if _, ok := l.Take(address(1<<24+i), now); ok {
			passed++
		}
		if i%1000 == 0 {
			if _, ok := l.Take(victim, now); ok {
				t.Fatalf("after %d others it has a fresh budget", i)
			}
		}
	}
	held := 0
	for i := range l.shards {
		held += len(l.shards[i].whole)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if held > Most || grown > 16<<20 {
		t.Errorf("%d budgets in %d bytes", held, grown)
	}
	// Each with a place once, and those without share what is left.
	if most := Most + 2*shards*shared; passed > most {
		t.Errorf("%d requests passed, want %d at most", passed, most)
	}
	t.Logf("%d budgets in %d KiB; %d of 1000000 passed", held, grown>>10, passed)

	// Whoever came too late takes the debt along when there is a place again.
	late := address(1<<24 + 999_999)
	for {
		if _, ok := l.Take(late, now); !ok {
			break
		}
	}
	for i := range l.shards {
		clear(l.shards[i].whole)
	}
	if _, ok := l.Take(late, now); ok {
		t.Error("a place of its own came with a fresh budget")
	}
	// And when all is whole again, all is as it was.
	if _, ok := l.Take(late, now.Add(time.Hour)); !ok {
		t.Error("refused for ever")
	}
}

func TestPlacesAreFreedWhenBudgetsAreWhole(t *testing.T) {
	l := New(1, time.Second, 1)
	now := l.began
	for round := range 3 {
		for i := range 2 * Most {
			l.Take(address(round<<26+i), now)
		}
		now = now.Add(2 * time.Second)
	}
	// Whoever comes now finds a place, and is refused for nobody else.
	refused := 0
	for i := range 10_000 {
		if _, ok := l.Take(address(1<<30+i), now); !ok {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 10000 were refused for others", refused)
	}
}

func TestManyAtOnceTakeNoMoreThanThereIs(t *testing.T) {
	l := New(1, time.Hour, 50)
	now := l.began
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if _, ok := l.Take(User("1"), now); ok {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 50 {
		t.Errorf("%d passed, want 50", passed.Load())
	}
}

// FuzzTake states that in no order of events more requests pass than the budget has.
func FuzzTake(f *testing.F) {
	f.Add(uint8(3), uint8(1), []byte{0, 0, 0, 0, 9, 200, 0})
	f.Fuzz(func(t *testing.T, n, burst uint8, steps []byte) {
		per := time.Minute
		l := New(int(n)+1, per, int(burst)+1)
		now, passed := l.began, 0
		for _, step := range steps {
			now = now.Add(time.Duration(step) * time.Second)
			wait, ok := l.Take(User("1"), now)
			if ok {
				passed++
			} else if wait <= 0 || wait > per {
				t.Fatal(fmt.Sprint("wait ", wait))
			} else if _, ok := l.Peek(User("1"), now.Add(wait)); !ok {
				t.Fatal("refused after the time that was told")
			}
		}
		if most := int(burst) + 1 + int(now.Sub(l.began)/l.interval); passed > most {
			t.Errorf("%d passed, want %d at most", passed, most)
		}
	})
}
