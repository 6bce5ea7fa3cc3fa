package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gatehouse/cmd/gatehouse/internal/audit"
)

// Who asks without end fills no disk, and each answer is accounted for.
func TestAttackAFloodOfRefusalsInTheAudit(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.run(t, "", "keys", "new")
	a.run(t, passwordOf("alice")+"\n", "user", "add", "alice", "--password-stdin")
	kill := a.serve(t)
	client := stormClient(t)
	var mu sync.Mutex
	answers := map[string]int{}
	ask := func(kind, path string, form url.Values, from string) {
		in, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.address+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Error(err)
			return
		}
		in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		in.Header.Set("X-Forwarded-For", from)
		out, err := client.Do(in)
		if err != nil {
			t.Error(err)
			return
		}
		_ = out.Body.Close()
		mu.Lock()
		defer mu.Unlock()
		answers[fmt.Sprint(kind, " ", out.StatusCode)]++
	}
	var crowd sync.WaitGroup
	for i := range 4 {
		crowd.Go(func() {
			for n := range 150 {
				ask("login", "/api/token/", url.Values{"username": {"alice"}, "password": {"wrong"}}, "192.0.2.1")
				ask("token.refresh", "/api/token/refresh/", url.Values{"refresh": {"garbage"}}, "192.0.2.2")
				ask("logout", "/api/token/logout/", url.Values{}, fmt.Sprintf("2001:db8::%x:%x", i+1, n))
			}
		})
	}
	crowd.Wait()
	kill(syscall.SIGTERM)

	told, lines := map[string]int{}, 0
	all := a.read(t)
	statuses := map[string]string{"throttled": "429", "wrong_password": "401", "token_invalid": "401", "malformed": "400"}
	for _, r := range all {
		if r.ActorType != audit.Client {
			continue
		}
		lines++
		n := 1
		if repeats, summed := r.Detail["repeats"].(float64); summed {
			n = int(repeats)
		}
		told[r.Event+" "+statuses[r.Reason]] += n
	}
	if fmt.Sprint(told) != fmt.Sprint(answers) || len(answers) != 4 {
		t.Errorf("told  %v\nwere  %v", told, answers)
	}
	// A slow machine may need some minutes for it.
	if lines > 100 {
		t.Errorf("%d lines", lines)
	}
	t.Logf("%v in %d lines", answers, lines)
	at := func(event string) int {
		return slices.IndexFunc(all, func(r audit.Record) bool {
			_, summed := r.Detail["repeats"]
			return r.Event == event && (summed || event == "server.stop")
		})
	}
	if stop := at("server.stop"); stop < at("login") || stop < at("logout") || stop != len(all)-1 {
		t.Errorf("server.stop is line %d of %d", stop+1, len(all))
	}
	if sum := all[at("logout")]; sum.Address != "2001:db8::/64" || sum.User != "" || sum.RequestID != "" {
		t.Errorf("a sum is %+v", sum)
	}
	if sum := all[at("login")]; sum.Address != "192.0.2.1" || sum.User != "alice" {
		t.Errorf("a sum is %+v", sum)
	}
	if info, err := os.Stat(a.path); err != nil || info.Size() > 64<<10 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
}
