package proxy_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"gatehouse/proxy"
)

func TestRefusalsOfGarbageArePaced(t *testing.T) {
	now := time.Now()
	delay := proxy.Pacer(100, func() time.Time { return now })
	for i := range 100 {
		if got := delay(); got != 0 {
			t.Fatalf("number %d of those that may come at once waits for %v", i, got)
		}
	}
	for i := range 100 {
		if got, want := delay(), time.Duration(i+1)*10*time.Millisecond; got != want {
			t.Fatalf("number %d behind them waits for %v, want %v", i, got, want)
		}
	}
	for range 1000 {
		if got := delay(); got != time.Second {
			t.Fatalf("one of very many waits for %v, want 1s", got)
		}
	}
	now = now.Add(500 * time.Millisecond)
	if got := delay(); got != 510*time.Millisecond {
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
	ask("not.a.token")
	if took := ask("not.a.token"); took < 500*time.Millisecond {
		t.Errorf("the second in a second was answered after %v", took)
	}
	quickest := time.Minute
	for range 20 {
		quickest = min(quickest, ask(""))
	}
	if quickest > 500*time.Millisecond {
		t.Errorf("who shows no token waits for %v", quickest)
	}
}
