package proxy_test

import (
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"gatehouse/proxy"
)

func TestRefusalsOfGarbageArePaced(t *testing.T) {
	now := time.Now()
	delay := proxy.Pacer(1000, func() time.Time { return now })
	for i := range 100 {
		if got := delay(); got != 0 {
			t.Fatalf("number %d of those that may come at once waits for %v", i, got)
		}
	}
	for i := range 100 {
		if got, want := delay(), time.Duration(i+1)*time.Millisecond; got != want {
			t.Fatalf("number %d behind them waits for %v, want %v", i, got, want)
		}
	}
	for range 10000 {
		if got := delay(); got > time.Second {
			t.Fatalf("one of very many waits for %v, no more than 1s is right", got)
		}
	}
	now = now.Add(500 * time.Millisecond)
	if got := delay(); got != 501*time.Millisecond {
		t.Errorf("half a second after the flood: %v; who has waited in vain left a debt", got)
	}
	now = now.Add(time.Hour)
	if got := delay(); got != 0 {
		t.Errorf("an hour later: %v", got)
	}
}

// The flood: bad tokens as fast as they are answered. They are slowed down; who shows
// none is not.
func TestAttackAFloodOfGarbage(t *testing.T) {
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	p := parts(t, slog.New(slog.DiscardHandler))
	p.GarbageRate = 1
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	pass := func() {
		in := httptest.NewRequestWithContext(t.Context(), "GET", "http://app.example/public/x", nil)
		out := httptest.NewRecorder()
		gateway.ServeHTTP(out, in)
		if out.Code != 200 {
			t.Fatalf("somebody who is let in: got %d", out.Code)
		}
	}
	ask := func(token string) time.Duration {
		in := httptest.NewRequestWithContext(t.Context(), "GET", "http://app.example/x", nil)
		if token != "" {
			in.Header.Set("Authorization", "Bearer "+token)
		}
		out := httptest.NewRecorder()
		began := time.Now()
		gateway.ServeHTTP(out, in)
		if out.Code != 401 {
			t.Errorf("got %d", out.Code)
		}
		return time.Since(began)
	}
	// Nobody else is there: nobody waits. Two at once may, where the machine is slow.
	alone := time.Minute
	for range 5 {
		alone = min(alone, ask("not.a.token"))
	}
	if alone > 500*time.Millisecond {
		t.Errorf("with nobody else there the quickest of them was answered after %v", alone)
	}
	pass()
	for began := time.Now(); ; { // the first takes what may come at once; a slow machine may have room for another by then
		if took := ask("not.a.token"); took >= 500*time.Millisecond {
			break
		}
		pass()
		if time.Since(began) > soon {
			t.Error("nobody waits, however many there are in a second")
			break
		}
	}
	// Very many that wait go together, and each of them is answered.
	pass()
	var crowd sync.WaitGroup
	for range 100 {
		crowd.Go(func() { ask("not.a.token") })
	}
	crowd.Wait()
	quickest := time.Minute
	for range 20 {
		quickest = min(quickest, ask(""))
	}
	if quickest > 500*time.Millisecond {
		t.Errorf("who shows no token waits for %v", quickest)
	}
}
