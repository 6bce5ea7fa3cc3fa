package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/cmd/gatehouse/internal/probe"
)

// examine runs the doctor on a backend and returns what it found, by what was sent.
func examine(t *testing.T, code int, args ...string) map[string]probe.Finding {
	t.Helper()
	var stdout, stderr bytes.Buffer
	got := run(t.Context(), append([]string{"doctor", "--json", "--timeout", "10s", "--probe"}, args...), strings.NewReader(""), &stdout, &stderr)
	if got != code {
		t.Errorf("exit code %d, want %d\n%s%s", got, code, stdout.String(), stderr.String())
	}
	var all []struct{ Findings []probe.Finding }
	if err := json.Unmarshal(stdout.Bytes(), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v\n%s%s", err, stdout.String(), stderr.String())
	}
	found := map[string]probe.Finding{}
	for _, f := range all[0].Findings {
		name := f.Probe + ": " + f.Sent
		if f.Probe == "path-alias" {
			_, what, _ := strings.Cut(strings.TrimSuffix(f.Sent, ")"), " (")
			name = f.Probe + ": " + what
		}
		if f.Probe == "large-header" || f.Probe == "around" || f.Probe == "slow-body" {
			name = f.Probe
		}
		found[name] = f
	}
	return found
}

// reads holds what was found against what is known of the backend.
func reads(t *testing.T, found map[string]probe.Finding, want map[string]string) {
	t.Helper()
	for name, read := range want {
		f, ok := found[name]
		if !ok || !strings.Contains(f.Read, read) {
			t.Errorf("%s: read as %q (%s), want %q", name, f.Read, f.Verdict, read)
		}
	}
}

func TestDoctorKnowsPHP(t *testing.T) {
	t.Parallel()
	php := needProgram(t, "php")
	script, err := filepath.Abs("testdata/backends/php/index.php")
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	startProgram(t, exec.Command(php, "-S", address, script), address)
	reads(t, examine(t, exitDone, "http://"+address, "--echo", "/whoami"), map[string]string{
		`header-alias: "X_User_Name" instead of X-User-Name`: "the same header",
		`header-alias: "X.User.Name" instead of X-User-Name`: "the same header",
		"header-repeated: X-User-Name and X-User-Name":       `both, with ", " between`,
		"path-alias: a dot segment":                          "another path",
		"large-header":                                       "takes",
		"host: another Host":                                 "answered as usual",
	})
}

func TestDoctorKnowsDjango(t *testing.T) {
	t.Parallel()
	address := startDjango(t)
	found := examine(t, exitDone, "http://"+address, "--echo", "/whoami")
	reads(t, found, map[string]string{
		`header-alias: "x-user-name" instead of X-User-Name`: "the same header",
		`header-alias: "X.User.Name" instead of X-User-Name`: "", // gunicorn's version decides
		"path-alias: an escaped letter":                      "the same path",
		"large-header":                                       "takes 8 KiB; 16 KiB: answered with 400",
		"slow-body":                                          "", // so do its workers
	})
	if f := found["large-header"]; f.Verdict != probe.Note || !strings.Contains(f.Advice, "server.max_header_bytes: 8KiB") {
		t.Errorf("what to set because of gunicorn's bound: %+v", f)
	}
}

func TestDoctorKnowsNode(t *testing.T) {
	t.Parallel()
	address := startNode(t)
	reads(t, examine(t, exitDone, "http://"+address, "--echo", "/whoami"), map[string]string{
		`header-alias: "X_User_Name" instead of X-User-Name`:  "another header (x_user_name)",
		`header-alias: "X-USER-NAME" instead of X-User-Name`:  "the same header",
		"header-repeated: X-User-Name and X-User-Name":        `both, with ", " between`,
		"path-alias: a doubled slash":                         "another path",
		"large-header":                                        "answered with 431",
		"framing: Content-Length beside Transfer-Encoding":    "answered with 400",
		"framing: two different Content-Lengths":              "answered with 400",
		"slow-body":                                           "",
		`header-alias: "X-User-Name " instead of X-User-Name`: "answered with 400",
		"hop-by-hop: Connection: close, X-User-Name":          "the header counts all the same",
		"host: no Host":                                       "answered with 400",
	})
}

func TestDoctorKnowsNginx(t *testing.T) {
	t.Parallel()
	nginx := needProgram(t, "nginx", "/usr/sbin/nginx")
	dir := t.TempDir()
	address := freeAddress(t)
	text, err := os.ReadFile("testdata/backends/static/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer("PORT", portOf(address), "ROOT", dir, "ACCESS_LOG", filepath.Join(dir, "access.log")).Replace(string(text))
	writeFile(t, filepath.Join(dir, "nginx.conf"), conf)
	if err := os.MkdirAll(filepath.Join(dir, "admin"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "admin", "secret.txt"), "a secret that is some bytes long")
	if err := os.Chmod(filepath.Join(dir, "admin", "secret.txt"), 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755)
	}
	startProgram(t, exec.Command(nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"),
		"-g", "daemon off; error_log stderr; pid "+filepath.Join(dir, "nginx.pid")+";"), address)
	found := examine(t, exitDone, "http://"+address, "--path", "/admin/secret.txt")
	reads(t, found, map[string]string{
		"path-alias: a doubled slash":            "the same path",
		"path-alias: an escaped dot segment":     "the same path",
		"path-alias: escaped slashes":            "the same path",
		"path-alias: a parameter":                "another path (404)",
		"path-alias: other letter case":          "another path (404)",
		"framing: two different Content-Lengths": "answered with 400",
		"host: two Hosts":                        "answered with 400",
		"large-header":                           "takes",
	})
	if f := found["path-alias: escaped slashes"]; f.Verdict != probe.Note || !strings.Contains(f.Advice, "encoded_slash: reject") {
		t.Errorf("what to set because of escaped slashes: %+v", f)
	}
}

// A legacy application that shows nobody what it received, believes a header that
// gatehouse does not know, and listens for all the world.
func TestDoctorFindsWhomABackendBelieves(t *testing.T) {
	t.Parallel()
	legacy := func(header string) http.HandlerFunc {
		return func(w http.ResponseWriter, in *http.Request) {
			switch user := in.Header.Get(header); {
			case in.URL.Path != "/admin/":
				http.NotFound(w, in)
			case user == "":
				http.Redirect(w, in, "/login?next=/admin/", http.StatusFound)
			case user != "root":
				http.Error(w, "not you", http.StatusForbidden)
			default:
				fmt.Fprintln(w, "welcome, root")
			}
		}
	}
	t.Run("a header of its own", func(t *testing.T) {
		backend := httptest.NewServer(legacy("X-Webauth-User"))
		t.Cleanup(backend.Close)
		found := examine(t, exitNotSo, backend.URL, "--path", "/admin/", "--user", "root", "--header", "X-Webauth-User")
		if f := found["header: X-Webauth-User"]; f.Verdict != probe.Danger || !strings.Contains(f.Advice, "identity.also_strip") {
			t.Errorf("%+v", f)
		}
	})
	t.Run("which the configuration strips", func(t *testing.T) {
		backend := httptest.NewServer(legacy("X-Webauth-User"))
		t.Cleanup(backend.Close)
		dir := t.TempDir()
		file := filepath.Join(dir, "gatehouse.yaml")
		writeFile(t, filepath.Join(dir, "jwt"), strings.Repeat("0123456789abcdef", 4))
		writeFile(t, file, fmt.Sprintf(`
tokens: { keys: [{ kid: main, alg: HS256, secret_file: jwt }] }
identity: { also_strip: [X-Webauth-*] }
upstreams: { app: { url: %q } }
routes: [{ name: crm, to: app }]
`, backend.URL))
		for _, name := range []string{"app", "crm"} {
			reads(t, examine(t, exitDone, name, "--config", file, "--path", "/admin/", "--user", "root", "--header", "X-Webauth-User"), map[string]string{
				`header-alias: "x-webauth-user" instead of X-Webauth-User`: "the same header",
				"around":                        "",
				"path-alias: a doubled slash":   "another path",
				"path-alias: an escaped letter": "the same path",
			})
		}
	})
	t.Run("on every address of the machine", func(t *testing.T) {
		listener, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		outside := false
		addresses, _ := net.InterfaceAddrs()
		for _, a := range addresses {
			ip, _, err := net.ParseCIDR(a.String())
			outside = outside || err == nil && ip.To4() != nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast()
		}
		if !outside {
			t.Skip("this machine has no address but loopback")
		}
		backend := httptest.NewUnstartedServer(legacy("X-User-Name"))
		_ = backend.Listener.Close()
		backend.Listener = listener
		backend.Start()
		t.Cleanup(backend.Close)
		url := "http://127.0.0.1:" + portOf(listener.Addr().String())
		found := examine(t, exitNotSo, url, "--path", "/admin/", "--user", "root")
		if f := found["around"]; f.Verdict != probe.Danger || !strings.Contains(f.Sent, "it listens on") || !strings.Contains(f.Read, "believes X-User-Name") {
			t.Errorf("%+v", f)
		}
	})
	t.Run("on loopback alone", func(t *testing.T) {
		backend := httptest.NewServer(legacy("X-User-Name"))
		t.Cleanup(backend.Close)
		if f := examine(t, exitDone, backend.URL, "--path", "/admin/", "--user", "root")["around"]; f.Verdict != probe.Fine {
			t.Errorf("%+v", f)
		}
	})
}

// A server that reads one request after the other is stopped by one slow client.
func TestDoctorFindsAServerThatOneClientStops(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	handler := http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		_, _ = io.Copy(io.Discard, in.Body)
		fmt.Fprintln(w, "fine")
	})
	one := make(chan struct{}, 1)
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		one <- struct{}{}
		defer func() { <-one }()
		handler(w, in)
	})}
	go func() { _ = backend.Serve(listener) }()
	t.Cleanup(func() { _ = backend.Close() })
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"doctor", "--probe", "http://" + listener.Addr().String(), "--timeout", "1s", "--write"}, strings.NewReader(""), &stdout, &stderr)
	if code != exitDone || !strings.Contains(stdout.String(), "NOTE: slow-body: POST with a body that stops after its first byte: waits for it, and answers nobody else meanwhile") {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}

func TestDoctorSaysWhatIsWrongWithTheQuestion(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "it is not said which backend"},
		{[]string{"--probe", "http://127.0.0.1:1"}, exitNotSo, "the backend cannot be asked"},
		{[]string{"--probe", "http://127.0.0.1:1/path"}, exitUsage, "holds a path"},
		{[]string{"--probe", "h2c://127.0.0.1:1"}, exitNotSo, "speaks HTTP/2 alone"},
		{[]string{"--probe", "http://127.0.0.1:1", "--path", "admin"}, exitUsage, `--path "admin" is no path`},
		{[]string{"--probe", "http://127.0.0.1:1", "--timeout", "1h"}, exitUsage, "is not between"},
		{[]string{"--probe", "http://127.0.0.1:1", "--user", "a\r\nb: c"}, exitUsage, "one line"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append([]string{"doctor"}, test.args...), strings.NewReader(""), &stdout, &stderr); code != test.code || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: exit code %d, %s", test.args, code, stderr.String())
		}
	}
}
