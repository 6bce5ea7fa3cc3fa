package route

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

// A site as most are: mostly open here, so that every hole shows, with a part for
// one group, a path for nobody and a part behind a method.
var guarded = []Config{{To: "app", Auth: public(), Rules: []RuleConfig{
	{Path: "/public/*", Auth: public()},
	{Path: "/admin/*", Auth: groups("admin")},
	{Path: "/metrics", Auth: deny()},
	{Path: "/public/private/*", Auth: Auth{Word: "required"}},
	{Path: "/posts/*", Methods: []string{"DELETE"}, Auth: groups("admin")},
}}}

const adminOnly, nobody, everybody, malformed = "app groups: admin", "app deny", "app public", "400"

// CVE-2026-33494 (Oathkeeper), CVE-2019-9901 (Envoy), CVE-2021-27306 (Kong),
// CVE-2021-43557 (APISIX): the rule was held against what was sent, the backend
// served what it made of it. Each spelling gets the policy of the path that any
// backend may serve for it, or 400.
func TestAttackTraversal(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for target, want := range map[string]string{
		"/public/../admin":             adminOnly,
		"/public/../admin/":            adminOnly,
		"/public/./../admin/users":     adminOnly,
		"/public/x/../../admin":        adminOnly,
		"/public//../admin":            adminOnly,
		"/a/../admin":                  adminOnly, // CVE-2025-47952, CVE-2025-32431 (Traefik)
		"/%61dmin":                     adminOnly,
		"/%61%64%6D%69%6e/":            adminOnly,
		"/public/../%61dmin":           adminOnly,
		"//admin":                      adminOnly, // CVE-2021-29492 (Envoy), CVE-2021-31920 (Istio)
		"///admin//users":              adminOnly,
		"/./admin":                     adminOnly,
		"/admin/.":                     adminOnly,
		"/admin/x/..":                  adminOnly,
		"/admin/../public":             everybody,
		"/public/../metrics":           nobody, // CVE-2021-43557: deny rules see the canonical path
		"/metrics/":                    nobody,
		"/metrics//":                   nobody,
		"/metrics/.":                   nobody,
		"/metrics/x/..":                nobody,
		"/metrics?x":                   nobody,
		"/%2Fadmin":                    malformed,
		"/%5Cadmin":                    malformed,
		"/\\admin":                     malformed,
		"/public/%2e%2e/admin":         malformed,
		"/public/%2E%2E/admin":         malformed,
		"/public/.%2e/admin":           malformed,
		"/public/%2e./admin":           malformed,
		"/public/..%2fadmin":           malformed,
		"/public/..%5cadmin":           malformed,
		"/public/..\\admin":            malformed,
		"/public%2f..%2fadmin":         malformed,
		"/public/%252e%252e/admin":     malformed,
		"/public/%252e%252e%252fadmin": malformed,
		"/public/..%252fadmin":         malformed,
		"/public/%25252e%25252e/admin": malformed,
		"/public/..%00/admin":          malformed,
		"/public/%00../admin":          malformed,
		"/public/%c0%ae%c0%ae/admin":   malformed,
		"/public/%e0%80%ae%e0%80%ae/x": malformed,
		"/public/..%c0%afadmin":        malformed,
		"/public/%uff0e%uff0e/admin":   malformed,
		"/public/%ef%bc%8e%ef%bc%8e/x": malformed,
		"/public/..;/admin":            malformed,
		"/public/..;x=y/admin":         malformed,
		"/public/;/../admin":           malformed,
		"/public;/../admin":            malformed,
		"/..;/admin":                   malformed,
		"/public/.;/admin":             malformed,
		"/public/..%3b/admin":          malformed,
		"/public/..%253b/admin":        malformed,
		"/public/.../admin":            malformed,
		"/public/..%20/admin":          malformed,
		"/public/..%09/admin":          malformed,
		"/public/%20../admin":          malformed,
		"/../admin":                    malformed,
		"/public/../../admin":          malformed,
		"/public/..":                   everybody, // the root, and forwarded as the root
		"/public/../":                  everybody,
	} {
		if got := ask(t, table, "GET", "x.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// Tomcat and its kind serve /admin for /admin;x. A rule held against the raw segment
// never sees it.
func TestAttackPathParameters(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for target, want := range map[string]string{
		"/admin;x":                     malformed,
		"/admin;x/users":               malformed,
		"/admin;/users":                malformed,
		"/;x/admin":                    malformed,
		"/;/admin":                     malformed,
		"/admin%3bx":                   malformed,
		"/admin%253bx":                 malformed,
		"/metrics;x/y":                 malformed,
		"/metrics;jsessionid=1":        malformed,
		"/public/private;x/y":          malformed,
		"/public;x/private/y":          malformed, // private, for whoever takes parameters off everywhere
		"/public/private/a;x":          "app required",
		"/admin/users;jsessionid=1":    adminOnly,
		"/shop;jsessionid=1":           everybody,
		"/cars;color=red/2012;doors=4": everybody,
		"/;jsessionid=1":               everybody,
	} {
		if got := ask(t, table, "GET", "x.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// CVE-2025-66490 (Traefik): an encoded / \ NUL ; ? # led to another router's
// backend. Refused, or the same route before and after decoding.
func TestAttackEncodedReserved(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for target, want := range map[string]string{
		"/admin%3Fx":    malformed,
		"/admin%3f":     malformed,
		"/admin%3Fx/y":  malformed,
		"/metrics%23":   malformed,
		"/metrics%23x":  malformed,
		"/admin%253Fx":  malformed,
		"/metrics%2523": malformed,
		"/admin/%3F":    adminOnly,
		"/wiki/C%23":    everybody,
		"/wiki/Why%3F":  everybody,
		"/wiki/100%25":  everybody,
		"/%2561dmin":    malformed, // decoded twice it is /admin
		"/%252561dmin":  malformed,
		"/metric%2573":  malformed,
		"/admin/%2561":  adminOnly,
		"/wiki/%2561":   everybody,
		"/public/%25":   everybody,
	} {
		if got := ask(t, table, "GET", "x.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// CVE-2023-47106 (Traefik), CVE-2026-41059 (oauth2-proxy), CVE-2021-32779 (Envoy):
// the fragment was part of the path for one and not for the other.
func TestAttackFragment(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for _, target := range []string{"/admin#/public", "/public#/../admin", "/admin#", "/public/#", "/x?#", "/#"} {
		if got := ask(t, table, "GET", "x.test", target); got != malformed {
			t.Errorf("%s: got %s, want 400", target, got)
		}
	}
}

// CVE-2025-54576 (oauth2-proxy), CVE-2020-8595 (Istio): rules saw the query.
func TestAttackQuery(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for target, want := range map[string]string{
		"/admin?x=/public/": adminOnly, "/admin?/public": adminOnly, "/admin/?": adminOnly, "/metrics?": nobody,
		"/public?/../admin": everybody, "/public?x=/admin": everybody,
	} {
		if got := ask(t, table, "GET", "x.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// Express, IIS and Windows serve /Admin as /admin, and /admin. and "/admin ", too.
func TestAttackLooseNames(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for target, want := range map[string]string{
		"/ADMIN":                            malformed,
		"/Admin/users":                      malformed,
		"/%41dmin":                          malformed,
		"/METRICS":                          malformed,
		"/Metrics/":                         malformed,
		"/public/Private/x":                 malformed,
		"/PUBLIC/private/x":                 malformed,
		"/PUBLIC/x":                         everybody, // the policy is the same
		"/admin/USERS":                      adminOnly,
		"/Elsewhere":                        everybody,
		"/admin.":                           malformed,
		"/admin./users":                     malformed,
		"/admin...":                         malformed,
		"/admin%20":                         malformed,
		"/admin%20/users":                   malformed,
		"/%20admin":                         malformed,
		"/ADMIN.;x":                         malformed,
		"/admin.%20.;x":                     malformed,
		"/metrics.%3Fx":                     malformed,
		"/wiki/Inc.":                        everybody,
		"/admin::$DATA":                     malformed,
		"/admin:$I30:$INDEX_ALLOCATION/x":   malformed,
		"/adm%C4%B1n":                       malformed, // dotless i
		"/metric%C5%BF":                     malformed, // long s
		"/ad%E2%80%8Bmin":                   malformed, // zero width space
		"/%EF%BD%81dmin":                    malformed, // full-width a
		"/public%EF%BC%8Fprivate%EF%BC%8Fx": malformed, // full-width slash
		"/wiki/%EF%BD%81":                   everybody,
		"/caf%C3%A9":                        everybody,
	} {
		if got := ask(t, table, "GET", "x.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// What another spelling would meet on a more specific host counts, too.
func TestAttackLooseNamesAcrossHosts(t *testing.T) {
	table := mustTable(t, []Config{
		{To: "app", Auth: public()},
		{To: "app", Host: hosts("*.x.test"), Path: "/admin/*", Auth: groups("admin")},
		{To: "app", Host: hosts("*.y.x.test"), Path: "/metrics", Auth: deny()},
		{To: "app", Host: hosts("a.y.x.test"), Path: "/Secret/*", Auth: deny()},
	}, upstreams)
	for target, want := range map[string]string{
		"/admin": adminOnly, "/ADMIN": malformed, "/metrics": nobody, "/METRICS": malformed,
		"/Secret": nobody, "/secret/x": malformed, "/other": everybody, "/OTHER": everybody,
	} {
		if got := ask(t, table, "GET", "a.y.x.test", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// Django upper-cases the method: "delete" is DELETE there, and no method for others.
func TestAttackMethodCase(t *testing.T) {
	table := mustTable(t, guarded, upstreams)
	for _, c := range []struct{ method, target, want string }{
		{"DELETE", "/posts/1", adminOnly},
		{"delete", "/posts/1", malformed},
		{"Delete", "/posts/1", malformed},
		{"delete", "/elsewhere", everybody},
		{"get", "/posts/1", everybody},
		{"PROPFIND", "/posts/1", everybody},
	} {
		if got := ask(t, table, c.method, "x.test", c.target); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.method, c.target, got, c.want)
		}
	}
}

// FuzzNothingProtectedIsPublic: whatever a client sends without a token, no way in
// which backends are known to read paths makes something protected of what passes.
func FuzzNothingProtectedIsPublic(f *testing.F) {
	for _, seed := range []string{
		"/public/../admin", "/%61dmin", "/admin;x", "/;/admin", "/admin%3fx", "/%2561dmin", "/ADMIN", "/admin.", "/public/..%00/admin", "//admin", "/public/%2e%2e;/admin",
		"/metrics/", "/metrics;/", "/public/%252e%252e/admin", "/x%2f..%2fadmin", "/a\\..\\admin", "/adm%C4%B1n", "/metrics%20%2e;x%23", "/public/;a/private", "/public;%3fx/private",
	} {
		f.Add(seed)
	}
	table := mustTable(f, guarded, upstreams)
	f.Fuzz(func(t *testing.T, target string) {
		p, err := Canonical(target)
		if err != nil {
			return
		}
		m, err := table.Match("x.test", p, "GET")
		if err != nil || m.Policy().Level != Public {
			return
		}
		seen := map[string]bool{p.Escaped: true}
		for queue := []string{p.Escaped}; len(queue) > 0; queue = queue[1:] {
			for _, read := range backends {
				served := read(queue[0])
				if protected(served) {
					t.Fatalf("%q passes as %q, and some backend reads %q", target, p.Escaped, served)
				}
				if !seen[served] && len(seen) < 200 {
					seen[served] = true
					queue = append(queue, served)
				}
			}
		}
	})
}

func protected(served string) bool {
	served = strings.ToLower(strings.TrimSuffix(served, "/"))
	return served == "/metrics" || served == "/admin" || strings.HasPrefix(served, "/admin/") ||
		served == "/public/private" || strings.HasPrefix(served, "/public/private/")
}

// backends are naive ways to read a path, one step each; the fuzz target combines them.
var backends = []func(string) string{
	path.Clean,
	func(p string) string { return path.Clean("/" + p) },
	func(p string) string { // decodes, also what it decoded before
		if decoded, err := url.PathUnescape(p); err == nil {
			return decoded
		}
		return p
	},
	func(p string) string { return strings.ReplaceAll(p, "\\", "/") },
	func(p string) string { // a servlet container
		var segments []string
		for s := range strings.SplitSeq(p, "/") {
			s, _, _ = strings.Cut(s, ";")
			segments = append(segments, s)
		}
		return strings.Join(segments, "/")
	},
	func(p string) string { p, _, _ = strings.Cut(p, ";"); return p },
	func(p string) string { p, _, _ = strings.Cut(p, "?"); return p },
	func(p string) string { p, _, _ = strings.Cut(p, "#"); return p },
	func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
	func(p string) string { // Windows
		var segments []string
		for s := range strings.SplitSeq(p, "/") {
			if s != "." && s != ".." {
				s = strings.TrimRight(s, ". ")
			}
			segments = append(segments, s)
		}
		return strings.Join(segments, "/")
	},
	strings.ToLower,
	strings.TrimSpace,
}
