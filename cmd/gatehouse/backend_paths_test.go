package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"
)

// waysIntoAdmin are spellings that some server reads as a path below /admin, and
// that begin as a public path, or hide the name (security: CVE-2026-33494,
// CVE-2026-48020, CVE-2025-66490, CVE-2021-29492 and their relatives).
var waysIntoAdmin = []string{
	"/public/../admin/x", "/public/%2e%2e/admin/x", "/public/%2E./admin/x", "/public/.%2e/admin/x",
	"/public/..%2fadmin/x", "/public/..%5cadmin/x", `/public/..\admin/x`, "/public/%2e%2e%2fadmin%2fx",
	"/public/..;/admin/x", "/public/..;a=b/admin/x", "/public/;/../admin/x", "/public/%2e%2e;/admin/x", "/public/..%3b/admin/x",
	"/public/%252e%252e/admin/x", "/public/..%252fadmin/x", "/public/%c0%ae%c0%ae/admin/x", "/public/..%c0%afadmin/x",
	"/public//../admin/x", "/public/./../admin/x", "/public/a/../../admin/x", "/public/%2e/../admin/x",
	"//admin/x", "/%2fadmin/x", "/%5cadmin/x", `/\admin/x`, "/./admin/x", "/%2e/admin/x", "/;/admin/x", "/.;/admin/x",
	"/%61dmin/x", "/admin%2fx", "/admin%00/x", "/admin;/x", "/admin;a=b/x", "/%2561dmin/x",
	"/public/..%00/admin/x", "/public%00/../admin/x", "/public/%u002e%u002e/admin/x", "/public/..%ef%bc%8fadmin/x",
	"/admin/x#/public/", "/public/x#/../../admin/x", "/admin/x?/public/", "/public/../admin/x?a=/public/x", "/public/%0d%0a/../admin/x",
	"http://elsewhere.example/admin/x", "/public/../../../../admin/x", "/public/x/%2e%2e/%2e%2e/admin/x",
}

// nobodyGetsIntoAdmin sends each spelling without a token, and with one whose user
// is not in the group. The backend may only ever see a path below /public, or one
// outside that is not below /admin where the user may go.
func nobodyGetsIntoAdmin(t *testing.T, site *site, token string) {
	if status, body := site.raw(t, "/public/x", ""); status != http.StatusOK {
		t.Fatalf("the public part is not open: %d %s", status, body)
	}
	for _, target := range waysIntoAdmin {
		t.Run("nobody gets into /admin by "+target, func(t *testing.T) {
			for _, bearer := range []string{"", token} {
				status, body := site.raw(t, target, bearer)
				if status != http.StatusOK {
					continue // refused, or not found
				}
				var got belief
				if err := json.Unmarshal(body, &got); err != nil {
					t.Fatalf("%v in %s", err, body)
				}
				if bearer == "" && !below("/public", got.Path) {
					t.Errorf("without a token the backend was asked for %q", got.Path)
				}
				if below("/admin", got.Path) {
					t.Errorf("a user who is not of the staff asked the backend for %q", got.Path)
				}
			}
		})
	}
}

// below reads a path as generously as a backend might.
func below(top, target string) bool {
	for range 3 {
		decoded, err := url.PathUnescape(target)
		if err != nil {
			break
		}
		target = decoded
	}
	target = strings.ReplaceAll(target, `\`, "/")
	segments := strings.Split(target, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	target = path.Clean("/" + strings.Join(segments, "/"))
	return target == top || strings.HasPrefix(target, top+"/")
}

// raw sends a request target as its bytes are.
func (s *site) raw(t *testing.T, target, token string, headers ...string) (int, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	authorization := ""
	if token != "" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	for _, header := range headers {
		authorization += header + "\r\n"
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example\r\n%sConnection: close\r\n\r\n", target, authorization)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", target, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}
