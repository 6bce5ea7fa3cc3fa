package route

import (
	"errors"
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a path", "/x", "/x"},
		{"a path with a slash is the same", "/x/", "/x"},
		{"a subtree", "/x/y/*", "/x/y/*"},
		{"everything", "/*", "/*"},
		{"the root alone", "/", "/"},
		{"plain text", "/café/*", "/café/*"},
		{"escaped text", "/caf%C3%A9/*", "/café/*"},
		{"an escaped space", "/a%20b", "/a b"},
		{"an escaped per cent sign", "/100%25/*", "/100%/*"},
		{"a colon", "/v1/items:search", "/v1/items:search"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, problem, _ := parsePattern(c.text)
			if problem != "" || p.String() != c.want {
				t.Errorf("%q: got %q, %s", c.text, p, problem)
			}
		})
	}
}

func TestWrongPatternsAreToldTheRightOne(t *testing.T) {
	for _, c := range []struct{ text, fix string }{
		{"", `write "/"`},
		{"x/*", `write "/x/*"`},
		{"*", `write "/*"`},
		{"/x*", `write "/x/*" for "/x" and all below it`},
		{"/x/**", `write "/x/*" for "/x" and all below it`},
		{"/x*/*", `write "/x/*" for "/x" and all below it`},
		{"/**", `write "/*" for everything`},
		{"/x/*/y", `write "/x/*", and narrower rules where they differ`},
		{"/x/*.css", `write "/x/*", and narrower rules where they differ`},
		{"/*/x", `write "/*", and narrower rules where they differ`},
		{"/users/{id}", `write "/users/*"`},
		{"/users/{id}/posts", `write "/users/*"`},
		{"/{id}", `write "/*"`},
		{"/a b", `write "/a%20b"`},
		{"/x?y=1", `write "/x"`},
		{"/x#y", `write "/x"`},
		{"http://a.test/x", `write the host under host, and here what follows it`},
		{"//x", `write "/x"`},
		{"/x//*", `write "/x/*"`},
		{"/x/./y/*", `write "/x/y/*"`},
		{"/x/../y", `write "/y"`},
		{"/%61dmin/*", `write "/admin/*"`},
		{"/caf%c3%a9", `write "/caf%C3%A9"`},
		{"/a[1]%20b", `write "/a%5B1%5D%20b"`},
		{"/x%2fy", `write the path as it is after decoding, without dot segments`},
		{"/x/%2e%2e", `write the path as it is after decoding, without dot segments`},
		{"/100%", `write the path as it is after decoding, without dot segments`},
		{"/x\\y", `write the path as it is after decoding, without dot segments`},
		{"/../x", `write the path as it is after decoding, without dot segments`},
		{"/x;y", `write a subtree above it`},
		{"/wiki/C%23", `write a subtree above it`},
		{"/%2561", `write a subtree above it`},
		{"/inc./*", `write a subtree above it`},
	} {
		p, problem, fix := parsePattern(c.text)
		if problem == "" || fix != c.fix {
			t.Errorf("%q: got %q, problem %q; fix %q, want %q", c.text, p, problem, fix, c.fix)
		}
	}
}

// A hint that is itself refused would send its reader round in circles.
func TestWhatIsRecommendedIsAccepted(t *testing.T) {
	for _, text := range []string{"", "x/*", "*", "/x*", "/**", "/x/*.css", "/users/{id}", "/{id}", "/a b", "/x?y", "//x", "/x//*", "/%61dmin/*", "/caf%c3%a9", "/a/../b/*"} {
		_, _, fix := parsePattern(text)
		_, advice, _ := strings.Cut(fix, `"`)
		advice, _, _ = strings.Cut(advice, `"`)
		if _, problem, again := parsePattern(advice); problem != "" {
			t.Errorf("%q: the advice %q is refused: %s; %s", text, advice, problem, again)
		}
	}
}

func TestPatternHolds(t *testing.T) {
	parse := func(text string) pattern {
		p, problem, _ := parsePattern(text)
		if problem != "" {
			t.Fatal(problem)
		}
		return p
	}
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"/*", "/x/*", true},
		{"/*", "/*", true},
		{"/*", "/", true},
		{"/x/*", "/x", true},
		{"/x/*", "/x/*", true},
		{"/x/*", "/x/y", true},
		{"/x/*", "/xy", false},
		{"/x/*", "/*", false},
		{"/x/*", "/X", false},
		{"/x", "/x/", true},
		{"/x", "/x/*", false},
		{"/x", "/x/y", false},
		{"/", "/x", false},
	} {
		if got := parse(c.outer).holds(parse(c.inner)); got != c.want {
			t.Errorf("%s holds %s: got %v", c.outer, c.inner, got)
		}
	}
}

func TestCanonicalHost(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ name, host, want string }{
		{"a name", "app.example.com", "app.example.com"},
		{"capitals", "App.EXAMPLE.com", "app.example.com"},
		{"a port", "app.example.com:8080", "app.example.com"},
		{"an empty port", "app.example.com:", "app.example.com"},
		{"a dot at the end", "app.example.com.", "app.example.com"},
		{"a dot and a port", "app.example.com.:80", "app.example.com"},
		{"one label", "localhost", "localhost"},
		{"an underscore", "my_app:80", "my_app"},
		{"punycode", "XN--Bcher-kva.example", "xn--bcher-kva.example"},
		{"IPv4", "127.0.0.1:80", "127.0.0.1"},
		{"IPv6", "[::1]:80", "[::1]"},
		{"IPv6 in another spelling", "[2001:DB8:0:0::0001]", "[2001:db8::1]"},
		{"none", "", ""},
		{"a long label", long + ".test", long + ".test"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := CanonicalHost(c.host)
			if err != nil || got != c.want {
				t.Errorf("%q: got %q, %v; want %q", c.host, got, err, c.want)
			}
		})
	}
	for _, c := range []struct{ name, host, reason string }{
		{"a user", "user@app.test", badHostByte},
		{"a path", "app.test/x", badHostByte},
		{"a space", "app.test ", badHostByte},
		{"an escape", "app%2etest", badHostByte},
		{"a comma", "a.test,b.test", badHostByte},
		{"a NUL", "app\x00.test", badHostByte},
		{"not ASCII", "b\u00fccher.test", badHostByte},
		{"a wildcard", "*.test", badHostByte},
		{"an empty label", "app..test", badLabel},
		{"a dot in front", ".app.test", badLabel},
		{"two dots at the end", "app.test..", badLabel},
		{"a dot only", ".", badLabel},
		{"a port only", ":80", badLabel},
		{"a label too long", long + "a.test", badLabel},
		{"a name too long", strings.Repeat("a.", 127) + "a", badLength},
		{"a port that is none", "app.test:http", badPort},
		{"a port too high", "app.test:65536", badPort},
		{"a port too long", "app.test:000080", badPort},
		{"two ports", "app.test:80:80", badPort},
		{"IPv6 without brackets", "::1", badPort},
		{"a bracket left open", "[::1", badIPLiteral},
		{"a zone", "[fe80::1%25eth0]", badIPLiteral},
		{"a zone, raw", "[fe80::1%eth0]", badIPLiteral},
		{"IPv4 in brackets", "[127.0.0.1]", badIPLiteral},
		{"something behind the bracket", "[::1]x", badPort},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := CanonicalHost(c.host)
			var bad *BadHost
			if !errors.As(err, &bad) || bad.Reason != c.reason || got != "" {
				t.Errorf("%q: got %q, %v; want it refused: %s", c.host, got, err, c.reason)
			}
			if err != nil && err.Error() != "bad host: "+c.reason {
				t.Errorf("message %q", err)
			}
		})
	}
}

func TestHostsOfRoutes(t *testing.T) {
	for text, want := range map[string]string{
		"app.test": "app.test", "App.Test.": "app.test", "*.Shop.test": "*.shop.test", "*.test": "*.test", "[::1]": "[::1]", "10.0.0.1": "10.0.0.1",
	} {
		if h, problem, _ := parseHost(text); problem != "" || h.String() != want {
			t.Errorf("%q: got %q, %s", text, h, problem)
		}
	}
	for text, want := range map[string]string{
		"":                 "leave host out for any host",
		"*":                "leave host out for any host",
		"app.*.test":       `write "*.test"`,
		"*app.test":        `write "*.app.test"`,
		"*.*.test":         `write "*.test"`,
		"app.*":            "write a name such as app.example.com or *.example.com",
		"http://app.test/": `write "app.test", and the path under path`,
		"app.test/x":       `write "app.test", and the path under path`,
		"app.test:80":      `write "app.test"`,
		"*.app.test:80":    `write "*.app.test"`,
		"[::1]:80":         `write "[::1]"`,
		"::1":              `write "[::1]"`,
		"*.[::1]":          `write "[::1]"`,
		"b\u00fccher.test": "write its xn-- form (punycode), as it stands in DNS",
		"app..test":        "write a name such as app.example.com or *.example.com",
		"*.":               "write a name such as app.example.com or *.example.com",
		"app test":         "write a name such as app.example.com or *.example.com",
	} {
		if h, problem, fix := parseHost(text); problem == "" || fix != want {
			t.Errorf("%q: got %q, problem %q; fix %q, want %q", text, h, problem, fix, want)
		}
	}
}
