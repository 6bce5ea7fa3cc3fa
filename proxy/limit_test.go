package proxy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// slow gives so little back that no test is so long.
var slow = route.Rate{N: 2, In: 2 * time.Hour}

func limited(cfg *proxy.Config) {
	cfg.Server.TrustedProxies = []string{"127.0.0.1"}
	cfg.Routes[0].Rules = []route.RuleConfig{
		{Path: "/net/*", Auth: route.Auth{Word: "public"}, RateLimit: route.RateLimit{By: "network", Rate: slow}},
		{Path: "/token/*", RateLimit: route.RateLimit{By: "network", Rate: slow}},
		{Path: "/user/*", Auth: route.Auth{Word: "optional"}, RateLimit: route.RateLimit{By: "user", Rate: slow, Burst: 3}},
		{Path: "/user/free/*", Auth: route.Auth{Word: "public"}, RateLimit: route.RateLimit{Word: "none"}},
	}
}

func from(address string) string { return "X-Forwarded-For: " + address }

const throttled = `{"detail":"Request was throttled. Expected available in 3600 seconds."}`

func TestWhoAsksTooOften(t *testing.T) {
	w := open(t, nil, limited)
	for i, tc := range []struct {
		path, address string
		status        int
	}{
		{"/net/x", "192.0.2.1", 200},
		{"/net/y", "::ffff:192.0.2.1", 200}, // the same host in another spelling
		{"/net/x", "192.0.2.1", 429},
		{"/net/x", "192.0.2.2", 200},
		{"/net/x", "2001:db8::1", 200},
		{"/net/x", "2001:db8::2:1", 200}, // another address of the same /64
		{"/net/x", "2001:db8::3", 429},
		{"/net/x", "2001:db8:0:1::1", 200},
		{"/other", "192.0.2.1", 401}, // another rule
		// A flood of bad tokens, or of none, is counted too.
		{"/token/x", "192.0.2.1", 401},
		{"/token/x", "192.0.2.1", 401},
		{"/token/x", "192.0.2.1", 429},
	} {
		if got := w.get(tc.path, from(tc.address)); got.StatusCode != tc.status {
			t.Errorf("%d: %s from %s: %d %s, want %d", i, tc.path, tc.address, got.StatusCode, got.Text, tc.status)
		}
	}
	w.backend.requests()
	got := w.get("/net/x", from("192.0.2.1"))
	w.refused(got, 429, throttled)
	if got.Header.Get("Retry-After") != "3600" {
		t.Errorf("Retry-After %q", got.Header["Retry-After"])
	}
	w.untouched()
	eventually(t, "log", func() bool { return strings.Contains(w.log.String(), "decision=refused reason=throttled status=429") })
}

func TestUsersHaveABudgetEach(t *testing.T) {
	w := open(t, nil, limited)
	alice, bob := w.bearer("alice"), w.bearer("bob")
	ask := func(want int, headers ...string) {
		t.Helper()
		if got := w.get("/user/x", headers...); got.StatusCode != want {
			t.Errorf("%d %s, want %d", got.StatusCode, got.Text, want)
		}
	}
	for i := range 3 {
		ask(200, alice, from(fmt.Sprint("192.0.2.", i))) // from wherever
	}
	ask(429, alice, from("192.0.2.9"))
	ask(200, bob, from("192.0.2.9"))
	// A bad token is no way to another budget, nor one to burn alice's.
	ask(401, "Authorization: Bearer garbage", from("192.0.2.9"))
	for range 3 {
		ask(200, from("192.0.2.9"))
	}
	ask(429, from("192.0.2.9"))
	ask(200, from("192.0.2.10"))
	ask(200, bob, from("192.0.2.9"))
	for range 5 {
		if got := w.get("/user/free/x", alice); got.StatusCode != 200 {
			t.Errorf("without a limit: %d", got.StatusCode)
		}
	}
}

// A client that may choose its address in a header chooses its budget.
func TestAttackAnAddressOfOnesOwnChoice(t *testing.T) {
	w := open(t, nil, limited, func(cfg *proxy.Config) { cfg.Server.TrustedProxies = nil })
	for i := range 4 {
		want := 200
		if i >= 2 {
			want = 429
		}
		got := w.get("/net/x", from(fmt.Sprint("192.0.2.", i)), fmt.Sprint("X-Real-IP: 192.0.2.", i), fmt.Sprint("Forwarded: for=192.0.2.", i))
		if got.StatusCode != want {
			t.Errorf("request %d: %d, want %d", i, got.StatusCode, want)
		}
	}
}

func TestRulesShareTheBudgetOfTheirRoute(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Routes[0].RateLimit = route.RateLimit{By: "network", Rate: slow}
		cfg.Routes[0].Rules = []route.RuleConfig{
			{Path: "/a/*", Auth: route.Auth{Word: "public"}},
			{Path: "/b/*", Auth: route.Auth{Word: "public"}},
			{Path: "/own/*", Auth: route.Auth{Word: "public"}, RateLimit: route.RateLimit{By: "network", Rate: slow}},
		}
	})
	for _, tc := range []struct {
		path   string
		status int
	}{{"/a/x", 200}, {"/b/x", 200}, {"/a/x", 429}, {"/b/x", 429}, {"/x", 429}, {"/own/x", 200}, {"/own/x", 200}, {"/own/x", 429}} {
		if got := w.get(tc.path); got.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", tc.path, got.StatusCode, tc.status)
		}
	}
}

// A path that a backend may take for one with another limit is not one to dodge it by.
func TestAttackALimitByAnotherSpelling(t *testing.T) {
	w := open(t, nil, limited)
	for _, path := range []string{"/NET/x", "/net;a/x", "/%4eET/x"} {
		if got := w.get(path, from("192.0.2.1")); got.StatusCode != 400 {
			t.Errorf("%s: %d", path, got.StatusCode)
		}
	}
}

func TestExplainingCountsNothing(t *testing.T) {
	cfg := site("127.0.0.1:1")
	limited(&cfg)
	gateway := newGateway(t, cfg, nil)
	for range 5 {
		in, err := proxy.ReadRequest("GET", "/net/x", "app.example.com", nil)
		if err != nil {
			t.Fatal(err)
		}
		in.RemoteAddr = "192.0.2.1:1234"
		if e := gateway.Explain(in); e.Refusal != nil {
			t.Fatalf("explained as %s", e.Outcome())
		}
	}
}

// A budget is not whole again because something else in the configuration has changed.
func TestBudgetsOutliveAChange(t *testing.T) {
	w := open(t, nil)
	cfg := site(w.backend.addr)
	limited(&cfg)
	p := parts(t, textLogger(w.log))
	gateway := func(change func(*proxy.Config)) *world {
		next := cfg
		next.Routes = slices.Clone(cfg.Routes)
		next.Routes[0].Rules = slices.Clone(cfg.Routes[0].Rules)
		change(&next)
		g, err := proxy.New(next, p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(g.Close)
		if p.Before == nil {
			p.Before = g
		}
		return &world{T: t, backend: w.backend, log: w.log, addr: serve(t, g, next)}
	}
	first := gateway(func(*proxy.Config) {})
	for _, want := range []int{200, 200, 429} {
		if got := first.get("/net/x", from("192.0.2.1")); got.StatusCode != want {
			t.Fatalf("%d, want %d", got.StatusCode, want)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*proxy.Config)
		want   int
	}{
		{"nothing", func(*proxy.Config) {}, 429},
		{"another route before it", func(cfg *proxy.Config) {
			cfg.Routes = append([]route.Config{{Name: "new", Host: []string{"new.example.com"}, To: "app"}}, cfg.Routes...)
		}, 429},
		{"another rule before it", func(cfg *proxy.Config) {
			cfg.Routes[0].Rules = append([]route.RuleConfig{{Path: "/a", Auth: route.Auth{Word: "public"}}}, cfg.Routes[0].Rules...)
		}, 429},
		{"another rate", func(cfg *proxy.Config) { cfg.Routes[0].Rules[0].RateLimit.Rate.N = 3 }, 200},
		{"another path", func(cfg *proxy.Config) { cfg.Routes[0].Rules[0].Path = "/net/x" }, 200},
	} {
		if got := gateway(tc.change).get("/net/x", from("192.0.2.1")); got.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got.StatusCode, tc.want)
		}
	}
}
