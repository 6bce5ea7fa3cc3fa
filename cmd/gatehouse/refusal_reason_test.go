package main

import (
	"encoding/json"
	"maps"
	"strings"
	"syscall"
	"testing"
)

// Why a token endpoint says no stands in the access log, and nowhere in the answer.
func TestTheAccessLogSaysWhyALoginIsRefused(t *testing.T) {
	t.Parallel()
	a := newAudited(t)
	a.run(t, "", "keys", "new")
	for _, name := range []string{"alice", "gone"} {
		a.run(t, passwordOf(name)+"\n", "user", "add", name, "--password-stdin")
	}
	a.run(t, "", "user", "disable", "gone")
	kill := a.serve(t)
	type refused struct {
		status int
		reason string
	}
	var want []refused
	ask := func(status int, reason, path string, fields ...string) {
		t.Helper()
		answer := a.ask(t, path, fields...)
		if answer.StatusCode != status {
			t.Errorf("%s %v: %d, want %d", path, fields, answer.StatusCode, status)
		}
		var sent strings.Builder
		_ = answer.Header.Write(&sent)
		sent.Write(answer.body)
		if reason != "" && reason != "throttled" && strings.Contains(sent.String(), reason) {
			t.Errorf("the client is told %q:\n%s", reason, sent.String())
		}
		want = append(want, refused{status, reason})
	}
	ask(401, "unknown_user", "/api/token/", "username", "nobody", "password", "x")
	ask(401, "wrong_password", "/api/token/", "username", "alice", "password", "x")
	ask(401, "disabled", "/api/token/", "username", "gone", "password", passwordOf("gone"))
	for range 2 {
		ask(401, "unknown_user", "/api/token/", "username", "nobody", "password", "x")
	}
	ask(429, "throttled", "/api/token/", "username", "nobody", "password", "x")
	ask(401, "token_invalid", "/api/token/refresh/", "refresh", "x")
	ask(401, "token_invalid", "/api/token/verify/", "token", "x")
	ask(200, "", "/api/token/", "username", "alice", "password", passwordOf("alice"))
	kill(syscall.SIGTERM)

	var got []refused
	for line := range strings.Lines(a.out.String()) {
		var l struct {
			Msg, Decision, Reason string
			Status                int
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "request" {
			got = append(got, refused{l.Status, l.Reason})
			if l.Decision != "answered" {
				t.Errorf("decision %s", l.Decision)
			}
		}
	}
	if len(got) < len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), a.out)
	}
	// Lines of neighbors may change places: an answer does not wait for its line.
	lines := func(of []refused) map[refused]int {
		n := map[refused]int{}
		for _, r := range of {
			n[r]++
		}
		return n
	}
	if got, want := lines(got[len(got)-len(want):]), lines(want); !maps.Equal(got, want) {
		t.Errorf("lines %v, want %v", got, want)
	}
}
