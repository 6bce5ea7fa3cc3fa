package proxy_test

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

// loosest is the path that the most forgiving backend makes of a target: decoded
// until nothing is left to decode, backslashes as slashes, parameters and what
// Windows drops taken away, dots resolved, in lower case.
func loosest(target string) string {
	p, _, _ := strings.Cut(target, "?")
	for range 5 {
		decoded, err := url.PathUnescape(p)
		if err != nil {
			break
		}
		p = decoded
	}
	p = strings.ReplaceAll(p, `\`, "/")
	segments := strings.Split(p, "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		if trimmed := strings.TrimRight(s, ". "); trimmed != "" {
			s = trimmed
		}
		segments[i] = s
	}
	return strings.ToLower(path.Clean("/" + strings.Join(segments, "/")))
}

// CVE-2026-33494, CVE-2025-32431, CVE-2021-29492, CVE-2019-9901, CVE-2021-27306 and
// their family: rules are held against one spelling of a path and the backend
// resolves another. Whatever is tried below a public prefix without a token, or
// below an open one with a token that is not enough, the backend never gets a path
// that any reading takes to /staff.
func TestAttackTraversalOutOfAnOpenPrefix(t *testing.T) {
	w := open(t, nil)
	bob := w.bearer("bob")
	dots := []string{
		"..", "%2e%2e", ".%2e", "%2E.", "..;", "..;x=1", ";/..", "%252e%252e", "%25252e%25252e", "..%00", "..%20", ".. ",
		"%c0%ae%c0%ae", "%u002e%u002e", "\uff0e\uff0e", "%ef%bc%8e%ef%bc%8e", "...", "....", "..%09", "..%0d%0a", ".", "%2e",
	}
	separators := []string{
		"/", "//", "///", `\`, "%2f", "%2F", "%5c", "%252f", "%255c", "/./", "/%2e/", "%c0%af", "%ef%bc%8f", ";/", "/;/", "/;x/", "?/", "%3f/", "%23/", "#/", "%00/",
	}
	passed := 0
	for _, prefix := range []string{"/public", "/optional/a"} {
		for _, dot := range dots {
			for _, before := range separators {
				for _, after := range []string{"/", `\`, "%2f"} {
					target := prefix + before + dot + after + "staff/x"
					for _, headers := range [][]string{nil, {bob}} {
						got := w.get(target, headers...)
						for _, in := range w.backend.requests() {
							passed++
							if resolved := loosest(in.Target); strings.HasPrefix(resolved, "/staff") {
								t.Errorf("%s with %d headers reached the backend as %s, which is %s", target, len(headers), in.Target, resolved)
							}
						}
						if got.StatusCode >= 500 {
							t.Errorf("%s: %d", target, got.StatusCode)
						}
					}
				}
			}
		}
	}
	t.Logf("%d of the spellings are harmless and passed", passed)
}

// The same from the other side: every spelling of a protected path is held
// against its policy, or refused as malformed.
func TestAttackSpellingsOfAProtectedPath(t *testing.T) {
	w := open(t, nil)
	bob := w.bearer("bob")
	for _, target := range []string{
		"/staff", "/staff/", "/staff/x", "//staff/x", "///staff", "/./staff/x", "/%73taff/x", "/%2573taff/x", "/STAFF/x", "/Staff/x",
		"/st%61ff", "/staff;x", "/staff;x/y", "/;/staff/x", "/;x=1/staff/x", "/staff%2fx", "/staff%2Fx", "/%2fstaff/x", "/%2Fstaff",
		"/%5cstaff/x", `/\staff/x`, `\staff`, "/staff%5cx", "/staff%00", "/staff%00/x", "/staff%20", "/staff%20/x", "/staff.", "/staff./x",
		"/staff%2e", "/staff%09/x", "/staff%3fx", "/staff%3f/x", "/staff%23", "/staff#", "/staff#/public/", "/staff?/public/", "/staff?x=/public/../",
		"/x/../staff/x", "/x/%2e%2e/staff/x", "/x/..;/staff/x", "/public/../staff/x", "/public/..%2fstaff/x", "/public/%2e%2e/staff/x",
		"/public/..\\staff", "/public/x/../../staff", "/%ef%bc%8fstaff", "/staff\u00a0", "/staff%c2%a0", "/\u017ftaff/x", "/staff:$DATA", "/staff::$INDEX_ALLOCATION/x",
		"/./", "/../staff", "/%2e%2e/staff", "http://app.example.com/staff", "http://app.example.com//staff", "http://app.example.com/public/../staff",
		"http:/staff", "staff", "", "*", "?", "#", "app.example.com/staff", "http://", "http:///staff", "//app.example.com/staff", "http://app.example.com#/staff",
		"http://app.example.com?/staff", "http://public@app.example.com/staff", "http://app.example.com:80:80/staff",
	} {
		for _, headers := range [][]string{nil, {bob}} {
			if target == "" {
				continue
			}
			got := w.get(target, headers...)
			if got.StatusCode < 400 || got.StatusCode >= 500 {
				// Only bob, and only outside of what is protected.
				for _, in := range w.backend.requests() {
					if len(headers) == 0 || strings.HasPrefix(loosest(in.Target), "/staff") {
						t.Errorf("%s (bob: %v): %d, the backend got %s", target, headers != nil, got.StatusCode, in.Target)
					}
				}
				continue
			}
			if strings.Contains(got.Text, "hello") {
				t.Errorf("%s: %s", target, got.Text)
			}
		}
	}
	w.untouched()
}

// CVE-2023-47106, CVE-2026-41059: Go takes a raw # for a part of the path; other
// parsers end the path there.
func TestAttackRawFragment(t *testing.T) {
	w := open(t, nil)
	for _, target := range []string{"/public/#", "/staff#/public/", "/public/x#/../staff", "/#", "/public/?a#b", "http://app.example.com/public/#x"} {
		if got := w.get(target); got.StatusCode != 400 || !strings.HasPrefix(got.Text, `{"detail":"Malformed request: `) {
			t.Errorf("%s: %d %s", target, got.StatusCode, got.Text)
		}
	}
	w.untouched()
}

// CVE-2025-66490: an escaped reserved byte takes a request to one route here and to
// another path there.
func TestAttackEscapedReservedBytes(t *testing.T) {
	w := open(t, nil)
	for c := range 256 {
		for _, form := range []string{"/public%%%02xstaff", "/public/%%%02xstaff", "/public/x%%%02x", "/public%%%02x/../staff", "/%%%02x/staff"} {
			target := fmt.Sprintf(form, c)
			w.get(target)
			for _, in := range w.backend.requests() {
				if !strings.HasPrefix(loosest(in.Target), "/public") {
					t.Errorf("%s reached the backend as %s", target, in.Target)
				}
			}
		}
	}
}

// CVE-2025-54576, CVE-2020-8595: the query took part in the decision on the path.
func TestAttackQueryAsPath(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Routes[0].Rules = append(cfg.Routes[0].Rules, route.RuleConfig{Path: "/exact", Auth: route.Auth{Word: "deny"}})
	})
	bob := w.bearer("bob")
	w.refused(w.get("/x?y=/public/"), 401, notProvided)
	w.refused(w.get("/x?/public/x"), 401, notProvided)
	for _, target := range []string{"/exact", "/exact?", "/exact?x", "/exact?x=/public/", "/exact/", "/exact/?x"} {
		w.refused(w.get(target, bob), 403, noPermission)
	}
	w.untouched()
}

// CVE-2026-48020, CVE-2026-40912, CVE-2026-65600: what is left when a prefix has
// been taken off is another path than the one that was judged.
func TestAttackWhatAStrippedPrefixLeaves(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Routes = []route.Config{
			{Path: "/api/*", To: "app", StripPrefix: "/api", Auth: route.Auth{Word: "public"}},
			{Path: "/*", To: "app"},
		}
	})
	for _, target := range []string{
		"/api../staff", "/api/%2e%2e/staff", "/api/../staff", "/api/..;/staff", "/api%2f..%2fstaff", "/api/..%2fstaff", "/api;/../staff",
		"/api//staff", "/api/%2fstaff", "/api/%5cstaff", `/api\staff`, "/api//evil.example.com/", "/api/./..//staff",
	} {
		w.get(target)
		for _, in := range w.backend.requests() {
			if !strings.HasPrefix(in.Target, "/") || strings.HasPrefix(in.Target, "//") || strings.Contains(in.Target, "..") {
				t.Errorf("%s reached the backend as %s", target, in.Target)
			}
		}
	}
}

// CVE-2026-27588, CVE-2026-48794, CVE-2022-23632: a host in another spelling missed
// its route and fell through to a more open one.
func TestAttackHostSpellings(t *testing.T) {
	for _, hosts := range []int{1, 100, 1000} {
		w := open(t, nil, func(cfg *proxy.Config) {
			cfg.Routes = []route.Config{{To: "app", Auth: route.Auth{Word: "public"}}}
			for i := range hosts {
				cfg.Routes = append(cfg.Routes, route.Config{Host: []string{fmt.Sprintf("app%d.example.com", i)}, To: "app"},
					route.Config{Host: []string{fmt.Sprintf("*.wild%d.example.com", i)}, To: "app"})
			}
		})
		for _, host := range []string{
			"app0.example.com", "APP0.example.com", "app0.EXAMPLE.com", "app0.example.com.", "app0.example.com:80", "App0.Example.Com.:8080",
			"x.wild0.example.com", "X.Wild0.Example.COM", "x.y.WILD0.example.com.", "x.wild0.example.com:443",
		} {
			w.refused(w.raw("GET /x HTTP/1.1\nHost: "+host+"\n\n"), 401, notProvided)
			w.refused(w.raw("GET http://"+host+"/x HTTP/1.1\nHost: open.example.com\n\n"), 401, notProvided)
		}
		w.untouched()
	}
}

// A host that two parsers read differently, or that is none at all.
func TestAttackMalformedHosts(t *testing.T) {
	w := open(t, nil)
	for _, host := range []string{
		"", " ", "a b", "a,b", "app.example.com@evil", "evil:80@app.example.com", "app.example.com/x", "app.example.com:80:80", "app.example.com:x",
		"app.example.com:0", "app.example.com:70000", "app..example.com", ".example.com", "app.example.com..", "[::1", "::1", "[app]", "[::1%25eth0]",
		"app.example.com\x00", "äpp.example.com", "app%2eexample.com", "app.example.com#", "app.example.com?", "app.example.com:",
	} {
		got := w.raw("GET /public/ HTTP/1.1\nHost: " + host + "\n\n")
		if got.StatusCode != 400 {
			t.Errorf("Host %q: %d", host, got.StatusCode)
		}
	}
	if got := w.raw("GET /public/ HTTP/1.1\n\n"); got.StatusCode != 400 {
		t.Errorf("no Host: %d", got.StatusCode)
	}
	if got := w.raw("GET /public/ HTTP/1.0\nHost: a b\n\n"); got.StatusCode != 400 {
		t.Errorf("a bad Host, HTTP/1.0: %d", got.StatusCode)
	}
	if got := w.raw("GET /public/ HTTP/1.1\nHost: app.example.com\nHost: evil.example.com\n\n"); got.StatusCode != 400 {
		t.Errorf("two Hosts: %d", got.StatusCode)
	}
	w.untouched()
}

// A request in absolute form names two hosts; the one in the target is the one
// that is matched, and the one that the backend is told (RFC 9112, section 3.2.2).
func TestAttackAbsoluteFormWithAnotherHost(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Upstreams["other"] = upstream.Config{URL: "http://127.0.0.1:1"}
		cfg.Routes = []route.Config{
			{Host: []string{"open.example.com"}, To: "app", Auth: route.Auth{Word: "public"}},
			{Host: []string{"closed.example.com"}, To: "other"},
		}
	})
	w.refused(w.raw("GET http://closed.example.com/x HTTP/1.1\nHost: open.example.com\n\n"), 401, notProvided)
	w.untouched()
	if got := w.raw("GET http://open.example.com/x HTTP/1.1\nHost: closed.example.com\n\n"); got.StatusCode != 200 {
		t.Errorf("got %d", got.StatusCode)
	}
	in := w.only()
	if in.Host != "open.example.com" || in.Header.Get("X-Forwarded-Host") != "open.example.com" || in.Target != "/x" {
		t.Errorf("the backend got %s for %s, forwarded %s", in.Target, in.Host, in.Header.Get("X-Forwarded-Host"))
	}
}

// A user in front of the host, or another spelling of it, is a second opinion on
// where the host begins.
func TestAttackAbsoluteFormWithAUser(t *testing.T) {
	w := open(t, nil)
	for _, target := range []string{
		"http://x@app.example.com/public/", "http://app.example.com@app.example.com/public/", "http://:@app.example.com/public/",
		"ftp://app.example.com/public/", "http:app.example.com/public/", "http:/public/", "x://app.example.com/public/",
	} {
		if got := w.get(target); got.StatusCode != 400 {
			t.Errorf("%s: %d", target, got.StatusCode)
		}
	}
	w.untouched()
}

// CVE-2026-71324: a proxied CONNECT left a connection to the backend in a state that
// the next request met.
func TestAttackConnect(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) { cfg.Routes[0].Auth.Word = "public" })
	for _, target := range []string{"app.example.com:443", "127.0.0.1:22", "/public/", "http://app.example.com/public/", "*"} {
		got := w.all(crlf("CONNECT " + target + " HTTP/1.1\nHost: app.example.com\n\nGET /public/ HTTP/1.1\nHost: app.example.com\n\n"))
		if status := strings.TrimPrefix(got, "HTTP/1.1 "); !strings.HasPrefix(status, "405") && !strings.HasPrefix(status, "400") {
			t.Errorf("CONNECT %s: %q", target, got)
		}
		if strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("CONNECT %s: what follows was answered: %q", target, got)
		}
	}
	w.untouched()
}

// A path that only becomes a token endpoint, or comes near to one, never takes a
// password to a backend.
func TestAttackNearTheTokenEndpoints(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) { cfg.Routes[0].Auth.Word, cfg.Routes[0].Rules = "public", nil })
	for _, target := range []string{
		"/api/token/nothing", "/api/token/refresh/x", "/api/token//", "//api/token/", "/api//token/", "/api/./token/", "/x/../api/token/",
		"/api/token/./", "/api/token/x/..",
	} {
		w.refused(w.get(target), 404, notFound)
	}
	for _, target := range []string{"/api/token;x/", "/api;x/token/", "/api/token%2f", "/api/token%2frefresh/", "/api/token%00/", "/api/token/%2e%2e/x"} {
		if got := w.get(target); got.StatusCode != 400 && got.StatusCode != 404 {
			t.Errorf("%s: %d %s", target, got.StatusCode, got.Text)
		}
	}
	w.untouched()
	for target, status := range map[string]int{"/api/token/": 405, "/api/token": 405, "/api/%74oken/": 405, "/api/tokens/": 200, "/api/": 200} {
		if got := w.get(target); got.StatusCode != status && (status != 405 || got.StatusCode != 301) {
			t.Errorf("%s: %d, want %d", target, got.StatusCode, status)
		}
	}
}
