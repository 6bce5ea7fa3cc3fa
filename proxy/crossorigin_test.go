package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/cors"
	"gatehouse/proxy/route"
	"gatehouse/tokens"
)

const spa = "https://spa.example.com"

// withCORS is the site with a set on all of it, and exceptions.
func withCORS(cfg *proxy.Config) {
	cfg.CORS = map[string]cors.Config{
		"Spa":  {Origins: []string{spa}, Methods: []string{"GET", "POST", "DELETE"}, Headers: []string{"authorization", "x-csrf"}, Credentials: true, ExposeHeaders: []string{"Retry-After"}},
		"open": {Origins: []string{"*"}},
	}
	cfg.Routes[0].CORS = "spa"
	cfg.Routes[0].Rules = append(cfg.Routes[0].Rules,
		route.RuleConfig{Path: "/own/*", Auth: route.Auth{Word: "public"}, CORS: "none"},
		route.RuleConfig{Path: "/open/*", Auth: route.Auth{Word: "public"}, CORS: "open"},
		route.RuleConfig{Path: "/posts/*", Methods: []string{"POST"}, CORS: "open"},
		route.RuleConfig{Path: "/cookie/*", Access: route.Access{TokenFrom: []route.TokenSource{{Cookie: "access"}}}},
		route.RuleConfig{Path: "/opencookie/*", CORS: "open", Access: route.Access{TokenFrom: []route.TokenSource{{Cookie: "access"}}}},
	)
}

func preflight(path, origin, method, headers string) string {
	lines := []string{"Origin: " + origin, "Access-Control-Request-Method: " + method}
	if headers != "" {
		lines = append(lines, "Access-Control-Request-Headers: "+headers)
	}
	return head("OPTIONS", path, lines...)
}

func TestPreflightsAreAnsweredHere(t *testing.T) {
	w := open(t, nil, withCORS)
	for _, tc := range []struct {
		name, request string
		status        int
		origin        string // allowed
	}{
		{"a route that asks for a token", preflight("/x", spa, "GET", "authorization"), 204, spa},
		{"a rule for a group", preflight("/staff/x", spa, "DELETE", ""), 204, spa},
		{"what nobody may", preflight("/denied/x", spa, "GET", ""), 204, spa},
		{"the rule of the method that is to come", preflight("/posts/x", "https://other.test", "POST", ""), 204, "*"},
		{"and not of another", preflight("/posts/x", "https://other.test", "GET", ""), 403, ""},
		{"every origin", preflight("/open/x", "https://other.test", "GET", "content-type"), 204, "*"},
		{"another origin", preflight("/x", "https://evil.test", "GET", ""), 403, ""},
		{"no origin by name", preflight("/x", "null", "GET", ""), 403, ""},
		{"another method", preflight("/x", spa, "PUT", ""), 403, spa},
		{"another header", preflight("/x", spa, "GET", "x-other"), 403, spa},
	} {
		got := w.raw(tc.request)
		if got.StatusCode != tc.status || got.Header.Get("Access-Control-Allow-Origin") != tc.origin {
			t.Errorf("%s: %d %v", tc.name, got.StatusCode, got.Header)
		}
		if tc.status == 204 && (got.Text != "" || got.Header.Get("Access-Control-Allow-Methods") == "") {
			t.Errorf("%s: %q %v", tc.name, got.Text, got.Header)
		}
		if !strings.Contains(got.Header.Get("Vary"), "Origin, Access-Control-Request-Method, Access-Control-Request-Headers") && tc.origin != "*" {
			t.Errorf("%s: Vary %q", tc.name, got.Header["Vary"])
		}
		w.untouched()
	}
	eventually(t, "log", func() bool {
		return strings.Contains(w.log.String(), "reason=preflight") && strings.Contains(w.log.String(), "reason=cors_method")
	})
}

// What only looks like a preflight is a request, and asks for a token like any other.
func TestAttackOptionsThatAreNoPreflight(t *testing.T) {
	w := open(t, nil, withCORS)
	for name, request := range map[string]string{
		"no origin":            head("OPTIONS", "/x", "Access-Control-Request-Method: GET"),
		"no method":            head("OPTIONS", "/x", "Origin: "+spa),
		"two methods":          head("OPTIONS", "/x", "Origin: "+spa, "Access-Control-Request-Method: GET", "Access-Control-Request-Method: PUT"),
		"no method by grammar": head("OPTIONS", "/x", "Origin: "+spa, "Access-Control-Request-Method: G ET"),
	} {
		if got := w.raw(request); got.StatusCode != 401 {
			t.Errorf("%s: %d", name, got.StatusCode)
		}
	}
	// A path that cannot be decided is no better for it.
	if got := w.raw(preflight("/public/..%2fstaff", spa, "GET", "")); got.StatusCode != 400 {
		t.Errorf("a bad path: %d", got.StatusCode)
	}
	if got := w.raw(preflight("/STAFF/x", spa, "GET", "")); got.StatusCode != 400 {
		t.Errorf("a path in another letter case: %d", got.StatusCode)
	}
	w.untouched()
	// Where gatehouse has no word on it, the upstream has.
	if got := w.raw(preflight("/own/x", spa, "GET", "")); got.StatusCode != 200 || w.only().Method != "OPTIONS" {
		t.Errorf("a route without cors: %d", got.StatusCode)
	}
}

func TestEveryAnswerCarriesTheHeadersOfItsRoute(t *testing.T) {
	w := open(t, func(w http.ResponseWriter, in *http.Request) {
		if strings.HasSuffix(in.URL.Path, "/broken") {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Add("Access-Control-Allow-Credentials", "false")
		w.Header().Set("Access-Control-Allow-Private-Network", "true")
	}, withCORS, func(cfg *proxy.Config) { cfg.Server.MaxBody = 10 })
	bob := w.bearer("bob")
	for _, tc := range []struct {
		name, request string
		status        int
		vary          string
	}{
		{"passed", head("GET", "/x", bob, "Origin: "+spa), 200, "Accept-Encoding, Origin"},
		{"public", head("GET", "/public/x", "Origin: "+spa), 200, "Accept-Encoding, Origin"},
		{"401", head("GET", "/x", "Origin: "+spa), 401, "Origin"},
		{"a bad token", head("GET", "/x", "Origin: "+spa, "Authorization: Bearer x"), 401, "Origin"},
		{"403", head("GET", "/staff/x", bob, "Origin: "+spa), 403, "Origin"},
		{"denied", head("GET", "/denied/x", bob, "Origin: "+spa), 403, "Origin"},
		{"413", head("POST", "/x", bob, "Origin: "+spa, "Content-Length: 11"), 413, "Origin"},
		{"502", head("POST", "/broken", bob, "Origin: "+spa, "Content-Length: 0"), 502, "Origin"},
	} {
		got := w.raw(tc.request)
		if got.StatusCode != tc.status {
			t.Errorf("%s: %d", tc.name, got.StatusCode)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": spa, "Access-Control-Allow-Credentials": "true", "Access-Control-Expose-Headers": "Retry-After",
			"Access-Control-Allow-Private-Network": "", "Vary": tc.vary,
		} {
			if got := strings.Join(got.Header[http.CanonicalHeaderKey(name)], "|"); got != want {
				t.Errorf("%s: %s %q, want %q", tc.name, name, got, want)
			}
		}
		// Another origin learns nothing, and caches are told that it does.
		got = w.raw(strings.Replace(tc.request, spa, "https://evil.test", 1))
		for name := range got.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: another origin is told %s: %s", tc.name, name, got.Header[name])
			}
		}
		if got.Header.Get("Vary") != tc.vary {
			t.Errorf("%s: Vary %q for another origin", tc.name, got.Header["Vary"])
		}
		w.backend.requests()
	}
	// Without a set nothing is touched.
	got := w.get("/own/x", "Origin: "+spa)
	if got.Header.Get("Access-Control-Allow-Origin") != "*" || got.Header.Get("Access-Control-Allow-Private-Network") != "true" || got.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("without a set: %v", got.Header)
	}
}

// A listed origin with credentials may act with the user's cookie; no other one may.
func TestOriginsThatMayActWithACookie(t *testing.T) {
	w := open(t, nil, withCORS)
	cookie := "Cookie: access=" + w.token("bob")
	for _, tc := range []struct {
		name, path, origin string
		status             int
	}{
		{"a listed one", "/cookie/x", spa, 200},
		{"another one", "/cookie/x", "https://evil.test", 403},
		{"a listed one without credentials", "/opencookie/x", spa, 403},
	} {
		got := w.raw(head("DELETE", tc.path, cookie, "Origin: "+tc.origin, "Sec-Fetch-Site: cross-site"))
		if got.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, got.StatusCode, got.Text)
		}
	}
}

func TestCORSOfTheTokenEndpoints(t *testing.T) {
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	withCORS(&cfg)
	p := parts(t, nil)
	p.Endpoints = append([]tokens.Endpoint(nil), p.Endpoints...)
	for i := range p.Endpoints {
		p.Endpoints[i].CORS = "SPA"
	}
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)

	if got := w.raw(preflight("/api/token/", spa, "POST", "")); got.StatusCode != 204 || got.Header.Get("Access-Control-Allow-Origin") != spa {
		t.Errorf("preflight: %d %v", got.StatusCode, got.Header)
	}
	if got := w.raw(preflight("/api/token/", "https://evil.test", "POST", "")); got.StatusCode != 403 || got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of another origin: %d %v", got.StatusCode, got.Header)
	}
	for path, status := range map[string]int{"/api/token/": 400, "/api/token/verify/": 400, "/api/token/x": 404} {
		got := w.raw(head("POST", path, "Origin: "+spa, "Content-Type: application/json", "Content-Length: 2") + "{}")
		if got.StatusCode != status || got.Header.Get("Access-Control-Allow-Origin") != spa || got.Header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s: %d %v", path, got.StatusCode, got.Header)
		}
	}
	if got := w.raw(head("OPTIONS", "/api/token/", "Origin: "+spa)); got.StatusCode != 200 || !strings.Contains(got.Text, "Token Obtain Pair") {
		t.Errorf("OPTIONS that is no preflight: %d %s", got.StatusCode, got.Text)
	}

	p.Endpoints[len(p.Endpoints)-1].CORS = "other"
	if _, err := proxy.New(cfg, p); err == nil || !strings.Contains(err.Error(), `no set of cors is called "other"`) {
		t.Errorf("an unknown set: %v", err)
	}
}
