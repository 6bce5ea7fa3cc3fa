package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gatehouse/users/userstest/port"
)

// Standby returns a new server that repeats what this one writes (streaming
// replication), once it has caught up. What is committed here from then on is on both:
// the standby is synchronous. It is removed when the test ends.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	b := &Server{bin: s.bin, dir: dir, args: s.args, as: s.as, log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		if b.leash != nil {
			b.Stop(t)
		}
		_ = os.RemoveAll(dir)
	})
	if s.as != nil {
		if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "keep"), nil, 0o600); err != nil { // between stop and start
		t.Fatal(err)
	}
	b.follow(t, s)
	return b
}

// Follow makes a server that was stopped or killed a standby of another one, with
// nothing of what it had.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	s.follow(t, primary)
}

func (s *Server) follow(t testing.TB, primary *Server) {
	t.Helper()
	backup := s.command(filepath.Join(s.bin, "pg_basebackup"), "-D", filepath.Join(s.dir, "data"), "-h", "127.0.0.1",
		"-p", strconv.Itoa(primary.port), "-U", "gatehouse", "-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
	if out, err := backup.CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v\n%s", err, out)
	}
	if s.port == 0 {
		free, err := port.Free()
		if err != nil {
			t.Fatal(err)
		}
		s.port = free
	}
	s.Start(t)
	// It has the settings of the primary, and must not wait for a standby when it is one.
	s.Asynchronous(t)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if state := primary.SQL(t, "postgres", `SELECT state FROM pg_stat_replication`); len(state) > 0 && state[0] == "streaming" {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the standby does not follow")
		}
	}
	primary.SQL(t, "postgres", `ALTER SYSTEM SET synchronous_standby_names = '*'`)
	primary.SQL(t, "postgres", `SELECT pg_reload_conf()`)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if state := primary.SQL(t, "postgres", `SELECT sync_state FROM pg_stat_replication`); len(state) > 0 && state[0] == "sync" {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the standby is not synchronous")
		}
	}
}

// Asynchronous lets a server commit without its standby.
func (s *Server) Asynchronous(t testing.TB) {
	t.Helper()
	s.SQL(t, "postgres", `ALTER SYSTEM SET synchronous_standby_names = ''`)
	s.SQL(t, "postgres", `SELECT pg_reload_conf()`)
}

// Promote makes a standby a server of its own that can be written, and waits for that.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.SQL(t, "postgres", `SELECT pg_promote(true, 60)`)
}
