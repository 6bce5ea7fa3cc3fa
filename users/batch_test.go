package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// crowd is a store whose writer is held up, and what waits behind it.
type crowd struct {
	*testing.T
	*Store
	let  func() // lets the writer go on
	held chan error
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	c := &crowd{T: t, Store: deaf(t, Config{DSN: filepath.Join(t.TempDir(), "gatehouse.db")}, Parts{}), held: make(chan error, 1)}
	c.run(`CREATE TABLE marks (name TEXT PRIMARY KEY)`)
	release, holding := make(chan struct{}), make(chan struct{})
	c.let = sync.OnceFunc(func() { close(release) })
	t.Cleanup(c.let)
	go func() {
		c.held <- c.inTx(context.WithoutCancel(t.Context()), func(context.Context, *sql.Tx) error {
			close(holding)
			<-release
			return nil
		})
	}()
	<-holding
	return c
}

func (c *crowd) run(text string) {
	c.Helper()
	if err := c.inTx(c.Context(), mark(text)); err != nil {
		c.Fatal(err)
	}
}

// mark is a write of one statement.
func mark(text string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, text)
		return err
	}
}

func insert(name string) string { return fmt.Sprintf(`INSERT INTO marks VALUES ('%s')`, name) }

// add has do wait behind those that wait already, and returns what will come of it.
func (c *crowd) add(ctx context.Context, do func(context.Context, *sql.Tx) error) <-chan error {
	c.Helper()
	before, _ := c.batches.length()
	out := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				out <- fmt.Errorf("panic: %v", p)
			}
		}()
		out <- c.inTx(ctx, do)
	}()
	c.until(func() bool { n, _ := c.batches.length(); return n > before })
	return out
}

func (c *crowd) until(is func() bool) {
	c.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		if time.Since(began) > time.Minute {
			c.Fatal("it does not come")
		}
	}
}

// lockedByAnother lets the writer go on, and then another process write, which has begun.
func (c *crowd) lockedByAnother() *sql.Tx {
	c.Helper()
	c.let()
	if err := <-c.held; err != nil {
		c.Fatal(err)
	}
	other, err := sql.Open("sqlite", "file:"+c.dialect.place+"?_txlock=immediate")
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = other.Close() })
	lock, err := other.BeginTx(c.Context(), nil)
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { _ = lock.Rollback() })
	return lock
}

// marks are what was written.
func (c *crowd) marks() []string {
	c.Helper()
	rows, err := c.reader.QueryContext(c.Context(), `SELECT substr(name, 1, 9) FROM marks ORDER BY name`)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := []string{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			c.Fatal(err)
		}
		all = append(all, name)
	}
	if err := rows.Err(); err != nil {
		c.Fatal(err)
	}
	return all
}

func (c *crowd) wrote(want ...string) {
	c.Helper()
	if got := c.marks(); !slices.Equal(got, want) {
		c.Errorf("written are %v, want %v", got, want)
	}
}

// What waits together is written together, and each hears what came of its own.
func TestWhatIsWrittenTogetherIsEachItsOwn(t *testing.T) {
	errNo := errors.New("it has changed its mind")
	c := newCrowd(t)
	gone, leave := context.WithCancel(t.Context())
	first := c.add(t.Context(), mark(insert("first")))
	failing := c.add(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return errors.Join(mark(insert("failing"))(ctx, tx), errNo)
	})
	clash := c.add(t.Context(), mark(insert("first")))
	panics := c.add(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_ = mark(insert("panics"))(ctx, tx)
		panic("help")
	})
	left := c.add(gone, mark(insert("left")))
	ends := c.add(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if ctx.Done() != nil {
			return errors.New("it can be broken off, and would break off the others")
		}
		return mark(insert("last"))(ctx, tx)
	})
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told %v", err)
	}
	c.wrote()
	c.let()
	for name, got := range map[string]error{"held": <-c.held, "first": <-first, "last": <-ends} {
		if got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := <-failing; !errors.Is(err, errNo) {
		t.Errorf("failing: %v", err)
	}
	if err := <-clash; sqliteCode(err) != sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY {
		t.Errorf("clash: %v", err)
	}
	if err := <-panics; err == nil || err.Error() != "panic: help" {
		t.Errorf("panics: %v", err)
	}
	c.wrote("first", "last")
}

// A crowd of which one has the whole transaction undone, as SQLite does itself where it
// can do nothing else: the others are done all the same, and once.
func TestOneThatUndoesAllUndoesItself(t *testing.T) {
	c := newCrowd(t)
	first := c.add(t.Context(), mark(insert("first")))
	breaks := c.add(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_ = mark(insert("breaks"))(ctx, tx)
		_ = mark(`ROLLBACK`)(ctx, tx)
		return errors.New("out of memory")
	})
	second := c.add(t.Context(), mark(insert("second")))
	c.let()
	if one, two := <-first, <-second; one != nil || two != nil {
		t.Errorf("%v, %v", one, two)
	}
	if err := <-breaks; err == nil {
		t.Error("what was undone is called done")
	}
	c.wrote("first", "second")
}

// There is room for some, but not for the one that wants most.
func TestFullDiskIsTheMatterOfWhoFillsIt(t *testing.T) {
	c := newCrowd(t)
	c.let()
	if err := <-c.held; err != nil {
		t.Fatal(err)
	}
	var pages int
	if err := c.writer.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := c.writer.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+10)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := c.inTx(t.Context(), mark(insert(fmt.Sprintf("small %d", i+10)))); err != nil {
				t.Errorf("small %d: %v", i+10, err)
			}
		})
		all.Go(func() {
			err := c.inTx(t.Context(), mark(`INSERT INTO marks VALUES ('large' || hex(zeroblob(100000)))`))
			if sqliteCode(err)&0xff != sqlite3.SQLITE_FULL {
				t.Errorf("large: %v", err)
			}
		})
	}
	all.Wait()
	if got := c.marks(); len(got) != 20 {
		t.Errorf("written are %v", got)
	}
}

// While another process has the lock who waits may leave, and nothing of that is done;
// the others go on when the lock is free.
func TestWhoWaitsForAnotherProcessMayLeave(t *testing.T) {
	c := newCrowd(t)
	lock := c.lockedByAnother()
	gone, leave := context.WithCancel(t.Context())
	left := c.add(gone, mark(insert("left")))
	stays := c.add(t.Context(), mark(insert("stays")))
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told %v", err)
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-stays; err != nil {
		t.Errorf("who stays: %v", err)
	}
	c.wrote("stays")
}

// A command that is broken off while another process has the lock ends, and does not wait
// for that.
func TestCloseDoesNotWaitForALockThatNobodyWaitsFor(t *testing.T) {
	c := newCrowd(t)
	c.lockedByAnother()
	// Longer than the test may take: it ends only by giving up.
	if _, err := c.writer.ExecContext(t.Context(), `PRAGMA busy_timeout = 3600000`); err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	left := c.add(gone, mark(insert("left")))
	c.until(func() bool { c.batches.mu.Lock(); defer c.batches.mu.Unlock(); return c.batches.beginning })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Close waits until everybody is answered, and nobody waits for a store that is closed.
func TestCloseAnswersWhoWaits(t *testing.T) {
	c := newCrowd(t)
	var all []<-chan error
	for i := range 3 * batchMost {
		all = append(all, c.add(t.Context(), mark(insert(fmt.Sprint(i)))))
	}
	closed := make(chan error)
	go func() { closed <- c.Close() }()
	c.until(func() bool { _, closed := c.batches.length(); return closed })
	c.let()
	for _, one := range all {
		if err := <-one; err != nil {
			t.Fatal(err)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := c.inTx(t.Context(), mark(insert("late"))); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

// Clients that leave at any moment: what they are told is so. Of the tokens that they
// asked with, those of which they were told nothing good are still good, and the others
// are not.
func TestWhoLeavesIsToldWhatCameOfIt(t *testing.T) {
	s := deaf(t, Config{DSN: filepath.Join(t.TempDir(), "gatehouse.db")}, Parts{})
	renew := func(ctx context.Context, old Token) (Token, error) {
		next := Token{ID: FamilyOf(old.ID).NewTokenID(), Expires: old.Expires}
		_, err := s.RenewSession(ctx, Renewal{Old: old, AccessID: next.ID, AccessUntil: old.Expires, Next: &next, RevokeOld: true})
		return next, err
	}
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			token := Token{ID: NewFamily().NewTokenID(), Expires: time.Now().Add(time.Hour)}
			for turn := range 20 {
				ctx, leave := context.WithTimeout(t.Context(), time.Duration(i*turn)*20*time.Microsecond)
				next, err := renew(ctx, token)
				leave()
				if err == nil {
					if _, err := renew(t.Context(), token); !errors.Is(err, ErrReused) {
						t.Errorf("a token that was exchanged: %v", err)
					}
					token = next
					continue
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("who left is told %v", err)
				}
				if token, err = renew(t.Context(), token); err != nil {
					t.Errorf("a token that was not exchanged: %v", err)
				}
			}
		})
	}
	all.Wait()
}
