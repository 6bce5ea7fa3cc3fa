package route

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	told := regexp.MustCompile(`have, as (\S+),|hold on (\S+),`) // by what the request comes
	site := func(rules ...RuleConfig) Config { return Config{To: "app", Rules: rules} }
	on := func(host string, c Config) Config { c.Host = hosts(host); return c }
	open := func(c Config) Config { c.Auth = public(); return c }
	admin := RuleConfig{Path: "/admin/*", Auth: groups("staff")}
	for _, test := range []struct {
		name   string
		routes []Config
		want   []string // key: by what, and the other one
	}{
		{"one site with exceptions", []Config{site(admin, RuleConfig{Path: "/static/*", Auth: public()}, RuleConfig{Path: "/admin/login", Auth: public()})}, nil},
		{"methods are exceptions too", []Config{site(RuleConfig{Path: "/api/*", Auth: deny()}, RuleConfig{Path: "/api/*", Methods: []string{"GET"}, Auth: public()})}, nil},
		{"sites of their own behind one server", []Config{on("a.example.com", site(admin)), open(on("b.example.com", site()))}, nil},
		{"a public site beside all others", []Config{site(), open(on("www.example.com", site()))}, nil},
		{"the same at another upstream", []Config{site(admin), open(on("www.example.com", Config{To: "crm"}))}, nil},

		{
			"a public host takes a protected rule with it",
			[]Config{site(admin), open(on("www.example.com", site()))},
			[]string{"routes[1].auth: www.example.com/admin/* routes[0].rules[0]"},
		},
		{
			"where it is said on purpose",
			[]Config{site(admin), open(on("www.example.com", site(RuleConfig{Path: "/admin/*", Auth: public()})))},
			nil,
		},
		{
			"one that closes it again",
			[]Config{site(admin), open(on("www.example.com", site(RuleConfig{Path: "/admin/*", Auth: deny()})))},
			nil,
		},
		{
			"a public host below a wildcard",
			[]Config{on("*.example.com", site(admin)), open(on("www.example.com", site()))},
			[]string{"routes[1].auth: www.example.com/admin/* routes[0].rules[0]"},
		},
		{
			"a public prefix that is stripped opens the whole site, which is said once",
			[]Config{site(admin), open(Config{To: "app", Path: "/open/*", StripPrefix: "/open"})},
			[]string{"routes[1].auth: /open/* routes[0]"},
		},
		{
			"optional is open, too",
			[]Config{site(), {To: "app", Path: "/open/*", StripPrefix: "/open", Auth: Auth{Word: "optional"}}},
			[]string{"routes[1].auth: /open/* routes[0]"},
		},
		{
			"a public prefix that is put in front",
			[]Config{on("app.example.com", site(RuleConfig{Path: "/static/private/*", Auth: groups("staff")})), open(Config{Path: "/files/*", To: "app", Rewrite: Rewrite{From: "/files/*", To: "/static/*"}})},
			[]string{"routes[1].auth: /files/private/* routes[0].rules[0]"},
		},
		{
			"a prefix on the host of the site itself",
			[]Config{on("app.example.com", site()), open(on("app.example.com", Config{To: "app", Path: "/open/*", StripPrefix: "/open"}))},
			[]string{"routes[1].auth: app.example.com/open/* routes[0]"},
		},
		{
			"a prefix on the host of another site",
			[]Config{on("a.example.com", site()), open(on("b.example.com", Config{To: "app", Path: "/open/*", StripPrefix: "/open"}))},
			nil,
		},
		{
			"one path of what is protected",
			[]Config{site(admin), open(Config{To: "app", Path: "/login", Rewrite: Rewrite{From: "/login", To: "/admin/login"}})},
			nil,
		},
		{
			"a path that is protected alone",
			[]Config{site(RuleConfig{Path: "/metrics", Auth: deny()}), open(Config{To: "app", Path: "/numbers", Rewrite: Rewrite{From: "/numbers", To: "/metrics"}})},
			[]string{"routes[1].auth: /numbers routes[0].rules[0]"},
		},
		{
			"with some methods",
			[]Config{site(RuleConfig{Path: "/admin/*", Auth: deny()}), {To: "app", Path: "/x/*", StripPrefix: "/x", Rules: []RuleConfig{{Path: "/x/admin/*", Methods: []string{"GET"}, Auth: public()}}}},
			[]string{"routes[1].rules[0].auth: /x/admin/* routes[0].rules[0]"},
		},
		{
			"what is only reported is open anyway",
			[]Config{{To: "app", Access: Access{Mode: "report"}}, open(Config{To: "app", Path: "/open/*", StripPrefix: "/open"})},
			nil,
		},

		{
			"a rule for all hosts that one does not have",
			[]Config{site(RuleConfig{Path: "/static/*", Auth: public()}), on("crm.example.com", site())},
			[]string{"routes[0].rules[0]: crm.example.com routes[1]"},
		},
		{
			"and what is denied everywhere but there",
			[]Config{site(RuleConfig{Path: "/metrics", Auth: deny()}), on("crm.example.com", site())},
			[]string{"routes[0].rules[0]: crm.example.com routes[1]"},
		},
		{
			"that host says it itself",
			[]Config{site(RuleConfig{Path: "/static/*", Auth: public()}), on("crm.example.com", site(RuleConfig{Path: "/static/*", Auth: groups("staff")}))},
			nil,
		},
		{"that host is closed", []Config{site(RuleConfig{Path: "/static/*", Auth: public()}), on("crm.example.com", Config{To: "app", Auth: deny()})}, nil},
		{"that host has another upstream", []Config{site(RuleConfig{Path: "/static/*", Auth: public()}), on("crm.example.com", Config{To: "crm"})}, nil},
		{"that host has the path at another place", []Config{site(RuleConfig{Path: "/static/*", Auth: public()}), on("crm.example.com", Config{To: "app", AddPrefix: "/crm"})}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := mustTable(t, test.routes, upstreams)
			var got []string
			for _, f := range table.Lint() {
				got = append(got, f.At+": "+strings.Join(told.FindStringSubmatch(f.Problem)[1:], "")+" "+f.Other)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// Of every row there is a request for which it speaks: within one site no rule can be
// hidden, so that there is nothing to warn of. What would be hidden is refused by New.
func TestNoRowIsHidden(t *testing.T) {
	seed := uint64(8) // the same tables each time
	random := func(n int) int {
		seed = seed*6364136223846793005 + 1442695040888963407
		return int(seed>>33) % n
	}
	pick := func(list []string) string { return list[random(len(list))] }
	paths := []string{"/*", "/", "/a/*", "/a", "/a/b/*", "/a/b", "/A/*", "/a/c/*"}
	rows := 0
	for range 3000 {
		var routes []Config
		for range 1 + random(3) {
			c := Config{To: "app", Path: pick(paths)}
			if host := pick([]string{"", "a.example.com", "*.example.com", "*.a.example.com"}); host != "" {
				c.Host = hosts(host)
			}
			for range random(4) {
				rule := RuleConfig{Path: pick(paths), Auth: Auth{Word: pick(levels)}}
				if random(2) == 0 {
					rule.Methods = [][]string{{"GET"}, {"HEAD"}, {"POST", "PUT"}}[random(3)]
				}
				c.Rules = append(c.Rules, rule)
			}
			routes = append(routes, c)
		}
		table, err := New(routes, upstreams)
		if err != nil {
			continue
		}
		l := linter{table: table, label: "other"}
		for _, row := range table.Rows() {
			rows++
			for _, method := range l.methods(row, Row{}) {
				if got := l.speaks(row.host, row.path, method); got != row.match {
					t.Fatalf("%s %s: %s speaks, and not %s\n%+v", method, row.where(), got.Field(), row.match.Field(), routes)
				}
			}
		}
		table.Lint()
	}
	if rows < 500 {
		t.Errorf("only %d rows were looked at", rows)
	}
}
