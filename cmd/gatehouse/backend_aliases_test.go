package main

import (
	"net/http"
	"testing"
	"time"
)

// identityAliases are spellings that CGI, WSGI and PHP fold into a name which
// the gateway manages, or which claim to say where a request came from
// (security: CVE-2025-64484 and its relatives).
var identityAliases = []string{
	"X-User-Name", "x-user-name", "X_User_Name", "X-User_Name", "x_user_name", "X.User.Name",
	"X-User.Name", "X!User#Name", "X-User-Id", "X_User_Id", "X-User-Groups", "x.user-groups", "X-User_Email",
	"X-Forwarded-User", "X_Forwarded_User", "X-Forwarded-Prefix", "X_Forwarded_Host", "X-Forwarded-Email",
	"X-Original-URL", "X-Original-User", "X-Rewrite-URL", "X_Rewrite_Url", "X-Real-IP", "X_Real_IP",
	"Forwarded",
}

// believesNobodyElse sends each alias on each kind of route; ask says what the backend believes.
func believesNobodyElse(t *testing.T, site *site, token string, ask func(t *testing.T, path string, header http.Header, want string)) {
	routes := []struct {
		path, token, want string
	}{
		{"/report", token, "alice"},
		{"/public/page", "", ""},
		{"/public/page", token, ""},
		{"/maybe/page", "", ""},
		{"/maybe/page", token, "alice"},
	}
	for _, alias := range identityAliases {
		t.Run("nobody becomes mallory by "+alias, func(t *testing.T) {
			for _, route := range routes {
				header := http.Header{alias: {"mallory"}}
				if route.token != "" {
					header["Authorization"] = []string{"Bearer " + route.token}
				}
				ask(t, route.path, header, route.want)
				header[alias] = []string{"mallory", "mallory"}
				header["Connection"] = []string{"close, x-user-name, x-user-id, authorization"}
				ask(t, route.path, header, route.want)
			}
		})
	}
}

// refusedWithin waits until the token is refused. The documented bound is ten seconds, which
// a busy machine may exceed.
func refusedWithin(t *testing.T, site *site, token string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		answer := site.do(t, "GET", "/report", "", bearer(token))
		if answer.StatusCode == http.StatusUnauthorized {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d after a minute", answer.StatusCode)
		}
	}
}
