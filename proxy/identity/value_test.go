package identity

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestHowAValueIsWritten(t *testing.T) {
	h := mustHeaders(t, Config{})
	for _, c := range []struct{ name, username, want string }{
		{"plain", "alice", "alice"},
		{"punctuation", "alice+x@example.com (A, B); \"q\"", "alice+x@example.com (A, B); \"q\""},
		{"a per cent sign", "100%", "100%25"},
		{"what looks escaped", "%41lice", "%2541lice"},
		{"CR and LF", "alice\r\nX-User-Id: 1", "alice%0D%0AX-User-Id: 1"},
		{"LF alone", "alice\nx", "alice%0Ax"},
		{"NUL", "alice\x00", "alice%00"},
		{"tab", "\talice", "%09alice"},
		{"DEL", "alice\x7f", "alice%7F"},
		{"spaces around", " alice ", "%20alice%20"},
		{"spaces inside", "alice  in wonderland", "alice  in wonderland"},
		{"a space only", " ", "%20"},
		{"not ASCII", "Zoë 山", "Zo%C3%AB %E5%B1%B1"},
		{"a line separator", "a\u2028b", "a%E2%80%A8b"},
		{"not UTF-8", "a\xff\xed\xa0\x80", "a%FF%ED%A0%80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := http.Header{}
			if err := h.Set(out, Person{UserID: "7", Username: c.username}); err != nil {
				t.Fatal(err)
			}
			if got := out.Get("X-User-Name"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAGroupCannotBecomeTwo(t *testing.T) {
	for _, c := range []struct {
		name, join string
		groups     []string
		want       string
	}{
		{"a comma", "", []string{"users,admin"}, "users%2Cadmin"},
		{"an escaped comma", "", []string{"users%2Cadmin"}, "users%252Cadmin"},
		{"spaces around", "", []string{" admin", "users "}, "%20admin,users%20"},
		{"a line", "", []string{"users\nadmin"}, "users%0Aadmin"},
		{"half a separator", ", ", []string{"users,", "the admins"}, "users%2C, the%20admins"},
		{"a space as separator", " ", []string{"the admins", "x"}, "the%20admins x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := mustHeaders(t, Config{Headers: map[string]Source{"X-G": {Word: "groups", Join: c.join}}})
			out := http.Header{}
			if err := h.Set(out, Person{UserID: "7", Groups: c.groups}); err != nil {
				t.Fatal(err)
			}
			if got := out.Get("X-G"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// FuzzValues: what a backend reads, split and unescaped as the package says, is what
// was meant, and the line holds nothing but printable ASCII.
func FuzzValues(f *testing.F) {
	f.Add("alice", "a,b", "c", ",")
	f.Add("a\r\nX-User-Id: 1", " x ", "%2C", "; ")
	f.Add("Zo\u00eb\xff", "\x00", "é,", "|")
	f.Fuzz(func(t *testing.T, username, one, two, join string) {
		h, err := New(Config{Headers: map[string]Source{
			"X-Name": {Word: "username"}, "X-Groups": {Word: "groups", Join: join}, "X-Claim": {Claim: []string{"c"}, Join: join},
		}})
		if err != nil {
			return
		}
		if join == "" {
			join = ","
		}
		out := http.Header{}
		claim := func([]string) (any, bool) { return one, true }
		if err := h.Set(out, Person{UserID: "7", Username: username, Groups: []string{one, two}, Claims: claim}); err != nil {
			return
		}
		for name, values := range out {
			if len(values) != 1 || strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r >= 0x7f }) || strings.TrimSpace(values[0]) != values[0] {
				t.Fatalf("%s: %q", name, values)
			}
		}
		if got, err := url.PathUnescape(out.Get("X-Name")); err != nil || got != username {
			t.Fatalf("user name %q is read as %q, %v", username, got, err)
		}
		for name, want := range map[string][]string{"X-Groups": {one, two}, "X-Claim": {one}} {
			var got []string
			for _, element := range strings.Split(out.Get(name), join) {
				text, err := url.PathUnescape(element)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, text)
			}
			want = slices.DeleteFunc(want, func(s string) bool { return s == "" })
			if len(want) == 0 {
				want = []string{""}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%s: %q is read as %q from %q", name, want, got, out.Get(name))
			}
		}
	})
}

// FuzzStrip: whatever folds to a managed name goes, and nothing else.
func FuzzStrip(f *testing.F) {
	for _, seed := range []string{"X-User-Id", "x_user_id", "X.User.Id", "Accept", "X-Forwarded-Foo", "X-Remote", "Content_Length", "Proxy", "X-User-Idx", ""} {
		f.Add(seed)
	}
	h := mustHeaders(f, Config{AlsoStrip: []string{"X-Remote-*"}})
	exact := []string{"x_user_id", "x_user_name", "x_user_email", "x_user_groups", "forwarded", "x_real_ip", "proxy"}
	families := []string{"x_forwarded", "x_original", "x_rewrite", "x_remote"}
	f.Fuzz(func(t *testing.T, name string) {
		folded := Fold(name)
		want := slices.Contains(exact, folded) || slices.ContainsFunc(families, func(f string) bool { return folded == f || strings.HasPrefix(folded, f+"_") })
		if usual := strings.ReplaceAll(folded, "_", "-"); usual == "content-length" || usual == "content-type" || usual == "transfer-encoding" {
			want = !strings.EqualFold(name, usual)
		}
		hdr := http.Header{name: {"x"}}
		h.Strip(hdr)
		if gone := len(hdr) == 0; gone != want || h.Managed(name) != want {
			t.Fatalf("%q: gone is %v, want %v", name, gone, want)
		}
	})
}
