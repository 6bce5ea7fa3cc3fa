package proxy_test

import (
	"net/http"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// A backend that says some of it itself, and a route with a say of its own.
func TestSecurityHeaders(t *testing.T) {
	const year, sameOrigin, nosniff, referrer = "max-age=31536000", "SAMEORIGIN", "nosniff", "strict-origin-when-cross-origin"
	yes := true
	for _, test := range []struct {
		name          string
		server, route route.SecurityHeaders
		path          string
		https         bool
		want          [4]string // Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, Referrer-Policy
	}{
		{"nothing is said", route.SecurityHeaders{}, route.SecurityHeaders{}, "/public/", true, [4]string{}},
		{"the preset", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{}, "/public/", true, [4]string{year, nosniff, sameOrigin, referrer}},
		{"no https", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{}, "/public/", false, [4]string{"", nosniff, sameOrigin, referrer}},
		{"the backend's own stay", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{}, "/public/own", true, [4]string{year, nosniff, "ALLOW-FROM x", "no-referrer"}},
		{"the backend's own are replaced", route.SecurityHeaders{Preset: "basic", Override: &yes}, route.SecurityHeaders{}, "/public/own", true, [4]string{year, nosniff, sameOrigin, referrer}},
		{"one is off", route.SecurityHeaders{Preset: "basic", FrameOptions: "off", HSTS: "max-age=60"}, route.SecurityHeaders{}, "/public/", true, [4]string{"max-age=60", nosniff, "", referrer}},
		{"the route has a word", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{FrameOptions: "DENY"}, "/public/", true, [4]string{year, nosniff, "DENY", referrer}},
		{"the route wants none", route.SecurityHeaders{Preset: "basic", HSTS: "max-age=60"}, route.SecurityHeaders{Preset: "off"}, "/public/", true, [4]string{}},
		{"the route alone", route.SecurityHeaders{}, route.SecurityHeaders{ReferrerPolicy: "origin"}, "/public/", true, [4]string{"", "", "", "origin"}},
		{"a refusal, which has some of its own", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{}, "/x", true, [4]string{year, nosniff, "DENY", "same-origin"}},
		{"no route", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{Preset: "off"}, "/%00", true, [4]string{year, nosniff, "DENY", "same-origin"}},
		{"an endpoint of gatehouse", route.SecurityHeaders{Preset: "basic"}, route.SecurityHeaders{}, "/api/token/", true, [4]string{year, nosniff, "DENY", "same-origin"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := open(t, func(w http.ResponseWriter, in *http.Request) {
				if in.URL.Path == "/public/own" {
					w.Header().Set("X-Frame-Options", "ALLOW-FROM x")
					w.Header().Set("Referrer-Policy", "no-referrer")
				}
			}, trusting("127.0.0.1"), func(cfg *proxy.Config) {
				cfg.Server.SecurityHeaders = test.server
				cfg.Routes[0].SecurityHeaders = test.route
			})
			proto := "http"
			if test.https {
				proto = "https"
			}
			got := w.get(test.path, "X-Forwarded-Proto: "+proto)
			for i, name := range []string{"Strict-Transport-Security", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy"} {
				if values := got.Header.Values(name); len(values) > 1 || got.Header.Get(name) != test.want[i] {
					t.Errorf("%s is %q, want %q", name, values, test.want[i])
				}
			}
		})
	}
}

func TestFaultsOfSecurityHeaders(t *testing.T) {
	cfg := site("127.0.0.1:1")
	cfg.Server.SecurityHeaders.Preset = "strict"
	cfg.Routes[0].SecurityHeaders.HSTS = "max-age=1\r\nX: y"
	_, err := proxy.New(cfg, parts(t, nil))
	got := fields(err)
	if len(got) != 2 || got[0] != "server.security_headers.preset" || got[1] != "routes[0].security_headers.hsts" {
		t.Errorf("got %q", got)
	}
}
