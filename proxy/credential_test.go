package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// places is a site that looks for tokens in the header, in a cookie and in the query.
func places(t *testing.T, change ...func(*proxy.Config)) *world {
	t.Helper()
	return open(t, nil, append([]func(*proxy.Config){rules(
		route.RuleConfig{Path: "/all/*", Access: route.Access{TokenFrom: []route.TokenSource{{Word: "header"}, {Cookie: "access"}, {Query: "access_token"}}}},
		route.RuleConfig{Path: "/cookie/*", Access: route.Access{TokenFrom: []route.TokenSource{{Cookie: "access"}}}},
		route.RuleConfig{Path: "/query/*", Access: route.Access{TokenFrom: []route.TokenSource{{Query: "access_token"}}}},
		route.RuleConfig{Path: "/maybe/*", Auth: route.Auth{Word: "optional"}, Access: route.Access{TokenFrom: []route.TokenSource{{Word: "header"}, {Cookie: "access"}}}},
		route.RuleConfig{Path: "/public/*", Auth: route.Auth{Word: "public"}, Access: route.Access{TokenFrom: []route.TokenSource{{Cookie: "access"}, {Query: "access_token"}}}},
	)}, change...)...)
}

func TestWhereATokenIsLookedFor(t *testing.T) {
	w := places(t)
	alice, bob := w.token("alice"), w.token("bob")
	for _, tc := range []struct {
		name, target string
		headers      []string
		status       int
		user         string
		forwarded    string // target
		cookie       string // as forwarded
	}{
		{"the header", "/all/x", []string{"Authorization: Bearer " + bob}, 200, "bob", "/all/x", ""},
		{"the cookie", "/all/x", []string{"Cookie: access=" + bob}, 200, "bob", "/all/x", ""},
		{"the cookie among others", "/all/x", []string{"Cookie: a=1; access=" + bob + "; b=2"}, 200, "bob", "/all/x", "a=1; b=2"},
		{"the cookie in a line of its own", "/all/x", []string{"Cookie: a=1", "Cookie: access=" + bob}, 200, "bob", "/all/x", "a=1"},
		{"a cookie that begins alike", "/all/x", []string{"Cookie: access2=" + alice + ";access=" + bob}, 200, "bob", "/all/x", "access2=" + alice},
		{"the query", "/all/x?access_token=" + bob, nil, 200, "bob", "/all/x", ""},
		{"the query among others, which stay as they were sent", "/all/x?a=1&access_token=" + bob + "&b=%zz&c;d", nil, 200, "bob", "/all/x?a=1&b=%zz&c;d", ""},
		{"the query under an escaped name", "/all/x?access%5Ftoken=" + bob + "&%zz", nil, 200, "bob", "/all/x?%zz", ""},
		{"an empty query stays", "/all/x?", []string{"Authorization: Bearer " + bob}, 200, "bob", "/all/x?", ""},
		{"the same token three times", "/all/x?access_token=" + bob, []string{"Authorization: Bearer " + bob, "Cookie: access=" + bob}, 200, "bob", "/all/x", ""},
		{"an empty cookie is none", "/all/x?access_token=" + bob, []string{"Cookie: access="}, 200, "bob", "/all/x", ""},
		{"another scheme in the header", "/all/x", []string{"Authorization: Basic eDp5", "Cookie: access=" + bob}, 200, "bob", "/all/x", ""},
		{"header and cookie of two users", "/all/x", []string{"Authorization: Bearer " + bob, "Cookie: access=" + alice}, 400, "", "", ""},
		{"a good header and a bad cookie", "/all/x", []string{"Authorization: Bearer " + bob, "Cookie: access=old"}, 400, "", "", ""},
		{"header and query of two users", "/all/x?access_token=" + alice, []string{"Authorization: Bearer " + bob}, 400, "", "", ""},
		{"cookie and query of two users", "/all/x?access_token=" + alice, []string{"Cookie: access=" + bob}, 400, "", "", ""},
		{"two cookies of one name", "/all/x", []string{"Cookie: access=" + bob + "; access=" + alice}, 400, "", "", ""},
		{"two parameters of one name", "/all/x?access_token=" + bob + "&access_token=" + alice, nil, 400, "", "", ""},
		{"a parameter behind a semicolon", "/all/x?a=1;access_token=" + bob, nil, 400, "", "", ""},
		{"a parameter behind a semicolon, beside a good one", "/all/x?access_token=" + bob + "&a;access_token=" + alice, nil, 400, "", "", ""},
		{"a malformed header and a good cookie", "/all/x", []string{"Authorization: Bearer a b", "Cookie: access=" + bob}, 400, "", "", ""},
		{"a malformed header", "/all/x", []string{"Authorization: Bearer a b"}, 401, "", "", ""},
		{"a bad cookie", "/all/x", []string{"Cookie: access=garbage"}, 401, "", "", ""},
		{"a cookie in quotes", "/all/x", []string{`Cookie: access="` + bob + `"`}, 401, "", "", ""},
		{"another letter case of the cookie", "/all/x", []string{"Cookie: Access=" + bob}, 401, "", "", ""},
		{"another letter case of the parameter", "/all/x?Access_Token=" + bob, nil, 401, "", "", ""},
		{"a header where only the cookie counts", "/cookie/x", []string{"Authorization: Bearer " + bob}, 401, "", "", ""},
		{"a query where only the cookie counts", "/cookie/x?access_token=" + bob, nil, 401, "", "", ""},
		{"a cookie where only the query counts", "/query/x", []string{"Cookie: access=" + bob}, 401, "", "", ""},
		{"a bad cookie where nobody has to log in", "/maybe/x", []string{"Cookie: access=garbage"}, 401, "", "", ""},
		{"no cookie where nobody has to log in", "/maybe/x", []string{"Cookie: a=1"}, 200, "", "/maybe/x", "a=1"},
		{"what is withheld on public paths too", "/public/x?a=1&access_token=" + bob, []string{"Cookie: access=" + alice + "; a=1"}, 200, "", "/public/x?a=1", "a=1"},
		{"nothing is withheld where it is no token", "/x?access_token=" + bob, []string{"Authorization: Bearer " + alice, "Cookie: access=" + bob}, 200, "alice", "/x?access_token=" + bob, "access=" + bob},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{T: t, backend: w.backend, addr: w.addr, log: w.log}
			got := w.get(tc.target, tc.headers...)
			if got.StatusCode != tc.status {
				t.Fatalf("%d %s, want %d", got.StatusCode, got.Text, tc.status)
			}
			if tc.status != 200 {
				w.untouched()
				return
			}
			in := w.only()
			if in.Header.Get("X-User-Name") != tc.user || in.Target != tc.forwarded || strings.Join(in.Header["Cookie"], "|") != tc.cookie || in.Header.Get("Authorization") != "" {
				t.Errorf("the backend got %s for %q with cookies %q and Authorization %q", in.Target, in.Header.Get("X-User-Name"), in.Header["Cookie"], in.Header["Authorization"])
			}
		})
	}
	for _, secret := range []string{alice, bob, "access_token"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("the log holds %.20s", secret)
		}
	}
}

// The token is in the address of the page, and so in the Referer of what the page asks for.
func TestAttackTheRefererHoldsTheToken(t *testing.T) {
	w := places(t)
	bob := w.token("bob")
	w.get("/query/x?access_token="+bob, "Referer: http://app.example.com/query/page?a=1&access%5ftoken="+bob)
	if got := w.only().Header.Get("Referer"); got != "http://app.example.com/query/page" {
		t.Errorf("Referer %q", got)
	}
	w.get("/query/x?access_token="+bob, "Referer: http://app.example.com/query/page?a=1")
	if got := w.only().Header.Get("Referer"); got != "http://app.example.com/query/page?a=1" {
		t.Errorf("Referer %q", got)
	}
	if strings.Contains(w.backend.wire.String(), bob) {
		t.Error("the token reached the backend")
	}
}

func TestATokenThatIsHandedOnIsInTheHeader(t *testing.T) {
	w := places(t, func(cfg *proxy.Config) { cfg.Identity.ForwardToken = true })
	bob := w.token("bob")
	for _, request := range []string{
		head("GET", "/all/x", "Authorization: Bearer "+bob), head("GET", "/all/x", "Cookie: access="+bob), head("GET", "/all/x?access_token="+bob),
	} {
		w.raw(request)
		if in := w.only(); in.Header.Get("Authorization") != "Bearer "+bob || in.Target != "/all/x" || in.Header["Cookie"] != nil {
			t.Errorf("the backend got %s %v", in.Target, in.Header)
		}
	}
	// A cookie beside a header of another scheme: the header is not the token.
	w.get("/maybe/x", "Authorization: Basic eDp5", "Cookie: a=1")
	if in := w.only(); in.Header.Get("Authorization") != "Basic eDp5" {
		t.Errorf("the backend got %v", in.Header)
	}
}

// A page of somebody else's makes a browser send a form, or open a WebSocket: the
// cookie comes with it. What a browser does not vouch for is refused.
func TestAttackCrossSiteRequestForgery(t *testing.T) {
	w := places(t)
	bob := w.token("bob")
	cookie := "Cookie: access=" + bob
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	for _, tc := range []struct {
		name, method string
		headers      []string
		status       int
	}{
		{"a page is opened from anywhere", "GET", []string{"Sec-Fetch-Site: cross-site"}, 200},
		{"HEAD", "HEAD", nil, 200},
		{"OPTIONS", "OPTIONS", nil, 200},
		{"a form of this site", "POST", []string{"Sec-Fetch-Site: same-origin"}, 200},
		{"a bookmark", "POST", []string{"Sec-Fetch-Site: none"}, 200},
		{"a form of this site in an old browser", "POST", []string{"Origin: http://app.example.com"}, 200},
		{"a form of another site", "POST", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.test"}, 403},
		{"a form of a sibling", "POST", []string{"Sec-Fetch-Site: same-site", "Origin: http://evil.example.com"}, 403},
		{"another site, whatever Origin says", "POST", []string{"Sec-Fetch-Site: cross-site", "Origin: http://app.example.com"}, 403},
		{"a form of another site in an old browser", "POST", []string{"Origin: https://evil.test"}, 403},
		{"another scheme", "POST", []string{"Origin: https://app.example.com"}, 403},
		{"another port", "POST", []string{"Origin: http://app.example.com:81"}, 403},
		{"a longer name", "POST", []string{"Origin: http://app.example.com.evil.test"}, 403},
		{"a shorter name", "POST", []string{"Origin: http://example.com"}, 403},
		{"no origin by name", "POST", []string{"Origin: null"}, 403},
		{"an empty origin", "POST", []string{"Origin:"}, 403},
		{"two origins", "POST", []string{"Origin: http://app.example.com", "Origin: https://evil.test"}, 403},
		{"two answers about the site", "POST", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, 403},
		{"a Referer is no proof", "POST", []string{"Referer: http://app.example.com/"}, 403},
		{"a host that was forwarded is no proof", "POST", []string{"X-Forwarded-Host: evil.test", "Origin: http://evil.test"}, 403},
		{"nothing is said", "POST", nil, 403},
		{"nothing is said, PUT", "PUT", nil, 403},
		{"nothing is said, DELETE", "DELETE", nil, 403},
		{"nothing is said, a method of nobody's", "PROPFIND", nil, 403},
		{"another method in a header", "GET", []string{"X-HTTP-Method-Override: DELETE"}, 403},
		{"another method in a header, folded", "GET", []string{"X_Http_Method: DELETE"}, 403},
		{"a WebSocket of this site", "GET", append(upgrade, "Origin: http://app.example.com"), 200},
		{"a WebSocket of another site", "GET", append(upgrade, "Origin: https://evil.test"), 403},
		{"a WebSocket that says nothing", "GET", upgrade, 403},
		{"a WebSocket whose upgrade a proxy has kept", "GET", upgrade[2:], 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{T: t, backend: w.backend, addr: w.addr, log: w.log}
			for _, path := range []string{"/all/x", "/cookie/x", "/maybe/x"} {
				got := w.raw(head(tc.method, path, append(tc.headers, cookie)...))
				if got.StatusCode != tc.status {
					t.Errorf("%s: %d %s, want %d", path, got.StatusCode, got.Text, tc.status)
				}
				if tc.status == 403 {
					w.refused(got, 403, `{"detail":"CSRF Failed: the request is not from a page of this site."}`)
					w.untouched()
				}
			}
			w.backend.requests()
			// Who has the token itself is no page of somebody else's.
			for _, request := range []string{
				head(tc.method, "/all/x", append(tc.headers, cookie, "Authorization: Bearer "+bob)...),
				head(tc.method, "/all/x?access_token="+bob, append(tc.headers, cookie)...),
			} {
				if got := w.raw(request); got.StatusCode != http.StatusOK {
					t.Errorf("with the token beside the cookie: %d %s", got.StatusCode, got.Text)
				}
			}
			w.backend.requests()
		})
	}
}
