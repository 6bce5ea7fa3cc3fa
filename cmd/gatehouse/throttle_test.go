package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// replicas makes programs that share a store and have a user each of the names; they
// are not yet served.
func replicas(t *testing.T, n int, store users.Config, more string, names ...string) []*site {
	t.Helper()
	all := make([]*site, n)
	for i := range all {
		dir := t.TempDir()
		s := &site{address: freeAddress(t), binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml"), out: new(lockedBuffer)}
		patience := "" // the machine may have much else to do
		if store.Driver == "postgres" {
			patience = ", acquire_timeout: 30s, statement_timeout: 30s"
		}
		writeFile(t, s.config, fmt.Sprintf(`
server: { listen: %q, trusted_proxies: [127.0.0.1] }
store: { driver: %s, dsn: %q%s }
tokens: { keys: [{ kid: main, alg: HS256, secret_file: secret }] }
upstreams: { app: { url: "http://127.0.0.1:1" } }
routes: [{ to: app }]
%s`, s.address, store.Driver, store.DSN, patience, more))
		writeFile(t, filepath.Join(dir, "secret"), originalKey)
		all[i] = s
	}
	for _, name := range names {
		all[0].run(t, passwordOf(name)+"\n", "user", "add", name, "--password-stdin")
	}
	return all
}

// logInFrom logs in as who comes through a proxy from an address.
func (s *site) logInFrom(t *testing.T, address, name, plain string) *reply {
	t.Helper()
	return s.do(t, "POST", "/api/token/", url.Values{"username": {name}, "password": {plain}}.Encode(),
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Forwarded-For": {address}})
}

// Two programs on one store have one budget, which outlives them.
func TestTwoGatewaysCountTogether(t *testing.T) {
	userstest.Each(t, func(t *testing.T, at *userstest.Place) {
		both := replicas(t, 2, at.Config, "login: { throttle: { enabled: true, per_account_and_network: 5/24h, per_network: 30/24h } }", "alice")
		kill := both[0].serve(t)
		both[1].serve(t)
		var mu sync.Mutex
		statuses := map[int]int{}
		var crowd sync.WaitGroup
		for i := range 40 {
			crowd.Go(func() {
				got := both[i%2].logInFrom(t, "192.0.2.1", "alice", "wrong")
				mu.Lock()
				defer mu.Unlock()
				statuses[got.StatusCode]++
			})
		}
		crowd.Wait()
		if statuses[401] != 5 || statuses[429] != 35 {
			t.Errorf("statuses %v, want five 401", statuses)
		}
		// It outlives the program.
		kill(syscall.SIGKILL)
		both[0].serve(t)
		for _, s := range both {
			got := s.logInFrom(t, "192.0.2.1", "alice", passwordOf("alice"))
			if got.StatusCode != 429 || !strings.HasPrefix(string(got.body), `{"detail":"Request was throttled. Expected available in `) || got.Header.Get("Retry-After") == "" {
				t.Errorf("%d %s", got.StatusCode, got.body)
			}
			if got := s.logInFrom(t, "192.0.2.2", "alice", passwordOf("alice")); got.StatusCode != 200 {
				t.Errorf("from elsewhere: %d %s", got.StatusCode, got.body)
			}
		}
		// One word of the operator counts everywhere.
		if said := both[0].run(t, "", "user", "unlock", "alice"); said != "unlocked alice (1)\n" {
			t.Errorf("unlock: %s", said)
		}
		if got := both[1].logInFrom(t, "192.0.2.1", "alice", passwordOf("alice")); got.StatusCode != 200 {
			t.Errorf("after unlock: %d %s", got.StatusCode, got.body)
		}
		// A network that tries many names.
		throttled := 0
		for i := range 40 {
			if both[i%2].logInFrom(t, fmt.Sprintf("2001:db8::%x", i), fmt.Sprint("nobody", i), "x").StatusCode == 429 {
				throttled++
			}
		}
		if throttled != 10 {
			t.Errorf("%d of 40 were throttled, want those after thirty", throttled)
		}
	})
}

// Who says themselves where they come from has one budget, whatever they say.
func TestAttackThrottlingByAForgedAddress(t *testing.T) {
	t.Parallel()
	s := replicas(t, 1, users.Config{Driver: "sqlite", DSN: filepath.Join(t.TempDir(), "gatehouse.db")},
		"login: { throttle: { enabled: true, per_account_and_network: 2/1h } }", "alice")[0]
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.config, strings.Replace(string(text), ", trusted_proxies: [127.0.0.1]", "", 1))
	s.serve(t)
	for i, header := range []string{"X-Forwarded-For", "X-Forwarded-For", "X-Forwarded-For", "X-Real-Ip", "Forwarded", "CF-Connecting-IP", "X_Forwarded_For"} {
		value := fmt.Sprintf("192.0.2.%d", i)
		if header == "Forwarded" {
			value = "for=" + value
		}
		got := s.do(t, "POST", "/api/token/", "username=alice&password=wrong", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, header: {value}})
		if want := map[bool]int{true: 401, false: 429}[i < 2]; got.StatusCode != want {
			t.Errorf("attempt %d with %s: %d, want %d", i, header, got.StatusCode, want)
		}
	}
}
