package users_test

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/rate"
	"gatehouse/users/userstest"
)

// passed takes from a budget until nothing is left, and counts.
func passed(l *rate.Limiter, key rate.Key) (n int) {
	for {
		if _, ok := l.Take(key, time.Now()); !ok {
			return n
		}
		n++
	}
}

func TestReplicasShareBudgetsOfRequests(t *testing.T) {
	t.Parallel()
	place := userstest.Postgres(t)
	const budget = 1000
	key, other := rate.Network(netip.MustParseAddr("192.0.2.1")), rate.Network(netip.MustParseAddr("192.0.2.2"))
	stores, limiters := make([]*users.Store, 3), make([]*rate.Limiter, 3)
	for i := range stores {
		stores[i] = userstest.Open(t, userstest.In(place))
		limiters[i] = rate.New(budget, 24*time.Hour, budget)
		stop := stores[i].ShareBudgets("verify_network", limiters[i])
		t.Cleanup(stop)
	}
	// One of them takes everything, the others are told as soon as an eighth of it is used there.
	if n := passed(limiters[0], key); n != budget {
		t.Fatalf("%d passed at the first", n)
	}
	for i, l := range limiters[1:] {
		for n := range budget/8 + 10 {
			if _, ok := l.Take(key, time.Now()); !ok && n < budget/8 {
				t.Fatalf("replica %d is told after %d already", i+1, n)
			}
		}
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			// Who asks on is told with what they have taken; who does not need not know.
			if _, ok := l.Take(key, time.Now()); !ok {
				break
			}
			if time.Since(begin) > time.Minute {
				t.Fatalf("replica %d is not told that nothing is left", i+1)
			}
		}
	}
	if _, ok := limiters[1].Peek(other, time.Now()); !ok {
		t.Error("another network is refused")
	}
	// A kind of its own, a limiter of its own, and one that is no longer shared.
	alone := rate.New(budget, 24*time.Hour, budget)
	stop := stores[0].ShareBudgets("refresh_network", alone)
	if n := passed(alone, key); n != budget {
		t.Errorf("%d passed of another kind", n)
	}
	stop()
	stop()

	// Nobody can read from the rows whose they are.
	var rows int
	if err := place.Row(t, `SELECT COUNT(*) FROM request_budgets WHERE bucket !~ '^[0-9a-f]{32}$' OR bucket LIKE '%192.0.2%'`, &rows); err != nil || rows != 0 {
		t.Errorf("%d rows that are no digests, %v", rows, err)
	}
	// Rows that say nothing any more are removed, and others stay.
	place.Exec(t, `INSERT INTO request_budgets SELECT 'old' || i, 1 FROM generate_series(1, 1200) i`)
	if _, err := stores[0].Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := place.Row(t, `SELECT COUNT(*) FROM request_budgets WHERE bucket LIKE 'old%'`, &rows); err != nil || rows != 0 {
		t.Errorf("%d rows of old, %v", rows, err)
	}
	if err := place.Row(t, `SELECT COUNT(*) FROM request_budgets`, &rows); err != nil || rows < 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// Many replicas tell of many keys at once, each row by several of them: nothing that was
// taken is lost, and nobody waits for ever.
func TestManyBudgetsAtOnce(t *testing.T) {
	t.Parallel()
	place := userstest.Postgres(t)
	const budget, keys, each = 16, 1500, 4
	var all sync.WaitGroup
	limiters := make([]*rate.Limiter, 3)
	for i := range limiters {
		s := userstest.Open(t, userstest.In(place))
		l := rate.New(budget, 24*time.Hour, budget)
		limiters[i] = l
		t.Cleanup(s.ShareBudgets("refresh_session", l))
		all.Go(func() {
			for k := range keys {
				for range each {
					l.Take(rate.User(string(rune('a'+k%26))+time.Duration(k).String()), time.Now())
				}
			}
		})
	}
	all.Wait()
	want := int64(len(limiters) * keys * each)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var taken int64
		if err := place.Row(t, `SELECT COALESCE(SUM(ROUND((whole_at - EXTRACT(EPOCH FROM clock_timestamp()) * 1000000) / 5400000000.0)), 0)::BIGINT FROM request_budgets`, &taken); err != nil {
			t.Fatal(err)
		}
		if taken == want {
			return
		}
		if taken > want || time.Since(begin) > time.Minute {
			t.Fatalf("the rows say that %d were taken, want %d", taken, want)
		}
	}
}
