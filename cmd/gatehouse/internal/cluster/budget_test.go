package cluster

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What this test has of both: nothing is given back while it runs.
const (
	verifications = 400
	refreshes     = 200
)

// post sends a form as who comes through a proxy from an address, and returns the status.
func post(t *testing.T, client *http.Client, r *replica, path, from, name, value string) int {
	t.Helper()
	in, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address+path, strings.NewReader(url.Values{name: {value}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	in.Header.Set("X-Forwarded-For", from)
	out, err := client.Do(in)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = out.Body.Close() }()
	_, _ = io.Copy(io.Discard, out.Body)
	if out.StatusCode == http.StatusTooManyRequests && out.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
	return out.StatusCode
}

// untilThrottled asks until the answer is 429, and counts the others. After so many at
// once it asks five times a second: word of what others took is on its way.
func untilThrottled(t *testing.T, atOnce int, ask func() int) (passed int) {
	t.Helper()
	for ; passed < 10_000; passed++ {
		switch ask() {
		case http.StatusTooManyRequests:
			return passed
		case 0:
			t.Fatal("no answer")
		}
		if passed >= atOnce {
			time.Sleep(200 * time.Millisecond)
		}
	}
	t.Fatal("never throttled")
	return 0
}

// What is verified and refreshed at one replica is gone from the budgets of all, and each
// of them has its own count while the database is away.
func TestReplicasShareBudgetsOfTokens(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, settings{replicas: 3, away: true, throttle: "per_network: none, refresh_per_session: none, refresh_per_network: 200/24h, verify_per_network: 400/24h"})
	c.addUser("ada")
	client := newClient(t)
	pair := c.answered("login", func() answer { return login(client, c.replicas[0].address, "ada", passwordOf("ada")) })
	verify := func(r *replica, from string) func() int {
		return func() int { return post(t, client, r, "/api/token/verify/", from, "token", pair.Access) }
	}
	refresh := func(r *replica, from string) func() int {
		return func() int { return post(t, client, r, "/api/token/refresh/", from, "refresh", "garbage") }
	}

	// One after the other.
	if n := untilThrottled(t, verifications, verify(c.replicas[0], "192.0.2.1")); n != verifications {
		t.Errorf("%d passed at the first, want %d", n, verifications)
	}
	for _, r := range c.replicas[1:] {
		n := untilThrottled(t, verifications/8, verify(r, "192.0.2.1"))
		if n >= verifications {
			t.Errorf("%s has a budget of its own: %d passed", r.name, n)
		}
		t.Logf("%s, after the budget of %d was used up elsewhere: %d passed", r.name, verifications, n)
	}
	if status := verify(c.replicas[1], "192.0.2.2")(); status != http.StatusOK {
		t.Errorf("another network: %d", status)
	}

	// All at once.
	var all sync.WaitGroup
	var passed atomic.Int64
	begin := time.Now()
	for _, r := range c.replicas {
		all.Go(func() { passed.Add(int64(untilThrottled(t, verifications, verify(r, "2001:db8::1")))) })
	}
	all.Wait()
	t.Logf("all at once, within %v: %d of a budget of %d passed", time.Since(begin).Round(time.Millisecond), passed.Load(), verifications)
	for _, r := range c.replicas { // the word of the last ones is heard
		untilThrottled(t, 0, verify(r, "2001:db8::2"))
	}

	// A replica that cannot ask counts by itself, and the others hear of it later.
	alone := c.replicas[2]
	alone.network(swallow)
	if n := untilThrottled(t, refreshes, refresh(alone, "192.0.2.3")); n != refreshes {
		t.Errorf("%d passed at the one that is alone, want %d", n, refreshes)
	}
	if status := refresh(c.replicas[0], "192.0.2.3")(); status != http.StatusUnauthorized {
		t.Errorf("the others know already: %d", status)
	}
	alone.network(passes)
	await(t, "the database is told", func() error {
		if rows := c.servers[0].SQL(t, c.database, `SELECT COUNT(*) FROM request_budgets`); rows[0] != "3" {
			return fmt.Errorf("%s budgets are in the database, want three", rows[0])
		}
		return nil
	})
	if n := untilThrottled(t, refreshes/8, refresh(c.replicas[0], "192.0.2.3")); n >= refreshes-1 {
		t.Errorf("nobody has heard of it: %d passed", n)
	}
}
