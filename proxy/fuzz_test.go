package proxy_test

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/proxy/identity"
)

// FuzzAnonymous states what must hold for every request without a token that is
// forwarded: no reading of its path leads out of what is public, and nothing in it
// speaks about a user, or about forwarding in any voice but ours.
func FuzzAnonymous(f *testing.F) {
	for _, target := range []string{
		"/public/", "/public/../staff", "/public/%2e%2e/staff", "/public/..;/staff", "/read/%5c..%5cstaff", "//public//x", "/public/%252e%252e/staff",
		"http://app.example.com/public/x?a;b", "*", "/public/\xef\xbc\x8f..", "/PUBLIC/", "/%70ublic/;x",
	} {
		f.Add("GET", target, "app.example.com", "X_User_Id", "1")
	}
	f.Add("get", "/read/x", "a:80", "X.Forwarded-For", "6.6.6.6")
	f.Add("GET", "/public/admin", "a", "SCRIPT_NAME", "/public")
	f.Add("POST", "/read/x", "a", "X-HTTP-Method-Override", "DELETE")
	f.Add("GET", "/optional/", "[::1]:80", "Connection", "x-forwarded-for, x-request-id")
	f.Add("POST", "/public/", "a.", "Authorization", "Basic x")
	f.Add("GET", "/public/", "a", "Upgrade", "h2c")
	cfg := site("127.0.0.1:1")
	gateway := newGateway(f, cfg, nil)
	f.Fuzz(func(t *testing.T, method, target, host, name, value string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + name + ": " + value + "\r\n\r\n"
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			return
		}
		for header := range in.Header {
			if strings.ContainsAny(header, " ()<>@,;:\\\"/[]?={}\t") {
				return // net/http answers 400 itself
			}
		}
		in.RemoteAddr = "192.0.2.1:1234"
		out := gateway.Forwarded(in)
		if out == nil {
			return
		}
		sent := out.URL.RequestURI()
		resolved := loosest(sent)
		open := false
		for _, prefix := range []string{"/public", "/optional", "/read"} {
			open = open || resolved == prefix || strings.HasPrefix(resolved, prefix+"/")
		}
		if !open || !strings.HasPrefix(sent, "/") || strings.HasPrefix(sent, "//") {
			t.Errorf("%q is forwarded as %q, which is %q", raw, sent, resolved)
		}
		if out.URL.EscapedPath() != out.URL.Opaque {
			t.Errorf("%q is forwarded as %q and known as %q", raw, out.URL.Opaque, out.URL.EscapedPath())
		}
		for header, values := range out.Header {
			folded := identity.Fold(header)
			switch {
			case header == "X-Forwarded-For" && len(values) == 1 && values[0] == "192.0.2.1",
				header == "X-Forwarded-Host" && len(values) == 1 && values[0] == in.Host,
				header == "X-Forwarded-Proto" && len(values) == 1 && values[0] == "http",
				header == "X-Forwarded-Port" && len(values) == 1,
				header == "X-Request-Id" && len(values) == 1 && len(values[0]) == 32:
			case strings.HasPrefix(folded, "x_forwarded"), slices.Contains([]string{"x_user_id", "x_user_name", "x_user_email", "x_user_groups"}, folded),
				strings.HasPrefix(folded, "x_original_"),
				strings.HasPrefix(folded, "x_rewrite_"), folded == "x_real_ip", folded == "forwarded", folded == "script_name", folded == "path_info", folded == "x_request_id", folded == "authorization":
				t.Errorf("%q is forwarded with %s: %q", raw, header, values)
			}
		}
	})
}
