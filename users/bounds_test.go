package users

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users/password"
	"gatehouse/users/userstest/postgres"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// onEach runs a test on a new database of every kind.
func onEach(t *testing.T, test func(t *testing.T, in Config)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, Config{DSN: filepath.Join(t.TempDir(), "gatehouse.db")}) })
	t.Run("postgres", func(t *testing.T) {
		// As patient as userstest is.
		dsn := postgres.Shared(t).Database(t) + "&connect_timeout=30"
		test(t, Config{Driver: "postgres", DSN: dsn, AcquireTimeout: 30 * time.Second, StatementTimeout: 30 * time.Second})
	})
}

func openBare(t *testing.T, in Config, parts Parts) *Store {
	t.Helper()
	hasher, err := password.New(password.Config{InsecureCheap: true})
	if err != nil {
		t.Fatal(err)
	}
	parts.Hasher = hasher
	s, err := Open(t.Context(), in, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// deaf returns a store that hears nothing of other processes' writes.
func deaf(t *testing.T, in Config, parts Parts) *Store {
	t.Helper()
	s := openBare(t, in, parts)
	s.stop()
	s.tasks.Wait()
	return s
}

func TestMissedChangesCountAfterTenSeconds(t *testing.T) {
	onEach(t, testMissedChangesCountAfterTenSeconds)
}

func testMissedChangesCountAfterTenSeconds(t *testing.T, in Config) {
	c := &clock{now: time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)}
	s := deaf(t, in, Parts{Now: c.Now})
	other := openBare(t, in, Parts{})
	u, err := other.CreateUser(t.Context(), NewUser{Username: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	active := func() bool {
		t.Helper()
		got, err := s.LiveUser(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return got.IsActive
	}
	missing := func() bool {
		_, err := s.LiveUser(t.Context(), u.ID+1)
		return errors.Is(err, ErrNotFound)
	}
	if !active() || !missing() {
		t.Fatal("not as made")
	}
	off := false
	if _, err := other.UpdateUser(t.Context(), "ada", Change{Active: &off}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.CreateUser(t.Context(), NewUser{Username: "eve"}); err != nil {
		t.Fatal(err)
	}
	c.add(liveFor - time.Millisecond)
	if !active() || !missing() {
		t.Error("was read again before its time: nothing is held")
	}
	c.add(time.Millisecond)
	if active() || missing() {
		t.Error("is still held after ten seconds")
	}
	on := true
	if _, err := other.UpdateUser(t.Context(), "ada", Change{Active: &on}); err != nil {
		t.Fatal(err)
	}
	c.add(-time.Hour)
	if !active() {
		t.Error("a clock that was set back makes the past hold for an hour")
	}
}

func TestUnreadableDatabaseIsNoAnswer(t *testing.T) { onEach(t, testUnreadableDatabaseIsNoAnswer) }

func testUnreadableDatabaseIsNoAnswer(t *testing.T, in Config) {
	c := &clock{now: time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)}
	s := deaf(t, in, Parts{Now: c.Now})
	u, err := s.CreateUser(t.Context(), NewUser{Username: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LiveUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.reader.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LiveUser(t.Context(), u.ID); err != nil {
		t.Errorf("within ten seconds: %v", err)
	}
	c.add(liveFor)
	if _, err := s.LiveUser(t.Context(), u.ID); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("after ten seconds: %v", err)
	}
}

// The attack: name more accounts, real or not, than there is memory.
func TestWhatIsHeldIsBounded(t *testing.T) {
	l := newLive()
	now := time.Now()
	for id := range int64(3 * liveUsers) {
		l.put(id, account, &Shared{User: User{ID: id}}, now, 0)
		l.put(-id-1, noAccount, nil, now, 0)
	}
	if l.users.Len() != liveUsers || l.none.Len() != liveNone {
		t.Errorf("%d accounts and %d numbers are held", l.users.Len(), l.none.Len())
	}
	if _, what, _ := l.get(3*liveUsers-1, now); what != account {
		t.Error("the latest account was pushed out")
	}
	l.put(3*liveUsers-1, noAccount, nil, now, 0)
	if _, what, _ := l.get(3*liveUsers-1, now); what != noAccount {
		t.Error("a deleted account is still held")
	}
}

func TestReadFromBeforeADropIsNotHeld(t *testing.T) {
	for name, drop := range map[string]func(*live){
		"of that account": func(l *live) { l.drop(1) },
		"of another":      func(l *live) { l.drop(2) }, // harmless, and simple
		"of all of them":  (*live).dropAll,
	} {
		l := newLive()
		now := time.Now()
		_, _, generation := l.get(1, now)
		drop(l)
		l.put(1, account, &Shared{User: User{ID: 1, Username: "from before"}}, now, generation)
		if u, what, _ := l.get(1, now); what != nothing {
			t.Errorf("drop %s: %v is held", name, u)
		}
	}
}

func TestFloodOfChangesDropsEverything(t *testing.T) { onEach(t, testFloodOfChangesDropsEverything) }

func testFloodOfChangesDropsEverything(t *testing.T, in Config) {
	s := deaf(t, in, Parts{})
	u, err := s.CreateUser(t.Context(), NewUser{Username: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	from, err := s.lastChange(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.LiveUser(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	_, err = s.writer.ExecContext(t.Context(), `
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
		INSERT INTO user_changes (user_id, changed_at) SELECT i + 1000, 0 FROM n`)
	if err != nil {
		t.Fatal(err)
	}
	next, err := s.readChanges(t.Context(), from)
	if err != nil || next != from+2500 {
		t.Errorf("goes on at %d, %v; want %d", next, err, from+2500)
	}
	if s.live.users.Len() != 0 {
		t.Error("accounts are still held")
	}
	if again, err := s.readChanges(t.Context(), next); again != next || err != nil {
		t.Errorf("then goes on at %d, %v", again, err)
	}
	// The feed is emptied in time, and its numbers go on.
	if n, err := s.Prune(t.Context()); n != 2500 || err != nil {
		t.Errorf("pruned %d, %v", n, err)
	}
	if err := s.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if after, err := s.readChanges(t.Context(), next); after <= next || err != nil {
		t.Errorf("after pruning goes on at %d, %v", after, err)
	}
}

func TestUnreadableFeedIsToldOnce(t *testing.T) { onEach(t, testUnreadableFeedIsToldOnce) }

func testUnreadableFeedIsToldOnce(t *testing.T, in Config) {
	var log lockedBuffer
	s := openBare(t, in, Parts{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := s.writer.ExecContext(t.Context(), `ALTER TABLE user_changes RENAME TO hidden`); err != nil {
		t.Fatal(err)
	}
	told := func(text string) bool {
		for begin := time.Now(); !strings.Contains(log.String(), text); time.Sleep(20 * time.Millisecond) {
			if time.Since(begin) > time.Minute {
				return false
			}
		}
		return true
	}
	told("cannot be read")
	time.Sleep(2 * feedEvery)
	if n := strings.Count(log.String(), "cannot be read"); n != 1 {
		t.Errorf("told %d times in three seconds:\n%s", n, log.String())
	}
	if _, err := s.writer.ExecContext(t.Context(), `ALTER TABLE hidden RENAME TO user_changes`); err != nil {
		t.Fatal(err)
	}
	if !told("can be read again") {
		t.Errorf("the end is not told:\n%s", log.String())
	}
}

func TestPruneNeverForgetsWhatMayStillBeUsed(t *testing.T) {
	onEach(t, testPruneNeverForgetsWhatMayStillBeUsed)
}

func testPruneNeverForgetsWhatMayStillBeUsed(t *testing.T, in Config) {
	c := &clock{now: time.Date(2026, 11, 5, 0, 0, 0, 0, time.UTC)}
	s := openBare(t, in, Parts{Now: c.Now})
	begin := c.Now()
	for name, expires := range map[string]time.Time{
		"hour": begin.Add(time.Hour), "day": begin.Add(24 * time.Hour), "year": begin.Add(365 * 24 * time.Hour),
		"past any date": time.Unix(math.MaxInt64/2, 0), "shared": begin.Add(time.Hour),
	} {
		if err := s.RevokeToken(t.Context(), Token{ID: name, Expires: expires}); err != nil {
			t.Fatal(err)
		}
		if err := s.RecordToken(t.Context(), Token{ID: "not revoked " + name, Expires: expires}); err != nil {
			t.Fatal(err)
		}
	}
	// Another token of the same id lives longer; then the first is revoked again.
	for _, expires := range []time.Duration{30 * 24 * time.Hour, time.Hour} {
		if err := s.RevokeToken(t.Context(), Token{ID: "shared", Expires: begin.Add(expires)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		after time.Duration
		left  string
	}{
		{0, "day hour past any date shared year"},
		{time.Hour + tokensKept, "day hour past any date shared year"},
		{time.Hour + tokensKept + time.Second, "day past any date shared year"},
		{3*24*time.Hour + time.Second, "past any date shared year"},
		{33 * 24 * time.Hour, "past any date year"},
		{400 * 24 * time.Hour, "past any date"},
	} {
		c.add(begin.Add(tt.after).Sub(c.Now()))
		if _, err := s.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, name := range []string{"day", "hour", "past any date", "shared", "year"} {
			if revoked, err := s.Revoked(t.Context(), name); err != nil {
				t.Fatal(err)
			} else if revoked {
				left = append(left, name)
			}
		}
		if got := strings.Join(left, " "); got != tt.left {
			t.Errorf("after %v: %q are revoked, want %q", tt.after, got, tt.left)
		}
	}
	var n int
	if err := s.reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM tokens`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows are left (%v), want 2", n, err)
	}
}

func TestPruneTakesSmallSteps(t *testing.T) { onEach(t, testPruneTakesSmallSteps) }

func testPruneTakesSmallSteps(t *testing.T, in Config) {
	s := openBare(t, in, Parts{})
	fill := func() {
		t.Helper()
		_, err := s.writer.ExecContext(t.Context(), `
			WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
			INSERT INTO tokens (jti, expires_at) SELECT 'old' || i, i FROM n`)
		if err != nil {
			t.Fatal(err)
		}
	}
	fill()
	if n, err := s.Prune(t.Context()); n != 1200 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	fill()
	ctx, cancel := context.WithTimeout(t.Context(), prunePause/2)
	defer cancel()
	if n, err := s.Prune(ctx); n > 2*pruneBatch || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: removed %d, %v", n, err)
	}
	for range 100 {
		if d := jitter(pruneEvery); d < 0 || d >= pruneEvery {
			t.Fatalf("jitter of %v", d)
		}
	}
}

// A failing rehash is told, without the hash, and lets the user in.
func TestRehashThatFailsDoesNotRefuseTheLogin(t *testing.T) {
	onEach(t, testRehashThatFailsDoesNotRefuseTheLogin)
}

func testRehashThatFailsDoesNotRefuseTheLogin(t *testing.T, in Config) {
	var log lockedBuffer
	s := openBare(t, in, Parts{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	const old = "pbkdf2_sha256$1000$seasalt1234567890abcdef$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="
	if _, err := s.CreateUser(t.Context(), NewUser{Username: "ada", Encoded: old}); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.Close(); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Authenticate(t.Context(), "ada", "pässwörd-密码"); err != nil || u.Password != old {
		t.Errorf("got %v, %v", u, err)
	}
	if text := log.String(); !strings.Contains(text, "user.name=ada") || strings.Contains(text, "pbkdf2") {
		t.Errorf("log: %s", text)
	}
}

func TestHashReplacedByAnotherIsNotOverwritten(t *testing.T) {
	onEach(t, testHashReplacedByAnotherIsNotOverwritten)
}

func testHashReplacedByAnotherIsNotOverwritten(t *testing.T, in Config) {
	s := openBare(t, in, Parts{})
	u, err := s.CreateUser(t.Context(), NewUser{Username: "ada", Password: "old"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetPassword(t.Context(), "ada", "new"); err != nil {
		t.Fatal(err)
	}
	if kept := s.rehash(t.Context(), u, "old"); kept != u.Password {
		t.Errorf("says the hash is %q", kept)
	}
	if _, err := s.Authenticate(t.Context(), "ada", "old"); !errors.Is(err, ErrCredentials) {
		t.Errorf("the old password came back: %v", err)
	}
}

func TestCausesAreExplained(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gatehouse.db")
	s := openBare(t, Config{DSN: path}, Parts{})
	_, readonly := s.reader.ExecContext(t.Context(), `DELETE FROM users`)
	hold, err := s.writer.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hold.Rollback() }()
	_, busy := s.reader.ExecContext(t.Context(), `PRAGMA busy_timeout = 1; PRAGMA query_only = 0; DELETE FROM users`)
	_, other := s.reader.ExecContext(t.Context(), `SELECT nonsense`)
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"read-only": {readonly, "cannot be written"},
		"held":      {busy, "held by another process"},
		"any other": {fmt.Errorf("look: %w", other), "nonsense"},
	} {
		var f *Fault
		got := explainSQLite(path, tt.err)
		if !errors.As(got, &f) || !strings.Contains(got.Error(), path) || !strings.Contains(got.Error(), tt.want) || f.Fix == "" || !errors.Is(got, tt.err) {
			t.Errorf("%s (%v): %v", name, tt.err, got)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
