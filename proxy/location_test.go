package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// stripped is an application below /old that lies at its own root, with a rule that
// sends /old/v1 elsewhere.
func stripped(cfg *proxy.Config) {
	cfg.Routes = []route.Config{{
		To: "app", Path: "/old/*", StripPrefix: "/old", Auth: route.Auth{Word: "public"}, EncodedSlash: "keep",
		Rules: []route.RuleConfig{
			{Path: "/old/v1/*", Rewrite: route.Rewrite{From: "/old/v1/*", To: "/api/*"}},
			{Path: "/old/login", Rewrite: route.Rewrite{From: "/old/login", To: "/accounts/login/"}},
		},
	}, {To: "app", Path: "/", Auth: route.Auth{Word: "public"}}, {To: "app", Path: "/plain/*", Auth: route.Auth{Word: "public"}}}
}

func TestWhatAnAnswerSaysAboutPaths(t *testing.T) {
	var name, said string
	w := open(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(name, said) }, stripped)
	ours := "http://" + w.backend.addr
	for _, tc := range []struct{ what, asked, said, want string }{
		{"a path", "/old/x", "/y?next=/z#top", "/old/y?next=/z#top"},
		{"the root", "/old/x", "/", "/old/"},
		{"a path that is right already", "/old/x", "/old/y", "/old/y"},
		{"relative, and right", "/old/x/y", "../z", "../z"},
		{"relative, and above the root of the application", "/old/x", "../../z", "/old/z"},
		{"relative, where the path is another", "/old/login", "next?a", "/old/accounts/login/next?a"},
		{"a query alone", "/old/login", "?failed", "?failed"},
		{"a fragment alone", "/old/login", "#form", "#form"},
		{"nothing", "/old/x", "", ""},
		{"the public host", "/old/x", "http://app.example.com/y?z", "http://app.example.com/old/y?z"},
		{"the public host over TLS", "/old/x", "https://APP.example.com:443/y", "https://APP.example.com:443/old/y"},
		{"the public host without a path", "/old/x", "http://app.example.com", "http://app.example.com/old/"},
		{"the public host without a path, with a query", "/old/x", "http://app.example.com?x", "http://app.example.com/old/?x"},
		{"the public host without a scheme", "/old/x", "//app.example.com/y", "//app.example.com/old/y"},
		{"the host of the backend", "/old/x", ours + "/y?z#a", "/old/y?z#a"},
		{"the host of the backend, nothing else", "/old/x", ours, "/old/"},
		{"the host of the backend without a scheme", "/old/x", "//" + w.backend.addr + "/y", "/old/y"},
		{"the host of the backend where no path is changed", "/plain/x", ours + "/plain/y", "/plain/y"},
		{"the host of the backend, and then another one", "/plain/x", ours + "//evil.test/", ours + "//evil.test/"},
		{"by a rule", "/old/v1/x", "/api/y", "/old/v1/y"},
		{"from a rule to the rest of the site", "/old/v1/x", "/y", "/old/y"},
		{"one path", "/old/x", "/accounts/login/", "/old/accounts/login/"},
		{"where no path is changed", "/plain/x", "/y", "/y"},
		{"an escaped slash", "/old/x", "/a%2Fb", "/old/a%2Fb"},

		// Somebody else's, and what browsers read in more than one way.
		{"another host", "/old/x", "https://login.example.com/y", "https://login.example.com/y"},
		{"another port", "/old/x", "http://app.example.com:8080/y", "http://app.example.com:8080/y"},
		{"another host without a scheme", "/old/x", "//evil.test/y", "//evil.test/y"},
		{"a user that looks like us", "/old/x", "http://app.example.com@evil.test/y", "http://app.example.com@evil.test/y"},
		{"a user in front of us", "/old/x", "http://a@app.example.com/y", "http://a@app.example.com/y"},
		{"a host that begins like ours", "/old/x", "http://app.example.com.evil.test/y", "http://app.example.com.evil.test/y"},
		{"backslashes", "/old/x", `/\evil.test/y`, `/\evil.test/y`},
		{"backslashes behind the scheme", "/old/x", `http:\\app.example.com/y`, `http:\\app.example.com/y`},
		{"a tab", "/old/x", "/\t/evil.test", "/\t/evil.test"},
		{"one slash", "/old/x", "http:/app.example.com/y", "http:/app.example.com/y"},
		{"no slash", "/old/x", "http:y", "http:y"},
		{"another scheme", "/old/x", "mailto:a@app.example.com", "mailto:a@app.example.com"},
		{"a script", "/old/x", "javascript:alert(1)", "javascript:alert(1)"},
		{"an application of the system", "/old/x", "myapp://app.example.com/y", "myapp://app.example.com/y"},
	} {
		for _, header := range []string{"Location", "Content-Location"} {
			name, said = header, tc.said
			if got := w.get(tc.asked).Header.Get(header); got != tc.want {
				t.Errorf("%s: %s: %s becomes %s, want %s", tc.what, header, tc.said, got, tc.want)
			}
		}
	}
	for _, tc := range []struct{ said, want string }{
		{"5; url=/y", "5; url=/old/y"},
		{"0;URL='/y'", "0;URL='/old/y'"},
		{`0; url="http://app.example.com/y"`, `0; url="http://app.example.com/old/y"`},
		{"0; url=" + ours + "/y", "0; url=/old/y"},
		{"5", "5"},
		{"5; url", "5; url"},
		{`5; url="/y`, `5; url="/y`},
		{"5; urn=/y", "5; urn=/y"},
		{"0; url=https://evil.test/y", "0; url=https://evil.test/y"},
	} {
		name, said = "Refresh", tc.said
		if got := w.get("/old/x").Header.Get("Refresh"); got != tc.want {
			t.Errorf("Refresh: %s becomes %s, want %s", tc.said, got, tc.want)
		}
	}
}

func TestPathsOfCookies(t *testing.T) {
	var said []string
	w := open(t, func(w http.ResponseWriter, _ *http.Request) { w.Header()["Set-Cookie"] = said }, stripped)
	for _, tc := range []struct{ asked, said, want string }{
		{"/old/x", "a=1; Path=/; HttpOnly", "a=1; Path=/old; HttpOnly"},
		{"/old/x", "a=1;path=/y;Secure", "a=1;path=/old/y;Secure"},
		{"/old/x", "a=path=/; PATH = /y ", "a=path=/; PATH =/old/y"},
		{"/old/x", "a=1", "a=1"},
		{"/old/x", "a=1; Path", "a=1; Path"},
		{"/old/x", "a=1; Path=", "a=1; Path="},
		{"/old/x", "a=1; Path=/old", "a=1; Path=/old"},
		{"/old/x", "__Host-a=1; Secure; Path=/", "__Host-a=1; Secure; Path=/"},
		{"/old/v1/x", "a=1; Path=/api", "a=1; Path=/old/v1"},
		{"/old/v1/x", "a=1; Path=/", "a=1; Path=/old"},
		{"/plain/x", "a=1; Path=/y", "a=1; Path=/y"},
	} {
		said = []string{tc.said, "b=2; Path=/z; Domain=example.com"}
		got := w.get(tc.asked).Header["Set-Cookie"]
		second := "b=2; Path=/old/z; Domain=example.com"
		if strings.HasPrefix(tc.asked, "/plain") {
			second = said[1]
		}
		if fmt.Sprint(got) != fmt.Sprint([]string{tc.want, second}) {
			t.Errorf("%s: %q becomes %q, want %q", tc.asked, tc.said, got, tc.want)
		}
	}
}

// CVE-2026-35051, CVE-2024-52003: a prefix that the client made up.
func TestAttackForwardedPrefix(t *testing.T) {
	w := open(t, nil, stripped)
	for asked, want := range map[string]string{"/old/x": "/old", "/old/v1/x": "", "/plain/x": "", "/old/login": ""} {
		w.get(asked, "X-Forwarded-Prefix: /evil", "X_Forwarded_Prefix: /evil", "X-Forwarded-prefix: /evil", "X-Script-Name: /x")
		in := w.only()
		if got := in.Header.Get("X-Forwarded-Prefix"); got != want || len(in.Header.Values("X-Forwarded-Prefix")) > 1 {
			t.Errorf("%s: X-Forwarded-Prefix is %q, want %q", asked, got, want)
		}
		for name, values := range in.Header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%s: %s: %q", asked, name, values)
			}
		}
	}
}

func TestPathsThatTheRouteChanges(t *testing.T) {
	w := open(t, nil, stripped)
	for sent, received := range map[string]string{
		"/old/a%2fb?c=%2f": "/a%2Fb?c=%2f", "/old/a%5Cb": "/a%5Cb", "/old/v1/a%2Fb": "/api/a%2Fb", "/old/login?next=/x": "/accounts/login/?next=/x",
		"/old/v1": "/api", "/plain/a%2Fb": "", "/old%2Fv1/x": "", "/old/x%2F..%2Fv1": "", "/old/v1%2Fx": "",
	} {
		got := w.get(sent)
		if received == "" {
			if got.StatusCode != 400 && got.StatusCode != 404 {
				t.Errorf("%s: %d", sent, got.StatusCode)
			}
			w.untouched()
			continue
		}
		if in := w.only(); in.Target != received {
			t.Errorf("%s arrives as %s, want %s", sent, in.Target, received)
		}
	}
}
