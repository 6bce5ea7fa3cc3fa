package proxy_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// rules replaces the rules of the site.
func rules(list ...route.RuleConfig) func(*proxy.Config) {
	return func(cfg *proxy.Config) { cfg.Routes[0].Rules = list }
}

func TestConditionsOfARoute(t *testing.T) {
	text, three, yes := route.Text("sales"), route.Value{}, true
	if err := three.UnmarshalScalar(route.KindNumber, "3"); err != nil {
		t.Fatal(err)
	}
	w := open(t, nil, rules(
		route.RuleConfig{Path: "/sales", Auth: route.Auth{Claims: []route.ClaimConfig{{Claim: []string{"profile", "department"}, Equals: &text}}}},
		route.RuleConfig{Path: "/level", Auth: route.Auth{Claims: []route.ClaimConfig{{Claim: []string{"level"}, In: []route.Value{three}}}}},
		route.RuleConfig{Path: "/roles", Auth: route.Auth{Claims: []route.ClaimConfig{{Claim: []string{"https://x/roles"}, In: []route.Value{route.Text("writer")}}}}},
		route.RuleConfig{Path: "/tenant", Auth: route.Auth{Claims: []route.ClaimConfig{{Claim: []string{"tenant"}, Present: &yes}}}},
		route.RuleConfig{Path: "/write", Auth: route.Auth{Scopes: []string{"orders:write"}}},
		route.RuleConfig{Path: "/all", Auth: route.Auth{
			Groups: []string{"staff"}, Scopes: []string{"orders:write"}, Claims: []route.ClaimConfig{{Claim: []string{"level"}, Equals: &three}},
		}},
	))
	full := map[string]any{
		"profile": map[string]any{"department": "sales"}, "level": 3, "https://x/roles": []string{"reader", "writer"},
		"tenant": map[string]any{"id": 1}, "scope": "orders:read orders:write",
	}
	for _, tc := range []struct {
		name   string
		claims map[string]any
		want   string // the paths that open
	}{
		{"all claims", full, "/sales /level /roles /tenant /write /all"},
		{"none", nil, ""},
		{"of other types", map[string]any{"profile": "sales", "level": "3", "https://x/roles": map[string]any{"writer": true}, "tenant": map[string]any{}, "scope": 7}, ""},
		{"others' values", map[string]any{"profile": map[string]any{"department": "ops"}, "level": 4, "https://x/roles": []string{"Writer"}, "tenant": nil, "scope": "orders"}, ""},
		{"a list, a float and scp", map[string]any{"profile": map[string]any{"department": []string{"ops", "sales"}}, "level": 3.0, "tenant": "x", "scp": []string{"orders:write"}}, "/sales /level /tenant /write /all"},
	} {
		var open []string
		for _, path := range []string{"/sales", "/level", "/roles", "/tenant", "/write", "/all"} {
			switch got := w.get(path, "Authorization: Bearer "+mint(t, tc.claims)); {
			case got.StatusCode == http.StatusOK:
				open = append(open, path)
			case got.StatusCode != http.StatusForbidden || got.Text != noPermission:
				t.Errorf("%s: %s: %d %s", tc.name, path, got.StatusCode, got.Text)
			}
		}
		if got := strings.Join(open, " "); got != tc.want {
			t.Errorf("%s: %q open, want %q", tc.name, got, tc.want)
		}
	}
	// RFC 6750, section 3.1: which scope would do.
	got := w.get("/write", "Authorization: Bearer "+mint(t, nil)).Header.Get("WWW-Authenticate")
	if want := `Bearer realm="api", error="insufficient_scope", scope="orders:write"`; got != want {
		t.Errorf("WWW-Authenticate %q, want %q", got, want)
	}
	// A token without the claims is still a good one.
	if got := w.get("/", "Authorization: Bearer "+mint(t, nil)); got.StatusCode != 200 {
		t.Errorf("without conditions: %d", got.StatusCode)
	}
}

func TestABadTokenThatCountsAsNone(t *testing.T) {
	anonymous := func(cfg *proxy.Config) { cfg.Routes[0].OnInvalid = "anonymous" }
	w, store := openWithStore(t, anonymous)
	w2 := open(t, nil, anonymous, func(cfg *proxy.Config) {
		cfg.Routes[0].Rules = append(cfg.Routes[0].Rules, route.RuleConfig{Path: "/optional/strict/*", Access: route.Access{OnInvalid: "reject"}, Auth: route.Auth{Word: "optional"}})
	})
	bad := []string{
		"Authorization: Bearer garbage", "Authorization: Bearer " + expired(t), "Authorization: Bearer", "Authorization: Bearer a b",
		"Authorization: Bearer " + mint(t, map[string]any{"user_id": 99}), "Authorization: Bearer " + mint(t, map[string]any{"token_type": "refresh"}),
	}
	for _, header := range bad {
		if got := w2.get("/optional/x", header, "X-User-Id: 1"); got.StatusCode != 200 {
			t.Errorf("%.40s: %d %s", header, got.StatusCode, got.Text)
			continue
		}
		if in := w2.only(); in.Header.Get("X-User-Id") != "" || in.Header.Get("Authorization") != "" {
			t.Errorf("%.40s: the backend is told %v", header, in.Header)
		}
		for _, path := range []string{"/optional/strict/x", "/x", "/staff/x"} {
			if got := w2.get(path, header); got.StatusCode != 401 {
				t.Errorf("%s, %.40s: %d", path, header, got.StatusCode)
			}
		}
		w2.untouched()
	}
	if !strings.Contains(w2.log.String(), "ignored=token_") {
		t.Errorf("the log does not say that a token was ignored: %s", w2.log)
	}
	if got := w2.get("/optional/x", w2.bearer("alice")); got.StatusCode != 200 || w2.only().Header.Get("X-User-Name") != "alice" {
		t.Error("a good token no longer counts")
	}

	// What cannot be decided is not anonymous: closed while the store is away.
	token := w.token("alice")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.get("/optional/x", "Authorization: Bearer "+token); got.StatusCode != 503 {
		t.Errorf("without a store: %d", got.StatusCode)
	}
}

func TestReport(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Routes[0].Mode = "report"
		cfg.Routes[0].Rules = append(cfg.Routes[0].Rules, route.RuleConfig{Path: "/enforced/*", Access: route.Access{Mode: "enforce"}})
		cfg.Server.MaxBody = 10
	})
	alice, bob := w.bearer("alice"), w.bearer("bob")
	for _, tc := range []struct {
		name, path string
		headers    []string
		status     int
		user       string
		reported   string
	}{
		{"a good token", "/x", []string{alice}, 200, "alice", ""},
		{"no token", "/x", nil, 200, "", "anonymous"},
		{"garbage", "/x", []string{"Authorization: Bearer garbage"}, 200, "", "token_invalid"},
		{"an expired token", "/x", []string{"Authorization: Bearer " + expired(t)}, 200, "", "token_expired"},
		{"a malformed header", "/x", []string{"Authorization: Bearer"}, 200, "", "bad_authorization_header"},
		{"a user who lacks the group, and is who they are", "/staff/x", []string{bob}, 200, "bob", "forbidden"},
		{"nobody, where a group is wanted", "/staff/x", []string{"X-User-Name: alice"}, 200, "", "anonymous"},
		{"optional, nobody", "/optional/x", nil, 200, "", ""},
		{"optional, garbage", "/optional/x", []string{"Authorization: Bearer garbage"}, 200, "", "token_invalid"},
		{"public", "/public/x", []string{"Authorization: Bearer garbage"}, 200, "", ""},
		{"denied stays denied", "/denied/x", []string{alice}, 403, "", ""},
		{"a rule that is enforced", "/enforced/x", nil, 401, "", ""},
		{"two Authorization headers stay malformed", "/x", []string{alice, bob}, 400, "", ""},
		{"a bad path stays refused", "/x%00", nil, 400, "", ""},
		{"below the endpoints", "/api/token/x", nil, 404, "", ""},
		{"a body beyond the bound", "/x", []string{"Content-Length: 11"}, 413, "", "anonymous"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{T: t, backend: w.backend, addr: w.addr, log: w.log}
			w.log.Reset()
			got := w.get(tc.path, tc.headers...)
			if got.StatusCode != tc.status {
				t.Fatalf("%d %s, want %d", got.StatusCode, got.Text, tc.status)
			}
			if tc.status != 200 {
				w.untouched()
			} else if in := w.only(); in.Header.Get("X-User-Name") != tc.user {
				t.Errorf("the backend is told %q, want %q", in.Header.Get("X-User-Name"), tc.user)
			}
			eventually(t, "log", func() bool { return strings.Contains(w.log.String(), "msg=request") })
			reported := ""
			if _, after, ok := strings.Cut(w.log.String(), " reported="); ok {
				reported, _, _ = strings.Cut(strings.TrimSpace(after), " ")
			}
			if reported != tc.reported {
				t.Errorf("reported %q, want %q: %s", reported, tc.reported, w.log)
			}
		})
	}
}

func TestReportsAreCounted(t *testing.T) {
	cfg := site("127.0.0.1:1")
	cfg.Routes[0].Mode = "report"
	log := &lockedBuffer{}
	gateway := newGateway(t, cfg, textLogger(log))
	w := &world{T: t, addr: serve(t, gateway, cfg), log: log}
	for range 3 {
		w.get("/x")
	}
	w.get("/staff/x", w.bearer("bob"))
	w.get("/public/x")
	got := gateway.Reported()
	want := []proxy.Reported{{Field: "routes[0]", Reason: "anonymous", Count: 3}, {Field: "routes[0].rules[2]", Reason: "forbidden", Count: 1}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	gateway.Close()
	if line := `msg="would be refused without mode: report" rule=routes[0].rules[2] reason=forbidden requests=1`; !strings.Contains(log.String(), line) {
		t.Errorf("no %s in %s", line, log)
	}
}

func TestWhoIsSentToLogin(t *testing.T) {
	page := []string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8"}
	w := open(t, nil, rules(
		route.RuleConfig{Path: "/login", Auth: route.Auth{Word: "public"}},
		route.RuleConfig{Path: "/app/*", Access: route.Access{LoginURL: "/login"}},
		route.RuleConfig{Path: "/far/*", Access: route.Access{OnUnauthenticated: "redirect", LoginURL: "https://login.example.com/?rd="}},
		route.RuleConfig{Path: "/query/*", Access: route.Access{LoginURL: "/login?a=b"}},
		route.RuleConfig{Path: "/token/*", Access: route.Access{LoginURL: "/login", TokenFrom: []route.TokenSource{{Word: "header"}, {Query: "t"}}}},
		route.RuleConfig{Path: "/maybe/*", Auth: route.Auth{Word: "optional"}, Access: route.Access{LoginURL: "/login"}},
		route.RuleConfig{Path: "/staff/*", Auth: route.Auth{Groups: []string{"staff"}}, Access: route.Access{LoginURL: "/login"}},
		route.RuleConfig{Path: "/denied/*", Auth: route.Auth{Word: "deny"}, Access: route.Access{LoginURL: "/login"}},
	))
	bob := w.bearer("bob")
	for _, tc := range []struct {
		name, method, target string
		headers              []string
		status               int
		location             string
	}{
		{"a page, by Accept", "GET", "/app/x", page, 302, "/login?next=%2Fapp%2Fx"},
		{"a page, by Sec-Fetch-Mode", "GET", "/app/x", []string{"Sec-Fetch-Mode: navigate"}, 302, "/login?next=%2Fapp%2Fx"},
		{"a page with a query", "GET", "/app/x?a=1&b=%26", page, 302, "/login?next=%2Fapp%2Fx%3Fa%3D1%26b%3D%2526"},
		{"a login page with a query", "GET", "/query/x", page, 302, "/login?a=b&next=%2Fquery%2Fx"},
		{"a login page elsewhere, with a name of its own", "GET", "/far/x", page, 302, "https://login.example.com/?rd=http%3A%2F%2Fapp.example.com%2Ffar%2Fx"},
		{"a bad token", "GET", "/app/x", append(page, "Authorization: Bearer garbage"), 302, "/login?next=%2Fapp%2Fx"},
		{"a bad token on an optional route", "GET", "/maybe/x", append(page, "Authorization: Bearer garbage"), 302, "/login?next=%2Fmaybe%2Fx"},
		{"the token in the query is not handed around", "GET", "/token/x?a=1&t=garbage", page, 302, "/login?next=%2Ftoken%2Fx%3Fa%3D1"},
		{"doubled slashes do not lead away", "GET", "//evil.test/../app//x", page, 302, "/login?next=%2Fapp%2Fx"},
		{"headers that speak of another address", "GET", "/app/x", append(page, "X-Forwarded-Host: evil.test", "X-Original-URL: https://evil.test/", "X-Forwarded-Proto: javascript"), 302, "/login?next=%2Fapp%2Fx"},
		{"the same for a login page elsewhere", "GET", "/far/x", append(page, "X-Forwarded-Host: evil.test", "Forwarded: host=evil.test"), 302, "https://login.example.com/?rd=http%3A%2F%2Fapp.example.com%2Ffar%2Fx"},
		{"a long query is left behind", "GET", "/app/x?" + strings.Repeat("a", 3000), page, 302, "/login?next=%2Fapp%2Fx"},
		{"a long path too", "GET", "/app/" + strings.Repeat("a", 3000), page, 302, "/login?next=%2F"},
		{"a program", "GET", "/app/x", []string{"Accept: */*"}, 401, ""},
		{"a program that says nothing", "GET", "/app/x", nil, 401, ""},
		{"a script", "GET", "/app/x", append(page, "Sec-Fetch-Mode: cors"), 401, ""},
		{"an old script", "GET", "/app/x", append(page, "X-Requested-With: XMLHttpRequest"), 401, ""},
		{"who does not want HTML", "GET", "/app/x", []string{"Accept: application/json, text/html;q=0"}, 401, ""},
		{"a WebSocket", "GET", "/app/x", append(page, "Connection: Upgrade", "Upgrade: websocket"), 401, ""},
		{"a form", "POST", "/app/x", append(page, "Sec-Fetch-Mode: navigate", "Content-Length: 0"), 401, ""},
		{"HEAD", "HEAD", "/app/x", page, 401, ""},
		{"a route without login page", "GET", "/x", page, 401, ""},
		{"who lacks the group has no use for another login", "GET", "/staff/x", append(page, bob), 403, ""},
		{"nobody passes there", "GET", "/denied/x", page, 403, ""},
		{"a good token", "GET", "/app/x", append(page, bob), 200, ""},
	} {
		got := w.raw(head(tc.method, tc.target, tc.headers...))
		if location := got.Header.Get("Location"); got.StatusCode != tc.status || location != tc.location {
			t.Errorf("%s: %d %q, want %d %q", tc.name, got.StatusCode, location, tc.status, tc.location)
		}
		if got.StatusCode == 302 && (got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %v", tc.name, got.Header)
		}
	}
}

// CVE-2021-21291, CVE-2020-5233 and their kin: the address to come back to led to
// somebody else's site. Whatever is asked for, it is a path of this one.
func FuzzNextStaysHere(f *testing.F) {
	cfg := site("127.0.0.1:1")
	cfg.Routes[0].Rules = []route.RuleConfig{{Path: "/login", Auth: route.Auth{Word: "public"}}}
	cfg.Routes[0].LoginURL = "/login"
	gateway := newGateway(f, cfg, nil)
	for _, seed := range []string{"/x", "//evil.test", "/\\evil.test", "/%09/evil.test", "///evil.test/%2e%2e", "/x?//evil.test", "http://app.example.com//evil.test", "/;//evil.test", "/@evil.test", "/%2f/evil.test"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		in := readRequest("GET " + target + " HTTP/1.1\r\nHost: app.example.com\r\nSec-Fetch-Mode: navigate\r\n\r\n")
		if in == nil {
			return
		}
		refusal := gateway.Refusal(in)
		if refusal == nil || refusal.Answer.Status != 302 {
			return
		}
		location := refusal.Answer.Header.Get("Location")
		query, ok := strings.CutPrefix(location, "/login?next=")
		next, err := url.QueryUnescape(query)
		if !ok || err != nil {
			t.Fatalf("%q: Location %q", target, location)
		}
		base := &url.URL{Scheme: "https", Host: "app.example.com", Path: "/login"}
		// What browsers do before they resolve an address.
		lax := strings.NewReplacer("\\", "/", "\t", "", "\n", "", "\r", "").Replace(next)
		for _, reading := range []string{next, lax} {
			resolved, err := base.Parse(reading)
			if err != nil || resolved.Host != "app.example.com" || resolved.Scheme != "https" || !strings.HasPrefix(reading, "/") || strings.HasPrefix(reading, "//") {
				t.Errorf("%q: next is %q, which leads to %v", target, next, resolved)
			}
		}
	})
}
