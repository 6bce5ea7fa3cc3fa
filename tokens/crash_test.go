package tokens_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// A process is killed again and again in the middle of refreshes and blacklistings.
// Whatever it answered still holds: what was revoked is never good again, and the
// last refresh token that a client was given, or asked with, still gets it on. There are
// enough clients for several to be in one transaction.
func TestAnswersOutliveAKilledProcess(t *testing.T) {
	const variable = "GATEHOUSE_TEST_REFRESH_IN"
	if path := os.Getenv(variable); path != "" {
		serveUntilKilled(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	a := crashSite(t, path, true)
	const clients = 12
	current := make([]string, clients) // the last token that each client got
	login := func() string {
		status, body := call(a, "/api/token/", url.Values{"username": {"testuser"}, "password": {"testpassword"}})
		if status != http.StatusOK {
			t.Fatalf("login: %d %v", status, body)
		}
		return body["refresh"]
	}
	for i := range current {
		current[i] = login()
	}
	var spent, blacklisted []string
	const kills = 50
	for round := range kills {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		child.Env = append(os.Environ(), variable+"="+path)
		child.Stdin = strings.NewReader(strings.Join(current, "\n") + "\n")
		var noise bytes.Buffer
		child.Stderr = &noise
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		said := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var client int
			var word, token string
			if n, _ := fmt.Sscanf(lines.Text(), "%s %d %s", &word, &client, &token); n != 3 {
				continue
			}
			switch word {
			case "got":
				spent = append(spent, current[client])
				current[client] = token
			case "blacklisted":
				blacklisted = append(blacklisted, token)
			}
			// At another point of the work each time.
			if said++; said == 3+round%11 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait()
		if said < 3 {
			t.Fatalf("round %d: the process said %d lines: %s", round, said, &noise)
		}
	}
	// A token whose answer was lost is answered within the grace. Then the time of
	// the grace is over for all.
	strict := crashSite(t, path, false)
	for i, token := range current {
		if status, body := call(a, "/api/token/refresh/", url.Values{"refresh": {token}}); status != http.StatusOK {
			t.Errorf("client %d was left without a usable token: %d %v", i, status, body)
		} else if status, body := call(strict, "/api/token/refresh/", url.Values{"refresh": {body["refresh"]}}); status != http.StatusOK {
			t.Errorf("client %d, the token after: %d %v", i, status, body)
		}
	}
	for _, token := range spent {
		if status, body := call(strict, "/api/token/refresh/", url.Values{"refresh": {token}}); status != http.StatusUnauthorized || body["detail"] != isRevoked {
			t.Fatalf("a spent token: %d %v", status, body)
		}
	}
	for _, token := range blacklisted {
		for _, a := range []*tokens.Authority{a, strict} {
			if status, body := call(a, "/api/token/refresh/", url.Values{"refresh": {token}}); status != http.StatusUnauthorized || body["detail"] != isRevoked {
				t.Fatalf("a blacklisted token: %d %v", status, body)
			}
		}
	}
	if len(spent) < kills || len(blacklisted) == 0 {
		t.Errorf("only %d refreshes and %d blacklistings were answered", len(spent), len(blacklisted))
	}
	t.Logf("%d refreshes and %d blacklistings answered, %d processes killed", len(spent), len(blacklisted), kills)
}

// serveUntilKilled refreshes the tokens that it reads, one after the other for each
// client, and says what came of it.
func serveUntilKilled(t *testing.T, path string) {
	a := crashSite(t, path, true)
	var all []string
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		all = append(all, lines.Text())
	}
	var crowd sync.WaitGroup
	for client, token := range all {
		crowd.Go(func() {
			for i := 0; ; i++ {
				status, body := call(a, "/api/token/refresh/", url.Values{"refresh": {token}})
				if status != http.StatusOK {
					fmt.Fprintln(os.Stderr, status, body)
					return
				}
				token = body["refresh"]
				_, _ = fmt.Fprintln(os.Stdout, "got", client, token)
				if i%3 == 0 {
					_, other := call(a, "/api/token/", url.Values{"username": {"testuser"}, "password": {"testpassword"}})
					if status, _ := call(a, "/api/token/blacklist/", url.Values{"refresh": {other["refresh"]}}); status == http.StatusOK {
						_, _ = fmt.Fprintln(os.Stdout, "blacklisted", client, other["refresh"])
					}
				}
			}
		})
	}
	crowd.Wait()
}

// crashSite opens the file of that path, with a user and a grace, or without a grace.
func crashSite(t *testing.T, path string, grace bool) *tokens.Authority {
	t.Helper()
	store := userstest.Open(t, userstest.At(path))
	if _, err := store.UserByName(t.Context(), "testuser"); err != nil {
		userstest.Add(t, store, users.NewUser{Username: "testuser", Password: "testpassword"})
	}
	cfg := settings()
	rotating(0, "refuse")(&cfg)
	if grace {
		cfg.Rotation.Grace = 10 * time.Minute
	}
	a, err := tokens.New(cfg, tokens.Parts{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// call posts a form to an endpoint, without a network.
func call(a *tokens.Authority, path string, form url.Values) (int, map[string]string) {
	in := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	out := httptest.NewRecorder()
	for _, e := range a.Endpoints() {
		if e.Path == path {
			e.Handler.ServeHTTP(out, in)
		}
	}
	var body map[string]string
	_ = json.Unmarshal(out.Body.Bytes(), &body)
	return out.Code, body
}
