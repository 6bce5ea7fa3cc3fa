package proxy_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

func preset(name string) func(*proxy.Config) {
	return func(cfg *proxy.Config) {
		app := cfg.Upstreams["app"]
		app.Preset = name
		cfg.Upstreams["app"] = app
	}
}

func TestPresets(t *testing.T) {
	for name, want := range map[string]string{
		"django-remote-user": "Remote-User: alice\r\n", "php": "Remote-Groups: staff\r\n", "rails": "X-Remote-Email: alice@example.com\r\n", "spring-preauth": "SM_USER: alice\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, nil, preset(name))
			w.get("/x", w.bearer("alice"))
			if in := w.only(); in.Header.Get("X-User-Name") != "alice" {
				t.Errorf("X-User-Name is %q", in.Header.Get("X-User-Name"))
			}
			if wire := w.backend.wire.String(); !strings.Contains(wire, want) {
				t.Errorf("on the wire there is no %q:\n%s", want, wire)
			}
			for _, alias := range []string{
				"Remote-User", "REMOTE_USER", "remote.user", "X-Remote-User", "X_REMOTE_USER", "X-Remote-Admin", "Remote-Roles", "SM_USER", "Sm-User", "sm_userdn",
			} {
				if strings.HasPrefix(strings.ToLower(alias), "sm") && name != "spring-preauth" {
					continue
				}
				for _, path := range []string{"/public/", "/optional/"} {
					w.backend.wire.Reset()
					w.get(path, alias+": mallory", "Connection: remote-user, sm_user, x-remote-user")
					if wire := w.backend.wire.String(); strings.Contains(wire, "mallory") {
						t.Errorf("%s passes:\n%s", alias, wire)
					}
				}
				w.backend.wire.Reset()
				w.get("/x", w.bearer("alice"), alias+": mallory", "Connection: remote-user, sm_user, x-remote-user")
				if wire := w.backend.wire.String(); strings.Contains(wire, "mallory") || !strings.Contains(wire, want) {
					t.Errorf("%s passes, or takes ours away:\n%s", alias, wire)
				}
			}
		})
	}
}

func TestWhatIsSaidWinsOverAPreset(t *testing.T) {
	word := func(w string) identity.Source { return identity.Source{Word: w} }
	w := open(t, nil, preset("php"), func(cfg *proxy.Config) {
		cfg.Identity.Headers = map[string]identity.Source{"remote-user": word("email"), "X-Who": word("user_id")}
		other := cfg.Upstreams["app"]
		other.Preset = ""
		cfg.Upstreams["plain"] = other
		cfg.Routes = append(cfg.Routes, route.Config{Path: "/plain/*", To: "plain"})
	})
	bearer := w.bearer("alice")
	w.get("/x", bearer)
	in := w.only().Header
	if got := in.Values("Remote-User"); len(got) != 1 || got[0] != "alice@example.com" {
		t.Errorf("Remote-User is %q, want what is written", got)
	}
	if in.Get("Remote-Groups") != "staff" || in.Get("X-Who") == "" || in.Get("X-User-Name") != "" {
		t.Errorf("got %v", in)
	}
	w.get("/plain/x", bearer, "Remote-Groups: theirs")
	in = w.only().Header
	if in.Get("Remote-Groups") != "theirs" || in.Get("Remote-User") != "alice@example.com" {
		t.Errorf("an upstream without a preset got %v", in)
	}
}

func TestAPresetThatDoesNotExist(t *testing.T) {
	cfg := site("127.0.0.1:1")
	cfg.Upstreams["app"] = upstream.Config{URL: "http://127.0.0.1:1", Preset: "django"}
	_, err := proxy.New(cfg, parts(t, slog.New(slog.DiscardHandler)))
	fault, ok := errors.AsType[*proxy.Fault](err)
	if !ok || fault.At != "upstreams.app.preset" || fault.Error() != `no preset is called "django"; write one of django-remote-user, php, rails, spring-preauth` {
		t.Errorf("got %v", err)
	}
}

func TestTheKeepAliveOfAPreset(t *testing.T) {
	for _, name := range identity.PresetNames() {
		preset, _ := identity.PresetOf(name)
		if preset.KeepAlive > 15*time.Second || len(preset.Headers) == 0 || len(preset.Strip) == 0 {
			t.Errorf("%s: %+v", name, preset)
		}
	}
}
