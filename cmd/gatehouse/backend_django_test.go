package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startDjango runs a Django site with RemoteUserMiddleware under gunicorn.
func startDjango(t *testing.T, environ ...string) string {
	t.Helper()
	gunicorn := needProgram(t, "gunicorn", "gunicorn3")
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import django").Run(); err != nil {
		missing(t, "Django is not installed for "+python)
	}
	source, err := filepath.Abs("testdata/backends/django")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "LEGACY_DB="+filepath.Join(t.TempDir(), "legacy.db"),
		"PYTHONPATH="+source, "PYTHONDONTWRITEBYTECODE=1")
	env = append(env, environ...)
	migrate := exec.Command(python, filepath.Join(source, "legacy.py"))
	migrate.Env = env
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	address := freeAddress(t)
	server := exec.Command(python, gunicorn, "--bind", address, "--workers", "2", "--keep-alive", "2", "legacy:application")
	server.Env = env
	startProgram(t, server, address)
	return address
}

func TestDjangoUnderGunicorn(t *testing.T) {
	site := startSite(t, startDjango(t), "alice")
	whoami := func(t *testing.T, path string, header http.Header) belief {
		t.Helper()
		var got belief
		site.do(t, "GET", path, "", header).decode(t, http.StatusOK, &got)
		return got
	}
	access, refresh := site.login(t, "alice")

	t.Run("a login, a call, a refresh and a refused call", func(t *testing.T) {
		whoami(t, "/report", bearer(access)).believes(t, "alice")

		var renewed struct{ Access string }
		site.do(t, "POST", "/api/token/refresh/", `{"refresh":"`+refresh+`"}`,
			http.Header{"Content-Type": {"application/json"}}).decode(t, http.StatusOK, &renewed)
		whoami(t, "/report", bearer(renewed.Access)).believes(t, "alice")

		var refused struct{ Detail, Code string }
		site.do(t, "GET", "/report", "", nil).decode(t, http.StatusUnauthorized, &refused)
		if want := "Authentication credentials were not provided."; refused.Detail != want {
			t.Errorf("got detail %q, want %q", refused.Detail, want)
		}
		site.do(t, "GET", "/report", "", bearer(refresh)).decode(t, http.StatusUnauthorized, &refused)
		if want := "token_not_valid"; refused.Code != want {
			t.Errorf("a refresh token as bearer: got code %q, want %q", refused.Code, want)
		}
		site.do(t, "GET", "/admin/", "", bearer(access)).decode(t, http.StatusForbidden, &refused)
	})

	t.Run("a disabled user is out while the token still runs", func(t *testing.T) {
		site.run(t, "pass of bob\n", "user", "add", "bob", "--password-stdin")
		token, _ := site.login(t, "bob")
		whoami(t, "/report", bearer(token)).believes(t, "bob")
		site.run(t, "", "user", "disable", "bob")
		refusedWithin(t, site, token)
	})

	t.Run("a name that is no header value reaches Django with its letters", func(t *testing.T) {
		name := "søren+密码"
		site.run(t, "pass of "+name+"\n", "user", "add", name, "--password-stdin")
		token, _ := site.login(t, name)
		whoami(t, "/", bearer(token)).believes(t, name)
	})

	nobodyGetsIntoAdmin(t, site, access)
	pathsAreChangedAndComeBack(t, site, access)
	believesNobodyElse(t, site, access, func(t *testing.T, path string, header http.Header, want string) {
		got := whoami(t, path, header)
		got.believes(t, want)
		for name, value := range got.Meta {
			if text, ok := value.(string); ok && strings.Contains(text, "mallory") {
				t.Errorf("request.META[%q] is %q", name, text)
			}
		}
	})
}
