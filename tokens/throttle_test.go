package tokens_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
	"gatehouse/users/rate"
	"gatehouse/users/userstest"
)

// throttledGate is an authority that throttles as it does by default, but for change.
func throttledGate(t *testing.T, change func(*tokens.Login)) *gate {
	t.Helper()
	g := newGate(t, nil, keys.Config{ID: "main", Algorithm: "HS256", Secret: hmacText})
	g.clock.Store(time.Now().Add(time.Hour).Truncate(time.Second).UnixNano()) // limiters begin now
	g.throttle(change)
	return g
}

func (g *gate) throttle(change func(*tokens.Login), opts ...func(*tokens.Config)) *prometheus.Registry {
	g.Helper()
	login := tokens.DefaultLogin()
	login.Throttle.Enabled = true
	if change != nil {
		change(&login)
	}
	if err := login.Check(); err != nil {
		g.Fatal(err)
	}
	cfg := tokens.DefaultConfig()
	cfg.Keys = []keys.Config{{ID: "main", Algorithm: "HS256", Secret: hmacText}}
	for _, o := range opts {
		o(&cfg)
	}
	registry := prometheus.NewRegistry()
	var err error
	if g.Authority, err = tokens.New(cfg, tokens.Parts{Store: g.store, Now: g.now, Login: login, Metrics: tokens.NewMetrics(registry), Before: g.Authority}); err != nil {
		g.Fatal(err)
	}
	return registry
}

// from sends fields to an endpoint from an address.
func (g *gate) from(addr, path string, fields ...string) *httptest.ResponseRecorder {
	g.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	in := httptest.NewRequestWithContext(g.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	in.RemoteAddr = net.JoinHostPort(addr, "1234")
	out := httptest.NewRecorder()
	for _, endpoint := range g.Endpoints() {
		if endpoint.Path == path {
			endpoint.Handler.ServeHTTP(out, in)
			return out
		}
	}
	g.Fatalf("there is no %s", path)
	return nil
}

func (g *gate) logIn(addr, name, plain string) *httptest.ResponseRecorder {
	g.Helper()
	return g.from(addr, "/api/token/", "username", name, "password", plain)
}

// wants checks status, body and Retry-After; a body of "" is any.
func wants(t *testing.T, what string, got *httptest.ResponseRecorder, status int, body, after string) {
	t.Helper()
	if got.Code != status || body != "" && got.Body.String() != body || got.Header().Get("Retry-After") != after {
		t.Errorf("%s: %d %s, Retry-After %q; want %d %s, %q", what, got.Code, got.Body, got.Header().Get("Retry-After"), status, body, after)
	}
}

func TestThrottledLogins(t *testing.T) {
	g := throttledGate(t, nil)
	for range 5 {
		wants(t, "wrong", g.logIn("192.0.2.1", "carol", "wrong"), 401, noAccount, "")
	}
	throttled := g.logIn("192.0.2.1", "carol", "carols password")
	wants(t, "the right password too", throttled, 429, `{"detail":"Request was throttled. Expected available in 60 seconds."}`, "60")
	header := throttled.Header()
	if header.Get("Allow") != "POST, OPTIONS" || header.Get("Content-Type") != "application/json" || header.Get("Www-Authenticate") != "" {
		t.Errorf("headers %v", header)
	}
	wants(t, "another user there", g.logIn("192.0.2.1", "dora", "x"), 401, noAccount, "")
	wants(t, "the user elsewhere", g.logIn("192.0.2.2", "carol", "wrong"), 401, noAccount, "")
	g.after(59 * time.Second)
	wants(t, "one second before", g.logIn("192.0.2.1", "carol", "wrong"), 429, `{"detail":"Request was throttled. Expected available in 1 second."}`, "1")
	g.after(time.Second)
	wants(t, "then", g.logIn("192.0.2.1", "carol", "wrong"), 401, noAccount, "")
	wants(t, "then longer", g.logIn("192.0.2.1", "carol", "wrong"), 429, `{"detail":"Request was throttled. Expected available in 120 seconds."}`, "120")
	g.after(120 * time.Second)
	wants(t, "the right one", g.logIn("192.0.2.1", "carol", "carols password"), 200, "", "")
	for range 5 {
		wants(t, "all is given back", g.logIn("192.0.2.1", "carol", "wrong"), 401, noAccount, "")
	}
	// A login that is malformed is no guess.
	for range 300 {
		wants(t, "no password", g.from("192.0.2.3", "/api/token/", "username", "carol"), 400, `{"password":["This field is required."]}`, "")
	}
}

// By no answer can it be told whether there is an account.
func TestThrottlingTellsNothingOfAccounts(t *testing.T) {
	g := throttledGate(t, nil)
	for _, name := range []string{"gone", "left"} {
		userstest.Add(t, g.store, users.NewUser{Username: name, Password: "testpassword", Inactive: true})
	}
	said := func(name, plain string) (all []string) {
		for i := range 9 {
			answer := g.logIn("192.0.2.1", name, plain)
			all = append(all, fmt.Sprintf("%d %d %s %v", i, answer.Code, answer.Body, answer.Header()))
		}
		for i := range 60 {
			answer := g.logIn(fmt.Sprintf("198.51.100.%d", i), name, plain)
			all = append(all, fmt.Sprintf("%d %s %v", answer.Code, answer.Body, answer.Header()))
		}
		return all
	}
	unknown := said("nobody", "x")
	for _, c := range []struct{ name, plain string }{{"carol", "wrong"}, {"gone", "wrong"}, {"left", "testpassword"}, {"ｎobody2", "x"}} {
		if diff := cmp.Diff(unknown, said(c.name, c.plain)); diff != "" {
			t.Errorf("%s differs from who does not exist:\n%s", c.name, diff)
		}
		for i := range 60 { // which they share
			if _, err := g.store.UnlockNetwork(t.Context(), netip.MustParseAddr(fmt.Sprintf("198.51.100.%d", i))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A thousand guesses at once are as many as one after the other.
func TestAttackGuessesAtOnce(t *testing.T) {
	g := throttledGate(t, nil)
	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			answer := g.logIn("192.0.2.1", "carol", "wrong")
			mu.Lock()
			defer mu.Unlock()
			statuses[answer.Code]++
		})
	}
	all.Wait()
	if statuses[401] != 5 || statuses[429] != 195 {
		t.Errorf("statuses %v, want five 401", statuses)
	}
}

func TestThrottledRefreshes(t *testing.T) {
	tight := func(l *tokens.Login) {
		l.Throttle.RefreshPerSession = tokens.Limit{Rate: rate.Rate{N: 3, In: time.Minute}}
		l.Throttle.RefreshPerNetwork = tokens.Limit{Rate: rate.Rate{N: 8, In: time.Minute}}
		l.Throttle.VerifyPerNetwork = tokens.Limit{Rate: rate.Rate{N: 2, In: time.Minute}}
	}
	g := throttledGate(t, tight)
	reload := func() { g.throttle(tight) }
	begin := func() (refresh string) {
		var pair struct{ Refresh string }
		if err := json.Unmarshal(g.logIn("192.0.2.9", "carol", "carols password").Body.Bytes(), &pair); err != nil {
			t.Fatal(err)
		}
		return pair.Refresh
	}
	one, two := begin(), begin()
	for range 3 {
		wants(t, "refresh", g.from("192.0.2.1", "/api/token/refresh/", "refresh", one), 200, "", "")
	}
	wants(t, "a loop", g.from("192.0.2.2", "/api/token/refresh/", "refresh", one), 429, `{"detail":"Request was throttled. Expected available in 20 seconds."}`, "20")
	wants(t, "another session", g.from("192.0.2.1", "/api/token/refresh/", "refresh", two), 200, "", "")
	for range 4 {
		wants(t, "garbage", g.from("192.0.2.1", "/api/token/refresh/", "refresh", "x"), 401, "", "")
	}
	for _, path := range []string{"/api/token/refresh/", "/api/token/blacklist/", "/api/token/logout/"} {
		wants(t, path, g.from("192.0.2.1", path, "refresh", "x"), 429, `{"detail":"Request was throttled. Expected available in 8 seconds."}`, "8")
	}
	wants(t, "another network", g.from("192.0.2.2", "/api/token/refresh/", "refresh", "x"), 401, "", "")
	reload()
	wants(t, "after a reload", g.from("192.0.2.1", "/api/token/refresh/", "refresh", "x"), 429, "", "8")
	for range 2 {
		wants(t, "verify", g.from("2001:db8::1", "/api/token/verify/", "token", one), 200, "{}", "")
	}
	wants(t, "verify", g.from("2001:db8::2", "/api/token/verify/", "token", one), 429, `{"detail":"Request was throttled. Expected available in 30 seconds."}`, "30")
	g.after(time.Minute)
	wants(t, "a minute later", g.from("192.0.2.1", "/api/token/refresh/", "refresh", one), 200, "", "")
}

func TestThrottlingThatIsOff(t *testing.T) {
	g := throttledGate(t, func(l *tokens.Login) { l.Throttle.Enabled = false })
	for range 150 {
		wants(t, "wrong", g.logIn("192.0.2.1", "carol", "wrong"), 401, noAccount, "")
	}
	g.throttle(func(l *tokens.Login) {
		l.Throttle.AccountAndNetwork, l.Throttle.Account, l.Throttle.Network = tokens.Limit{}, tokens.Limit{}, tokens.Limit{}
	})
	for range 150 {
		wants(t, "wrong, with no bound", g.logIn("192.0.2.1", "carol", "wrong"), 401, noAccount, "")
	}
}

// Who logs in by e-mail has the budgets of the address.
func TestThrottledLoginsByEmail(t *testing.T) {
	g := throttledGate(t, nil)
	userstest.Add(t, g.store, users.NewUser{Username: "dora", Email: "dora@example.com", Password: "testpassword"})
	g.throttle(func(l *tokens.Login) { l.UsernameField, l.FindBy = "email", "email" })
	for range 5 {
		wants(t, "wrong", g.from("192.0.2.1", "/api/token/", "email", "dora@example.com", "password", "x"), 401, noAccount, "")
	}
	wants(t, "the sixth", g.from("192.0.2.1", "/api/token/", "email", "dora@example.com", "password", "testpassword"), 429, "", "60")
	if n, err := g.store.Unlock(t.Context(), users.ByEmail, "dora@example.com"); n != 2 || err != nil {
		t.Errorf("unlocked %d, %v", n, err)
	}
	wants(t, "unlocked", g.from("192.0.2.1", "/api/token/", "email", "dora@example.com", "password", "testpassword"), 200, "", "")
}

// Sliding tokens are logins too.
func TestThrottledSlidingLogins(t *testing.T) {
	g := throttledGate(t, nil)
	g.throttle(nil, func(c *tokens.Config) { c.Sliding.Enabled = true })
	for range 5 {
		wants(t, "wrong", g.from("192.0.2.1", "/api/token/sliding/", "username", "carol", "password", "x"), 401, noAccount, "")
	}
	wants(t, "the sixth", g.from("192.0.2.1", "/api/token/", "username", "carol", "password", "x"), 429, "", "60")
}

// Without the store nobody knows what is left.
func TestThrottlingWithoutTheStore(t *testing.T) {
	g := throttledGate(t, nil)
	if err := g.store.Close(); err != nil {
		t.Fatal(err)
	}
	wants(t, "login", g.logIn("192.0.2.1", "carol", "carols password"), 503, `{"detail":"The service is temporarily unavailable. Try again later."}`, "5")
}

func TestThrottledRequestsAreCounted(t *testing.T) {
	g := throttledGate(t, nil)
	registry := g.throttle(nil)
	for range 7 {
		g.logIn("192.0.2.1", "carol", "wrong")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "gatehouse_token_requests_throttled_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			got[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	want := map[string]float64{"account_and_network": 2, "account": 0, "network": 0, "refresh_network": 0, "refresh_session": 0, "verify_network": 0}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
