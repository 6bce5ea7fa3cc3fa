// Package userstest opens real stores for tests: a file in a directory of the test, or
// a database of a real PostgreSQL, and hashes that cost next to nothing.
package userstest

import (
	"log/slog"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/password"
)

// Option changes what [Open] opens.
type Option func(*settings)

type settings struct {
	config  users.Config
	hashing password.Config
	parts   users.Parts
}

// At opens the file of that path, which may be open elsewhere: two stores on one
// file are what two processes are.
func At(path string) Option {
	return func(s *settings) { s.config = users.Config{Driver: "sqlite", DSN: path} }
}

// In opens that database, which may be open elsewhere.
func In(p *Place) Option { return func(s *settings) { s.config = p.Config } }

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
	if s.config.DSN == "" {
		s.config = SQLite(t).Config
	}
	s.parts.Hasher = hasher(t, s.hashing)
	store, err := users.Open(t.Context(), s.config, s.parts)
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
