package route

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonicalPath(t *testing.T) {
	for _, c := range []struct{ name, sent, escaped, decoded string }{
		{"the root", "/", "/", "/"},
		{"an ordinary path", "/static/css/site.css", "/static/css/site.css", "/static/css/site.css"},
		{"a trailing slash stays", "/api/users/", "/api/users/", "/api/users/"},
		{"hidden files are no dot segments", "/.well-known/a.b/..c", "/.well-known/a.b/..c", "/.well-known/a.b/..c"},
		{"punctuation stays raw", "/a-._~!$&'()*+,=:@b", "/a-._~!$&'()*+,=:@b", "/a-._~!$&'()*+,=:@b"},
		{"unreserved escapes are undone", "/%61dmin/%7Euser/a%2Db", "/admin/~user/a-b", "/admin/~user/a-b"},
		{"other escapes stay, in capitals", "/a%20b/%c3%a9", "/a%20b/%C3%A9", "/a b/é"},
		{"an escaped reserved character is not the raw one", "/a%40b%2bc", "/a%40b%2Bc", "/a@b+c"},
		{"UTF-8 from an old client", "/caf\u00e9", "/caf%C3%A9", "/café"},
		{"raw bytes that a path cannot hold", "/a[1]{2}|\"<>^`", "/a%5B1%5D%7B2%7D%7C%22%3C%3E%5E%60", "/a[1]{2}|\"<>^`"},
		{"an escaped question mark is part of the path", "/what%3f", "/what%3F", "/what?"},
		{"an escaped number sign is part of the path", "/wiki/C%23", "/wiki/C%23", "/wiki/C#"},
		{"an escaped per cent sign is part of the path", "/100%25", "/100%25", "/100%"},
		{"path parameters stay", "/shop;jsessionid=1/x", "/shop;jsessionid=1/x", "/shop;jsessionid=1/x"},
		{"doubled slashes become one", "//admin///x//", "/admin/x/", "/admin/x/"},
		{"a dot is resolved", "/a/./b", "/a/b", "/a/b"},
		{"two dots are resolved", "/public/../admin", "/admin", "/admin"},
		{"a dot at the end leaves the slash", "/a/.", "/a/", "/a/"},
		{"two dots at the end leave the slash", "/a/b/..", "/a/", "/a/"},
		{"dots up to the root", "/a/..", "/", "/"},
		{"dots after doubled slashes", "/a//../b", "/b", "/b"},
		{"a name with a dot at its end", "/wiki/Inc.", "/wiki/Inc.", "/wiki/Inc."},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Canonical(c.sent)
			if err != nil {
				t.Fatalf("%q: %v", c.sent, err)
			}
			if p.Escaped != c.escaped || p.Decoded != c.decoded {
				t.Errorf("%q: got %q, decoded %q; want %q, decoded %q", c.sent, p.Escaped, p.Decoded, c.escaped, c.decoded)
			}
			checkPath(t, p)
		})
	}
}

func TestRefusedTargets(t *testing.T) {
	for _, c := range []struct{ name, sent, reason string }{
		{"nothing", "", badForm},
		{"no slash in front (CVE-2026-33186)", "admin", badForm},
		{"asterisk", "*", badForm},
		{"absolute form", "http://evil.test/admin", badForm},
		{"authority form", "host:443", badForm},
		{"a raw fragment (CVE-2023-47106)", "/admin#/public", badFragment},
		{"a raw fragment in the query", "/admin?a#/public", badFragment},
		{"a raw fragment behind an escape", "/%61#x", badFragment},
		{"a raw backslash", "/public\\..\\admin", badBackslash},
		{"an escaped slash", "/public%2f..%2fadmin", badSeparator},
		{"an escaped slash in capitals", "/%2Fadmin", badSeparator},
		{"an escaped backslash", "/%5Cadmin", badSeparator},
		{"an escaped NUL", "/admin%00.css", badControl},
		{"an escaped NUL beside dots", "/public/..%00/admin", badControl},
		{"an escaped line feed", "/a%0aX-User-Id:1", badControl},
		{"an escaped DEL", "/a%7f", badControl},
		{"an escaped C1 control", "/a%c2%85", badControl},
		{"a raw NUL", "/a\x00b", badByte},
		{"a raw space", "/a b", badByte},
		{"a raw tab", "/a\tb", badByte},
		{"a raw line feed in the query", "/a?b\nc", badByte},
		{"a raw space in the query", "/a?b HTTP/1.1", badByte},
		{"a broken escape", "/a%zz", badEscape},
		{"an escape cut short", "/a%2", badEscape},
		{"a per cent sign alone", "/100%", badEscape},
		{"an escape over a slash", "/a%2/b", badEscape},
		{"an IIS escape", "/public/%u002e%u002e/admin", badEscape},
		{"dots above the root", "/../admin", badAbove},
		{"dots above the root, later", "/a/../../admin", badAbove},
		{"escaped dots", "/public/%2e%2e/admin", badDot},
		{"half escaped dots", "/public/.%2e/admin", badDot},
		{"the other half", "/public/%2E./admin", badDot},
		{"one escaped dot", "/public/%2e/admin", badDot},
		{"escaped dots at the end", "/public/%2e%2e", badDot},
		{"dots with an empty parameter", "/public/..;/admin", badDots},
		{"dots with a parameter", "/..;x/", badDots},
		{"a dot with a parameter", "/.;x/admin", badDots},
		{"dots with an escaped parameter", "/public/..%3b/admin", badDots},
		{"a parameter before dots", "/public;x/../admin", badParams},
		{"a parameter after dots", "/public/../admin;x", badParams},
		{"three dots", "/public/.../admin", badDots},
		{"dots and a space", "/public/..%20/admin", badDots},
		{"a space only", "/public/%20/admin", badDots},
		{"dots escaped twice", "/public/%252e%252e/admin", badDots},
		{"half of the dots escaped twice", "/public/.%252e/admin", badDots},
		{"dots escaped three times", "/public/%25252e%25252e/admin", badDots},
		{"a slash escaped twice", "/public%252fadmin", badTwice},
		{"a slash escaped three times", "/public%25252fadmin", badTwice},
		{"a backslash escaped twice", "/public%255cadmin", badTwice},
		{"a NUL escaped twice", "/public%2500", badTwice},
		{"an IIS escape behind a plain one", "/public/%25u002e%25u002e/admin", badTwice},
		{"dots and a parameter escaped twice", "/public/..%253bx/admin", badDots},
		{"dots and a question mark", "/public/..%3fx/admin", badDots},
		{"dots and a number sign", "/public/..%23/admin", badDots},
		{"an overlong dot", "/public/%c0%ae%c0%ae/admin", badUTF8},
		{"an overlong slash", "/public%c0%afadmin", badUTF8},
		{"an overlong slash, raw", "/public\xc0\xafadmin", badUTF8},
		{"an overlong dot escaped twice", "/public/%25c0%25ae%25c0%25ae/admin", badUTF8},
		{"a surrogate", "/%ed%a0%80", badUTF8},
		{"Latin-1", "/caf%e9", badUTF8},
		{"full-width dots", "/public/\uff0e\uff0e/admin", badDots},
		{"full-width slashes around dots", "/public\uff0f..\uff0fadmin", badDots},
		{"dots with a joiner between them", "/public/.\u200d./admin", badDots},
		{"a full-width backslash", "/public\uff3cadmin", badBackslash},
		{"an NTFS stream", "/admin::$DATA", badStream},
		{"an NTFS directory index", "/admin:$I30:$INDEX_ALLOCATION/x", badStream},
		{"an NTFS stream, escaped", "/admin%3A%3A%24DATA", badStream},
		{"too many layers of escapes", "/" + strings.Repeat("%25", 1) + strings.Repeat("25", 60) + "61", badReadings},
		{"too much to look at", "/" + strings.Repeat("a;", 5<<10), badReadings},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Canonical(c.sent)
			var bad *BadPath
			if !errors.As(err, &bad) {
				t.Fatalf("%q: got %q, %v; want it refused: %s", c.sent, p.Escaped, err, c.reason)
			}
			if bad.Reason != c.reason {
				t.Errorf("%q: refused for %s, want %s", c.sent, bad.Reason, c.reason)
			}
			if p.Escaped != "" || p.Decoded != "" {
				t.Errorf("%q: refused, and still gave the path %q", c.sent, p.Escaped)
			}
			if err.Error() != "bad path: "+c.reason {
				t.Errorf("message %q", err)
			}
		})
	}
}

func TestQueryStaysAsSent(t *testing.T) {
	for _, c := range []struct{ name, sent, target string }{
		{"semicolons and broken escapes", "/x?a=1;b=2&c=%zz&d=%00", "/x?a=1;b=2&c=%zz&d=%00"},
		{"slashes, dots and question marks", "/x?../admin?y=/public/", "/x?../admin?y=/public/"},
		{"nothing behind the question mark", "/x?", "/x?"},
		{"no question mark", "/x", "/x"},
		{"bytes outside ASCII are escaped, whatever they mean", "/x?q=\xe9\u00e9", "/x?q=%E9%C3%A9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Canonical(c.sent)
			if err != nil {
				t.Fatal(err)
			}
			if p.Target() != c.target || p.Decoded != "/x" {
				t.Errorf("got %q for path %q, want %q", p.Target(), p.Decoded, c.target)
			}
		})
	}
}

func TestChangedMeansResolved(t *testing.T) {
	for sent, want := range map[string]bool{
		"/a/b": false, "/%61": false, "/a%2d/": false, "/caf\u00e9": false, "/a;b": false,
		"//a": true, "/a//": true, "/a/./b": true, "/a/../b": true, "/a/.": true,
	} {
		p, err := Canonical(sent)
		if err != nil {
			t.Fatal(err)
		}
		if p.Changed != want {
			t.Errorf("%q: Changed is %v, want %v", sent, p.Changed, want)
		}
	}
}

func TestStripPrefix(t *testing.T) {
	for _, c := range []struct{ name, sent, prefix, want string }{
		{"a path below", "/old/x/y", "/old", "/x/y"},
		{"the prefix itself", "/old", "/old", "/"},
		{"the prefix with a slash", "/old/", "/old", "/"},
		{"a trailing slash stays", "/old/x/", "/old", "/x/"},
		{"two segments", "/a/b/c?q=1", "/a/b", "/c?q=1"},
		{"escapes of the rest stay", "/old/a%20b%3F/%40?", "/old", "/a%20b%3F/%40?"},
		{"escapes in the prefix", "/caf%c3%a9/%40", "/café", "/%40"},
		{"no prefix", "/old/x", "", "/old/x"},
		{"dots were resolved before", "/old/a/../b", "/old", "/b"},
		{"a path that begins alike", "/older/x", "/old", ""},
		{"a path elsewhere", "/new", "/old", ""},
		{"dots behind the prefix (CVE-2026-48020)", "/api../x", "/api", ""},
		{"dots that leave the prefix (CVE-2026-48020)", "/api/../x", "/api", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Canonical(c.sent)
			if err != nil {
				t.Fatal(err)
			}
			q, err := p.Strip(c.prefix)
			if c.want == "" {
				var bad *BadPath
				if !errors.As(err, &bad) {
					t.Fatalf("got %q, %v; want it refused", q.Escaped, err)
				}
				return
			}
			if err != nil || q.Target() != c.want {
				t.Fatalf("got %q, %v; want %q", q.Target(), err, c.want)
			}
			checkPath(t, q)
		})
	}
	if _, err := (Path{Decoded: "/old/..", Escaped: "/old/.."}).Strip("/old"); err == nil {
		t.Error("a path that Canonical never saw was stripped")
	}
}

func TestCanonicalDoesNotAllocate(t *testing.T) {
	for _, target := range []string{"/api/v1/users/42?page=1", "/", "/.well-known/x"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = Canonical(target) }); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/../b", "/%61dmin?x", "//a", "/a;b/c%3Bd", "/%2e%2e/", "/..%00/", "/%252e", "/%c0%ae", "/caf\u00e9", "/a%20/b.", "/a%3fb%23c", "/x/\uff0e\uff0e/y",
		"/%E2%81%84", "/A%25b", "/%25%32%65", "/a::$DATA", "/%2525252561",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		p, err := Canonical(target)
		if err != nil {
			if p.Decoded != "" || p.Escaped != "" || p.canonical {
				t.Fatalf("%q: refused, and still a path: %+v", target, p)
			}
			return
		}
		checkPath(t, p)
		for _, prefix := range []string{"/a", "/a/b"} {
			if q, err := p.Strip(prefix); err == nil {
				checkPath(t, q)
				if prefix+q.Decoded != p.Decoded && prefix+q.Decoded != p.Decoded+"/" {
					t.Fatalf("%q without %q became %q", p.Decoded, prefix, q.Decoded)
				}
			}
		}
	})
}

// checkPath holds a Path against everything that it promises.
func checkPath(t *testing.T, p Path) {
	t.Helper()
	again, err := Canonical(p.Target())
	if err != nil || again.Escaped != p.Escaped || again.Decoded != p.Decoded || again.Target() != p.Target() || again.Changed {
		t.Fatalf("%q is not canonical itself: it becomes %+v, %v", p.Target(), again, err)
	}
	if decoded, err := url.PathUnescape(p.Escaped); err != nil || decoded != p.Decoded {
		t.Fatalf("%q decodes to %q, %v; matched was %q", p.Escaped, decoded, err, p.Decoded)
	}
	// What net/url would put on the wire is the same.
	if u := (&url.URL{Path: p.Decoded, RawPath: p.Escaped}); u.EscapedPath() != p.Escaped {
		t.Fatalf("net/url would forward %q for %q", u.EscapedPath(), p.Escaped)
	}
	if u, err := url.ParseRequestURI(p.Escaped); err != nil || u.Path != p.Decoded {
		t.Fatalf("net/url reads %q as %q, %v; matched was %q", p.Escaped, u.Path, err, p.Decoded)
	}
	if !utf8.ValidString(p.Decoded) {
		t.Fatalf("%q is not UTF-8", p.Decoded)
	}
	if strings.ContainsAny(p.Decoded, "\\\x00\r\n\x7f") || strings.Count(p.Decoded, "/") != strings.Count(p.Escaped, "/") {
		t.Fatalf("%q has separators or control characters", p.Decoded)
	}
	segments := strings.Split(p.Decoded, "/")
	if segments[0] != "" || len(segments) < 2 {
		t.Fatalf("%q does not begin with a slash", p.Decoded)
	}
	for i, s := range segments[1:] {
		if s == "." || s == ".." || s == "" && i != len(segments)-2 {
			t.Fatalf("%q has the segment %q", p.Decoded, s)
		}
	}
	for i := range len(p.Target()) {
		if c := p.Target()[i]; c <= ' ' || c >= 0x7f {
			t.Fatalf("%q cannot stand on a request line", p.Target())
		}
	}
}
