package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// These tests ask the built program more than one thing at a time, while commands
// write to its store, and kill it in the middle.

// stormSite makes a configuration with rotation, and a user.
func stormSite(t *testing.T, rotation string) *site {
	t.Helper()
	backend := freeAddress(t) // nobody is there: a request that passes is 502
	dir := t.TempDir()
	s := &site{address: freeAddress(t), binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml"), out: new(lockedBuffer)}
	s.rotate(t, backend, rotation)
	writeFile(t, filepath.Join(dir, "secret"), originalKey)
	s.run(t, passwordOf("alice")+"\n", "user", "add", "alice", "--password-stdin")
	return s
}

// rotate writes the configuration.
func (s *site) rotate(t *testing.T, backend, rotation string) {
	t.Helper()
	writeFile(t, s.config, strings.Replace(fmt.Sprintf(siteConfig, s.address, backend), "tokens:\n", "tokens:\n  rotation: "+rotation+"\n", 1))
}

// serve starts the program and returns what kills it: with SIGKILL, or in order.
func (s *site) serve(t *testing.T) (kill func(syscall.Signal)) {
	t.Helper()
	cmd := exec.Command(s.binary, "serve", "--config", s.config)
	cmd.Dir = filepath.Dir(s.config)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	var once sync.Once
	kill = func(signal syscall.Signal) {
		once.Do(func() {
			_ = cmd.Process.Signal(signal)
			<-ended
		})
	}
	t.Cleanup(func() { kill(syscall.SIGKILL) })
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", s.address); err == nil {
			_ = conn.Close()
			return kill
		}
		select {
		case <-ended:
			t.Fatalf("it ended before it listened:\n%s", s.out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("it does not listen:\n%s", s.out)
		}
	}
}

// answered is what an endpoint answered; the status is 0 if it did not.
type answered struct {
	status                  int
	Detail, Access, Refresh string
}

// post asks an endpoint with a form.
func (s *site) post(client *http.Client, path string, fields ...string) answered {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	res, err := client.PostForm("http://"+s.address+path, form)
	if err != nil {
		return answered{Detail: err.Error()}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answered{Detail: err.Error()}
	}
	a := answered{status: res.StatusCode}
	_ = json.Unmarshal(text, &a)
	return a
}

func (s *site) obtain(client *http.Client) answered {
	return s.post(client, "/api/token/", "username", "alice", "password", passwordOf("alice"))
}

// stormClient has room for as many connections as anybody asks for.
func stormClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 400}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 60 * time.Second}
}

const tokenIsBlacklisted = "Token is blacklisted"

// One refresh token is shown two hundred times at once, and two hundred others once
// each, while commands write: no chain forks, and nobody hears that the database is
// locked.
func TestStormOfRefreshes(t *testing.T) {
	t.Parallel()
	for _, grace := range []string{"0s", "10m"} {
		t.Run("grace "+grace, func(t *testing.T) {
			s := stormSite(t, "{ enabled: true, grace: "+grace+" }")
			s.serve(t)
			client := stormClient(t)
			one := s.obtain(client)
			if one.status != http.StatusOK {
				t.Fatalf("login: %+v", one)
			}
			// Some of the others come from logins, and the rest is as another issuer with
			// the same key would make them.
			others := make([]string, 200)
			foreign := minted{
				header: `{"alg":"HS256","typ":"JWT"}`, key: originalKey, algorithm: "HS256",
				claims: [][2]string{{"token_type", `"refresh"`}, {"exp", "$now+7200"}, {"iat", "$now-10"}, {"jti", `"$jti"`}, {"user_id", `"1"`}},
			}
			for i := range others {
				if i < 20 {
					others[i] = s.obtain(client).Refresh
				} else {
					others[i] = foreign.mint("refresh")
				}
			}
			var crowd sync.WaitGroup
			for i := range 4 {
				crowd.Go(func() {
					for j := range 6 {
						args := []string{"user", "set", "alice", "--first-name", fmt.Sprint(i, j)}
						if j%3 == 0 {
							args = []string{"user", "add", fmt.Sprint("user", i, j), "--password-stdin"}
						}
						cmd := exec.Command(s.binary, append(args, "--config", s.config)...)
						cmd.Stdin = strings.NewReader("a password\n")
						if out, err := cmd.CombinedOutput(); err != nil {
							t.Errorf("gatehouse %v: %v\n%s", args, err, out)
						}
					}
				})
			}
			var mu sync.Mutex
			statuses, pairs, successors := map[int]int{}, map[string]int{}, make([]string, len(others))
			for i, other := range others {
				crowd.Go(func() {
					got := s.post(client, "/api/token/refresh/", "refresh", one.Refresh)
					mu.Lock()
					defer mu.Unlock()
					statuses[got.status]++
					if got.status == http.StatusOK {
						pairs[got.Access+" "+got.Refresh]++
					} else if got.Detail != tokenIsBlacklisted {
						t.Errorf("the one token: %+v", got)
					}
				})
				crowd.Go(func() {
					if got := s.post(client, "/api/token/refresh/", "refresh", other); got.status != http.StatusOK {
						t.Errorf("one of the others: %+v", got)
					} else {
						successors[i] = got.Refresh
					}
				})
			}
			crowd.Wait()
			want := map[int]int{200: 1, 401: 199}
			if grace != "0s" {
				want = map[int]int{200: 200}
			}
			if fmt.Sprint(statuses) != fmt.Sprint(want) || len(pairs) != 1 {
				t.Errorf("the one token: %v with %d pairs, want %v with one", statuses, len(pairs), want)
			}
			// Each chain has one end, and it works.
			for pair := range pairs {
				_, refresh, _ := strings.Cut(pair, " ")
				successors = append(successors, refresh)
			}
			for _, token := range successors {
				if got := s.post(client, "/api/token/refresh/", "refresh", token); got.status != http.StatusOK {
					t.Errorf("the end of a chain: %+v", got)
				}
			}
			unharmed(t, s)
		})
	}
}

// unharmed fails if the program said something that nobody should have to read.
func unharmed(t *testing.T, s *site) {
	t.Helper()
	for line := range strings.SplitSeq(s.out.String(), "\n") {
		for _, word := range []string{"locked", "panic", `"level":"ERROR"`, `"status":5`} {
			if strings.Contains(line, word) && !strings.Contains(line, `"path":"/protected"`) {
				t.Errorf("it said: %s", line)
			}
		}
	}
}

// The program is killed again and again in the middle of refreshes, blacklistings,
// logouts and logins. Every answer that it gave holds afterwards: what was revoked is
// never good again, and whoever was given a refresh token, or has one whose answer got
// lost, is still logged in.
func TestAnswersHoldWhenTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	kills := 50
	if os.Getenv("GATEHOUSE_TEST_REQUIRE") == "" {
		kills = 8
	}
	s := stormSite(t, "{ enabled: true, grace: 10m }")
	kill := s.serve(t)
	const clients = 12          // so that several are in one transaction
	var current [clients]string // the last token that each was given
	for i := range current {
		current[i] = s.obtain(stormClient(t)).Refresh
	}
	kill(syscall.SIGKILL)
	var mu sync.Mutex
	var spent, blacklisted, handed []string
	var ended []answered
	for round := range kills {
		kill := s.serve(t)
		client := stormClient(t)
		said, enough := 0, make(chan struct{})
		// It is killed at another point of the work each time: after some refreshes, and
		// every other time after what begins with a login, which takes longer.
		logins := round%2 == 1
		least := 3 + round%13
		if logins {
			least = 1 + round%4/2
		}
		note := func(login bool, what func()) {
			mu.Lock()
			defer mu.Unlock()
			what()
			if login == logins {
				if said++; said == least {
					close(enough)
				}
			}
		}
		// good is false when the program is gone, and any other refusal is a fault.
		good := func(what string, a answered) bool {
			if a.status != http.StatusOK && a.status != 0 {
				t.Errorf("round %d, %s: %+v", round, what, a)
			}
			return a.status == http.StatusOK
		}
		var crowd sync.WaitGroup
		for i := range clients {
			crowd.Go(func() {
				for {
					old := current[i]
					got := s.post(client, "/api/token/refresh/", "refresh", old)
					if !good("a refresh", got) {
						return
					}
					note(false, func() { spent = append(spent, old); current[i] = got.Refresh })
				}
			})
		}
		crowd.Go(func() {
			for i := round / 2; ; i++ {
				pair := s.obtain(client)
				if !good("a login", pair) {
					return
				}
				switch i % 3 {
				case 0:
					if !good("a blacklisting", s.post(client, "/api/token/blacklist/", "refresh", pair.Refresh)) {
						return
					}
					note(true, func() { blacklisted = append(blacklisted, pair.Refresh) })
				case 1:
					if !good("a logout", s.post(client, "/api/token/logout/", "token", pair.Access)) {
						return
					}
					note(true, func() { ended = append(ended, pair) })
				default:
					note(true, func() { handed = append(handed, pair.Refresh) })
				}
			}
		})
		select {
		case <-enough:
		case <-time.After(time.Minute):
			t.Fatalf("round %d: it does not answer:\n%s", round, s.out)
		}
		kill(syscall.SIGKILL)
		crowd.Wait()
	}

	// Whoever lost an answer gets it now, within the grace. Then there is none.
	kill = s.serve(t)
	client := stormClient(t)
	for i, token := range current {
		got := s.post(client, "/api/token/refresh/", "refresh", token)
		if got.status != http.StatusOK {
			t.Fatalf("client %d was left without a usable token: %+v", i, got)
		}
		spent = append(spent, token)
		current[i] = got.Refresh
	}
	kill(syscall.SIGTERM)
	s.rotate(t, freeAddress(t), "{ enabled: true }")
	s.serve(t)
	refused := func(what, token string) {
		t.Helper()
		if got := s.post(client, "/api/token/refresh/", "refresh", token); got.status != http.StatusUnauthorized || got.Detail != tokenIsBlacklisted {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for _, token := range spent {
		refused("a token that was exchanged", token)
	}
	for _, token := range blacklisted {
		refused("a token that was blacklisted", token)
	}
	for _, pair := range ended {
		refused("the refresh token of a session that was ended", pair.Refresh)
		if got := s.do(t, "GET", "/protected", "", bearer(pair.Access)); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("the access token of a session that was ended: %d %s", got.StatusCode, got.body)
		}
	}
	for _, token := range append(handed, current[:]...) {
		if got := s.post(client, "/api/token/refresh/", "refresh", token); got.status != http.StatusOK {
			t.Errorf("a token that was handed out: %+v", got)
		}
	}
	if len(spent) < 2*kills || len(blacklisted) < kills/8 || len(ended) < kills/8 || len(handed) < kills/8 {
		t.Errorf("only %d refreshes, %d blacklistings, %d logouts and %d logins were answered", len(spent), len(blacklisted), len(ended), len(handed))
	}
	unharmed(t, s)
	t.Logf("%d refreshes, %d blacklistings, %d logouts and %d logins answered; the program was killed %d times", len(spent), len(blacklisted), len(ended), len(handed), kills)
}
