package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestPHP(t *testing.T) {
	php := needProgram(t, "php")
	script, err := filepath.Abs("testdata/backends/php/index.php")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	startProgram(t, exec.Command(php, "-S", address, script), address)
	site := startSite(t, address, "alice")
	access, _ := site.login(t, "alice")
	whoami := func(t *testing.T, path string, header http.Header) belief {
		t.Helper()
		var got belief
		site.do(t, "GET", path, "", header).decode(t, http.StatusOK, &got)
		return got
	}

	t.Run("the user of the token, with groups", func(t *testing.T) {
		var got struct {
			User   string
			Groups []string
		}
		site.do(t, "GET", "/report", "", bearer(access)).decode(t, http.StatusOK, &got)
		if got.User != "alice" || strings.Join(got.Groups, "|") != "readers" {
			t.Errorf("PHP believes in %+v, want alice of the readers", got)
		}
	})

	nobodyGetsIntoAdmin(t, site, access)
	pathsAreChangedAndComeBack(t, site, access)
	believesNobodyElse(t, site, access, func(t *testing.T, path string, header http.Header, want string) {
		got := whoami(t, path, header)
		got.believes(t, want)
		for name, value := range got.Meta {
			if text, ok := value.(string); ok && strings.Contains(text, "mallory") {
				t.Errorf("$_SERVER[%q] is %q", name, text)
			}
		}
	})
}
