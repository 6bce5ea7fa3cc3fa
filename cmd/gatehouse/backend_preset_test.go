package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func presetSite(t *testing.T, preset, backend string) *site {
	t.Helper()
	return startSiteWith(t, strings.Replace(siteConfig, `"http://%s" }`, `"http://%s", preset: `+preset+` }`, 1), backend, "alice")
}

// believesPreset holds what a backend behind a preset believes against every spelling of
// the headers that it listens to.
func believesPreset(t *testing.T, site *site) {
	access, _ := site.login(t, "alice")
	for _, route := range []struct{ path, token, want string }{
		{"/report", access, "alice"}, {"/public/page", "", ""}, {"/public/page", access, ""}, {"/maybe/page", "", ""}, {"/maybe/page", access, "alice"},
	} {
		for _, alias := range []string{"", "Remote-User", "Remote_User", "REMOTE_USER", "remote.user", "Remote-Email", "Remote-Groups", "X-Remote-User", "X-Forwarded-User", "X-WebAuth-User"} {
			header := http.Header{}
			if route.token != "" {
				header = bearer(route.token)
			}
			if alias != "" {
				header[alias] = []string{"mallory"}
				header["Connection"] = []string{"close, remote-user, remote-groups"}
			}
			var got belief
			site.do(t, "GET", route.path, "", header).decode(t, http.StatusOK, &got)
			got.believes(t, route.want)
			for name, value := range got.Meta {
				if text, ok := value.(string); ok && strings.Contains(text, "mallory") {
					t.Errorf("%s: %s is %q", alias, name, text)
				}
			}
		}
	}
}

func TestPresetForDjango(t *testing.T) {
	site := presetSite(t, "django-remote-user", startDjango(t, "LEGACY_PRESET=1"))
	believesPreset(t, site)
	name := "søren+密码"
	site.run(t, "pass of "+name+"\n", "user", "add", name, "--password-stdin")
	token, _ := site.login(t, name)
	var got belief
	site.do(t, "GET", "/", "", bearer(token)).decode(t, http.StatusOK, &got)
	got.believes(t, name)
}

func TestPresetForPHP(t *testing.T) {
	php := needProgram(t, "php")
	script, err := filepath.Abs("testdata/backends/php/remote_user.php")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	startProgram(t, exec.Command(php, "-S", address, script), address)
	site := presetSite(t, "php", address)
	believesPreset(t, site)
	access, _ := site.login(t, "alice")
	var got struct {
		User, Email string
		Groups      []string
	}
	site.do(t, "GET", "/report", "", bearer(access)).decode(t, http.StatusOK, &got)
	if got.User != "alice" || got.Email != "mail@example.com" || strings.Join(got.Groups, "|") != "readers" {
		t.Errorf("PHP believes in %+v", got)
	}
}
