package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestStorePrune(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gatehouse.db")
	config := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, config, "store: { dsn: "+path+" }\n")
	prune := func(want string) {
		t.Helper()
		var out, faults bytes.Buffer
		if code := run(t.Context(), []string{"store", "prune", "--config", config}, strings.NewReader(""), &out, &faults); code != 0 || out.String() != want {
			t.Errorf("exit code %d, %q, %q; want %q", code, out.String(), faults.String(), want)
		}
	}
	s := userstest.Open(t, userstest.At(path))
	for id, expires := range map[string]time.Duration{"old": -49 * time.Hour, "just expired": -time.Minute, "good": time.Hour} {
		if err := s.RevokeToken(t.Context(), users.Token{ID: id, Expires: time.Now().Add(expires)}); err != nil {
			t.Fatal(err)
		}
	}
	prune("removed 1 row\n")
	prune("removed 0 rows\n")
	for id, want := range map[string]bool{"old": false, "just expired": true, "good": true} {
		if revoked, err := s.Revoked(t.Context(), id); revoked != want || err != nil {
			t.Errorf("%s: revoked is %t, %v", id, revoked, err)
		}
	}
}
