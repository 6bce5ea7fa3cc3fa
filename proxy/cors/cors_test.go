package cors

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func mustSet(t testing.TB, cfg Config) *Set {
	t.Helper()
	set, err := New("spa", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestWhichOriginsMayAsk(t *testing.T) {
	set := mustSet(t, Config{Origins: []string{"https://app.example.com", "http://localhost:3000", "https://*.shop.example.com", "https://*.port.example.com:8443"}})
	for _, c := range []struct {
		origin string
		want   bool
	}{
		{"https://app.example.com", true},
		{"http://localhost:3000", true},
		{"https://a.shop.example.com", true},
		{"https://a.b.shop.example.com", true},
		{"https://a.port.example.com:8443", true},
		{"", false},
		{"null", false},
		{"*", false},
		{"http://app.example.com", false},
		{"https://app.example.com:443", false},
		{"https://app.example.com:8443", false},
		{"https://app.example.com/", false},
		{"https://app.example.com.evil.test", false},
		{"https://evilapp.example.com", false},
		{"https://APP.example.com", false},
		{"https://app.example.com, https://evil.test", false},
		{"http://localhost", false},
		{"https://shop.example.com", false},
		{"https://.shop.example.com", false},
		{"https://a..shop.example.com", false},
		{"https://evilshop.example.com", false},
		{"https://evil.test/.shop.example.com", false},
		{"https://evil.test#.shop.example.com", false},
		{"https://evil.test:1.shop.example.com", false},
		{"https://user@evil.test.shop.example.com", false},
		{"https://a.port.example.com", false},
	} {
		if got := set.Allows([]string{c.origin}); got != c.want {
			t.Errorf("%q: %v", c.origin, got)
		}
	}
	if set.Allows(nil) || set.Allows([]string{"https://app.example.com", "https://app.example.com"}) {
		t.Error("no origin, or two, may ask")
	}
	if set.Vouches([]string{"https://app.example.com"}) {
		t.Error("vouches without credentials")
	}
}

func TestPreflight(t *testing.T) {
	set := mustSet(t, Config{
		Origins: []string{"https://app.example.com"}, Methods: []string{"GET", "PUT"}, Headers: []string{"Authorization", "X-One"},
		ExposeHeaders: []string{"X-Total"}, Credentials: true, MaxAge: 10 * time.Minute,
	})
	for _, c := range []struct {
		name    string
		origin  string
		method  string
		headers []string
		want    Refused
	}{
		{"all is allowed", "https://app.example.com", "PUT", []string{"authorization,x-one"}, Allowed},
		{"no header", "https://app.example.com", "GET", nil, Allowed},
		{"spaces and empty names", "https://app.example.com", "GET", []string{" authorization ,, x-one"}, Allowed},
		{"headers in capitals", "https://app.example.com", "GET", []string{"AUTHORIZATION"}, Allowed},
		{"another origin", "https://evil.test", "GET", nil, Origin},
		{"another method", "https://app.example.com", "DELETE", nil, Method},
		{"a method in lower case", "https://app.example.com", "put", nil, Method},
		{"another header", "https://app.example.com", "GET", []string{"authorization,x-two"}, Header},
		{"another header in a second line", "https://app.example.com", "GET", []string{"authorization", "x-two"}, Header},
	} {
		in, _ := http.NewRequest("OPTIONS", "/", nil)
		in.Header["Origin"], in.Header["Access-Control-Request-Method"] = []string{c.origin}, []string{c.method}
		if c.headers != nil {
			in.Header["Access-Control-Request-Headers"] = c.headers
		}
		out := http.Header{}
		if got := set.Answer(out, in); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got := out.Get("Vary"); got != "Origin, Access-Control-Request-Method, Access-Control-Request-Headers" {
			t.Errorf("%s: Vary %q", c.name, got)
		}
		if c.want != Allowed {
			if out.Get("Access-Control-Allow-Methods") != "" || c.want == Origin && out.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: refused with %v", c.name, out)
			}
			continue
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "https://app.example.com", "Access-Control-Allow-Credentials": "true", "Access-Control-Max-Age": "600",
			"Access-Control-Allow-Methods": "GET, PUT", "Access-Control-Allow-Headers": "authorization, x-one", "Access-Control-Expose-Headers": "",
		} {
			if got := out.Get(name); got != want {
				t.Errorf("%s: %s %q, want %q", c.name, name, got, want)
			}
		}
	}
}

func TestWhatIsAPreflight(t *testing.T) {
	for _, c := range []struct {
		name, method string
		header       http.Header
		want         bool
	}{
		{"a true one", "OPTIONS", http.Header{"Origin": {"null"}, "Access-Control-Request-Method": {"GET"}}, true},
		{"no origin", "OPTIONS", http.Header{"Access-Control-Request-Method": {"GET"}}, false},
		{"no method", "OPTIONS", http.Header{"Origin": {"null"}}, false},
		{"two methods", "OPTIONS", http.Header{"Origin": {"null"}, "Access-Control-Request-Method": {"GET", "PUT"}}, false},
		{"two origins", "OPTIONS", http.Header{"Origin": {"a", "b"}, "Access-Control-Request-Method": {"GET"}}, false},
		{"no token", "OPTIONS", http.Header{"Origin": {"null"}, "Access-Control-Request-Method": {"GET /"}}, false},
		{"another method", "GET", http.Header{"Origin": {"null"}, "Access-Control-Request-Method": {"GET"}}, false},
		{"in lower case", "options", http.Header{"Origin": {"null"}, "Access-Control-Request-Method": {"GET"}}, false},
	} {
		in := &http.Request{Method: c.method, Header: c.header}
		if _, got := Preflight(in); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestEverybodyMayRead(t *testing.T) {
	set := mustSet(t, Config{Origins: []string{"*"}, Headers: []string{"*"}})
	out := http.Header{}
	in, _ := http.NewRequest("OPTIONS", "/", nil)
	in.Header["Origin"], in.Header["Access-Control-Request-Method"] = []string{"https://a.test"}, []string{"POST"}
	in.Header["Access-Control-Request-Headers"] = []string{"authorization,x-any"}
	if got := set.Answer(out, in); got != Allowed || out.Get("Access-Control-Allow-Origin") != "*" || out.Get("Access-Control-Allow-Headers") != "authorization,x-any" || out.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s %v", got, out)
	}
	out = http.Header{}
	if set.Apply(out, in.Header); out.Get("Vary") != "" {
		t.Errorf("one answer for all varies: %v", out)
	}
}

func TestFaultsOfASet(t *testing.T) {
	origin := []string{"https://a.test"}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no origin", Config{}, "cors.spa.origins: no origin is named"},
		{"everybody with credentials", Config{Origins: []string{"*"}, Credentials: true}, `cors.spa.origins[0]: "*" and credentials: true`},
		{"everybody and one more", Config{Origins: []string{"*", "https://a.test"}}, `cors.spa.origins[0]: "*" is every origin`},
		{"null", Config{Origins: []string{"null"}}, `cors.spa.origins[0]: "null" is what`},
		{"a path", Config{Origins: []string{"https://a.test/x"}}, `cors.spa.origins[0]: "https://a.test/x" has more than`},
		{"a slash at the end", Config{Origins: []string{"https://a.test/"}}, `cors.spa.origins[0]: "https://a.test/" has more than`},
		{"no scheme", Config{Origins: []string{"a.test"}}, `cors.spa.origins[0]: "a.test" is not an origin`},
		{"capitals", Config{Origins: []string{"https://A.test"}}, `cors.spa.origins[0]: "https://A.test" has capitals`},
		{"the usual port", Config{Origins: []string{"https://a.test:443"}}, `cors.spa.origins[0]: "https://a.test:443" has the usual port`},
		{"a star inside a label", Config{Origins: []string{"https://app-*.test"}}, `cors.spa.origins[0]: "https://app-*.test" has a *`},
		{"a star for a whole name", Config{Origins: []string{"https://*"}}, `cors.spa.origins[0]: "https://*" has a *`},
		{"beyond ASCII", Config{Origins: []string{"https://é.test"}}, `cors.spa.origins[0]: "https://é.test" has bytes`},
		{"twice", Config{Origins: []string{"https://a.test", "https://a.test"}}, `cors.spa.origins[1]: "https://a.test" is named twice`},
		{"a method in lower case", Config{Origins: origin, Methods: []string{"get"}}, `cors.spa.methods[0]: "get" is not a method`},
		{"a header with a colon", Config{Origins: origin, Headers: []string{"a:"}}, `cors.spa.headers[0]: "a:" is not a header`},
		{"all headers with credentials", Config{Origins: origin, Headers: []string{"*"}, Credentials: true}, `cors.spa.headers[0]: "*" is no wildcard`},
		{"a header to read that is none", Config{Origins: origin, ExposeHeaders: []string{"*"}}, `cors.spa.expose_headers[0]: "*" is not a header`},
		{"a day too long", Config{Origins: origin, MaxAge: 25 * time.Hour}, "cors.spa.max_age: 25h0m0s is not whole seconds"},
	} {
		_, err := New("spa", c.cfg)
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		var fault *Fault
		if !errors.As(err, &fault) {
			t.Fatal(err)
		}
		if text := fault.Field() + ": " + fault.Error(); !strings.HasPrefix(text, c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q, want %q", c.name, err, c.want)
		}
	}
	if _, err := New("None", Config{Origins: origin}); err == nil {
		t.Error("a set called none was accepted")
	}
}

// FuzzOrigin states that only what is listed, or a name below a listed one, may ask,
// and that what is answered is the origin itself.
func FuzzOrigin(f *testing.F) {
	set := mustSet(f, Config{Origins: []string{"https://app.example.com", "https://*.shop.example.com"}, Credentials: true})
	for _, seed := range []string{"https://app.example.com", "https://a.shop.example.com", "null", "https://a/.shop.example.com", "https://a\x00.shop.example.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		out := http.Header{"Access-Control-Allow-Origin": {"https://evil.test"}, "access-control-allow-credentials": {"true"}, "Vary": {"Accept"}}
		set.Apply(out, http.Header{"Origin": {origin}})
		if out.Get("Vary") != "Accept, Origin" {
			t.Errorf("Vary %q", out["Vary"])
		}
		allowed := out.Get("Access-Control-Allow-Origin")
		if allowed == "" && len(out) != 1 {
			t.Errorf("%q: left %v", origin, out)
		}
		label, below := strings.CutSuffix(strings.TrimPrefix(origin, "https://"), ".shop.example.com")
		lawful := origin == "https://app.example.com" || below && strings.HasPrefix(origin, "https://") && label != "" &&
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
		if allowed != "" && (allowed != origin || !lawful) {
			t.Errorf("%q may ask, as %q", origin, allowed)
		}
	})
}
