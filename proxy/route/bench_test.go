package route

import (
	"fmt"
	"testing"
)

// manyRoutes is n routes, half of them by host and half by path, with rules.
func manyRoutes(n int) []Config {
	routes := make([]Config, 0, n)
	for i := range n {
		r := Config{To: "app", Rules: []RuleConfig{{Path: "/static/*", Auth: public()}, {Path: "/admin/*", Auth: groups("admin")}}}
		if i%2 == 0 {
			r.Host = hosts(fmt.Sprintf("site%d.example.com", i))
		} else {
			r.Path, r.Rules = fmt.Sprintf("/apps/app%d/*", i), nil
		}
		routes = append(routes, r)
	}
	return routes
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		table := mustTable(b, manyRoutes(n), upstreams)
		for _, c := range []struct{ name, host, target string }{
			{"host", "site0.example.com", "/admin/users/42/edit"},
			{"path", "www.example.com", fmt.Sprintf("/apps/app%d/static/css/site.css", max(1, n/2-1))},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				p, err := Canonical(c.target)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				for b.Loop() {
					_, _ = table.Match(c.host, p, "GET")
				}
			})
		}
	}
}

func BenchmarkCanonical(b *testing.B) {
	for _, c := range []struct{ name, target string }{
		{"plain", "/api/v1/users/42/edit?page=1"},
		{"escaped", "/wiki/caf%C3%A9%20noir?page=1"},
		{"odd", "/shop;jsessionid=1/x.;y%3F"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Canonical(c.target)
			}
		})
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	table := mustTable(t, append(manyRoutes(100), Config{To: "app", Host: hosts("*.wild.test")}), upstreams)
	for _, c := range []struct{ host, target string }{
		{"site0.example.com", "/admin/users"},
		{"SITE0.example.com.:443", "/Site/Users/"},
		{"a.b.wild.test", "/x/y/z"},
		{"other.test", "/apps/app1/x"},
		{"[::1]:80", "/nowhere"},
	} {
		p, err := Canonical(c.target)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = table.Match(c.host, p, "GET") }); n > 0 {
			t.Errorf("%s%s: %v allocations", c.host, c.target, n)
		}
	}
}
