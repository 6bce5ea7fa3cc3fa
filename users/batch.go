package users

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// batches write to a database in which one transaction comes after the other. What
// comes to be written while one of them waits for the disk is the next one together, so
// that the disk is waited for once; what comes alone waits for nobody. Each is answered
// when it is on the disk, and none is undone by what another one meets.
type batches struct {
	db    *sql.DB
	exec  func(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error)
	wake  chan struct{} // has room for one
	ended chan struct{}

	begin  context.Context //nolint:containedctx // of the wait for the lock
	giveUp context.CancelFunc

	mu        sync.Mutex
	queue     []*write // the one that waits longest first
	beginning bool     // the lock is waited for
	closed    bool
}

// batchMost is how many are written together at most: nobody waits for a whole crowd,
// and other processes get their turn.
const batchMost = 64

// errClosed is what a call is told that comes behind Close.
var errClosed = errors.New("the store is closed")

func newBatches(db *sql.DB, exec func(ctx context.Context, tx *sql.Tx, text string, args ...any) (int64, error)) *batches {
	b := &batches{db: db, exec: exec, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	b.begin, b.giveUp = context.WithCancel(context.Background())
	go b.run()
	return b
}

// write is what somebody waits for.
type write struct {
	ctx   context.Context //nolint:containedctx // it goes with do, to another goroutine
	do    func(ctx context.Context, tx *sql.Tx) error
	state atomic.Int32
	done  chan struct{} // closed when the rest is told

	err   error
	panic any // of do; nil: none
}

const (
	waiting int32 = iota
	begun         // it is done now, whoever waits for it
	left          // whoever waited has gone away; it is not done
)

// write runs do in a transaction. When ctx ends before it was begun it is not done;
// behind that, its caller is told what came of it: do itself has a context that does not
// end, because one that is broken off would undo what others do.
func (b *batches) write(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{ctx: context.WithoutCancel(ctx), do: do, done: make(chan struct{})}
	if !b.enqueue(w) {
		return errClosed
	}
	select {
	case <-w.done:
	case <-ctx.Done():
		if w.state.CompareAndSwap(waiting, left) {
			return ctx.Err()
		}
		<-w.done
	}
	if w.panic != nil {
		panic(w.panic) // where it would have been without us
	}
	return w.err
}

func (b *batches) enqueue(w *write) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.queue = append(b.queue, w)
	b.rouse()
	return true
}

func (b *batches) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// close waits until all that has come is answered; not for the lock of another process
// when nobody does. It may be called again, and of nil.
func (b *batches) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.closed = true
	if b.beginning && !slices.ContainsFunc(b.queue, func(w *write) bool { return w.state.Load() == waiting }) {
		b.giveUp()
	}
	b.rouse()
	b.mu.Unlock()
	<-b.ended
	b.giveUp()
}

func (b *batches) run() {
	defer close(b.ended)
	for range b.wake {
		for {
			n, closed := b.length()
			if n == 0 && closed {
				return
			}
			if n == 0 {
				break
			}
			b.turn(n)
		}
	}
}

func (b *batches) length() (n int, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue), b.closed
}

// turn writes what waits. Of that, n have waited for the whole time in which the lock was
// not had, if it is not.
func (b *batches) turn(n int) {
	b.setBeginning(true)
	tx, err := b.db.BeginTx(b.begin, nil)
	b.setBeginning(false)
	if err != nil {
		for _, w := range b.take(n) {
			w.finish(err)
		}
		return
	}
	all := b.take(batchMost)
	if err := b.together(tx, all); err != nil && len(all) > 1 {
		// Nothing of it was done. What one of them needs too much, or the disk has no room
		// for together, is that one's matter.
		for _, w := range all {
			w.finish(b.alone(w))
		}
		return
	} else if err != nil {
		all[0].err = err
	}
	for _, w := range all {
		w.finish(w.err)
	}
}

func (b *batches) setBeginning(is bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.beginning = is
}

// take returns those who waited longest, but for those who have left meanwhile.
func (b *batches) take(most int) []*write {
	b.mu.Lock()
	defer b.mu.Unlock()
	most = min(most, len(b.queue))
	all := make([]*write, 0, most)
	for _, w := range b.queue[:most] {
		if w.state.CompareAndSwap(waiting, begun) {
			all = append(all, w)
		}
	}
	rest := copy(b.queue, b.queue[most:])
	clear(b.queue[rest:])
	b.queue = b.queue[:rest]
	return all
}

// together does all in one transaction, and ends it. Each has its own error then, unless
// there is one of the whole, of which nothing is done.
func (b *batches) together(tx *sql.Tx, all []*write) error {
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if len(all) == 0 {
		return nil
	}
	if len(all) == 1 {
		if err := all[0].run(tx); err != nil {
			return err
		}
		return tx.Commit()
	}
	for _, w := range all {
		if _, err := b.exec(w.ctx, tx, savepointSQL); err != nil {
			return err
		}
		if w.err = w.run(tx); w.err != nil {
			// Where the database has undone the whole transaction, this fails.
			if _, err := b.exec(w.ctx, tx, undoSQL); err != nil {
				return err
			}
		}
		if _, err := b.exec(w.ctx, tx, releaseSQL); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// alone does one in a transaction of its own.
func (b *batches) alone(w *write) error {
	tx, err := b.db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	return b.together(tx, []*write{w})
}

// run does it once. It may be done again.
func (w *write) run(tx *sql.Tx) (err error) {
	w.panic = nil
	defer func() {
		if w.panic = recover(); w.panic != nil {
			err = errPanic
		}
	}()
	return w.do(w.ctx, tx)
}

var errPanic = errors.New("a write has panicked")

func (w *write) finish(err error) {
	w.err = err
	close(w.done)
}
