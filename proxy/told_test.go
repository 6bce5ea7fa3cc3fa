package proxy_test

import (
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/users"
)

// What headers say of an account is remembered for as long as the account is, and not
// a request longer.
func TestHeadersFollowTheAccount(t *testing.T) {
	w, store := openWithStore(t)
	token := w.bearer("alice")
	told := func() (name, email, groups string) {
		t.Helper()
		w.get("/x", token)
		h := w.only().Header
		return h.Get("X-User-Name"), h.Get("X-User-Email"), h.Get("X-User-Groups")
	}
	for range 3 {
		if name, email, groups := told(); name != "alice" || email != "alice@example.com" || groups != "staff" {
			t.Fatalf("%s, %s, %s", name, email, groups)
		}
	}
	elsewhere := "new@example.com"
	if _, err := store.UpdateUser(t.Context(), "alice", users.Change{Email: &elsewhere, RemoveGroups: []string{"staff"}, AddGroups: []string{"night"}}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, email, groups := told(); email != elsewhere || groups != "night" {
			t.Errorf("after the change: %s, %s", email, groups)
		}
	}
	bob := w.bearer("bob")
	for range 2 {
		w.get("/x", bob)
		if h := w.only().Header; h.Get("X-User-Name") != "bob" || h.Get("X-User-Groups") != "" {
			t.Errorf("bob is %v", h)
		}
		if name, _, _ := told(); name != "alice" {
			t.Errorf("alice is %s", name)
		}
	}
}

// Two upstreams that are told different things are told them in turn.
func TestHeadersAreThoseOfTheUpstream(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		app := cfg.Upstreams["app"]
		app.Preset = "django-remote-user"
		cfg.Upstreams["other"] = app
		cfg.Upstreams["app"] = upstream.Config{URL: app.URL}
		cfg.Routes = append(cfg.Routes, route.Config{To: "other", Path: "/other/*"})
	})
	token := w.bearer("alice")
	for range 3 {
		w.get("/x", token)
		if h := w.only().Header; h.Get("Remote-User") != "" || h.Get("X-User-Id") == "" {
			t.Errorf("app is told %v", h)
		}
		w.get("/other/x", token)
		if h := w.only().Header; h.Get("Remote-User") != "alice" {
			t.Errorf("other is told %v", h)
		}
	}
}

// What is in the token alone is told of each token.
func TestHeadersFromClaimsAreThoseOfTheToken(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Identity.Headers = map[string]identity.Source{"X-User-Id": {Word: "user_id"}, "X-Token": {Claim: []string{"jti"}}}
	})
	one, two := w.bearer("alice"), w.bearer("alice")
	told := map[string]bool{}
	for _, token := range []string{one, two, one, two} {
		w.get("/x", token)
		told[w.only().Header.Get("X-Token")] = true
	}
	if len(told) != 2 || told[""] {
		t.Errorf("of two tokens is told %v", told)
	}
}
