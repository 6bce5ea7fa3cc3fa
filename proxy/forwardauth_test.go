package proxy_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
)

// checks is the site with the endpoint for other proxies.
func checks(from, urlFrom string) func(*proxy.Config) {
	return func(cfg *proxy.Config) {
		cfg.Server.AuthCheck.From = []string{from}
		cfg.Server.AuthCheck.URLFrom = urlFrom
	}
}

func asForwarded(method, uri string, more ...string) string {
	return head("GET", "/auth/check", append([]string{"X-Forwarded-Method: " + method, "X-Forwarded-Proto: https", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: " + uri}, more...)...)
}

func asOriginal(method, uri string, more ...string) string {
	return head("GET", "/auth/check", append([]string{"X-Original-Method: " + method, "X-Original-URL: https://app.example.com" + uri}, more...)...)
}

func asPath(method, uri string, more ...string) string {
	return head(method, "/auth/check"+uri, more...)
}

// The table of routes, asked by each kind of proxy.
func TestAuthCheckAnswersAsTheTableDoes(t *testing.T) {
	for urlFrom, ask := range map[string]func(method, uri string, more ...string) string{"x-forwarded": asForwarded, "x-original": asOriginal, "path": asPath} {
		t.Run(urlFrom, func(t *testing.T) {
			w := open(t, nil, checks("127.0.0.0/8", urlFrom), func(cfg *proxy.Config) {
				cfg.Identity.AlsoStrip = []string{"X-Remote-*"}
				cfg.Identity.Headers = map[string]identity.Source{"X-User-Id": {Word: "user_id"}, "X-User-Name": {Word: "username"}, "X-Forwarded-User": {Word: "username"}}
			})
			alice, bob := w.bearer("alice"), w.bearer("bob")
			for _, tc := range []struct {
				name, method, uri string
				headers           []string
				status            int
				user              string
				body              string
			}{
				{"a good token", "GET", "/x", []string{alice}, 200, "alice", ""},
				{"another method", "DELETE", "/x?a=1", []string{bob}, 200, "bob", ""},
				{"public", "GET", "/public/x", nil, 200, "", ""},
				{"public, with a bad token", "GET", "/public/x", []string{"Authorization: Bearer x"}, 200, "", ""},
				{"optional", "GET", "/optional/x", nil, 200, "", ""},
				{"a rule for one method", "GET", "/read/x", nil, 200, "", ""},
				{"and for others", "POST", "/read/x", nil, 401, "", notProvided},
				{"no token", "GET", "/x", nil, 401, "", notProvided},
				{"HEAD", "HEAD", "/x", nil, 401, "", map[bool]string{true: "", false: notProvided}[urlFrom == "path"]},
				{"a bad token", "GET", "/optional/x", []string{"Authorization: Bearer garbage"}, 401, "", invalid},
				{"a group", "GET", "/staff/x", []string{alice}, 200, "alice", ""},
				{"another group", "GET", "/staff/x", []string{bob}, 403, "", noPermission},
				{"denied", "GET", "/denied/x", []string{alice}, 403, "", noPermission},
				{"traversal is 401 for where it leads", "GET", "/public/../x", nil, 401, "", notProvided},
				{"traversal into what is public is forwarded as it was sent, and so refused", "GET", "/staff/../public/x", nil, 403, "", ""},
				{"doubled slashes too", "GET", "//public//x", nil, 403, "", ""},
				{"an escaped letter is the same everywhere", "GET", "/%70ublic/x", nil, 200, "", ""},
				{"an encoded slash", "GET", "/public/..%2fstaff", nil, 403, "", ""},
				{"a NUL", "GET", "/public/%00", nil, 403, "", ""},
				{"a fragment", "GET", "/public/x#a", nil, 403, "", ""},
				{"the token endpoints are gatehouse's alone", "POST", "/api/token/", nil, 403, "", notFound},
				{"a question about a question", "GET", "/auth/check", nil, 403, "", notFound},
				{"a preflight is an OPTIONS", "OPTIONS", "/x", []string{"Origin: https://a.test", "Access-Control-Request-Method: GET"}, 401, "", notProvided},
				{"two Authorization headers", "GET", "/x", []string{alice, bob}, 403, "", ""},
				{"an identity of the client's own", "GET", "/public/x", []string{"X-User-Id: 1"}, 403, "", ""},
				{"an identity under another spelling", "GET", "/public/x", []string{"X_User_Id: 1"}, 403, "", ""},
				{"a header to strip", "GET", "/public/x", []string{"X-Remote-User: 1"}, 403, "", ""},
				{"another path for the backend", "GET", "/public/x", []string{"X-Rewrite-URL: /x"}, 403, "", ""},
				{"where the path begins", "GET", "/public/x", []string{"Script_Name: /public"}, 403, "", ""},
				{"an identity in a family of proxies", "GET", "/public/x", []string{"X-Forwarded-User: root"}, 403, "", ""},
				{"an address in a spelling that no proxy uses", "GET", "/public/x", []string{"X_Forwarded_For: 192.0.2.1"}, 403, "", ""},
				{"what proxies add", "GET", "/public/x", []string{"X-Real-IP: 192.0.2.1", "CF-Connecting-IP: 192.0.2.1", "X-Forwarded-Port: 443", "X-Original-Forwarded-For: 192.0.2.1"}, 200, "", ""},
				{"an identity beside a good token", "GET", "/x", []string{bob, "x.user.groups: staff"}, 403, "", ""},
			} {
				got := w.raw(ask(tc.method, tc.uri, tc.headers...))
				if got.StatusCode != tc.status || tc.body != "" && got.Text != tc.body {
					t.Errorf("%s: %d %s, want %d %s", tc.name, got.StatusCode, got.Text, tc.status, tc.body)
				}
				// All of them, also where there is nothing to say: whoever copies them writes over the client's.
				_, said := got.Header["X-User-Name"]
				if got.Header.Get("X-User-Name") != tc.user || said != (tc.status == 200) {
					t.Errorf("%s: X-User-Name %q", tc.name, got.Header["X-User-Name"])
				}
				if tc.status == 401 && got.Header.Get("WWW-Authenticate") != `Bearer realm="api"` {
					t.Errorf("%s: WWW-Authenticate %q", tc.name, got.Header["Www-Authenticate"])
				}
				if got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: Cache-Control %q", tc.name, got.Header["Cache-Control"])
				}
			}
			w.untouched()
			w.log.Reset()
			w.raw(ask("PUT", "/x", alice))
			eventually(t, "log", func() bool {
				return strings.Contains(w.log.String(), "method=PUT host=app.example.com path=/x decision=checked status=200") && strings.Contains(w.log.String(), "user_id=1")
			})
		})
	}
}

// CVE-2021-32637, CVE-2026-25748: a question that could not be read was answered 200.
func TestAttackAQuestionThatCannotBeRead(t *testing.T) {
	for _, tc := range []struct{ name, urlFrom, request string }{
		{"nothing is said", "x-forwarded", head("GET", "/auth/check")},
		{"no method", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "X-Forwarded-Method: GET\n", "", 1)},
		{"no scheme", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "X-Forwarded-Proto: https\n", "", 1)},
		{"no host", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "X-Forwarded-Host: app.example.com\n", "", 1)},
		{"no target", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "X-Forwarded-Uri: /public/x\n", "", 1)},
		{"two targets", "x-forwarded", asForwarded("GET", "/public/x", "X-Forwarded-Uri: /public/x")},
		{"two hosts", "x-forwarded", asForwarded("GET", "/public/x", "X-Forwarded-Host: other.example.com")},
		{"two hosts in a list", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "Host: app.example.com\nX-Forwarded-Uri", "Host: app.example.com, b\nX-Forwarded-Uri", 1)},
		{"a list of schemes", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "https", "https,http", 1)},
		{"another scheme", "x-forwarded", strings.Replace(asForwarded("GET", "/public/x"), "https", "javascript", 1)},
		{"a whole URL for a target", "x-forwarded", asForwarded("GET", "https://app.example.com/public/x")},
		{"a target without slash", "x-forwarded", asForwarded("GET", "public/x")},
		{"a star", "x-forwarded", asForwarded("OPTIONS", "*")},
		{"a space in the target", "x-forwarded", asForwarded("GET", "/public/x HTTP/1.1")},
		{"a method that is none", "x-forwarded", asForwarded("G/ET", "/public/x")},
		{"CONNECT", "x-forwarded", asForwarded("CONNECT", "/public/x")},
		{"the family of others", "x-forwarded", asOriginal("GET", "/public/x")},
		{"the family of others, beside", "x-original", asForwarded("GET", "/public/x")},
		{"no scheme in the URL", "x-original", head("GET", "/auth/check", "X-Original-Method: GET", "X-Original-URL: app.example.com/public/x")},
		{"a path for a URL", "x-original", head("GET", "/auth/check", "X-Original-Method: GET", "X-Original-URL: /public/x")},
		{"no path in the URL", "x-original", head("GET", "/auth/check", "X-Original-Method: GET", "X-Original-URL: https://app.example.com")},
		{"a user in the URL", "x-original", head("GET", "/auth/check", "X-Original-Method: GET", "X-Original-URL: https://a@app.example.com/public/x")},
		{"two URLs", "x-original", asOriginal("GET", "/public/x", "X-Original-URL: https://app.example.com/public/x")},
		{"another target beside the URL", "x-original", asOriginal("GET", "/public/x", "X-Original-URI: /staff/x")},
		{"no method for the URL", "x-original", head("GET", "/auth/check", "X-Original-URL: https://app.example.com/public/x")},
		{"nothing behind the path", "path", asPath("GET", "")},
		{"a query behind the path", "path", asPath("GET", "?/public/x")},
		{"two slashes behind the path lead to nobody's host", "path", head("GET", "/auth/check//other.example.com/../../x")},
		{"a scheme that is none", "path", asPath("GET", "/public/x", "X-Forwarded-Proto: ftp")},
	} {
		w := open(t, nil, checks("127.0.0.1", tc.urlFrom))
		got := w.raw(tc.request)
		if got.StatusCode != 403 && got.StatusCode != 401 {
			t.Errorf("%s: %d %s", tc.name, got.StatusCode, got.Text)
		}
		w.untouched()
	}
}

func TestWhoMayAsk(t *testing.T) {
	// Not asked for, it is a path like any other.
	w := open(t, nil)
	if got := w.raw(asForwarded("GET", "/public/x")); got.StatusCode != 401 {
		t.Errorf("without configuration: %d", got.StatusCode)
	}
	w = open(t, nil, checks("192.0.2.0/24", "x-forwarded"))
	for name, request := range map[string]string{
		"another peer":             asForwarded("GET", "/public/x"),
		"who says another address": asForwarded("GET", "/public/x", "X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.1"),
	} {
		w.refused(w.raw(request), 403, noPermission)
		eventually(t, name, func() bool { return strings.Contains(w.log.String(), "reason=check_peer") })
	}
	// Every other spelling of the path is nobody's, and no upstream's.
	for _, target := range []string{"/auth/check/", "/auth/check/x", "/auth//check", "/auth/x/../check", "/auth/chec%6b", "http://app.example.com/auth/check"} {
		if got := w.get(target, w.bearer("alice")); got.StatusCode != 404 {
			t.Errorf("%s: %d", target, got.StatusCode)
		}
	}
	w.untouched()
}

func TestAttackQuestionsBelieveOnePlaceAlone(t *testing.T) {
	w := open(t, nil, checks("127.0.0.1", "x-original"))
	got := w.raw(asOriginal("GET", "/staff/x", "X-Forwarded-Uri: /public/x", "X-Forwarded-Method: GET", "X-Forwarded-Host: a", "X-Forwarded-Proto: https", "X-Rewrite-URL: /public/x", "Forwarded: host=a"))
	w.refused(got, 401, notProvided)
	w = open(t, nil, checks("127.0.0.1", "path"))
	got = w.raw(asPath("GET", "/staff/x", "X-Original-URL: https://app.example.com/public/x", "X-Forwarded-Uri: /public/x", "X-HTTP-Method-Override: GET"))
	w.refused(got, 401, notProvided)
	// A backend may take it for the path, and only nginx is told to write over it.
	got = w.raw(asPath("GET", "/public/x", "X-Original-URL: /staff/x"))
	w.refused(got, 403, `{"detail":"The request has a header that only the gateway may set."}`)
}

func TestAuthCheckSendsToLogin(t *testing.T) {
	for _, redirect := range []bool{false, true} {
		w := open(t, nil, checks("127.0.0.1", "x-forwarded"), func(cfg *proxy.Config) {
			cfg.Server.AuthCheck.Redirect = redirect
			cfg.Routes[0].Rules = []route.RuleConfig{{Path: "/login", Auth: route.Auth{Word: "public"}}, {Path: "/far/*", Access: route.Access{LoginURL: "https://login.example.com/?rd="}}}
			cfg.Routes[0].LoginURL = "/login"
		})
		status := map[bool]int{false: 401, true: 302}[redirect]
		for uri, location := range map[string]string{
			"/x?a=1": "/login?next=%2Fx%3Fa%3D1", "/far/x": "https://login.example.com/?rd=https%3A%2F%2Fapp.example.com%2Ffar%2Fx",
		} {
			got := w.raw(asForwarded("GET", uri, "Accept: text/html"))
			if got.StatusCode != status || got.Header.Get("Location") != location {
				t.Errorf("redirect %v: %d %q, want %d %q", redirect, got.StatusCode, got.Header["Location"], status, location)
			}
		}
		if got := w.raw(asForwarded("POST", "/x", "Accept: text/html")); got.StatusCode != 401 || got.Header.Get("Location") != "" {
			t.Errorf("a form: %d %q", got.StatusCode, got.Header["Location"])
		}
	}
}

func TestAuthCheckCountsAndReports(t *testing.T) {
	w := open(t, nil, checks("127.0.0.1", "x-forwarded"), func(cfg *proxy.Config) {
		cfg.Server.TrustedProxies = []string{"127.0.0.1"}
		cfg.Routes[0].Rules = []route.RuleConfig{
			{Path: "/limited", Auth: route.Auth{Word: "public"}, RateLimit: route.RateLimit{By: "network", Rate: slow}},
			{Path: "/report", Access: route.Access{Mode: "report"}},
		}
	})
	var got []int
	for _, address := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"} {
		got = append(got, w.raw(asForwarded("GET", "/limited", from(address))).StatusCode)
	}
	if !slices.Equal(got, []int{200, 200, 403, 200}) {
		t.Errorf("got %v", got)
	}
	if got := w.raw(asForwarded("GET", "/report", "Authorization: Bearer garbage")); got.StatusCode != 200 || got.Header.Get("X-User-Id") != "" {
		t.Errorf("report: %d %v", got.StatusCode, got.Header)
	}
	eventually(t, "log", func() bool { return strings.Contains(w.log.String(), "reported=token_invalid") })
}

func TestFaultsOfAuthCheck(t *testing.T) {
	for want, check := range map[string]proxy.AuthCheck{
		"nobody may ask":                                     {Path: "/auth/check", URLFrom: "path"},
		"it is not said where the proxies say":               {Path: "/auth/check", From: []string{"127.0.0.1"}},
		`there is no place "header"`:                         {Path: "/auth/check", From: []string{"127.0.0.1"}, URLFrom: "header"},
		`"/auth/" is no path`:                                {Path: "/auth/", From: []string{"127.0.0.1"}, URLFrom: "path"},
		`"" is no path`:                                      {From: []string{"127.0.0.1"}, URLFrom: "path"},
		`"localhost" is not an address`:                      {Path: "/auth/check", From: []string{"localhost"}, URLFrom: "path"},
		"gatehouse itself answers /public, so no request co": {Path: "/public", From: []string{"127.0.0.1"}, URLFrom: "x-original"},
	} {
		cfg := site("127.0.0.1:1")
		cfg.Routes[0].Rules[0].Path = "/public"
		cfg.Server.AuthCheck = check
		if _, err := proxy.New(cfg, parts(t, nil)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// FuzzAuthCheck states that a question is answered 200, 401 or 403 and nothing else,
// and 200 without a token only about what is public for a request that came here.
func FuzzAuthCheck(f *testing.F) {
	gateways := map[string]*proxy.Gateway{}
	for _, urlFrom := range []string{"x-forwarded", "x-original", "path"} {
		cfg := site("127.0.0.1:1")
		checks("192.0.2.0/24", urlFrom)(&cfg)
		gateways[urlFrom] = newGateway(f, cfg, nil)
	}
	for _, seed := range []string{asForwarded("GET", "/public/../staff"), asOriginal("GET", "/public/x%2f"), asPath("POST", "/public/..;/x"), asForwarded("get", "//public"), asPath("GET", "/%2e%2e/x"), asOriginal("GET", "/staff#/public")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(raw, "\n", "\r\n"))))
		if err != nil {
			return
		}
		in.RemoteAddr = "192.0.2.1:1234"
		for urlFrom, gateway := range gateways {
			original, ok := gateway.Original(in)
			if !ok {
				continue
			}
			answer := httptest.NewRecorder()
			gateway.ServeHTTP(answer, in.Clone(t.Context()))
			switch answer.Code {
			case 200:
				if original == nil {
					t.Fatalf("%s: 200 for a question that cannot be read: %q", urlFrom, raw)
				}
				d, refusal := gateway.Decide(original)
				policy := d.Match.Policy()
				if refusal != nil || d.Match.Route == nil || !policy.Anonymous() {
					t.Errorf("%s: 200, and a request of the same is refused: %q, %v", urlFrom, raw, refusal)
				}
				resolved := loosest(d.Path.Target())
				if !strings.HasPrefix(resolved+"/", "/public/") && !strings.HasPrefix(resolved+"/", "/optional/") && !strings.HasPrefix(resolved+"/", "/read/") {
					t.Errorf("%s: 200 for %q, which is %q", urlFrom, raw, resolved)
				}
			case 401, 403:
			default:
				t.Errorf("%s: %d for %q", urlFrom, answer.Code, raw)
			}
		}
	})
}
