package route

import (
	"errors"
	"strings"
	"testing"
)

// aimed is the one route or rule of a table, by what it says about the path.
func aimed(t testing.TB, cfg Config) *Table {
	t.Helper()
	cfg.To, cfg.Auth = "app", public()
	return mustTable(t, []Config{cfg}, upstreams)
}

func TestWhatTheUpstreamIsAskedFor(t *testing.T) {
	strip := Config{Path: "/old/*", StripPrefix: "/old"}
	add := Config{AddPrefix: "/app"}
	both := Config{Path: "/old/*", StripPrefix: "/old", AddPrefix: "/new/app"}
	tree := Config{Path: "/v1/*", Rewrite: Rewrite{"/v1/*", "/api/v1/*"}}
	accents := Config{Path: "/café/*", Rewrite: Rewrite{"/caf%C3%A9/*", "/bar [x]/*"}}
	accents.Rewrite.To = "/bar%20%5Bx%5D/*"
	exact := Config{Path: "/login", Rewrite: Rewrite{"/login", "/accounts/login/"}}
	rules := Config{Path: "/old/*", StripPrefix: "/old", Rules: []RuleConfig{
		{Path: "/old/v1/*", Rewrite: Rewrite{"/old/v1/*", "/api/*"}},
		{Path: "/old/as-it-is/*", Rewrite: Rewrite{"/old/as-it-is/*", "/old/as-it-is/*"}},
		{Path: "/old/login", Rewrite: Rewrite{"/old/login", "/accounts/login"}},
		{Path: "/old/inherits/*", Methods: []string{"GET"}, Auth: Auth{Word: "optional"}},
	}}
	for _, c := range []struct {
		name       string
		cfg        Config
		sent, want string
		prefix     string
	}{
		{"strip", strip, "/old/x/?q", "/x/?q", "/old"},
		{"strip all", strip, "/old", "/", "/old"},
		{"strip all but the slash", strip, "/old/", "/", "/old"},
		{"add", add, "/x?q", "/app/x?q", ""},
		{"add to the root", add, "/", "/app/", ""},
		{"add with escapes", add, "/a%20b%3F", "/app/a%20b%3F", ""},
		{"strip and add", both, "/old/x", "/new/app/x", ""},
		{"strip and add, nothing left", both, "/old", "/new/app", ""},
		{"a subtree", tree, "/v1/users/", "/api/v1/users/", ""},
		{"the top of a subtree", tree, "/v1", "/api/v1", ""},
		{"letters beyond ASCII", accents, "/caf%c3%a9/%40", "/bar%20%5Bx%5D/%40", ""},
		{"one path, its slash as written", exact, "/login?next=/x", "/accounts/login/?next=/x", ""},
		{"one path, asked for with a slash", exact, "/login/", "/accounts/login/", ""},
		{"a rule", rules, "/old/v1/x", "/api/x", ""},
		{"a rule that leaves it", rules, "/old/as-it-is/x", "/old/as-it-is/x", ""},
		{"a rule for one path", rules, "/old/login", "/accounts/login", ""},
		{"a rule that says nothing", rules, "/old/inherits/x", "/inherits/x", "/old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Canonical(c.sent)
			if err != nil {
				t.Fatal(err)
			}
			m, err := aimed(t, c.cfg).Match("x.test", p, "GET")
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Aim().Forward(p)
			if err != nil || got.Target() != c.want {
				t.Fatalf("%s becomes %q, %v; want %q", c.sent, got.Target(), err, c.want)
			}
			checkPath(t, got)
			if got := m.Aim().Prefix(); got != c.prefix {
				t.Errorf("X-Forwarded-Prefix would be %q, want %q", got, c.prefix)
			}
		})
	}
	if _, err := (*Aim)(nil).Forward(Path{Decoded: "/", Escaped: "/"}); err == nil {
		t.Error("a path that Canonical never saw was forwarded")
	}
}

func TestWhatAClientMustAskFor(t *testing.T) {
	strip := Config{Path: "/old/*", StripPrefix: "/old"}
	add := Config{AddPrefix: "/app"}
	both := Config{Path: "/old/*", StripPrefix: "/old", AddPrefix: "/new"}
	deeper := Config{Path: "/a/*", Rewrite: Rewrite{"/a/*", "/a/b/*"}}
	ruled := Config{Path: "/old/*", StripPrefix: "/old", Rules: []RuleConfig{{Path: "/old/v1/*", Rewrite: Rewrite{"/old/v1/*", "/api/*"}}}}
	login := Config{Path: "/old/*", StripPrefix: "/old", Rules: []RuleConfig{{Path: "/old/login", Rewrite: Rewrite{"/old/login", "/accounts/login/"}}}}
	for _, c := range []struct {
		name       string
		cfg        Config
		asked      string
		said, want string
		scope      string // "" is as want
	}{
		{"the prefix comes back", strip, "/old/x", "/y", "/old/y", ""},
		{"the root", strip, "/old/x", "/", "/old/", "/old"},
		{"an application that knows its prefix", strip, "/old/x", "/old/y", "/old/y", ""},
		{"a name that begins alike", strip, "/old/x", "/older", "/old/older", ""},
		{"escapes stay", strip, "/old/x", "/a%20b/%C3%a9", "/old/a%20b/%C3%a9", ""},
		{"dot segments are not guessed at", strip, "/old/x", "/a/../b", "/a/../b", ""},
		{"nor escaped ones", strip, "/old/x", "/a/%2e%2e/b", "/a/%2e%2e/b", ""},
		{"what was added goes", add, "/x", "/app/y", "/y", ""},
		{"what was added, alone", add, "/x", "/app", "/", ""},
		{"what was added, with its slash", add, "/x", "/app/", "/", ""},
		{"outside of what was added", add, "/x", "/elsewhere", "/elsewhere", ""},
		{"another host hides behind it", add, "/x", "/app//evil.test/", "/app//evil.test/", ""},
		{"another host, with a backslash", add, "/x", `/app/\evil.test/`, `/app/\evil.test/`, ""},
		{"the one for the other", both, "/old/x", "/new/y", "/old/y", ""},
		{"already public", both, "/old/x", "/old/y", "/old/y", ""},
		{"nobody's", both, "/old/x", "/y", "/y", ""},
		{"spelled with escapes", both, "/old/x", "/%6eew/y", "/old/y", ""},
		{"a deeper one", deeper, "/a/x", "/a/b/y", "/a/y", ""},
		{"above the deeper one", deeper, "/a/x", "/a/y", "/a/y", ""},
		{"by the rule", ruled, "/old/v1/x", "/api/y", "/old/v1/y", ""},
		{"from the rule to the rest of the site", ruled, "/old/v1/x", "/y", "/old/y", ""},
		{"from the rest of the site", ruled, "/old/x", "/api/y", "/old/api/y", ""},
		{"one path", login, "/old/login", "/accounts/login/", "/old/login", ""},
		{"one path, to the rest of the site", login, "/old/login", "/welcome", "/old/welcome", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Canonical(c.asked)
			if err != nil {
				t.Fatal(err)
			}
			m, err := aimed(t, c.cfg).Match("x.test", p, "GET")
			if err != nil {
				t.Fatal(err)
			}
			if got := m.Aim().Public(c.said); got != c.want {
				t.Errorf("%s becomes %s, want %s", c.said, got, c.want)
			}
			if c.scope == "" {
				c.scope = c.want
			}
			if got := m.Aim().PublicScope(c.said); got != c.scope {
				t.Errorf("a cookie for %s becomes one for %s, want %s", c.said, got, c.scope)
			}
		})
	}
	if got := (*Aim)(nil).Public("/x"); got != "/x" {
		t.Errorf("without an aim /x becomes %s", got)
	}
}

func TestFaultsOfWhatIsSaidAboutPaths(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no from", Config{Rewrite: Rewrite{To: "/b/*"}}, `routes[0].rewrite.from: rewrite has no from; write it as {from: /a/*, to: /b/*}`},
		{"no to", Config{Rewrite: Rewrite{From: "/*"}}, `routes[0].rewrite.to: rewrite has no to; write it as {from: /a/*, to: /b/*}`},
		{"a path for a subtree", Config{Rewrite: Rewrite{"/*", "/b"}}, `routes[0].rewrite.to: /* cannot become /b; write a /* at the end of both, or of neither`},
		{"from holds a part", Config{Rewrite: Rewrite{"/a/*", "/b/*"}}, `routes[0].rewrite.from: /a/* does not hold all of /*; write a rule with path: /a/*, or from: /*`},
		{"one path of many", Config{Path: "/a/*", Rewrite: Rewrite{"/a", "/b"}}, `routes[0].rewrite.from: /a does not hold all of /a/*; write a rule with path: /a, or from: /a/*`},
		{"a regular expression", Config{Rewrite: Rewrite{"/(.*)/x", "/$1"}}, `routes[0].rewrite.from: a * stands only at the end of a path, behind a slash; write "/(./*", and narrower rules where they differ`},
		{"dots", Config{Rewrite: Rewrite{"/*", "/a/../b/*"}}, `routes[0].rewrite.to: no request has this path, it would be rewritten before; write "/b/*"`},
		{"a query", Config{Path: "/x", Rewrite: Rewrite{"/x", "/y?a=1"}}, `routes[0].rewrite.to: a path has no query and no fragment; write "/y"`},
		{"a host", Config{Path: "/x", Rewrite: Rewrite{"/x", "//other.test/y"}}, `routes[0].rewrite.to: no request has this path, it would be rewritten before; write "/other.test/y"`},
		{"both ways", Config{Path: "/a/*", StripPrefix: "/a", Rewrite: Rewrite{"/a/*", "/b/*"}}, `routes[0].rewrite: rewrite and strip_prefix at once; write both into rewrite`},
		{"add with a star", Config{AddPrefix: "/a/*"}, `routes[0].add_prefix: a prefix is a path without *; write "/a"`},
		{"add with dots", Config{AddPrefix: "/../a"}, `routes[0].add_prefix: no request has this path, it would be refused: a dot segment that leads above the root; write the path as it is after decoding, without dot segments`},
		{"a rule outside", Config{Rules: []RuleConfig{{Path: "/x/*", Rewrite: Rewrite{"/y/*", "/z/*"}}}}, `routes[0].rules[0].rewrite.from: /y/* does not hold all of /x/*; write a rule with path: /y/*, or from: /x/*`},
		{"a word of its own", Config{EncodedSlash: "decode"}, `routes[0].encoded_slash: encoded_slash cannot be "decode"; write reject or keep`},
		{"on a rule too", Config{Rules: []RuleConfig{{Path: "/x", EncodedSlash: "Keep"}}}, `routes[0].rules[0].encoded_slash: encoded_slash cannot be "Keep"; write reject or keep`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.To = "app"
			_, err := New([]Config{c.cfg}, upstreams)
			var fault *Fault
			if !errors.As(err, &fault) {
				t.Fatalf("got %v, want a fault", err)
			}
			if got := fault.At + ": " + fault.Error(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestEncodedSlashes(t *testing.T) {
	table := mustTable(t, []Config{{
		To: "app", EncodedSlash: "keep",
		Rules: []RuleConfig{
			{Path: "/projects/*", Auth: public()},
			{Path: "/projects/private/*"},
			{Path: "/strict/*", Auth: public(), EncodedSlash: "reject"},
			{Path: "/same/*", Auth: public()},
			{Path: "/same/below/*", Auth: public()},
			{Path: "/aimed/*", Auth: public()},
			{Path: "/aimed/below/*", Auth: public(), Rewrite: Rewrite{"/aimed/below/*", "/x/*"}},
		},
	}}, upstreams)
	for _, c := range []struct{ name, sent, want string }{
		{"as it was sent", "/projects/group%2fname", "/projects/group%2Fname"},
		{"a backslash", "/projects/group%5cname/", "/projects/group%5Cname/"},
		{"both", "/projects/a%2Fb%5cc?x=%2f", "/projects/a%2Fb%5Cc?x=%2f"},
		{"with other escapes", "/projects/a%2F%20%7E", "/projects/a%2F%20~"},
		{"two rules that are alike", "/same%2Fbelow/x", ""}, // as a segment it is the site's, which is closed
		{"below two rules that are alike", "/same/x%2Fbelow", "/same/x%2Fbelow"},
		{"into a closed part", "/projects/private%2Fx", ""},
		{"into a closed part, by a backslash", "/projects/private%5Cx", ""},
		{"into a closed part, later", "/projects%2Fprivate/x", ""},
		{"where it leads to another path", "/aimed/below%2Fx", ""},
		{"out of the open part", "/projects/..%2Fadmin", ""},
		{"out of the open part, dots escaped", "/projects/%2e%2e%2Fadmin", ""},
		{"out of the open part, with parameters", "/projects/..;x%2Fadmin", ""},
		{"in the middle", "/projects/a%2F..%2F..%2Fadmin", ""},
		{"beside dots", "/projects/a%2Fb/../c", ""},
		{"escaped twice", "/projects/a%252Fb", ""},
		{"escaped twice beside once", "/projects/a%2Fb%252Fc", ""},
		{"a name behind parameters", "/projects/x;%2Fprivate%2Fy", "/projects/x;%2Fprivate%2Fy"}, // never above x
		{"parameters in front of a closed name", "/projects/;x%2Fprivate", ""},
		{"at the front", "/%2Fprojects/x", ""},
		{"where it is refused", "/strict/a%2Fb", ""},
		{"the character that stands for it", "/projects/a%2Fb%EE%80%80", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Canonical(c.sent); err == nil {
				t.Fatal("Canonical let it pass")
			}
			p, err := CanonicalWithSlashes(c.sent)
			var m Match
			if err == nil {
				m, err = table.Match("x.test", p, "GET")
			}
			passes := err == nil && m.Policy().Level == Public
			if passes != (c.want != "") || passes && p.Target() != c.want {
				t.Fatalf("passes: %v, %v, as %q; want %q", passes, err, p.Target(), c.want)
			}
			if !passes {
				return
			}
			if again, err := CanonicalWithSlashes(p.Target()); err != nil || again.Target() != p.Target() || again.Decoded != p.Decoded {
				t.Errorf("not canonical itself: %q, %v", again.Target(), err)
			}
		})
	}
	t.Run("a prefix is taken off in front of it", func(t *testing.T) {
		table := aimed(t, Config{Path: "/old/*", StripPrefix: "/old", EncodedSlash: "keep"})
		p, err := CanonicalWithSlashes("/old/a%2Fb?c")
		if err != nil {
			t.Fatal(err)
		}
		m, err := table.Match("x.test", p, "GET")
		if err != nil {
			t.Fatal(err)
		}
		q, err := m.Aim().Forward(p)
		if err != nil || q.Target() != "/a%2Fb?c" || q.Unescaped() != "/a/b" {
			t.Errorf("got %q, unescaped %q, %v", q.Target(), q.Unescaped(), err)
		}
		if p, err := CanonicalWithSlashes("/old%2Fa"); err == nil {
			if _, err := table.Match("x.test", p, "GET"); err == nil {
				t.Error("the slash ended the prefix")
			}
		}
	})
}

// FuzzAim: whatever a client sends, the rule that decided is the rule that the
// upstream's own reading of the forwarded path selects, once what the route did to
// it is undone; and what an upstream says about its paths never names another host.
func FuzzAim(f *testing.F) {
	for _, seed := range []string{
		"/old/x", "/old/admin/x", "/old/..%2fadmin", "/old/v1/%2e%2e/x", "/old/v1/a%2Fb", "/old%2fadmin", "/old/admin;x", "/old//admin", "/old/v1/..;/admin", "/old/v1%5c..%5cadmin",
		"/app//evil", `/app/\evil`, "/old/ADMIN", "/old/%61dmin%2Fx", "/old/v1;x/admin",
	} {
		f.Add(seed)
	}
	table := mustTable(f, []Config{{
		To: "app", Path: "/old/*", StripPrefix: "/old", Auth: public(), EncodedSlash: "keep",
		Rules: []RuleConfig{
			{Path: "/old/admin/*", Auth: deny()},
			{Path: "/old/v1/*", Auth: public(), Rewrite: Rewrite{"/old/v1/*", "/api/*"}},
			{Path: "/old/v1/admin/*", Auth: deny(), Rewrite: Rewrite{"/old/v1/*", "/api/*"}},
			{Path: "/old/login", Auth: public(), Rewrite: Rewrite{"/old/login", "/accounts/login/"}},
		},
	}, {To: "crm", Host: hosts("added.test"), AddPrefix: "/app", Auth: public()}}, upstreams)
	closed := func(served string) bool {
		served = strings.ToLower(strings.TrimSuffix(served, "/"))
		return below(served, "/admin") || below(served, "/api/admin")
	}
	f.Fuzz(func(t *testing.T, target string) {
		for _, host := range []string{"x.test", "added.test"} {
			if strings.HasPrefix(target, "/") {
				p, _ := Canonical("/")
				m, err := table.Match(host, p, "GET")
				if err == nil {
					if said := m.Aim().Public(target); said != target && (strings.HasPrefix(said, "//") || strings.HasPrefix(said, `/\`)) {
						t.Fatalf("%q becomes %q", target, said)
					}
				}
			}
			p, err := CanonicalWithSlashes(target)
			if err != nil {
				continue
			}
			m, err := table.Match(host, p, "GET")
			if err != nil || m.Policy().Level != Public {
				continue
			}
			q, err := m.Aim().Forward(p)
			if err != nil {
				continue
			}
			if again, err := CanonicalWithSlashes(q.Target()); err != nil || again.Target() != q.Target() {
				t.Fatalf("%q is forwarded as %q, which is not canonical: %v", target, q.Target(), err)
			}
			if host == "added.test" {
				if !below(strings.TrimSuffix(q.Decoded, "/"), "/app") {
					t.Fatalf("%q is forwarded as %q, outside of what was added", target, q.Target())
				}
				continue
			}
			seen := map[string]bool{q.Escaped: true}
			for queue := []string{q.Escaped}; len(queue) > 0; queue = queue[1:] {
				for _, read := range backends {
					served := read(queue[0])
					if closed(served) {
						t.Fatalf("%q is forwarded as %q, and some backend reads %q", target, q.Escaped, served)
					}
					if !seen[served] && len(seen) < 200 {
						seen[served] = true
						queue = append(queue, served)
					}
				}
			}
		}
	})
}
