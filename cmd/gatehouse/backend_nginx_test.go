package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStaticNginx(t *testing.T) {
	nginx := needProgram(t, "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	address := freeAddress(t)
	text, err := os.ReadFile("testdata/backends/static/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	access := filepath.Join(dir, "access.log")
	conf := strings.NewReplacer("PORT", portOf(address), "ROOT", dir, "ACCESS_LOG", access).Replace(string(text))
	writeFile(t, filepath.Join(dir, "nginx.conf"), conf)
	for _, name := range []string{"report.txt", "public/page.txt", "admin/secret.txt"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("this is "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// nginx drops root by itself; the directory must let its worker in.
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755)
	}
	startProgram(t, exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"),
		"-g", "daemon off; error_log stderr; pid "+filepath.Join(dir, "nginx.pid")+";"), address)
	site := startSite(t, address, "alice")
	token, _ := site.login(t, "alice")

	for _, c := range []struct {
		name, path string
		header     http.Header
		want       int
	}{
		{"a file with a token", "/report.txt", bearer(token), http.StatusOK},
		{"a file without a token", "/report.txt", nil, http.StatusUnauthorized},
		{"a public file without a token", "/public/page.txt", nil, http.StatusOK},
		{"a file for staff with another's token", "/admin/secret.txt", bearer(token), http.StatusForbidden},
		{"out of the public part by dots", "/public/../admin/secret.txt", nil, http.StatusUnauthorized},
		{"out of the public part by encoded dots", "/public/%2e%2e/admin/secret.txt", nil, http.StatusBadRequest},
		{"out of the public part by an encoded slash", "/public/..%2fadmin/secret.txt", nil, http.StatusBadRequest},
		{"out of the public part by a semicolon", "/public/..;/admin/secret.txt", nil, http.StatusBadRequest},
		{"the staff's part by doubled slashes", "//admin//secret.txt", nil, http.StatusUnauthorized},
		{"the staff's part by an encoded letter", "/%61dmin/secret.txt", bearer(token), http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := site.do(t, "GET", c.path, "", c.header)
			if answer.StatusCode != c.want {
				t.Errorf("got %d, want %d: %s", answer.StatusCode, c.want, answer.body)
			}
			if strings.Contains(string(answer.body), "admin/secret") {
				t.Error("the staff's file was handed out")
			}
		})
	}

	t.Run("a part of a file, by range", func(t *testing.T) {
		header := bearer(token)
		header.Set("Range", "bytes=0-3")
		answer := site.do(t, "GET", "/report.txt", "", header)
		if answer.StatusCode != http.StatusPartialContent || string(answer.body) != "this" {
			t.Errorf("got %d %q, want 206 %q", answer.StatusCode, answer.body, "this")
		}
	})

	t.Run("the log of nginx names the user", func(t *testing.T) {
		for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			log, _ := os.ReadFile(access)
			if strings.Contains(string(log), "alice /report.txt 200\n") && strings.Contains(string(log), "- /public/page.txt 200\n") {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %q", log)
			}
		}
	})
}
