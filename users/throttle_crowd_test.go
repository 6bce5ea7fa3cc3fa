package users

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gatehouse/users/password"
	"gatehouse/users/rate"
)

// Where there is no room for more rows newcomers share a few, and nobody gets a fresh
// budget by bringing others along.
func TestCrowdedBudgetsAreShared(t *testing.T) {
	onEach(t, func(t *testing.T, in Config) {
		c := &clock{now: time.Now()}
		s := openBare(t, in, Parts{Now: c.Now})
		s.budgets.most = 30
		limits := Throttling{AccountAndNetwork: rate.Rate{N: 2, In: 24 * time.Hour}, Known: time.Hour}
		charge := func(name string) error {
			_, err := s.ChargeLogin(t.Context(), limits, Attempt{By: ByName, Name: name, Addr: netip.MustParseAddr("192.0.2.1")})
			if _, ok := errors.AsType[*Throttled](err); err != nil && !ok {
				t.Fatal(err)
			}
			return err
		}
		for range 2 {
			if err := charge("victim"); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 1500 {
			c.add(time.Second)
			_ = charge(fmt.Sprint("name", i))
			if i%100 == 0 && charge("victim") == nil {
				t.Fatalf("after %d others it has a fresh budget", i)
			}
		}
		var rows int
		if err := s.reader.QueryRow(`SELECT COUNT(*) FROM login_budgets`).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		// Those that came before they were counted again, and the shared ones.
		if most := 30 + int(countEvery/time.Second) + 256; rows > most {
			t.Errorf("%d rows, want %d at most", rows, most)
		}
	})
}

// A flood of attempts leaves connections to others.
func TestAttemptsWaitForEachOther(t *testing.T) {
	b := newBudgets()
	var leave []func()
	for range chargesAtOnce {
		done, err := b.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, done)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.enter(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("who goes away: %v", err)
	}
	var crowd sync.WaitGroup
	for range chargesWaiting {
		crowd.Go(func() {
			done, err := b.enter(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			done()
		})
	}
	for until := time.Now().Add(time.Minute); b.waiting.Load() < chargesWaiting && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	if _, err := b.enter(t.Context()); !errors.Is(err, password.ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	for _, done := range leave {
		done()
	}
	crowd.Wait()
	if done, err := b.enter(t.Context()); err != nil {
		t.Error(err)
	} else {
		done()
	}
}
