package drf

import (
	"net/http"
	"strings"
)

// RedirectSlash sends every request, whatever its method, to path with 301 and keeps its query string. It stands where a
// client left the final slash of path out. path is an absolute path as it goes on the wire.
func RedirectSlash(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := path
		if r.URL.RawQuery != "" {
			to += "?" + escapeQuery(r.URL.RawQuery)
		}
		Answer{Status: http.StatusMovedPermanently, Header: http.Header{
			"Location":     {to},
			"Content-Type": {"text/html; charset=utf-8"},
		}}.Write(w, r)
	})
}

// escapeQuery makes a query string fit for a header: what may not stand in a URL is percent-encoded, what is encoded stays.
func escapeQuery(query string) string {
	const plain = "/#%[]=:;$&()+,!?*@'~-._"
	var b strings.Builder
	for _, c := range []byte(query) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		const digits = "0123456789ABCDEF"
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}
