package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// pathsAreChangedAndComeBack asks the same application below /old, where a prefix is
// taken off or replaced and slashes may be escaped.
func pathsAreChangedAndComeBack(t *testing.T, site *site, token string) {
	asked := func(t *testing.T, target, token string, headers ...string) (got belief, status int) {
		t.Helper()
		status, body := site.raw(t, target, token, headers...)
		if status == http.StatusOK {
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
		}
		return got, status
	}

	t.Run("what the backend is asked for", func(t *testing.T) {
		for target, want := range map[string]string{
			"/old/public/page": "/public/page", "/old/v1/page": "/public/v1/page", "/old/v1/": "/public/v1/",
			// Django decodes the path, PHP is shown what was sent.
			"/files/a%2fb": "/files/a%2Fb", "/files/a%5cb": "/files/a%5Cb", "/old/public/a%2fb": "/public/a%2Fb",
		} {
			got, status := asked(t, target, "")
			decoded, _ := url.PathUnescape(want)
			if status != http.StatusOK || got.Path != want && got.Path != decoded {
				t.Errorf("%s: %d, the backend reads %q, want %q", target, status, got.Path, want)
			}
			if prefix, _ := got.Meta["HTTP_X_FORWARDED_PREFIX"].(string); (prefix == "/old") != strings.HasPrefix(target, "/old/public") {
				t.Errorf("%s: X-Forwarded-Prefix is %q", target, prefix)
			}
		}
		if _, status := asked(t, "/public/a%2Fb", ""); status != http.StatusBadRequest {
			t.Errorf("an escaped slash where nothing is said: %d, want 400", status)
		}
	})

	t.Run("nobody gets into /admin by a prefix or an escaped slash", func(t *testing.T) {
		targets := []string{
			"/files/..%2fadmin/x", "/files/%2e%2e%2fadmin/x", "/files/a%2f..%2f..%2fadmin", "/files/..%5cadmin", "/files%2f..%2fadmin/x", "/files/admin%2fx", "/files/admin%5cx",
			"/files/;%2fadmin", "/files/x;%2f..%2fadmin/x", "/files/..;%2fadmin/x", "/files%2fadmin/x", "/%2fadmin/x", "/files/%252e%252e%2fadmin/x", "/files/..%252fadmin%2fx",
			"/old/public/..%2fadmin/x", "/old%2fadmin/x", "/old/%2fadmin/x", "/old/v1/../admin/x", "/old/v1/..%2f..%2fadmin/x", "/old/v1/..;/../admin/x", "/old/v1%2f..%2f..%2fadmin", "/old/;/admin/x",
		}
		for _, way := range waysIntoAdmin {
			if strings.HasPrefix(way, "/") {
				targets = append(targets, "/old"+way, "/files"+way)
			}
		}
		for _, target := range targets {
			for _, bearer := range []string{"", token} {
				got, status := asked(t, target, bearer)
				if status != http.StatusOK {
					continue
				}
				if below("/admin", got.Path) || below("/files/admin", got.Path) {
					t.Errorf("%s: the backend was asked for %q", target, got.Path)
				}
				if bearer == "" && !below("/public", got.Path) && !below("/files", got.Path) {
					t.Errorf("%s: without a token the backend was asked for %q", target, got.Path)
				}
			}
		}
	})

	t.Run("nobody moves the root of the application", func(t *testing.T) {
		for _, name := range []string{
			"SCRIPT_NAME", "Script-Name", "script.name", "PATH_INFO", "Path-Info", "X-Forwarded-Prefix", "X_Forwarded_Prefix", "X-Forwarded-Path", "X-Original-URI", "X-Rewrite-Url",
		} {
			for _, value := range []string{"/public", "/admin/x"} {
				got, status := asked(t, "/public/admin/x", "", name+": "+value)
				if info, there := got.Meta["PATH_INFO"]; there && info != "/public/admin/x" {
					t.Errorf("%s: %s: the backend looks for %q", name, value, info)
				}
				if status != http.StatusOK || got.Path != "/public/admin/x" {
					t.Errorf("%s: %s: %d, the backend reads %q", name, value, status, got.Path)
				}
			}
		}
	})

	t.Run("a redirect and a cookie come back below the prefix", func(t *testing.T) {
		for to, want := range map[string]string{
			"/next?a=b": "/old/next?a=b", "next": "next", "http://" + site.address + "/next": "http://" + site.address + "/old/next", "https://elsewhere.example/next": "https://elsewhere.example/next",
			"//elsewhere.example/next": "//elsewhere.example/next",
		} {
			answer := site.do(t, "GET", "/old/public/page?go="+url.QueryEscape(to), "", nil)
			if got := answer.Header.Get("Location"); answer.StatusCode != http.StatusFound || got != want {
				t.Errorf("%s: %d to %q, want %q", to, answer.StatusCode, got, want)
			}
			if got := strings.ToLower(answer.Header.Get("Set-Cookie")); !strings.Contains(got, "path=/old") {
				t.Errorf("the cookie is %q", got)
			}
		}
	})
}
