package proxy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/proxy/route"
)

// combination is one rule of every kind of auth, mode, on_invalid and token_from.
type combination struct {
	path      string
	auth      string
	report    bool
	anonymous bool // on_invalid
	sources   []route.TokenSource
}

// combinations are rules that differ in everything that decides, each on a path of its own.
func combinations() (list []combination, rules []route.RuleConfig) {
	auths := map[string]route.Auth{
		"public": {Word: "public"}, "optional": {Word: "optional"}, "required": {Word: "required"}, "deny": {Word: "deny"},
		"staff":  {Groups: []string{"staff"}},
		"scoped": {Groups: []string{"staff"}, Scopes: []string{"write"}},
	}
	header, cookie, query := route.TokenSource{Word: "header"}, route.TokenSource{Cookie: "c"}, route.TokenSource{Query: "q"}
	for _, auth := range []string{"public", "optional", "required", "deny", "staff", "scoped"} {
		for _, report := range []bool{false, true} {
			for _, anonymous := range []bool{false, true} {
				for _, sources := range [][]route.TokenSource{nil, {header, cookie}, {cookie}, {query}, {header, cookie, query}} {
					c := combination{fmt.Sprintf("/%d", len(list)), auth, report, anonymous, sources}
					rule := route.RuleConfig{Path: c.path, Auth: auths[auth]}
					rule.TokenFrom = sources
					if report && auth != "public" && auth != "deny" {
						rule.Mode = "report"
					}
					if anonymous && auth == "optional" {
						rule.OnInvalid = "anonymous"
					}
					list, rules = append(list, c), append(rules, rule)
				}
			}
		}
	}
	return list, rules
}

// looksAt reports whether the rule takes tokens from there.
func (c combination) looksAt(kind string) bool {
	if c.sources == nil {
		return kind == "header"
	}
	return slices.ContainsFunc(c.sources, func(s route.TokenSource) bool {
		return kind == "header" && s.Word != "" || kind == "cookie" && s.Cookie != "" || kind == "query" && s.Query != ""
	})
}

// Whatever is said in whichever place, on whichever rule: the decision is never more
// open than the table says. The space is small enough to walk through all of it.
func TestNoDecisionIsMoreOpenThanItsRule(t *testing.T) {
	list, rules := combinations()
	cfg := site("127.0.0.1:1")
	cfg.Routes[0].Rules = rules
	gateway := newGateway(t, cfg, nil)
	// What may stand in a place, and whose good token it is. "write" is alice's with a scope.
	tokens := map[string]string{
		"": "", "alice": mint(t, nil), "write": mint(t, map[string]any{"scope": "read write"}), "bob": mint(t, map[string]any{"user_id": 2, "scope": "write"}),
		"expired": expired(t), "garbage": "garbage", "refresh": mint(t, map[string]any{"token_type": "refresh"}),
	}
	names := []string{"", "alice", "write", "bob", "expired", "garbage", "refresh"}
	whose := map[string]string{"alice": "1", "write": "1", "bob": "2"}
	passed := 0
	for _, c := range list {
		for _, header := range append(names, "malformed", "basic") {
			for _, cookie := range names {
				for _, query := range names {
					for _, ask := range []struct{ method, site string }{{"GET", "cross-site"}, {"POST", "same-origin"}, {"POST", "cross-site"}, {"POST", ""}} {
						if len(c.sources) == 0 && (cookie > "alice" || query > "alice" || ask.method != "GET") {
							continue // nothing of that is looked at
						}
						in := request(ask.method, c.path, tokens[query], tokens[cookie], ask.site)
						switch header {
						case "":
						case "malformed":
							in.Header.Set("Authorization", "Bearer")
						case "basic":
							in.Header.Set("Authorization", "Basic "+tokens["alice"])
						default:
							in.Header.Set("Authorization", "Bearer "+tokens[header])
						}
						d, refusal := gateway.Decide(in)

						said := map[string]bool{}
						var which string
						for kind, name := range map[string]string{"header": header, "cookie": cookie, "query": query} {
							if name != "" && name != "basic" && c.looksAt(kind) {
								said[name] = true
								which = name
							}
						}
						forged := len(said) > 0 && (cookie != "" && c.looksAt("cookie")) && (header == "" || header == "basic" || !c.looksAt("header")) &&
							(query == "" || !c.looksAt("query")) && ask.method == "POST" && ask.site != "same-origin"
						proven := len(said) == 1 && whose[which] != "" && !forged
						text := fmt.Sprintf("%+v, header %q, cookie %q, query %q, %s %s", c, header, cookie, query, ask.method, ask.site)

						if user := d.Identity.Get("X-User-Id"); user != "" && (!proven || user != whose[which]) {
							t.Fatalf("the backend is told %s: %s", user, text)
						}
						if refusal != nil {
							continue
						}
						passed++
						lawful := false
						switch c.auth {
						case "public":
							lawful = true
						case "optional":
							lawful = c.report || len(said) == 0 || proven || c.anonymous && len(said) == 1 && !forged
						case "required":
							lawful = c.report || proven
						case "staff":
							lawful = c.report || proven && which != "bob"
						case "scoped":
							lawful = c.report || proven && which == "write"
						}
						if !lawful {
							t.Fatalf("passed: %s", text)
						}
						if c.report && c.auth == "scoped" && (which != "write" || !proven) && d.Reported == nil {
							t.Fatalf("passed and was not reported: %s", text)
						}
						if !c.report && d.Reported != nil {
							t.Fatalf("reported where it is enforced: %s", text)
						}
					}
				}
			}
		}
	}
	if passed < 1000 {
		t.Errorf("%d passed: nothing was tried", passed)
	}
}

func request(method, path, query, cookie, site string) *http.Request {
	target := path
	if query != "" {
		target += "?q=" + query
	}
	in, _ := http.NewRequest(method, target, nil)
	in.Host, in.RequestURI, in.RemoteAddr = "app.example.com", target, "192.0.2.1:1234"
	if cookie != "" {
		in.Header.Set("Cookie", "c="+cookie)
	}
	if site != "" {
		in.Header.Set("Sec-Fetch-Site", site)
	}
	return in
}

// FuzzCredential states of every request, however malformed, that a user is proven
// only by their token, that a rule that wants one is not passed without, and that the
// upstream is not handed what a rule reads as a token.
func FuzzCredential(f *testing.F) {
	list, rules := combinations()
	cfg := site("127.0.0.1:1")
	cfg.Routes[0].Rules = rules
	gateway := newGateway(f, cfg, nil)
	alice, bob := mint(f, map[string]any{"scope": "write"}), mint(f, map[string]any{"user_id": 2})
	fill := strings.NewReplacer("ALICE", alice, "BOB", bob)
	for i := range list {
		f.Add(uint16(i), "POST", "q=ALICE&q=BOB;q=BOB", "Bearer ALICE", "c=BOB; c=ALICE", "Sec-Fetch-Site", "same-origin")
	}
	f.Add(uint16(50), "GET", "%71=ALICE&x;y", "Bearer\tALICE", " c = ALICE ;c=\"BOB\"", "Origin", "http://app.example.com")
	f.Add(uint16(61), "GET", "q=&Q=BOB&q[]=BOB", "bearer BOB", "c=;c;=c", "Authorization", "Bearer ALICE")
	f.Fuzz(func(t *testing.T, index uint16, method, query, authorization, cookie, name, value string) {
		c := list[int(index)%len(list)]
		raw := fill.Replace(method + " " + c.path + "?" + query + " HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: " + authorization +
			"\r\nCookie: " + cookie + "\r\n" + name + ": " + value + "\r\n\r\n")
		in := readRequest(raw)
		if in == nil {
			return
		}
		d, refusal := gateway.Decide(in)
		user := d.Identity.Get("X-User-Id")
		if user != "" && !strings.Contains(raw, map[string]string{"1": alice, "2": bob}[user]) && !strings.Contains(raw, "%") {
			t.Errorf("%q names user %s without their token", raw, user)
		}
		if refusal != nil {
			return
		}
		rule := d.Match.Rule
		if rule == nil || rule.Path != c.path {
			return // the target was another one
		}
		switch {
		case c.auth == "deny",
			c.auth == "required" && !c.report && user == "",
			(c.auth == "staff" || c.auth == "scoped") && !c.report && user != "1":
			t.Errorf("%q passed %+v as %q", raw, c, user)
		}
		out := gateway.Forwarded(in)
		for _, pair := range strings.Split(strings.Join(out.Header["Cookie"], ";"), ";") {
			if key, _, _ := strings.Cut(pair, "="); strings.Trim(key, " \t") == "c" && c.looksAt("cookie") {
				t.Errorf("%q is forwarded with the cookie %q", raw, pair)
			}
		}
		for _, separators := range []string{"&", "&;"} {
			for _, pair := range strings.FieldsFunc(out.URL.RawQuery, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
				if key, _, _ := strings.Cut(pair, "="); key == "q" && c.looksAt("query") {
					t.Errorf("%q is forwarded with the parameter %q", raw, pair)
				}
			}
		}
		if out.Header["Authorization"] != nil {
			t.Errorf("%q is forwarded with its credential", raw)
		}
	})
}
