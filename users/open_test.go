package users_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestFilesAreTheOwnersAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := userstest.Open(t, userstest.At(path))
	userstest.Add(t, s, users.NewUser{Username: "ada"})
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(name), info.Mode().Perm())
		}
	}
}

func TestReadableFileIsWarnedAbout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	first := userstest.Open(t, userstest.At(path))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	userstest.Open(t, userstest.At(path), userstest.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if !strings.Contains(log.String(), "chmod 600") || !strings.Contains(log.String(), path) {
		t.Errorf("log: %s", &log)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	write(t, text, strings.Repeat("this is not a database\n", 100))
	django := filepath.Join(dir, "db.sqlite3")
	execute(t, django, `CREATE TABLE auth_user (id INTEGER PRIMARY KEY)`)
	newer := filepath.Join(dir, "newer.db")
	if err := userstest.Open(t, userstest.At(newer)).Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, newer, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1); UPDATE schema_support SET oldest = 9999`)
	for _, tt := range []struct {
		name string
		cfg  users.Config
		at   string
		want []string
	}{
		{"another driver", users.Config{Driver: "mysql", DSN: "x"}, "driver", []string{`"mysql"`, "sqlite or postgres"}},
		{"PostgreSQL without its driver", users.Config{DSN: "postgres://a:secret@b/c"}, "driver", []string{"driver: postgres"}},
		{"keys of PostgreSQL", users.Config{DSN: newer, MaxConnections: 3}, "max_connections", []string{"PostgreSQL"}},
		{"no path", users.Config{Driver: "sqlite"}, "dsn", []string{"empty"}},
		{"neither", users.Config{Driver: "mysql"}, "driver dsn", nil},
		{"in memory", users.Config{DSN: ":memory:"}, "dsn", []string{"plain path"}},
		{"a URI", users.Config{DSN: "file:x.db?mode=memory"}, "dsn", []string{"plain path"}},
		{"no directory", users.Config{DSN: filepath.Join(dir, "missing", "x.db")}, "dsn", []string{filepath.Join(dir, "missing"), "does not exist", "create it"}},
		{"a file for a directory", users.Config{DSN: filepath.Join(text, "x.db")}, "dsn", []string{text, "is not a directory"}},
		{"below a file", users.Config{DSN: filepath.Join(text, "y", "x.db")}, "dsn", []string{text, "cannot be entered"}},
		{"a directory", users.Config{DSN: dir}, "dsn", []string{dir, "not a regular file"}},
		{"a directory that takes no file", users.Config{DSN: "/proc/gatehouse.db"}, "dsn", []string{"/proc/gatehouse.db", "cannot be created", "writable"}},
		{"a text", users.Config{DSN: text}, "dsn", []string{text, "is not a database", "another path"}},
		{"the database of Django", users.Config{DSN: django}, "dsn", []string{django, "another program"}},
		{"a newer schema", users.Config{DSN: newer}, "dsn", []string{newer, "9999", "newer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := users.Open(t.Context(), tt.cfg, users.Parts{})
			if err == nil {
				_ = s.Close()
				t.Fatal("was opened")
			}
			if got := faultFields(t, err); got != tt.at {
				t.Errorf("faults at %q, want %q", got, tt.at)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	if content, err := os.ReadFile(text); err != nil || !strings.HasPrefix(string(content), "this is not") {
		t.Errorf("the text was touched: %v", err)
	}
}

func TestOpenWithoutParts(t *testing.T) {
	s, err := users.Open(t.Context(), users.Config{DSN: filepath.Join(t.TempDir(), "x.db")}, users.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Ping(t.Context()); err == nil {
		t.Error("a closed store answers")
	}
	if _, err := s.LiveUser(t.Context(), 1); err == nil || errors.Is(err, users.ErrNotFound) {
		t.Errorf("a closed store says that there is no user: %v", err)
	}
	if _, err := s.Authenticate(t.Context(), "ada", "secret"); err == nil || errors.Is(err, users.ErrCredentials) {
		t.Errorf("a closed store says that a password is wrong: %v", err)
	}
}

func TestOpenIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := users.Open(ctx, users.Config{DSN: filepath.Join(t.TempDir(), "x.db")}, users.Parts{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Several processes start on one new file: each must find the whole schema.
func TestManyOpenANewFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	write(t, path, "")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err := users.Open(t.Context(), users.Config{DSN: path}, users.Parts{Hasher: userstest.Hasher(t)})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Users(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func makeDir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// execute runs a statement as somebody who does not go through a Store.
func execute(t *testing.T, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}
