// Package userstest opens real stores for the tests of other rooms: a file in a
// directory of the test, and hashes that cost next to nothing.
package userstest

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/password"
)

// Option changes what [Open] opens.
type Option func(*settings)

type settings struct {
	path    string
	hashing password.Config
	parts   users.Parts
}

// At opens the file of that path, which may be open elsewhere: two stores on one
// file are what two processes are.
func At(path string) Option { return func(s *settings) { s.path = path } }

// Now gives the store its time.
func Now(now func() time.Time) Option { return func(s *settings) { s.parts.Now = now } }

// Logger gives the store its log.
func Logger(l *slog.Logger) Option { return func(s *settings) { s.parts.Logger = l } }

// Hashing replaces the cheap hashes.
func Hashing(cfg password.Config) Option { return func(s *settings) { s.hashing = cfg } }

// Hasher returns a hasher that costs next to nothing. It is for tests alone.
func Hasher(t testing.TB) *password.Hasher { t.Helper(); return hasher(t, cheap()) }

// Open returns an open store, by default on a new file; it is closed when the test
// ends.
func Open(t testing.TB, opts ...Option) *users.Store {
	t.Helper()
	s := settings{hashing: cheap()}
	for _, o := range opts {
		o(&s)
	}
	if s.path == "" {
		s.path = filepath.Join(t.TempDir(), "gatehouse.db")
	}
	s.parts.Hasher = hasher(t, s.hashing)
	store, err := users.Open(t.Context(), users.Config{Driver: "sqlite", DSN: s.path}, s.parts)
	if err != nil {
		t.Fatalf("open the store: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return store
}

// Add makes an account or ends the test.
func Add(t testing.TB, s *users.Store, n users.NewUser) users.User {
	t.Helper()
	u, err := s.CreateUser(t.Context(), n)
	if err != nil {
		t.Fatalf("create the user %q: %v", n.Username, err)
	}
	return u
}

func cheap() password.Config {
	cfg := password.DefaultConfig()
	cfg.InsecureCheap = true
	cfg.MaxQueue = 10_000 // tests come in crowds
	return cfg
}

func hasher(t testing.TB, cfg password.Config) *password.Hasher {
	t.Helper()
	h, err := password.New(cfg)
	if err != nil {
		t.Fatalf("make a hasher: %v", err)
	}
	return h
}
