package upstream_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

// What is known of servers stays known when another part of the configuration changes.
func TestAServerThatIsDownStaysDown(t *testing.T) {
	var asked, requests atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if in.URL.Path == "/healthz" {
			asked.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		requests.Add(1)
	}))
	t.Cleanup(s.Close)
	health := upstream.Health{Path: "/healthz", Interval: 10 * time.Millisecond, UnhealthyAfter: 2}
	before := open(t, upstream.Config{URL: s.URL, Health: health})
	eventually(t, "refusal", func() bool { return outcome(t, before) == "none_healthy" })
	seen := requests.Load()
	follow := func(cfg upstream.Config) *upstream.Upstream {
		u, err := upstream.New("app", cfg, upstream.Parts{Before: before})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(u.Close)
		return u
	}
	idle := time.Minute
	for name, cfg := range map[string]upstream.Config{
		"the same":           {URL: s.URL, Health: health},
		"other timeouts":     {URL: s.URL, Health: health, Timeouts: upstream.Timeouts{Idle: &idle}},
		"another keep_alive": {URL: s.URL, Health: health, KeepAlive: &idle},
		"another server too": {URLs: []string{s.URL, "http://127.0.0.1:1"}, Health: health},
	} {
		if got := outcome(t, follow(cfg)); got == "200" || requests.Load() != seen {
			t.Errorf("%s: %s, and the server got %d requests", name, got, requests.Load()-seen)
		}
	}
	if got := outcome(t, follow(upstream.Config{URL: s.URL})); got != "200" {
		t.Errorf("without health checks, which would bring it back: %s", got)
	}
}

// Two configurations on top of each other do not let twice as many in.
func TestOneBoundForTheUpstreamBeforeToo(t *testing.T) {
	release, arrived := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	t.Cleanup(s.Close)
	none := 0
	cfg := upstream.Config{URL: s.URL, MaxConnections: 1, MaxPending: &none}
	before := open(t, cfg)
	done := make(chan string, 1)
	go func() { done <- outcome(t, before) }()
	<-arrived
	after, err := upstream.New("app", cfg, upstream.Parts{Before: before})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(after.Close)
	if got := outcome(t, after); got != "full" {
		t.Errorf("got %s while the one before has the only connection", got)
	}
	close(release)
	<-done
}
