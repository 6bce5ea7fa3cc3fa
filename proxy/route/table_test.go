package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var upstreams = Options{Upstreams: []string{"app", "crm", "shop"}}

func public() Auth                   { return Auth{Word: "public"} }
func deny() Auth                     { return Auth{Word: "deny"} }
func groups(names ...string) Auth    { return Auth{Groups: names} }
func hosts(names ...string) []string { return names }

func mustTable(t testing.TB, routes []Config, opts Options) *Table {
	t.Helper()
	table, err := New(routes, opts)
	if err != nil {
		t.Fatalf("a good configuration was refused: %v", err)
	}
	return table
}

// ask is the answer to one request line, in the words of a test.
func ask(t testing.TB, table *Table, method, host, target string) string {
	t.Helper()
	p, err := Canonical(target)
	if err != nil {
		return "400"
	}
	m, err := table.Match(host, p, method)
	switch {
	case errors.Is(err, ErrNoRoute):
		return "404"
	case err != nil:
		if m != (Match{}) {
			t.Fatalf("%s %s: refused, and still a match", method, target)
		}
		return "400"
	case m.Rule != nil && m.Rule.Route != m.Route:
		t.Fatalf("%s %s: the rule of another route", method, target)
	}
	return m.Route.To + " " + m.Policy().String()
}

func TestWhichRuleSpeaks(t *testing.T) {
	table := mustTable(t, []Config{
		{Host: hosts("crm.example.com"), To: "crm", Rules: []RuleConfig{
			{Path: "/static/*", Auth: public()},
			{Path: "/admin/*", Auth: groups("admin", "support")},
			{Path: "/admin/help", Auth: public()},
			{Path: "/metrics", Auth: deny()},
			{Path: "/files/*", Methods: []string{"GET"}, Auth: public()},
			{Path: "/files/secret/*", Auth: groups("owner")},
			{Path: "/posts/*", Methods: []string{"GET", "POST"}, Auth: groups("author")},
			{Path: "/posts/*", Methods: []string{"HEAD"}, Auth: public()},
			{Path: "/both", Auth: groups("one")},
			{Path: "/both/*", Auth: groups("all")},
			{Path: "/inherits/*"},
			{Methods: []string{"DELETE"}, Auth: groups("deleter")},
		}},
		{Host: hosts("crm.example.com"), Path: "/admin/reports/*", To: "app", Auth: groups("analyst")},
		{Host: hosts("*.example.com"), Path: "/app/*", To: "app", Auth: Auth{Word: "optional"}},
		{Host: hosts("*.shop.example.com", "shop.test"), To: "shop", Auth: public()},
		{Path: "/app/*", To: "app", Auth: groups("anyhost")},
		{Path: "/old/*", To: "crm", StripPrefix: "/old"},
		{Path: "/exactly", To: "app", Auth: public()},
	}, upstreams)

	const crm = "crm.example.com"
	for _, c := range []struct{ name, method, host, target, want string }{
		{"closed unless said otherwise", "GET", crm, "/", "crm required"},
		{"a subtree", "GET", crm, "/static/css/x.css", "crm public"},
		{"the top of a subtree", "GET", crm, "/static", "crm public"},
		{"the top of a subtree with a slash", "GET", crm, "/static/", "crm public"},
		{"a name that begins alike is not below", "GET", crm, "/statics", "crm required"},
		{"the query is not looked at (CVE-2025-54576)", "GET", crm, "/admin?x=/static/", "crm groups: admin, support"},
		{"an exact path with a query (CVE-2020-8595)", "GET", crm, "/metrics?x", "crm deny"},
		{"an exact path with a slash", "GET", crm, "/metrics/", "crm deny"},
		{"an exact path is not a subtree", "GET", crm, "/metrics/x", "crm required"},
		{"an exact path before a subtree", "GET", crm, "/admin/help", "crm public"},
		{"below an exact path the subtree speaks", "GET", crm, "/admin/help/me", "crm groups: admin, support"},
		{"an exact path and its subtree", "GET", crm, "/both/", "crm groups: one"},
		{"the subtree of an exact path", "GET", crm, "/both/x", "crm groups: all"},
		{"a longer subtree in another route", "GET", crm, "/admin/reports/1", "app groups: analyst"},
		{"a rule without auth has the route's", "GET", crm, "/inherits/x", "crm required"},
		{"a method", "GET", crm, "/files/a", "crm public"},
		{"HEAD follows GET", "HEAD", crm, "/files/a", "crm public"},
		{"another method", "POST", crm, "/files/a", "crm required"},
		{"a method does not beat a longer path", "GET", crm, "/files/secret/a", "crm groups: owner"},
		{"HEAD does not follow GET where it is named", "HEAD", crm, "/posts/1", "crm public"},
		{"a rule for the whole route by method", "DELETE", crm, "/x/y", "crm groups: deleter"},
		{"a longer path before a method", "DELETE", crm, "/static/x", "crm public"},
		{"a method in lower case has the policy of capitals or none", "delete", crm, "/x", "400"},
		{"a method in lower case where that makes no difference", "delete", crm, "/static/x", "crm public"},

		{"an exact host before a wildcard", "GET", crm, "/app/x", "crm required"},
		{"a wildcard", "GET", "x.example.com", "/app/x", "app optional"},
		{"a wildcard stands for several labels", "GET", "a.b.example.com", "/app/x", "app optional"},
		{"a wildcard is not the bare domain", "GET", "example.com", "/app/x", "app groups: anyhost"},
		{"a wildcard ends at a dot", "GET", "notexample.com", "/app/x", "app groups: anyhost"},
		{"the longest wildcard", "GET", "a.shop.example.com", "/app/x", "shop public"},
		{"one of several hosts", "GET", "shop.test", "/", "shop public"},
		{"a host that does not hold the path leaves it to any host", "GET", "x.example.com", "/old/x", "crm required"},
		{"no route at all", "GET", "x.example.com", "/nowhere", "404"},
		{"an unknown host", "GET", "other.test", "/app/x", "app groups: anyhost"},
		{"no host", "GET", "", "/app/x", "app groups: anyhost"},
		{"an exact route", "GET", "other.test", "/exactly", "app public"},
		{"nothing below an exact route", "GET", "other.test", "/exactly/x", "404"},

		{"host in capitals (CVE-2026-27588)", "GET", "CRM.Example.COM", "/metrics", "crm deny"},
		{"wildcard in capitals (CVE-2026-48794)", "GET", "A.SHOP.example.COM", "/", "shop public"},
		{"host with port", "GET", crm + ":8080", "/metrics", "crm deny"},
		{"host with trailing dot (CVE-2022-23632)", "GET", crm + ".", "/metrics", "crm deny"},
		{"host with trailing dot and port", "GET", crm + ".:443", "/metrics", "crm deny"},
		{"a host that is none", "GET", "crm.example.com/x", "/", "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, table, c.method, c.host, c.target); got != c.want {
				t.Errorf("%s %s%s: got %s, want %s", c.method, c.host, c.target, got, c.want)
			}
		})
	}
}

func TestHostsBeyondAHundred(t *testing.T) {
	// CVE-2026-27588: a matcher that forgot about letter case when it became a map.
	for _, n := range []int{1, 100, 1000} {
		var routes []Config
		for i := range n {
			routes = append(routes, Config{Host: hosts(fmt.Sprintf("Host%d.Example.com", i), fmt.Sprintf("*.wild%d.example.com.", i)), To: "app"})
		}
		routes = append(routes, Config{To: "crm", Auth: public()})
		table := mustTable(t, routes, upstreams)
		for _, host := range []string{"host0.example.com", "HOST0.EXAMPLE.COM", "host0.example.com.:80", "x.Wild0.example.com", "X.y.wild0.EXAMPLE.com."} {
			if got := ask(t, table, "GET", host, "/"); got != "app required" {
				t.Errorf("%d hosts, %s: got %s", n, host, got)
			}
		}
	}
}

// Who writes both spellings means both; a third one is nobody's.
func TestTwoSpellingsOfOnePath(t *testing.T) {
	table := mustTable(t, []Config{{To: "app", Rules: []RuleConfig{
		{Path: "/API/*", Auth: public()}, {Path: "/api/*", Auth: deny()}, {Path: "/Docs", Auth: public()}, {Path: "/docs/*", Auth: deny()},
	}}}, upstreams)
	for target, want := range map[string]string{
		"/API/x": "app public", "/api/x": "app deny", "/Api/x": "400", "/api": "app deny", "/API": "app public",
		"/Docs": "app public", "/docs": "400", "/docs/x": "app deny",
	} {
		if got := ask(t, table, "GET", "", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// A path deeper than any pattern costs no more than the deepest pattern.
func TestDeepPaths(t *testing.T) {
	table := mustTable(t, []Config{{To: "app", Rules: []RuleConfig{{Path: "/a/a/a/*", Auth: public()}, {Path: "/" + strings.Repeat("b", 300) + "/*", Auth: deny()}}}}, upstreams)
	for target, want := range map[string]string{
		strings.Repeat("/a", 20_000):          "app public",
		"/x" + strings.Repeat("/a", 20_000):   "app required",
		"/" + strings.Repeat("b", 300) + "/x": "app deny",
		"/" + strings.Repeat("b", 301):        "app required",
		"/" + strings.Repeat("b", 299) + "/b": "app required",
		"/" + strings.Repeat("B", 300):        "400",
	} {
		if got := ask(t, table, "GET", "", target); got != want {
			t.Errorf("%.20s… (%d bytes): got %s, want %s", target, len(target), got, want)
		}
	}
}

func TestZeroValuesDeny(t *testing.T) {
	if p := (Match{}).Policy(); p.Level != Deny || p.Anonymous() || p.Admits(Bearer{Groups: []string{"admin"}}) {
		t.Errorf("the zero Match lets somebody pass: %v", p)
	}
	if (Policy{Level: -1}).Admits(Bearer{}) || (Policy{Level: -1}).Anonymous() || Level(-1).String() != "deny" || Level(200).String() != "deny" {
		t.Error("an unknown level lets somebody pass")
	}
	table := mustTable(t, []Config{{To: "app", Auth: public()}}, upstreams)
	if m, err := table.Match("", Path{Decoded: "/"}, "GET"); err == nil || m != (Match{}) {
		t.Error("a path that Canonical never saw was matched")
	}
	if m, err := mustTable(t, nil, Options{}).Match("a", Path{Decoded: "/", canonical: true}, "GET"); !errors.Is(err, ErrNoRoute) || m != (Match{}) {
		t.Error("an empty table matched")
	}
}

func TestPolicyAdmits(t *testing.T) {
	for _, c := range []struct {
		name      string
		auth      Auth
		anonymous bool
		user      bool // in group "b"
		text      string
	}{
		{"public", public(), true, true, "public"},
		{"optional", Auth{Word: "optional"}, true, true, "optional"},
		{"required", Auth{Word: "required"}, false, true, "required"},
		{"deny", deny(), false, false, "deny"},
		{"in one of the groups", groups("a", "b"), false, true, "groups: a, b"},
		{"in none of the groups", groups("a", "B"), false, false, "groups: a, B"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f faults
			p := c.auth.compile("auth", Policy{}, &f)
			if f != nil {
				t.Fatal(f)
			}
			if p.Anonymous() != c.anonymous || p.Admits(Bearer{Groups: []string{"b", "c"}}) != c.user || p.String() != c.text {
				t.Errorf("anonymous %v, user %v, %q", p.Anonymous(), p.Admits(Bearer{Groups: []string{"b", "c"}}), p)
			}
			if !p.Equal(p) || p.Equal(Policy{Level: p.Level, Groups: []string{"z"}}) {
				t.Error("compares wrongly")
			}
		})
	}
}

func TestAuthWord(t *testing.T) {
	var a Auth
	if err := a.UnmarshalText([]byte("public")); err != nil || a.Word != "public" {
		t.Errorf("got %+v, %v", a, err)
	}
	if err := a.UnmarshalText(nil); err == nil {
		t.Error("an empty auth was taken for one that is not said")
	}
}

func TestFaults(t *testing.T) {
	one := func(change func(*Config)) []Config {
		c := Config{To: "app"}
		change(&c)
		return []Config{c}
	}
	rule := func(r ...RuleConfig) []Config { return one(func(c *Config) { c.Path = "/app/*"; c.Rules = r }) }
	for _, c := range []struct {
		name   string
		routes []Config
		want   string // field [also]: problem; fix
	}{
		{"no upstream", one(func(c *Config) { c.To = "" }), `routes[0]: the route leads nowhere; write to: with the name of an upstream; there is app, crm, shop`},
		{"an upstream that nearly exists", one(func(c *Config) { c.To = "crn" }), `routes[0].to: no upstream is called "crn"; did you mean "crm"?`},
		{"an upstream that does not exist", one(func(c *Config) { c.To = "backend" }), `routes[0].to: no upstream is called "backend"; there is app, crm, shop`},
		{"a word that is none", one(func(c *Config) { c.Auth.Word = "pubic" }), `routes[0].auth: auth cannot be "pubic"; did you mean "public"?; write public, optional, required, deny, or {groups: [...], claims: [...], scopes: [...]}`},
		{"a word and groups", one(func(c *Config) { c.Auth = Auth{Word: "public", Groups: []string{"a"}} }), `routes[0].auth: a word and conditions at once; write public, optional, required, deny, or {groups: [...], claims: [...], scopes: [...]}`},
		{"no group", one(func(c *Config) { c.Auth.Groups = []string{} }), `routes[0].auth.groups: no group is named, so nobody would pass; name one, or write auth: deny`},
		{"an empty group", one(func(c *Config) { c.Auth = groups("a", "") }), `routes[0].auth.groups[1]: the name of a group is empty; write its name`},
		{"a group with a space", one(func(c *Config) { c.Auth = groups("a ") }), `routes[0].auth.groups[0]: the group "a " has a space at its end; write "a"`},
		{"a group twice", one(func(c *Config) { c.Auth = groups("a", "a") }), `routes[0].auth.groups[1]: the group "a" is named twice; take one out`},
		{"a host twice", one(func(c *Config) { c.Host = hosts("a.test", "A.test.") }), `routes[0].host[1]: the host a.test is named twice; take one out`},
		{"a bad host", one(func(c *Config) { c.Host = hosts("a.test:80") }), `routes[0].host: the port is no part of the host that is matched; write "a.test"`},
		{"a bad path", one(func(c *Config) { c.Path = "/x*" }), `routes[0].path: a * stands only behind a slash, for all that is below; write "/x/*" for "/x" and all below it`},
		{"a bad prefix", one(func(c *Config) { c.Path, c.StripPrefix = "/old/*", "/old/*" }), `routes[0].strip_prefix: a prefix is a path without *; write "/old"`},
		{"a prefix that strips nothing", one(func(c *Config) { c.Path, c.StripPrefix = "/old/*", "/" }), `routes[0].strip_prefix: this prefix is nothing; leave strip_prefix out`},
		{"a prefix that paths need not have", one(func(c *Config) { c.Path, c.StripPrefix = "/old/*", "/old/app" }), `routes[0].strip_prefix: paths of this route need not begin with "/old/app"; write path: /old/app/*`},
		{"a prefix that ends inside a name", one(func(c *Config) { c.Path, c.StripPrefix = "/older/*", "/old" }), `routes[0].strip_prefix: paths of this route need not begin with "/old"; write path: /old/*`},
		{"gatehouse's own path", one(func(c *Config) { c.Path = "/api/token/verify/*" }), `routes[0].path: gatehouse itself answers /api/token/*, so no request comes here; write another path, or move tokens.base_path`},
		{"gatehouse's other path", one(func(c *Config) { c.Path = "/jwks.json/" }), `routes[0].path: gatehouse itself answers /jwks.json, so no request comes here; write another path; this one is fixed, because verifiers look there`},
		{"a rule on gatehouse's own path", one(func(c *Config) { c.Rules = []RuleConfig{{Path: "/api/token", Auth: public()}} }), `routes[0].rules[0].path: gatehouse itself answers /api/token/*, so no request comes here; write another path, or move tokens.base_path`},

		{"a rule that says nothing", rule(RuleConfig{Auth: public()}), `routes[0].rules[0]: the rule does not say what it is for; write path: or methods:`},
		{"a rule outside its route", rule(RuleConfig{Path: "/static/*"}), `routes[0].rules[0].path [routes[0].path]: /static/* lies outside its route, /app/*; paths of rules are whole: write "/app/static/*"`},
		{"a rule below an exact route", one(func(c *Config) { c.Path = "/app"; c.Rules = []RuleConfig{{Path: "/app/*"}} }), `routes[0].rules[0].path [routes[0].path]: /app/* lies outside its route, /app; write a path inside /app, or another route`},
		{"a rule for what its route is for", rule(RuleConfig{Path: "/app/*", Auth: public()}), `routes[0].rules[0].path [routes[0]]: the rule is for /app/*, as its route is; write its auth on the route, or narrow its path or methods`},
		{"a rule for no method", rule(RuleConfig{Path: "/app/x", Methods: []string{}}), `routes[0].rules[0].methods: no method is named, so the rule would never speak; name one, or leave methods out for all`},
		{"a method that is none", rule(RuleConfig{Methods: []string{"GET POST"}}), `routes[0].rules[0].methods[0]: "GET POST" is not a method; write one such as GET or POST`},
		{"a method twice", rule(RuleConfig{Methods: []string{"GET", "get"}}), `routes[0].rules[0].methods[1]: GET is named twice; take one out`},
		{"a bad path and auth in a rule", rule(RuleConfig{Path: "x", Auth: Auth{Word: "open"}}), `routes[0].rules[0].auth: auth cannot be "open"; there is deny, required, optional, public; write public, optional, required, deny, or {groups: [...], claims: [...], scopes: [...]}
routes[0].rules[0].path: a path begins with a slash; write "/x"`},

		{"two rules for one path", rule(RuleConfig{Path: "/app/x", Auth: public()}, RuleConfig{Path: "/app/x/", Auth: deny()}), `routes[0].rules[1] [routes[0].rules[0]]: routes[0].rules[0] and routes[0].rules[1] are both for /app/x, and order does not decide; narrow one by host, path or methods, or take it out`},
		{"two rules for one path and some methods", rule(RuleConfig{Path: "/app/x", Methods: []string{"GET", "POST", "PUT"}}, RuleConfig{Path: "/app/x", Methods: []string{"PUT", "POST"}}), `routes[0].rules[1] [routes[0].rules[0]]: routes[0].rules[0] and routes[0].rules[1] are both for PUT /app/x, and order does not decide; narrow one by host, path or methods, or take it out`},
		{"two routes for one host", []Config{{To: "app", Host: hosts("a.test", "b.test")}, {To: "crm", Host: hosts("c.test", "B.test")}}, `routes[1] [routes[0]]: routes[0] and routes[1] are both for /*, and order does not decide; narrow one by host, path or methods, or take it out`},
		{"a rule and a route", []Config{{To: "app", Rules: []RuleConfig{{Path: "/x/*"}}}, {To: "crm", Path: "/x/*"}}, `routes[1] [routes[0].rules[0]]: routes[0].rules[0] and routes[1] are both for /x/*, and order does not decide; narrow one by host, path or methods, or take it out`},
		{"one name twice", []Config{{Name: "a", To: "app", Path: "/a"}, {Name: "a", To: "app", Path: "/b"}}, `routes[1].name [routes[0].name]: two routes are called "a"; give one another name`},
		{"everything at once", []Config{{To: "ap", Path: "x", Host: hosts("*"), Auth: Auth{Word: "no"}}, {Path: "/y?z"}}, `routes[0].host: "*" is not a host; leave host out for any host
routes[0].path: a path begins with a slash; write "/x"
routes[0].to: no upstream is called "ap"; did you mean "app"?
routes[0].auth: auth cannot be "no"; there is deny, required, optional, public; write public, optional, required, deny, or {groups: [...], claims: [...], scopes: [...]}
routes[1].path: a path has no query and no fragment; write "/y"
routes[1]: the route leads nowhere; write to: with the name of an upstream; there is app, crm, shop`},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := New(c.routes, Options{Upstreams: upstreams.Upstreams, BasePath: "/api/token/", Reserved: []string{"/jwks.json"}})
			if err == nil || table != nil {
				t.Fatal("was accepted")
			}
			if got := faultLines(t, err); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func faultLines(t *testing.T, err error) string {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not joined: %T", err)
	}
	var lines []string
	for _, err := range joined.Unwrap() {
		var f *Fault
		if !errors.As(err, &f) {
			t.Fatalf("not a Fault: %T", err)
		}
		also := ""
		if f.Also() != "" {
			also = " [" + f.Also() + "]"
		}
		lines = append(lines, f.Field()+also+": "+f.Error())
	}
	return strings.Join(lines, "\n")
}

func TestNotTies(t *testing.T) {
	mustTable(t, []Config{
		{To: "app"},
		{To: "app", Host: hosts("a.test")},
		{To: "app", Host: hosts("*.a.test")},
		{To: "APP", Path: "/x"},
		{To: "app", Path: "/x/*", Rules: []RuleConfig{
			{Path: "/x/*", Methods: []string{"GET"}},
			{Path: "/x/*", Methods: []string{"POST", "HEAD"}},
			{Methods: []string{"purge"}},
			{Path: "/x/y"},
			{Path: "/x/Y"},
		}},
	}, upstreams)
}

func TestNothingOfGatehouseIsRouted(t *testing.T) {
	table := mustTable(t, []Config{{To: "app", Auth: public()}, {To: "crm", Path: "/api/*"}}, Options{Upstreams: upstreams.Upstreams, BasePath: "/api/token", Reserved: []string{"/jwks.json"}})
	for target, want := range map[string]string{
		"/api/token": "404", "/api/token/": "404", "/api/token/verify/": "404", "/api/token/x": "404", "/api/%74oken": "404", "//api/token": "404",
		"/jwks.json": "404", "/jwks.json/": "404", "/jwks.json/x": "app public",
		"/api/tokens": "crm required", "/api": "crm required",
		"/api/token;x": "400", // a servlet would take it for the login
	} {
		if got := ask(t, table, "POST", "any.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

func TestRowsAreInMatchOrder(t *testing.T) {
	routes := []Config{
		{Name: "rest", To: "app"},
		{Name: "shop", To: "shop", Host: hosts("*.example.com", "*.shop.example.com"), Auth: public()},
		{Name: "crm", To: "crm", Host: hosts("crm.example.com"), Path: "/old/*", StripPrefix: "/old", Rules: []RuleConfig{
			{Path: "/old/a/*", Auth: public()},
			{Path: "/old/a/b/*", Auth: deny()},
			{Path: "/old/a/*", Methods: []string{"PUT", "POST"}, Auth: groups("w")},
			{Path: "/old/x", Auth: deny()},
		}},
	}
	want := []string{
		"crm.example.com /old/x [] deny crm /x crm 2 3",
		"crm.example.com /old/a/b/* [] deny crm /a/b/* crm 2 1",
		"crm.example.com /old/a/* [PUT POST] groups: w crm /a/* crm 2 2",
		"crm.example.com /old/a/* [] public crm /a/* crm 2 0",
		"crm.example.com /old/* [] required crm /* crm 2 -1",
		"*.shop.example.com /* [] public shop  shop 1 -1",
		"*.example.com /* [] public shop  shop 1 -1",
		" /* [] required app  rest 0 -1",
	}
	var got []string
	for _, r := range mustTable(t, routes, upstreams).Rows() {
		got = append(got, fmt.Sprint(r.Host, " ", r.Path, " ", r.Methods, " ", r.Policy, " ", r.To, " ", r.ForwardedAs, " ", r.Route, " ", r.RouteIndex, " ", r.RuleIndex))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCompiledRoute(t *testing.T) {
	table := mustTable(t, []Config{{To: "App", Host: hosts("A.test", "*.B.test"), Path: "/x/", Rules: []RuleConfig{{Methods: []string{"get"}}}}}, upstreams)
	p, _ := Canonical("/x")
	m, err := table.Match("q.b.test", p, "GET")
	if err != nil {
		t.Fatal(err)
	}
	r := m.Route
	if r.Name != "routes[0]" || r.Field() != "routes[0]" || r.To != "app" || r.Path != "/x" || !slices.Equal(r.Hosts, []string{"a.test", "*.b.test"}) {
		t.Errorf("route %+v", r)
	}
	if m.Rule != r.Rules[0] || m.Rule.Field() != "routes[0].rules[0]" || m.Rule.Path != "/x" || !slices.Equal(m.Rule.Methods, []string{"GET"}) {
		t.Errorf("rule %+v", m.Rule)
	}
}

// FuzzOrderNeverMatters: however routes and rules are shuffled, a request fares alike.
func FuzzOrderNeverMatters(f *testing.F) {
	f.Add("GET", "a.example.com", "/a/b?x", uint64(1))
	f.Add("HEAD", "x.a.example.com", "/a/B;c", uint64(2))
	f.Add("put", "other.test:80", "/a.", uint64(3))
	routes := []Config{
		{Name: "1", To: "app", Rules: []RuleConfig{{Path: "/a", Auth: public()}, {Path: "/a/*", Methods: []string{"GET"}, Auth: deny()}, {Path: "/a/b/*", Auth: groups("x")}, {Path: "/A/*", Auth: public()}}},
		{Name: "2", To: "crm", Path: "/a/c/*", Auth: public()},
		{Name: "3", To: "crm", Host: hosts("a.example.com", "b.example.com"), Path: "/a/*", Rules: []RuleConfig{{Methods: []string{"POST", "PUT"}, Auth: deny()}, {Methods: []string{"GET"}}, {Methods: []string{"HEAD"}, Auth: public()}}},
		{Name: "4", To: "shop", Host: hosts("*.example.com"), Path: "/a/b", Auth: public()},
		{Name: "5", To: "shop", Host: hosts("*.a.example.com"), Auth: Auth{Word: "optional"}},
	}
	one := mustTable(f, routes, upstreams)
	f.Fuzz(func(t *testing.T, method, host, target string, seed uint64) {
		shuffled := shuffle(routes, seed)
		for i := range shuffled {
			shuffled[i].Rules = shuffle(shuffled[i].Rules, seed+uint64(i))
		}
		other := mustTable(t, shuffled, upstreams)
		if a, b := ask(t, one, method, host, target), ask(t, other, method, host, target); a != b {
			t.Fatalf("%s %s%s: %s, and in another order %s", method, host, target, a, b)
		}
	})
}

// shuffle gives a copy in an order that follows from the seed.
func shuffle[T any](list []T, seed uint64) []T {
	list = slices.Clone(list)
	for i := len(list) - 1; i > 0; i-- {
		seed = seed*6364136223846793005 + 1442695040888963407
		j := int(seed >> 33 % uint64(i+1))
		list[i], list[j] = list[j], list[i]
	}
	return list
}
