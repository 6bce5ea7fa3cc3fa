package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// These tests restart and reconfigure the built program while clients count every
// request: GET and POST with a body, over connections that are kept and over new
// ones, with tokens and without. None may fail.

// needTime skips a test that takes long, unless everything is to be tested.
func needTime(t *testing.T) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "" {
		t.Skip("takes half a minute; set GATEHOUSE_TEST_REQUIRE=1 to run it")
	}
}

// echoBackend answers with what it was sent, and takes a moment for some of it.
func echoBackend(t *testing.T) string {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, err := io.ReadAll(in.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if n.Add(1)%16 == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Fprintf(w, "%s %s %x", in.Method, in.URL.Path, sha256.Sum256(body))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// load is what clients ask until they are told to stop.
type load struct {
	asked, failed atomic.Int64
	turns         [8]atomic.Int64 // of each client, that have come to their end
	slowest       atomic.Int64    // nanoseconds
	stop          func()
}

// press begins to ask, with the token of the moment where there is one.
func press(t *testing.T, url string, token func() string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var l load
	var clients sync.WaitGroup
	l.stop = sync.OnceFunc(func() { cancel(); clients.Wait() })
	t.Cleanup(l.stop)
	for i := range l.turns {
		clients.Go(func() {
			client := &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{DisableKeepAlives: i%4 == 3}}
			defer client.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				began := time.Now()
				l.asked.Add(1)
				if err := askOne(client, url, fmt.Sprintf("/%d/%d", i, n), n%2 == 1, token()); err != nil {
					l.failed.Add(1)
					t.Logf("client %d, request %d: %v", i, n, err)
				}
				l.turns[i].Add(1)
				if took := int64(time.Since(began)); took > l.slowest.Load() {
					l.slowest.Store(took)
				}
				time.Sleep(2 * time.Millisecond) // the machine is for the restarts too
			}
		})
	}
	return &l
}

// askOne asks for a path and holds the answer against what the backend must have got.
func askOne(client *http.Client, url, path string, post bool, token string) error {
	method, body := http.MethodGet, ""
	if post {
		method, body = http.MethodPost, strings.Repeat(path, 500)
	}
	prefix := "/public"
	if token != "" {
		prefix = "/private"
	}
	var sent io.Reader
	if post {
		// No bytes.Reader: the client could send it again by itself, and nothing would be counted.
		sent = io.MultiReader(strings.NewReader(body))
	}
	in, err := http.NewRequest(method, url+prefix+path, sent)
	if err != nil {
		return err
	}
	if post {
		in.ContentLength = int64(len(body))
	}
	if token != "" {
		in.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(in)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%s %s %x", method, prefix+path, sha256.Sum256([]byte(body))); string(text) != want {
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	return nil
}

// gone waits until nobody is left who began to ask before it was called, and each has asked since.
func (l *load) gone(t *testing.T) {
	t.Helper()
	for i := range l.turns {
		enough := l.turns[i].Load() + 2
		eventually(t, "two more turns of a client", func() bool { return l.turns[i].Load() >= enough })
	}
}

// done stops the clients and fails if any request did.
func (l *load) done(t *testing.T, what string) {
	t.Helper()
	for until := time.Now().Add(60 * time.Second); l.asked.Load() < 500 && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	l.stop()
	if l.failed.Load() > 0 || l.asked.Load() < 500 {
		t.Errorf("%d of %d requests failed", l.failed.Load(), l.asked.Load())
	}
	t.Logf("%s: %d requests, %d failed, the slowest took %v", what, l.asked.Load(), l.failed.Load(), time.Duration(l.slowest.Load()).Round(time.Millisecond))
}

const rollingConfig = `
server: { listen: %q, admin_listen: %q, drain: { delay: %s, timeout: 90s } }
log: { level: warn }
store: { dsn: %q }
tokens: { keys: [{ kid: main, alg: HS256, secret: "0123456789abcdef0123456789abcdef" }], access_lifetime: 1h }
upstreams: { app: { url: "http://%s" } }
routes: [{ to: app, rules: [{ path: /public/*, auth: public }] }]
`

// replica is a process that can be restarted.
type replica struct {
	binary, config, admin string
	out                   *lockedBuffer
	prepare               func(*exec.Cmd) *exec.Cmd // nil: nothing
	cmd                   *exec.Cmd
	ended                 chan error
}

func (r *replica) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command(r.binary, "serve", "--config", r.config)
	if r.prepare != nil {
		r.cmd = r.prepare(r.cmd)
	}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd, ended := r.cmd, make(chan error, 1)
	r.ended = ended
	go func() { ended <- cmd.Wait(); close(ended) }()
	r.await(t, true)
}

// await waits until readiness is asked for and is that.
func (r *replica) await(t *testing.T, ready bool) {
	t.Helper()
	eventually(t, "readiness", func() bool {
		answer, err := plainClient.Get("http://" + r.admin + "/readyz")
		if err != nil {
			return !ready
		}
		_ = answer.Body.Close()
		return (answer.StatusCode == http.StatusOK) == ready
	})
}

// end stops the process in order, and fails if that is not its exit.
func (r *replica) end(t *testing.T) {
	t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("ended with %v: %s", err, r.out)
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("does not end: %s", r.out)
	}
}

func (r *replica) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		<-r.ended
	}
}

// Two replicas behind HAProxy, which goes by their readiness: each is restarted again and
// again, one after the other.
func TestRollingRestartsLoseNothing(t *testing.T) {
	needTime(t)
	t.Parallel()
	haproxy := needProgram(t, "haproxy", "/usr/sbin/haproxy")
	backend, dir := echoBackend(t), t.TempDir()
	front, view := freeAddress(t), freeAddress(t)
	conf := "defaults\n  mode http\n  timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n  timeout check 30s\n" +
		"frontend all\n  bind " + front + "\n  default_backend gatehouses\n" +
		"frontend view\n  bind " + view + "\n  stats enable\n  stats uri /\n" +
		"backend gatehouses\n  balance roundrobin\n  option httpchk GET /readyz\n"
	var replicas []*replica
	for i := range 2 {
		listen, admin := freeAddress(t), freeAddress(t)
		r := &replica{binary: mustBuild(t), config: filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), admin: admin, out: new(lockedBuffer)}
		writeFile(t, r.config, fmt.Sprintf(rollingConfig, listen, admin, "6s", filepath.Join(dir, fmt.Sprintf("%d.db", i)), backend))
		r.start(t)
		t.Cleanup(r.kill)
		replicas = append(replicas, r)
		conf += fmt.Sprintf("  server g%d %s check port %s inter 100ms fall 1 rise 1\n", i, listen, portOf(admin))
	}
	writeFile(t, filepath.Join(dir, "haproxy.cfg"), conf)
	startProgram(t, exec.Command(haproxy, "-db", "-f", filepath.Join(dir, "haproxy.cfg")), front)

	all := press(t, "http://"+front, func() string { return "" })
	const restarts = 6
	for i := range restarts {
		r := replicas[i%2]
		r.end(t)
		r.start(t)
		eventually(t, "both to be up for HAProxy, before the other goes", func() bool { return serversUp(t, view) == len(replicas) })
	}
	all.done(t, fmt.Sprintf("%d restarts of two behind HAProxy", restarts))
}

// serversUp is how many servers HAProxy sends requests to, by its statistics.
func serversUp(t *testing.T, view string) int {
	t.Helper()
	answer, err := plainClient.Get("http://" + view + "/;csv")
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0
	}
	up := 0
	for line := range strings.Lines(string(text)) {
		if fields := strings.Split(line, ","); len(fields) > 17 && strings.HasPrefix(fields[1], "g") && fields[17] == "UP" {
			up++
		}
	}
	return up
}

// One process alone, whose socket somebody else holds, as systemd does: what comes while
// there is no gatehouse waits. The delay is longer than a client that stands still for a moment
// keeps a connection that it was told to close.
func TestRestartsWithASocketThatStaysLoseNothing(t *testing.T) {
	needTime(t)
	t.Parallel()
	backend, dir := echoBackend(t), t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	t.Cleanup(func() { _, _ = file.Close(), listener.Close() })
	r := &replica{binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml"), admin: freeAddress(t), out: new(lockedBuffer)}
	writeFile(t, r.config, fmt.Sprintf(rollingConfig, "systemd:", r.admin, "2s", filepath.Join(dir, "gatehouse.db"), backend))
	r.prepare = func(cmd *exec.Cmd) *exec.Cmd {
		wrapped := exec.Command("sh", append([]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)...)
		wrapped.ExtraFiles = []*os.File{file}
		return wrapped
	}
	r.start(t)
	t.Cleanup(func() { r.kill() })
	all := press(t, "http://"+address, func() string { return "" })
	const restarts = 5
	for range restarts {
		r.end(t)
		r.start(t)
		time.Sleep(200 * time.Millisecond)
	}
	all.done(t, fmt.Sprintf("%d restarts of one with a socket that stays", restarts))
}

// Routes, upstreams and keys of one process change while it is asked, with tokens of each key.
func TestRollingReloadsLoseNothing(t *testing.T) {
	needTime(t)
	t.Parallel()
	backends, dir := []string{echoBackend(t), echoBackend(t)}, t.TempDir()
	address := freeAddress(t)
	r := &replica{binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml"), admin: freeAddress(t), out: new(lockedBuffer)}
	write := func(generation int) {
		// The key before still verifies, as whoever rotates keys would have it.
		keys := ""
		for k := max(0, generation-1); k <= generation; k++ {
			use := "verify"
			if k == generation {
				use = "sign"
			}
			keys += fmt.Sprintf("{ kid: k%d, alg: HS256, secret: %032d, use: %s }, ", k, 1e9+k, use)
		}
		keys = strings.TrimSuffix(keys, ", ")
		text := fmt.Sprintf(`
server: { listen: %q, admin_listen: %q }
log: { level: warn }
store: { dsn: %q }
tokens: { keys: [%s], access_lifetime: 1h }
upstreams: { app: { url: "http://%s" } }
routes: [{ name: site%d, to: app, rules: [{ path: /public/*, auth: public }, { path: /only/%d/*, auth: deny }] }]
`, address, r.admin, filepath.Join(dir, "gatehouse.db"), keys, backends[generation%2], generation, generation)
		temporary := r.config + ".new"
		writeFile(t, temporary, text)
		if err := os.Rename(temporary, r.config); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	s := &site{address: address, binary: r.binary, config: r.config, out: new(lockedBuffer)}
	s.run(t, passwordOf("alice")+"\n", "user", "add", "alice", "--password-stdin")
	r.start(t)
	t.Cleanup(func() { r.kill() })
	var token atomic.Pointer[string]
	login := func() {
		access, _ := s.login(t, "alice")
		token.Store(&access)
	}
	login()
	var turn atomic.Int64
	all := press(t, "http://"+address, func() string {
		if turn.Add(1)%2 == 0 {
			return ""
		}
		return *token.Load()
	})
	const reloads = 10
	for generation := 1; generation <= reloads; generation++ {
		write(generation)
		_ = r.cmd.Process.Signal(syscall.SIGHUP)
		eventually(t, "the new configuration", func() bool {
			answer, err := plainClient.Get(fmt.Sprintf("http://%s/only/%d/x", address, generation))
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			return answer.StatusCode == http.StatusForbidden
		})
		login()
		all.gone(t) // with the token before until now, then with the new one
	}
	all.done(t, fmt.Sprintf("%d reloads of routes, upstreams and keys", reloads))
}
