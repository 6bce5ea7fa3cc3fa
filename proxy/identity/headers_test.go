package identity

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func mustHeaders(t testing.TB, cfg Config) *Headers {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatalf("a good configuration was refused: %v", err)
	}
	return h
}

func TestFold(t *testing.T) {
	for name, want := range map[string]string{
		"X-User-Id": "x_user_id", "x_user.ID": "x_user_id", "": "", "X--A": "x__a", "Caf\u00e9": "caf__", "A1-z9": "a1_z9",
	} {
		if got := Fold(name); got != want {
			t.Errorf("Fold(%q) is %q, want %q", name, got, want)
		}
	}
}

// CVE-2025-64484 (oauth2-proxy), CVE-2026-54763 (Traefik), CVE-2026-52845 (Caddy):
// X_Forwarded_User survived, and WSGI, PHP or FastCGI folded it into the real one.
// Fixes covered one alias at a time; so here is every one.
func TestAttackAliases(t *testing.T) {
	h := mustHeaders(t, Config{AlsoStrip: []string{"X-Remote-*", "Remote-User"}})
	var separators []string
	for c := range 256 {
		if fold(byte(c)) == '_' {
			separators = append(separators, string([]byte{byte(c)}))
		}
	}
	if len(separators) != 256-62 {
		t.Fatalf("%d bytes are no letters or digits", len(separators))
	}
	for _, name := range []string{
		"X-User-Id", "X-User-Name", "X-User-Email", "X-User-Groups",
		"X-Forwarded-For", "X-Forwarded-Prefix", "X-Forwarded-Anything-At-All", "X-Forwarded", "Forwarded",
		"Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "Fastly-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6",
		"Front-End-Https", "X-Url-Scheme", "X-Scheme",
		"X-Real-IP", "X-Original-URL", "X-Original-Path", "X-Rewrite-URL", "Proxy",
		"X-Remote-User", "X-Remote", "Remote-User",
	} {
		for _, cased := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			for _, s := range separators {
				spelling := strings.ReplaceAll(cased, "-", s)
				hdr := http.Header{spelling: {"root", "root"}, "Accept": {"*/*"}}
				h.Strip(hdr)
				if len(hdr) != 1 || !h.Managed(spelling) {
					t.Errorf("%q survived as %q", name, spelling)
				}
			}
		}
	}
}

func TestStripLeavesTheRest(t *testing.T) {
	h := mustHeaders(t, Config{AlsoStrip: []string{"X-Remote-*"}})
	rest := http.Header{}
	for _, name := range []string{
		"", "Accept", "Authorization", "Content-Length", "content-type", "Transfer-Encoding", "Cookie", "Host", "User-Agent", "X-Request-Id", "X-Requested-With",
		"X-User", "X-User-Ids", "X-User-Agent", "X-UserId", "X", "x_", "Forwarded-By", "X-Forwardedfor", "X-Real-Ips", "Client-Ips", "Cf-Ray", "Cf-Ipcountry", "X-Schema", "X-Originally", "X-Remotely", "Proxy-Status", "api_key",
		"X-User-Id" + strings.Repeat("x", 200), strings.Repeat("-", 300),
	} {
		rest[name] = []string{"stays"}
	}
	got := maps.Clone(rest)
	h.Strip(got)
	for name := range rest {
		if got[name] == nil {
			t.Errorf("%q was taken away", name)
		}
	}
	h.Strip(nil)
}

// Content_Length is CONTENT_LENGTH for some, and then two lengths disagree.
func TestAttackAliasedFraming(t *testing.T) {
	h := mustHeaders(t, Config{})
	hdr := http.Header{"Content_Length": {"0"}, "Content.Type": {"x"}, "transfer_encoding": {"chunked"}, "Content-Length": {"5"}}
	h.Strip(hdr)
	if len(hdr) != 1 || hdr["Content-Length"] == nil {
		t.Errorf("left: %v", hdr)
	}
}

// A header that was renamed may still be read by a backend.
func TestDefaultNamesAreAlwaysStripped(t *testing.T) {
	for _, cfg := range []Config{{Headers: map[string]Source{}}, {Headers: map[string]Source{"Remote-User": {Word: "username"}}}} {
		h := mustHeaders(t, cfg)
		hdr := http.Header{"X-User-Id": {"1"}, "X_user_groups": {"admin"}}
		h.Strip(hdr)
		if len(hdr) != 0 {
			t.Errorf("left: %v", hdr)
		}
	}
}

var alice = Person{
	UserID: "7", Username: "alice", Email: "alice+x@example.com", Groups: []string{"staff", "admin"},
	Claims: func(path []string) (any, bool) {
		values := map[string]any{
			"department": "R&D", "empty": "", "number": number("1.50"), "int": 42, "uint": uint8(7), "float": 1e21, "yes": true, "null": nil,
			"list": []any{"a", number("2"), false}, "strings": []string{"a", "b"}, "nested": []any{"a", []any{"b"}}, "object": map[string]any{"a": 1},
			"objects": []member{{"a", 1}}, "holes": []any{"", "a", ""}, "with null": []any{"a", nil}, "none": []any{},
			"comma": "a,b", "commas": []any{"a,b", "c"}, "profile/department": "sales", "https://x/roles": []any{"r"},
		}
		v, ok := values[strings.Join(path, "/")]
		return v, ok
	},
}

type (
	number string // as a JSON number that kept its text
	member struct {
		name  string
		value any
	}
)

func TestDefaultHeaders(t *testing.T) {
	h := mustHeaders(t, Config{})
	out := http.Header{"Accept": {"*/*"}}
	if err := h.Set(out, alice); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Accept": {"*/*"}, "X-User-Id": {"7"}, "X-User-Name": {"alice"}, "X-User-Email": {"alice+x@example.com"}, "X-User-Groups": {"staff,admin"}}
	if !maps.EqualFunc(out, want, slices.Equal[[]string]) {
		t.Errorf("got %v, want %v", out, want)
	}
	if got := strings.Join(h.Names(), " "); got != "X-User-Email X-User-Groups X-User-Id X-User-Name" {
		t.Errorf("Names: %s", got)
	}
}

// CVE-2026-30851 (Caddy), CVE-2026-39998 (APISIX): the client's header was removed
// only when there was one to replace it.
func TestMissingValuesAreMissingHeaders(t *testing.T) {
	h := mustHeaders(t, Config{})
	out := http.Header{"X-User-Email": {"root@example.com"}, "X-User-Groups": {"admin"}}
	if err := h.Set(out, Person{UserID: "7", Username: "alice", Groups: []string{""}}); err != nil {
		t.Fatal(err)
	}
	if len(out) != 2 || out["X-User-Id"] == nil || out["X-User-Name"] == nil {
		t.Errorf("got %v", out)
	}
}

func TestNobodyHasNoHeaders(t *testing.T) {
	admin := "admin"
	h := mustHeaders(t, Config{Headers: map[string]Source{"X-User-Id": {Word: "user_id", Default: &admin}, "X-Role": {Claim: []string{"role"}, Default: &admin}}})
	for _, p := range []Person{{}, {Username: "alice", Groups: []string{"admin"}}} {
		out := http.Header{"X-User-Id": {"1"}, "X-Role": {"root"}}
		if err := h.Set(out, p); err != nil || len(out) != 0 {
			t.Errorf("got %v, %v", out, err)
		}
	}
}

// CVE-2026-33433 (Traefik): the header was written beside the client's, in another spelling.
func TestExactlyOneValueOnTheWire(t *testing.T) {
	h := mustHeaders(t, Config{Headers: map[string]Source{"x-user-ID": {Word: "user_id"}}})
	in := http.Header{"x-user-id": {"1"}, "X-User-Id": {"2", "3"}, "X_USER_ID": {"4"}}
	h.Strip(in)
	if err := h.Set(in, alice); err != nil {
		t.Fatal(err)
	}
	var wire strings.Builder
	if err := in.Write(&wire); err != nil {
		t.Fatal(err)
	}
	if wire.String() != "X-User-Id: 7\r\n" {
		t.Errorf("on the wire: %q", wire.String())
	}
}

func TestClaims(t *testing.T) {
	fallback := "none"
	for _, c := range []struct {
		name   string
		source Source
		want   string // "-": no header
	}{
		{"a string", Source{Claim: []string{"department"}}, "R&D"},
		{"a number as its text", Source{Claim: []string{"number"}}, "1.50"},
		{"an integer", Source{Claim: []string{"int"}}, "42"},
		{"an unsigned integer", Source{Claim: []string{"uint"}}, "7"},
		{"a large number", Source{Claim: []string{"float"}}, "1000000000000000000000"},
		{"a boolean", Source{Claim: []string{"yes"}}, "true"},
		{"null", Source{Claim: []string{"null"}}, "-"},
		{"an empty string", Source{Claim: []string{"empty"}}, "-"},
		{"no such claim", Source{Claim: []string{"nothing"}}, "-"},
		{"no such claim, with a default", Source{Claim: []string{"nothing"}, Default: &fallback}, "none"},
		{"no such claim, with an empty default", Source{Claim: []string{"nothing"}, Default: new(string)}, ""},
		{"a list", Source{Claim: []string{"list"}}, "a,2,false"},
		{"a list of strings", Source{Claim: []string{"strings"}, Join: " | "}, "a | b"},
		{"an empty list", Source{Claim: []string{"none"}}, "-"},
		{"a list with empty elements", Source{Claim: []string{"holes"}}, "a"},
		{"a list with null", Source{Claim: []string{"with null"}}, "-"},
		{"a list in a list", Source{Claim: []string{"nested"}}, "-"},
		{"an object", Source{Claim: []string{"object"}}, "-"},
		{"an object, with a default", Source{Claim: []string{"object"}, Default: &fallback}, "none"},
		{"an ordered object is no list", Source{Claim: []string{"objects"}}, "-"},
		{"a nested claim", Source{Claim: []string{"profile", "department"}}, "sales"},
		{"a claim with a URL for a name", Source{Claim: []string{"https://x/roles"}}, "r"},
		{"one value with the separator in it", Source{Claim: []string{"comma"}}, "a%2Cb"},
		{"an element with the separator in it", Source{Claim: []string{"commas"}}, "a%2Cb,c"},
		{"another separator", Source{Claim: []string{"commas"}, Join: ";"}, "a,b;c"},
		{"groups with another separator", Source{Word: "groups", Join: "|"}, "staff|admin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := mustHeaders(t, Config{Headers: map[string]Source{"X-Claim": c.source}})
			out := http.Header{}
			if err := h.Set(out, alice); err != nil {
				t.Fatal(err)
			}
			got := "-"
			if values := out["X-Claim"]; len(values) == 1 {
				got = values[0]
			}
			if got != c.want || len(out) > 1 {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	h := mustHeaders(t, Config{Headers: map[string]Source{"X-Claim": {Claim: []string{"x"}}}})
	out := http.Header{}
	if err := h.Set(out, Person{UserID: "7"}); err != nil || len(out) != 0 {
		t.Errorf("without claims: %v, %v", out, err)
	}
}

// What does not fit is refused: cut off it might be somebody else.
func TestAttackLongIdentity(t *testing.T) {
	h := mustHeaders(t, Config{})
	for _, c := range []struct {
		name   string
		person Person
		header string
		bytes  int
	}{
		{"as long as can be", Person{UserID: "7", Username: strings.Repeat("a", MaxValue)}, "", 0},
		{"one byte longer", Person{UserID: "7", Username: strings.Repeat("a", MaxValue+1)}, "X-User-Name", MaxValue + 1},
		{"64 KiB", Person{UserID: "7", Email: strings.Repeat("a", 64<<10)}, "X-User-Email", 64 << 10},
		{"too long once escaped", Person{UserID: "7", Username: strings.Repeat("\u00e9", MaxValue/2)}, "X-User-Name", 3 * MaxValue},
		{"too many groups", Person{UserID: "7", Groups: slices.Repeat([]string{"group"}, 2000)}, "X-User-Groups", 2000*6 - 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := http.Header{"X-User-Id": {"1"}}
			err := h.Set(out, c.person)
			if c.header == "" {
				if err != nil || len(out) != 2 {
					t.Fatalf("got %v, %v", len(out), err)
				}
				return
			}
			var long *TooLong
			if !errors.As(err, &long) || long.Header != c.header || long.Bytes != c.bytes {
				t.Fatalf("got %v", err)
			}
			if len(out) != 0 {
				t.Errorf("refused, and still wrote %d headers", len(out))
			}
			if !strings.Contains(err.Error(), c.header) {
				t.Errorf("message %q", err)
			}
		})
	}
}

func browser() http.Header {
	return http.Header{
		"Accept": {"text/html"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}, "Authorization": {"Bearer x"}, "Cookie": {"a=b"},
		"Sec-Fetch-Mode": {"navigate"}, "User-Agent": {"Mozilla/5.0"}, "X-Requested-With": {"XMLHttpRequest"}, "Priority": {"u=0"}, "Content-Type": {"text/plain"},
	}
}

func TestNormalRequestsDoNotAllocate(t *testing.T) {
	h, hdr, out := mustHeaders(t, Config{}), browser(), http.Header{}
	if n := testing.AllocsPerRun(100, func() { h.Strip(hdr) }); n != 0 {
		t.Errorf("Strip: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = h.Set(out, alice) }); n > 7 {
		t.Errorf("Set: %v allocations", n)
	}
}

func BenchmarkStrip(b *testing.B) {
	h, hdr := mustHeaders(b, Config{}), browser()
	b.ReportAllocs()
	for b.Loop() {
		h.Strip(hdr)
	}
}

func BenchmarkSet(b *testing.B) {
	h, out := mustHeaders(b, Config{}), http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		_ = h.Set(out, alice)
	}
}
