package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/cmd/gatehouse/internal/config"
)

// behindPage is docs/behind-another-proxy.md by the language of its blocks.
func behindPage(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/behind-another-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	for _, block := range regexp.MustCompile("(?s)```([a-z]+)\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		kind := block[1]
		if kind == "yaml" && strings.HasPrefix(block[2], "#") {
			continue // of another program
		}
		blocks[kind] = append(blocks[kind], block[2])
	}
	return blocks
}

func TestTheExamplesBehindAnotherProxyLoad(t *testing.T) {
	blocks := behindPage(t)["yaml"]
	if len(blocks) != 3 {
		t.Fatalf("found %d examples, want 3", len(blocks))
	}
	for i, block := range blocks {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "jwt.key"), "an-example-signing-key-of-32-bytes!!\n")
		writeFile(t, filepath.Join(dir, "gatehouse.yaml"), strings.ReplaceAll(block, "/etc/gatehouse/", dir+"/"))
		loaded, err := config.Load(config.Input{Path: filepath.Join(dir, "gatehouse.yaml")})
		if err != nil {
			t.Errorf("example %d: %v", i, err)
			continue
		}
		if _, err := compile(loaded); err != nil || len(loaded.Warnings) > 0 {
			t.Errorf("example %d: %v %v", i, err, loaded.Warnings)
		}
	}
}

// nginx itself, with the two files that the documentation has, asks before it forwards.
func TestNginxAsksBeforeItForwards(t *testing.T) {
	nginx := needProgram(t, "nginx", "/usr/sbin/nginx")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"target": in.RequestURI, "header": in.Header})
	}))
	t.Cleanup(backend.Close)
	app := strings.TrimPrefix(backend.URL, "http://")
	blocks := behindPage(t)
	dir := t.TempDir()
	binary := mustBuild(t)

	s := &site{address: freeAddress(t), binary: binary, config: filepath.Join(dir, "gatehouse.yaml")}
	front := freeAddress(t)
	address := strings.NewReplacer("127.0.0.1:8080", s.address, "127.0.0.1:8000", app, "/etc/gatehouse/", dir+"/", "listen 80;", "listen "+front+";").Replace
	writeFile(t, filepath.Join(dir, "jwt.key"), strings.Repeat("0123456789abcdef", 4)+"\n")
	writeFile(t, s.config, address(blocks["yaml"][0])+"store: { dsn: gatehouse.db }\n")
	s.run(t, passwordOf("alice")+"\n", "user", "add", "alice", "--password-stdin", "--group", "admin", "--email", "alice@example.com")
	s.run(t, passwordOf("bob")+"\n", "user", "add", "bob", "--password-stdin")
	gatehouse := exec.Command(binary, "serve", "--config", s.config)
	gatehouse.Dir = dir
	s.out = startProgram(t, gatehouse, s.address)

	writeFile(t, filepath.Join(dir, "nginx.conf"), "events {}\nhttp {\naccess_log off;\n"+address(blocks["nginx"][0])+"}\n")
	startProgram(t, exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"),
		"-g", "daemon off; error_log stderr; pid "+filepath.Join(dir, "nginx.pid")+";"), front)

	// The token endpoints are reached through nginx as well.
	through := &site{address: front}
	ask := func(t *testing.T, method, target string, header http.Header) *reply {
		t.Helper()
		header = header.Clone()
		if header == nil {
			header = http.Header{}
		}
		header.Set("Host", "app.example.com")
		return through.do(t, method, target, "", header)
	}
	login := func(name string) http.Header {
		form := url.Values{"username": {name}, "password": {passwordOf(name)}}
		answer := through.do(t, "POST", "/api/token/", form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		var pair struct{ Access string }
		answer.decode(t, http.StatusOK, &pair)
		return bearer(pair.Access)
	}
	alice, bob := login("alice"), login("bob")
	for _, c := range []struct {
		name, method, target string
		header               http.Header
		status               int
		user, location       string
	}{
		{"a good token", "GET", "/x?a=1", alice, 200, "alice", ""},
		{"a form", "POST", "/x", bob, 200, "bob", ""},
		{"public", "GET", "/static/x", nil, 200, "", ""},
		{"no token", "GET", "/api/x", nil, 401, "", ""},
		{"a bad token", "GET", "/api/x", http.Header{"Authorization": {"Bearer garbage"}}, 401, "", ""},
		{"a page without a token", "GET", "/x?a=1", http.Header{"Accept": {"text/html"}}, 302, "", "/login?next=%2Fx%3Fa%3D1"},
		{"a form without a token", "POST", "/x", http.Header{"Accept": {"text/html"}}, 401, "", ""},
		{"a group", "GET", "/admin/x", alice, 200, "alice", ""},
		{"another group", "GET", "/admin/x", bob, 403, "", ""},
		{"an identity of one's own", "GET", "/static/x", http.Header{"X-User-Name": {"alice"}}, 403, "", ""},
		{"an identity that nginx drops", "GET", "/static/x", http.Header{"X_User_Name": {"alice"}}, 200, "", ""},
		{"another address in the headers of the question", "GET", "/api/x", http.Header{
			"X-Original-Url": {"https://app.example.com/static/x"}, "X-Original-Method": {"GET"}, "X-Original-Uri": {"/static/x"}, "X-Forwarded-Uri": {"/static/x"},
		}, 401, "", ""},
		{"out of what is public by dots", "GET", "/static/../api/x", nil, 401, "", ""},
		{"out of what is public by encoded dots", "GET", "/static/%2e%2e/api/x", nil, 403, "", ""},
		{"out of what is public by an encoded slash", "GET", "/static/..%2fapi/x", nil, 403, "", ""},
		{"into what is public by dots", "GET", "/admin/../static/x", nil, 403, "", ""},
		{"doubled slashes", "GET", "//static//x", nil, 403, "", ""},
		{"the question itself", "GET", "/_gatehouse", alice, 404, "", ""},
		{"the question at gatehouse", "GET", "/auth/check", alice, 403, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, c.method, c.target, c.header)
			if got.StatusCode != c.status || got.Header.Get("Location") != c.location {
				t.Fatalf("%d, Location %q: %s", got.StatusCode, got.Header.Get("Location"), got.body)
			}
			if c.status == 401 && got.Header.Get("WWW-Authenticate") != `Bearer realm="api"` {
				t.Errorf("WWW-Authenticate %q", got.Header["Www-Authenticate"])
			}
			if c.status != 200 {
				return
			}
			var seen struct {
				Target string
				Header http.Header
			}
			got.decode(t, 200, &seen)
			if seen.Target != c.target || seen.Header.Get("X-User-Name") != c.user || seen.Header["Authorization"] != nil {
				t.Errorf("the backend got %s with %v", seen.Target, seen.Header)
			}
			for name := range seen.Header {
				if c.user == "" && strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), "X-User") {
					t.Errorf("nobody is %s: %s", name, seen.Header[name])
				}
			}
		})
	}

	t.Run("gatehouse is away", func(t *testing.T) {
		_ = gatehouse.Process.Signal(os.Interrupt)
		for range 100 {
			if got := ask(t, "GET", "/static/x", nil); got.StatusCode == 500 {
				return
			}
		}
		t.Error("nginx lets everybody pass")
	})
}
