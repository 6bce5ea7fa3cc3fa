package wire

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// heads are requests with something of their own about their heads.
func heads() map[string]*http.Request {
	all := map[string]*http.Request{}
	add := func(name, method, host string, u url.URL, header http.Header) {
		u.Scheme = "http"
		if u.Host == "" {
			u.Host = "app:8000"
		}
		if header == nil {
			header = http.Header{}
		}
		all[name] = &http.Request{Method: method, Host: host, URL: &u, Header: header}
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
		add(method, method, "api.example.com", url.URL{Path: "/x"}, http.Header{"Accept": {"*/*"}})
	}
	add("no path", "GET", "", url.URL{}, nil)
	add("for the server itself", "OPTIONS", "", url.URL{Path: "*"}, nil)
	add("a query", "GET", "", url.URL{Path: "/", RawQuery: "a=b&c=%20"}, nil)
	add("a query of nothing", "GET", "", url.URL{Path: "/", ForceQuery: true}, nil)
	add("a path that needs escapes", "GET", "", url.URL{Path: `/a"<>^{|}b?#%`}, nil)
	add("a path with escapes of its own", "GET", "", url.URL{Path: "/a/b", RawPath: "/a%2fb"}, nil)
	add("a path whose escapes are of another", "GET", "", url.URL{Path: "/a/b", RawPath: "/c%2fd"}, nil)
	add("two slashes", "GET", "", url.URL{Path: "//x"}, nil)
	add("opaque", "GET", "", url.URL{Opaque: "/x%zz", RawQuery: "a"}, nil)
	add("opaque with two slashes", "GET", "", url.URL{Opaque: "//host/x"}, nil)
	add("IPv6", "GET", "[::1]:80", url.URL{Path: "/"}, nil)
	add("no agent", "GET", "", url.URL{Path: "/"}, http.Header{"User-Agent": {""}})
	add("an agent of no values", "GET", "", url.URL{Path: "/"}, http.Header{"User-Agent": nil})
	add("an agent of blanks", "GET", "", url.URL{Path: "/"}, http.Header{"User-Agent": {" \t"}})
	add("two agents", "GET", "", url.URL{Path: "/"}, http.Header{"User-Agent": {"a ", "b"}})
	add("an agent in small letters", "GET", "", url.URL{Path: "/"}, http.Header{"user-agent": {"a"}})
	add("headers that are not sent", "POST", "", url.URL{Path: "/"}, http.Header{"Host": {"evil"}, "Content-Length": {"7"}, "host": {"x"}})
	add("several values, none, and blanks", "GET", "", url.URL{Path: "/"}, http.Header{
		"X-B": {"2", " 1\t", ""}, "X-A": {}, "x-a": {"ü"}, "A": {"\t"}, "Z": nil,
	})
	many := http.Header{}
	for i := range 3 * fewFields {
		many["X-"+strings.Repeat(string(rune('a'+i%26)), 1+i/26)] = []string{"v"}
	}
	add("many headers", "GET", "", url.URL{Path: "/"}, many)
	return all
}

// TestHeadsAsTheStandardLibraryWritesThem compares each byte.
func TestHeadsAsTheStandardLibraryWritesThem(t *testing.T) {
	for name, req := range heads() {
		fields, ok := suits(req, nil)
		if !ok {
			t.Errorf("%s: not sent here", name)
			continue
		}
		var want bytes.Buffer
		if err := req.Write(&want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := appendHead(nil, req, fields); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s: got\n%s\nthe standard library writes\n%s", name, got, want.Bytes())
		}
	}
}

// FuzzHead: what is sent here is written as by the standard library, whatever it consists
// of, and is read as one request with nothing behind it.
func FuzzHead(f *testing.F) {
	f.Add("GET", "api.example.com", "/a b", "", "", "q", false, "X-A", " v ", "User-Agent", "me")
	f.Add("POST", "", "*", "/%2a", "", "", true, "content-length", "5", "Host", "evil")
	f.Add("PUT", "[::1]", "", "", "//x", "a\r\nb", false, "A\n", "v\r\nB: c", "a", "\t\x7f")
	f.Fuzz(func(t *testing.T, method, host, path, rawPath, opaque, query string, force bool, name1, value1, name2, value2 string) {
		req := &http.Request{
			Method: method, Host: host, Header: http.Header{name1: {value1, value2}, name2: {value2}},
			URL: &url.URL{Scheme: "http", Host: "app", Path: path, RawPath: rawPath, Opaque: opaque, RawQuery: query, ForceQuery: force},
		}
		fields, ok := suits(req, nil)
		if !ok {
			return
		}
		got := appendHead(nil, req, fields)
		var want bytes.Buffer
		if err := req.Write(&want); err != nil {
			t.Fatalf("the standard library: %v", err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("got\n%q\nthe standard library writes\n%q", got, want.Bytes())
		}
		inside, ended := bytes.CutSuffix(got, []byte("\r\n\r\n"))
		if !ended || bytes.Contains(inside, []byte("\r\n\r\n")) || bytes.ContainsAny(bytes.ReplaceAll(inside, []byte("\r\n"), nil), "\r\n") {
			t.Fatalf("not one head: %q", got)
		}
	})
}

func BenchmarkHead(b *testing.B) {
	req := &http.Request{
		Method: "GET", Host: "api.example.com", URL: &url.URL{Scheme: "http", Host: "app:8000", Path: "/api/things/", RawQuery: "page=2"},
		Header: http.Header{
			"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}, "Accept": {"application/json"},
			"Accept-Encoding": {"gzip, deflate"}, "X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"},
			"X-Forwarded-Host": {"api.example.com"}, "X-User-Id": {"7"}, "X-User-Name": {"alice"}, "X-Request-Id": {"0123456789abcdef"},
		},
	}
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		var room []byte
		for b.Loop() {
			var few [fewFields]field
			fields, ok := suits(req, few[:0])
			if !ok {
				b.Fatal("not sent here")
			}
			room = appendHead(room[:0], req, fields)
		}
	})
	b.Run("standard library", func(b *testing.B) {
		b.ReportAllocs()
		var room bytes.Buffer
		for b.Loop() {
			room.Reset()
			if err := req.Write(&room); err != nil {
				b.Fatal(err)
			}
		}
	})
}
