package proxy_test

import (
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// A rule for DELETE does not hold against a POST whose header makes the framework
// behind it take it for a DELETE.
func TestAttackMethodOverride(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Routes[0].Rules = []route.RuleConfig{
			{Path: "/posts/*", Auth: route.Auth{Word: "public"}},
			{Path: "/posts/*", Methods: []string{"DELETE"}, Auth: route.Auth{Groups: []string{"staff"}}},
		}
	})
	for _, header := range []string{
		"X-HTTP-Method-Override: DELETE", "x-http-method-override: delete", "X_HTTP_Method_Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE",
		"X-HTTP-Method-Override: PUT, DELETE", "X-HTTP-Method-Override: PUT\nX-HTTP-Method-Override: DELETE", "X.Http.Method.Override: DELETE",
	} {
		w.refused(w.raw(head("POST", "/posts/1", header)), 400,
			`{"detail":"Malformed request: a header asks for another method, for which another policy holds."}`)
		w.untouched()
	}
	for _, header := range []string{"X-HTTP-Method-Override: PUT", "X-HTTP-Method-Override: PATCH", "X-Method: DELETE"} {
		if got := w.raw(head("POST", "/posts/1", header)); got.StatusCode != 200 {
			t.Errorf("%s: %d", header, got.StatusCode)
		}
		w.only()
	}
}
