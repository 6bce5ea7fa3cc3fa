// Package postgres runs PostgreSQL servers for tests: throw-away clusters in a
// temporary directory, that end with the process of the test, however that ends.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"gatehouse/users/userstest/port"
)

// Server is a cluster of its own. Its address stays when it is stopped and started.
type Server struct {
	bin    string
	dir    string
	port   int
	args   []string
	as     *syscall.Credential // nil: as the user of the test
	leash  io.WriteCloser      // the server ends when this is closed
	ended  chan struct{}
	log    string
	number atomic.Int64 // of the databases that were made
}

// The one cluster that the tests of a process share, once one has asked for it.
// It is not stopped by anybody: its leash is let go when the process ends.
var shared = sync.OnceValues(func() (*Server, error) { return start("-c", "max_connections=400") })

// Shared returns the server that all tests of the process share. Without
// PostgreSQL the test is skipped, or fails where nothing may be missing.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	missing(t, err)
	return s
}

// New returns a server of the test's own, with settings such as "fsync=on".
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	args := []string{}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	s, err := start(args...)
	missing(t, err)
	if err := os.WriteFile(filepath.Join(s.dir, "keep"), nil, 0o600); err != nil { // between stop and start
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop(t)
		_ = os.RemoveAll(s.dir)
	})
	return s
}

// errMissing is that there is no PostgreSQL to run.
var errMissing = errors.New("PostgreSQL is not installed (Debian: postgresql)")

func missing(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errMissing) && os.Getenv("GATEHOUSE_TEST_REQUIRE") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// programs returns the directory of the server's programs, which Debian keeps out
// of the path: the newest.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errMissing
}

// start makes a cluster and starts it.
func start(args ...string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, args: args}
	if s.dir, err = os.MkdirTemp("", "gatehouse-postgres-"); err != nil {
		return nil, err
	}
	s.log = filepath.Join(s.dir, "log")
	if os.Geteuid() == 0 { // which PostgreSQL refuses
		if s.as, err = somebody(); err != nil {
			return nil, err
		}
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := s.command(filepath.Join(bin, "initdb"), "-D", filepath.Join(s.dir, "data"), "-U", "gatehouse", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		_ = os.RemoveAll(s.dir)
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	for range 3 { // another program may take the port
		if s.port, err = port.Free(); err == nil {
			err = s.start()
		}
		if err == nil {
			return s, nil
		}
	}
	return nil, err
}

// somebody is who PostgreSQL runs as where the tests are root.
func somebody() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...) //nolint:gosec,noctx // the programs of PostgreSQL, which outlive any one test
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "PGCONNECT_TIMEOUT=10"}
	if s.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	}
	return cmd
}

// leashed runs a server until the input of the shell ends, which it does with the
// process that holds its other end.
const leashed = `dir=$1; shift
"$@" >>"$dir/log" 2>&1 &
pid=$!
cat >/dev/null
kill -INT $pid 2>/dev/null
wait $pid
[ -e "$dir/keep" ] || rm -rf "$dir"`

func (s *Server) start() error {
	args := append([]string{
		"-c", leashed, "sh", s.dir, filepath.Join(s.bin, "postgres"), "-D", filepath.Join(s.dir, "data"),
		"-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(s.port), "-c", "unix_socket_directories=" + s.dir,
		// What is lost with the machine need not be kept.
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB",
	}, s.args...)
	cmd := s.command("/bin/sh", args...)
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.leash, s.ended = leash, ended
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if s.command(filepath.Join(s.bin, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)).Run() == nil {
			return nil
		}
		if time.Since(begin) > 5*time.Second && s.pid() == 0 {
			break
		}
	}
	_ = leash.Close()
	log, _ := os.ReadFile(s.log)
	return fmt.Errorf("PostgreSQL did not start:\n%s", log)
}

// pid returns the number of the server's first process; 0: there is none.
func (s *Server) pid() int {
	content, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(content, []byte("\n"))
	pid, _ := strconv.Atoi(string(line))
	return pid
}

// Start starts a server that was stopped or killed, and waits until it answers.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := s.start()
		if err == nil {
			return
		}
		// What a server that was killed has left behind may still be ending.
		if time.Since(begin) > time.Minute {
			t.Fatal(err)
		}
	}
}

// Stop ends the server in order and its connections with it, and waits for that.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.end(t)
}

// Kill ends the server's first process as a machine that breaks does (SIGKILL).
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if pid := s.pid(); pid > 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	s.end(t)
}

func (s *Server) end(t testing.TB) {
	t.Helper()
	_ = s.leash.Close()
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		t.Fatal("PostgreSQL does not end")
	}
}

// Port is where the server listens on 127.0.0.1.
func (s *Server) Port() int { return s.port }

// Database makes an empty database and returns how to reach it, as a URL. It is
// removed when the test ends.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test_%d", s.number.Add(1))
	s.SQL(t, "postgres", "CREATE DATABASE "+name)
	t.Cleanup(func() {
		if s.pid() > 0 {
			s.SQL(t, "postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
		}
	})
	return s.DSN(name)
}

// DSN returns how to reach a database of the server.
func (s *Server) DSN(database string) string {
	return fmt.Sprintf("postgres://gatehouse@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// SQL runs statements as the owner of the cluster and returns the first column of
// what the last of them returned.
func (s *Server) SQL(t testing.TB, database, statements string) []string {
	t.Helper()
	// Not t.Context: this runs in cleanups too.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	results, err := conn.Exec(ctx, statements).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	var column []string
	for _, row := range results[len(results)-1].Rows {
		column = append(column, string(row[0]))
	}
	return column
}
