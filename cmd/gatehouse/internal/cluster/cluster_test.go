package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/users/userstest/port"
	"gatehouse/users/userstest/postgres"
)

// patience is for what happens at once on a machine that has nothing else to do.
const patience = time.Minute

// built compiles the program once for all tests.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gatehouse-cluster-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatehouse")
	out, err := exec.Command("go", "build", "-o", path, "gatehouse/cmd/gatehouse").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	// Faults are counted here by when logins work again, on machines that are busy with
	// tests, where those of a process of a lower priority would get what is left.
	_ = os.Setenv("GATEHOUSE_LOGIN_HASHING_ISOLATION", "none")
	m.Run()
	if path, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
}

// long skips a test that takes long where nobody asks for those.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "" {
		t.Skip("it takes long; GATEHOUSE_TEST_REQUIRE=1 runs it")
	}
}

// cluster is some replicas, what they share, and a backend behind them.
type cluster struct {
	t        testing.TB
	dir      string // of the configurations and keys
	binary   string
	servers  []*postgres.Server // the first is the primary at the beginning
	database string
	replicas []*replica
	backend  string
}

// settings are what a cluster is made with.
type settings struct {
	replicas int
	standby  bool
	outage   func(replica int) string // of store.outage; nil: refuse
	store    string                   // more of the section store
	throttle string                   // budgets of login.throttle; "": none of networks and tokens
	access   string                   // tokens.access_lifetime; "": 5m
	grace    string                   // of tokens.rotation, and what follows it; "": 10m
	sections string                   // more sections
	routes   string                   // more routes
	away     bool                     // the database goes away: it is waited for as long as by default, and not for half a minute
}

// patient is what a database may take that is there, on a machine that is busy.
const patient = ", acquire_timeout: 30s, statement_timeout: 30s"

// newCluster starts PostgreSQL, with a standby if one is wanted, and replicas whose
// signing key is in a directory that they share.
func newCluster(t testing.TB, s settings) *cluster {
	t.Helper()
	c := prepareCluster(t, s)
	var all sync.WaitGroup
	for _, r := range c.replicas {
		all.Go(func() { r.start() })
	}
	all.Wait()
	for _, r := range c.replicas {
		r.awaitReady()
	}
	return c
}

// prepareCluster is newCluster without a replica that runs.
func prepareCluster(t testing.TB, s settings) *cluster {
	t.Helper()
	primary := postgres.New(t, "max_connections=200", "wal_retrieve_retry_interval=100ms")
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: t.TempDir(), binary: binary, servers: []*postgres.Server{primary}, database: "gatehouse"}
	primary.SQL(t, "postgres", "CREATE DATABASE gatehouse")
	if s.standby {
		c.servers = append(c.servers, primary.Standby(t))
	}
	// The backend answers with whom the gateway names.
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		_, _ = fmt.Fprintf(w, "%s|%s", in.Header.Get("X-User-Name"), in.Header.Get("X-User-Groups"))
	}))
	t.Cleanup(backend.Close)
	c.backend = backend.Listener.Addr().String()
	for i := range s.replicas {
		r := &replica{c: c, name: fmt.Sprint("r", i), output: new(output), patient: !s.away}
		for _, server := range c.servers {
			r.links = append(r.links, newLink(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port()))))
		}
		r.address, r.admin = freeAddress(t), freeAddress(t)
		outage := "refuse"
		if s.outage != nil {
			outage = s.outage(i)
		}
		store := s.store
		if r.patient {
			store = patient + store
		}
		r.config = filepath.Join(c.dir, r.name+".yaml")
		writeFile(t, r.config, fmt.Sprintf(`
server: { listen: %q, admin_listen: %q, drain: { delay: 0s }, trusted_proxies: [127.0.0.1] }
store: { driver: postgres, dsn: %q, outage: %s %s }
tokens: { key_dir: keys, access_lifetime: %s, rotation: { enabled: true, grace: %s } }
upstreams: { app: { url: "http://%s" } }
login: { throttle: { enabled: true, %s }, hashing: { accept_legacy: true } }
%s
routes:
  - { path: /open/*, to: app, auth: public }
  - { path: /staff/*, to: app, auth: { groups: [staff] } }
  - { path: /*, to: app }
%s`, r.address, r.admin, r.dsn(), outage, store, cmp.Or(s.access, "5m"), cmp.Or(s.grace, "10m"), c.backend,
			cmp.Or(s.throttle, "per_network: none, refresh_per_network: none, refresh_per_session: none, verify_per_network: none"), s.sections, s.routes))
		c.replicas = append(c.replicas, r)
		t.Cleanup(func() { r.kill(syscall.SIGKILL) })
	}
	// Commands are not behind the links.
	writeFile(t, filepath.Join(c.dir, "command.yaml"), fmt.Sprintf("store: { driver: postgres, dsn: %q%s }\ntokens: { key_dir: keys }\n%s\n", c.dsn(), patient, s.sections))
	c.command(context.Background(), "", "keys", "new")
	return c
}

// dsn names all servers, past the links.
func (c *cluster) dsn() string {
	var ports []string
	for _, server := range c.servers {
		ports = append(ports, strconv.Itoa(server.Port()))
	}
	return hosts(ports, c.database) + " connect_timeout=30"
}

func hosts(ports []string, database string) string {
	return fmt.Sprintf("host=%s port=%s user=gatehouse dbname=%s sslmode=disable target_session_attrs=read-write",
		strings.TrimSuffix(strings.Repeat("127.0.0.1,", len(ports)), ","), strings.Join(ports, ","), database)
}

// try runs a command beside the replicas.
func (c *cluster) try(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.binary, append(args, "--config", filepath.Join(c.dir, "command.yaml"))...)
	cmd.Dir, cmd.Stdin = c.dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("gatehouse %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// command runs a command that must succeed.
func (c *cluster) command(ctx context.Context, stdin string, args ...string) string {
	c.t.Helper()
	out, err := c.try(ctx, stdin, args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

func passwordOf(name string) string { return "pass of " + name }

func (c *cluster) addUser(name string, groups ...string) {
	c.t.Helper()
	args := []string{"user", "add", name, "--password-stdin"}
	for _, group := range groups {
		args = append(args, "--group", group)
	}
	c.command(c.t.Context(), passwordOf(name)+"\n", args...)
}

// replica is one gatehouse process, which may be started again on its address.
type replica struct {
	c              *cluster
	name           string
	address, admin string
	config         string
	links          []*link // to the servers of PostgreSQL
	stale          bool    // it serves users who are known while its database is away
	patient        bool    // it waits for its database for half a minute
	output         *output

	mu    sync.Mutex
	cmd   *exec.Cmd // nil: it does not run
	ended chan struct{}
}

// dsn names all servers, over the links of the replica.
func (r *replica) dsn() string {
	var ports []string
	for _, l := range r.links {
		ports = append(ports, strconv.Itoa(l.port()))
	}
	if r.patient {
		return hosts(ports, r.c.database) + " connect_timeout=30"
	}
	return hosts(ports, r.c.database)
}

func (r *replica) start() {
	cmd := exec.Command(r.c.binary, "serve", "--config", r.config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.c.dir, r.output, r.output
	ended := make(chan struct{})
	if err := cmd.Start(); err != nil {
		r.c.t.Error(err)
		return
	}
	go func() { _ = cmd.Wait(); close(ended) }()
	r.mu.Lock()
	r.cmd, r.ended = cmd, ended
	r.mu.Unlock()
}

// kill ends the process with a signal and waits for that.
func (r *replica) kill(signal syscall.Signal) {
	r.mu.Lock()
	cmd, ended := r.cmd, r.ended
	r.cmd = nil
	r.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Signal(signal)
		<-ended
	}
}

// signal sends one that the process goes on after.
func (r *replica) signal(signal syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(signal)
	}
}

// network changes the links of the replica.
func (r *replica) network(c condition) {
	for _, l := range r.links {
		l.become(c)
	}
}

// ready returns what /readyz says; the status is 0 if it does not answer.
func (r *replica) ready() (status int, text string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/readyz", nil)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(in)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(body)
}

// awaitReady waits until the replica answers and says that all is well.
func (r *replica) awaitReady() {
	r.c.t.Helper()
	await(r.c.t, r.name+" is ready", func() error {
		if status, text := r.ready(); status != http.StatusOK || strings.Contains(text, "store") {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
}

// await waits until something does not fail any more.
func await(t testing.TB, what string, try func() error) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// heard waits until replicas have read in the feed whatever was changed before, so that what
// they hold from now on is held. It shows by somebody new who is given a group: what is held
// for ten seconds is not asked for meanwhile, and counts sooner only by the feed.
func (c *cluster) heard(client *http.Client, replicas ...*replica) {
	c.t.Helper()
	for try := range 5 {
		name := fmt.Sprint("somebody", try)
		c.addUser(name)
		var pair answer
		c.answered("a login of somebody", func() answer {
			pair = login(client, replicas[0].address, name, passwordOf(name))
			return pair
		})
		begin := time.Now()
		is := func(r *replica, status int) {
			await(c.t, "what somebody may", func() error {
				if a := ask(client, r.address, "/staff/x", pair.Access, ""); a.status != status {
					return fmt.Errorf("%s", a)
				}
				return nil
			})
		}
		for _, r := range replicas {
			is(r, http.StatusForbidden)
		}
		c.command(context.Background(), "", "user", "set", name, "--group", "staff")
		for _, r := range replicas {
			is(r, http.StatusOK)
		}
		if time.Since(begin) < 9*time.Second {
			return
		}
	}
	c.t.Fatal("no change is heard of within ten seconds")
}

// answered asks until the answer is 200: a machine that is busy may take longer than what is set
// for a database that is away.
func (c *cluster) answered(what string, ask func() answer) (last answer) {
	c.t.Helper()
	await(c.t, what, func() error {
		if last = ask(); last.status == http.StatusServiceUnavailable {
			return fmt.Errorf("%s", last)
		}
		return nil
	})
	if last.status != http.StatusOK {
		c.t.Fatalf("%s: %s, want 200", what, last)
	}
	return last
}

// memory returns what the process has in memory, in bytes; 0: it does not run.
func (r *replica) memory() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n << 10
}

// connections counts those that the process has to the database, by the system's table.
func (r *replica) connections() (n int) {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		fields := strings.Fields(line)
		for _, l := range r.links {
			// The far end, and that it is established.
			if len(fields) > 3 && strings.HasSuffix(fields[2], fmt.Sprintf(":%04X", l.port())) && fields[3] == "01" {
				n++
			}
		}
	}
	return n
}

// watchConnections counts them until the function that is returned is called, which
// says how many there were at once.
func (r *replica) watchConnections() func() int {
	stop, most := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			// The system does not write its table at one moment: while it is read others may come, and go.
			n = max(n, min(r.connections(), r.connections(), r.connections()))
			select {
			case <-stop:
				most <- n
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return sync.OnceValue(func() int { close(stop); return <-most })
}

// gauge returns a metric of the process without labels.
func (r *replica) gauge(name string) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(in)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.New("there is no metric " + name)
}

// output is what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps the end of it.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() > 8<<20 {
		o.text.Reset()
	}
	return o.text.Write(p)
}

// faults returns the lines that nobody should have to read.
func (o *output) faults() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for line := range strings.SplitSeq(o.text.String(), "\n") {
		if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, `"status":500`) {
			all = append(all, line)
		}
	}
	return all
}

func (o *output) tail(n int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.String()
	return text[max(0, len(text)-n):]
}

// freeAddress is a loopback address with a port of its own.
func freeAddress(t testing.TB) string {
	t.Helper()
	free, err := port.Free()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", free)
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// answer is what came of a request; the status is 0 if nothing did.
type answer struct {
	status   int
	header   http.Header
	body     string
	err      error
	from, to time.Time // when it was sent, and answered

	Detail, Code, Access, Refresh string
}

func (a answer) String() string {
	if a.status == 0 {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %.200s", a.status, a.body)
}

// ask sends a request; with form it is a POST.
func ask(client *http.Client, address, path, token string, form string) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if form != "" {
		method, body = http.MethodPost, strings.NewReader(form)
	}
	a.from = time.Now()
	defer func() { a.to = time.Now() }()
	in, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	if err != nil {
		a.err = err
		return a
	}
	if form != "" {
		in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		in.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := client.Do(in)
	if err != nil {
		a.err = err
		return a
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.err = err
		return a
	}
	a.status, a.header, a.body = res.StatusCode, res.Header, string(text)
	_ = json.Unmarshal(text, &a)
	return a
}
