package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/cmd/gatehouse/internal/config"
)

// mounted is a directory as Kubernetes mounts a ConfigMap: its files are links into
// a directory that is itself a link, which is swapped.
type mounted struct {
	dir     string
	version int
}

func (m *mounted) swap(t *testing.T, files map[string]string) {
	t.Helper()
	m.version++
	version := fmt.Sprintf("..version_%d", m.version)
	if err := os.Mkdir(filepath.Join(m.dir, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		writeFile(t, filepath.Join(m.dir, version, name), text)
		if m.version == 1 {
			if err := os.Symlink("..data/"+name, filepath.Join(m.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink(version, filepath.Join(m.dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(m.dir, "..data_tmp"), filepath.Join(m.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// watched is a server that looks at its configuration every few milliseconds.
type watched struct {
	*server
	log  *lockedBuffer
	stop func() error
}

func launchWatched(t *testing.T, path string) *watched {
	t.Helper()
	load := func() (*config.Loaded, error) { return config.Load(config.Input{Path: path}) }
	loaded, err := load()
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{log: new(lockedBuffer)}
	w.server, err = launch(t.Context(), loaded, slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	w.follow(newReloader(loaded, load))
	w.reloader.poll = 10 * time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.serve(ctx) }()
	w.stop = sync.OnceValue(func() error { stop(); return <-served })
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watched) url(path string) string { return "http://" + w.edge.Addrs()[0].String() + path }

// plainClient asks on connections of its own.
var plainClient = &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{}}

// eventually waits for something that happens soon.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// swapFile writes a file that nobody sees half of: there would be a complaint about that, too.
func swapFile(t *testing.T, path, text string) {
	t.Helper()
	writeFile(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

const reloadConfig = `
server: { listen: "127.0.0.1:0", drain: { timeout: 2m } }
store: { dsn: %q }
tokens: { keys: [{ kid: a, alg: HS256, secret_file: secret }] }
upstreams: { app: { url: %q } }
routes: [{ to: app, auth: %s }]
`

// A ConfigMap is swapped again and again while clients ask: none of them sees more than
// answers of the one or of the other. A WebSocket, and a request that takes its time, stay
// with the configuration that let them in, to their end.
func TestAConfigurationSwappedUnderLoad(t *testing.T) {
	release := make(chan struct{})
	backend := func(name string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
			switch in.URL.Path {
			case "/ws":
				echo(name)(w, in)
				return
			case "/slow":
				<-release
			}
			_, _ = io.WriteString(w, name)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	backends := []string{backend("one"), backend("two")}
	store := filepath.Join(t.TempDir(), "gatehouse.db")
	m := &mounted{dir: t.TempDir()}
	swap := func(i int) {
		m.swap(t, map[string]string{
			"gatehouse.yaml": fmt.Sprintf(reloadConfig, store, backends[i%2], "public"), "secret": "0123456789abcdef0123456789abcdef",
		})
	}
	swap(0)
	w := launchWatched(t, filepath.Join(m.dir, "gatehouse.yaml"))
	old := w.current.Load()

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, w.url("/ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	echoes := func() {
		t.Helper()
		if err := socket.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := socket.Read(ctx); string(text) != "one hello" {
			t.Fatalf("the WebSocket says %q, %v", text, err)
		}
	}
	echoes()
	slow := make(chan string, 1)
	go func() {
		answer, err := plainClient.Get(w.url("/slow"))
		if err != nil {
			slow <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		slow <- string(text)
	}()
	eventually(t, "the slow request", func() bool { return w.inFlight.Load() == 2 })

	loading, stop := context.WithCancel(ctx)
	var asked, failed, one, two atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
			for loading.Err() == nil {
				asked.Add(1)
				answer, err := client.Get(w.url("/"))
				if err != nil {
					failed.Add(1)
					t.Log(err)
					continue
				}
				text, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				switch {
				case err == nil && answer.StatusCode == http.StatusOK && string(text) == "one":
					one.Add(1)
				case err == nil && answer.StatusCode == http.StatusOK && string(text) == "two":
					two.Add(1)
				default:
					failed.Add(1)
					t.Log(answer.Status, string(text), err)
				}
			}
		})
	}
	const swaps = 10
	for i := 1; i <= swaps; i++ {
		before := w.current.Load()
		swap(i)
		eventually(t, "the new configuration", func() bool { return w.current.Load() != before })
		echoes()
		of := []*atomic.Int64{&one, &two}[i%2]
		enough := of.Load() + 10
		eventually(t, "answers of the new one", func() bool { return of.Load() >= enough || failed.Load() > 0 })
	}
	stop()
	clients.Wait()
	if failed.Load() > 0 || one.Load() == 0 || two.Load() == 0 {
		t.Errorf("of %d requests %d failed; %d and %d reached the backends", asked.Load(), failed.Load(), one.Load(), two.Load())
	}
	t.Logf("%d requests over %d swaps, %d failed", asked.Load(), swaps, failed.Load())

	close(release)
	if got := <-slow; got != "one" {
		t.Errorf("the slow request got %q", got)
	}
	if old.closed.Load() {
		t.Error("the first generation was closed under its WebSocket")
	}
	_ = socket.Close(websocket.StatusNormalClosure, "")
	eventually(t, "the end of the first generation", old.closed.Load)
}

// What cannot be used changes nothing, and is told in the log, once, with its line, and where
// readiness is asked for.
func TestABadConfigurationChangesNothing(t *testing.T) {
	backend := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	path, store := filepath.Join(dir, "gatehouse.yaml"), filepath.Join(dir, "gatehouse.db")
	good := fmt.Sprintf(strings.Replace(reloadConfig, "drain:", `admin_listen: "localhost:0", drain:`, 1), store, backend.URL, "public")
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef")
	writeFile(t, path, good)
	w := launchWatched(t, path)
	status := func() int {
		answer, err := plainClient.Get(w.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	ready := func() string {
		answer, err := plainClient.Get("http://" + w.admin.listener.Addr().String() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return fmt.Sprint(answer.StatusCode, " ", string(text))
	}
	if got := ready(); got != "200 {\"status\":\"ready\"}\n" {
		t.Errorf("got %s", got)
	}
	complaints := 0
	for _, test := range []struct{ name, text, want string }{
		{"an unknown key", strings.Replace(good, "routes:", "rotes:", 1), "gatehouse.yaml:6: rotes: there is no such key; did you mean routes?"},
		{"no YAML", "{", "gatehouse.yaml:1: "},
		{"an upstream that is none", strings.Replace(good, "to: app", "to: ap", 1), "gatehouse.yaml:6: routes[0].to: "},
		{"another address", strings.Replace(good, `listen: "127.0.0.1:0"`, `listen: "127.0.0.1:1"`, 1), "gatehouse.yaml:2: server.listen: cannot change while gatehouse runs; restart it, or write what was there"},
		{"another database", strings.Replace(good, "gatehouse.db", "another.db", 1), "gatehouse.yaml:3: store.dsn: cannot change while gatehouse runs"},
		{"a secret that is not there", strings.Replace(good, "secret_file: secret", "secret_file: secret2", 1), "secret2"},
		{"nothing at all", "", "tokens.keys"},
	} {
		swapFile(t, path, test.text)
		complaints++
		eventually(t, "the complaint about "+test.name, func() bool { return strings.Count(w.log.String(), "the one before it stays") == complaints })
		log := w.log.String()
		if last := log[strings.LastIndex(strings.TrimSpace(log), "\n")+1:]; !strings.Contains(log, "level=ERROR") || !strings.Contains(last, test.want) && !strings.Contains(log, test.want) {
			t.Errorf("%s: got %s", test.name, last)
		}
		if got := status(); got != http.StatusNotFound {
			t.Errorf("%s: the gateway answers %d", test.name, got)
		}
		if got := ready(); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, "the changed configuration cannot be used (") || !strings.Contains(got, "); the one before it is in effect") ||
			strings.HasPrefix(test.want, "gatehouse.yaml:6: rotes") && !strings.Contains(got, "gatehouse.yaml:6: rotes") {
			t.Errorf("%s: ready says %s", test.name, got)
		}
	}
	time.Sleep(100 * time.Millisecond)
	if got := strings.Count(w.log.String(), "the one before it stays"); got != complaints {
		t.Errorf("%d complaints about %d faults", got, complaints)
	}
	if strings.Contains(w.log.String(), "0123456789abcdef") {
		t.Error("a secret is in the log")
	}

	// A file that a bad configuration lacked comes, and it is good.
	swapFile(t, path, strings.Replace(strings.Replace(good, "secret_file: secret", "secret_file: secret2", 1), "public", "required", 1))
	complaints++
	eventually(t, "the complaint", func() bool { return strings.Count(w.log.String(), "the one before it stays") == complaints })
	swapFile(t, filepath.Join(dir, "secret2"), "fedcba9876543210fedcba9876543210")
	eventually(t, "the new rule", func() bool { return status() == http.StatusUnauthorized })
	eventually(t, "that nothing is complained about", func() bool { return ready() == "200 {\"status\":\"ready\"}\n" })
}

// Whoever sends SIGHUP does not wait for the next look. Streams of a generation that
// is not the current one end with the server too.
func TestAHangupAndStreamsOfTheGenerationBefore(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		conn, err := websocket.Accept(w, in, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_, _, _ = conn.Read(in.Context())
	}))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	path, store := filepath.Join(dir, "gatehouse.yaml"), filepath.Join(dir, "gatehouse.db")
	writeFile(t, filepath.Join(dir, "secret"), "0123456789abcdef0123456789abcdef")
	writeFile(t, path, fmt.Sprintf(reloadConfig, store, backend.URL, "public"))
	w := launchWatched(t, path)
	w.reloader.signal <- syscall.SIGHUP // with nothing changed
	eventually(t, "a reload", func() bool { return w.reloader.reloads[1].Load() == 1 })

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, w.url("/ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	swapFile(t, path, fmt.Sprintf(reloadConfig, store, backend.URL, "deny"))
	eventually(t, "the new rule", func() bool {
		answer, err := plainClient.Get(w.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusForbidden
	})
	closed := make(chan error, 1)
	go func() {
		_, _, err := socket.Read(ctx)
		closed <- err
	}()
	select {
	case err := <-closed:
		t.Fatalf("the WebSocket ended with the configuration: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if got := websocket.CloseStatus(<-closed); got != websocket.StatusGoingAway && got != websocket.StatusServiceRestart {
		t.Errorf("the WebSocket ended with %v", got)
	}
}
