package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Errors of [Worker.Call].
var (
	// ErrCannotStart is that there is no process and none can be started. Whoever asks
	// does the work itself.
	ErrCannotStart = errors.New("the process beside this one cannot be started")
	// ErrLost is that the process died, and the next one too. Nothing is known.
	ErrLost = errors.New("the process beside this one died")
)

// Config says what to start. Args is needed.
type Config struct {
	Program string        // its file; empty: that of this process
	Args    []string      // its arguments, its name first; they end in a call of Serve
	Env     []string      // its whole environment
	Logger  *slog.Logger  // nil: nobody is told
	Idle    time.Duration // how long nobody asks before it ends; 0: a minute
}

const (
	defaultIdle = time.Minute
	// patience is how long the first frame may take; a process of low priority starts
	// slowly on a busy machine.
	patience = 30 * time.Second
	// tryAgain is how long one that cannot be started is not tried.
	tryAgain = time.Minute
	// stuck is when an answer is not coming any more. The largest hash takes some seconds of a core.
	stuck = 2 * time.Minute
	// endTime is how long a process may take to end after its standard input.
	endTime = 5 * time.Second
)

// Worker is a process beside this one, there when it is needed. It is made by [New] and safe
// for concurrent use.
type Worker struct {
	cfg Config

	mu       sync.Mutex
	closed   bool
	child    *child        // nil: none runs
	opening  chan struct{} // closed when one was started, or could not be; nil: nobody tries
	resting  time.Time     // until when nobody tries
	why      error         // and what Call answers then
	futile   int           // processes that died one after the other without an answer
	silent   bool          // it was told that none can be started
	starts   uint64
	deaths   uint64
	spent    time.Duration // processor time of those that have ended
	told     time.Duration // of all, the last time that somebody asked
	children sync.WaitGroup
}

// New returns a Worker. It starts nothing before somebody calls.
func New(cfg Config) *Worker {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Idle <= 0 {
		cfg.Idle = defaultIdle
	}
	return &Worker{cfg: cfg}
}

// Start starts the process where there is none. The error is [ErrCannotStart] with its reason, or
// that of ctx.
func (w *Worker) Start(ctx context.Context) error {
	_, err := w.present(ctx)
	return err
}

// Call returns the answer to a request of at most [MaxMessage] bytes; an empty one is that the
// process could not answer. It calls done once when nothing is computed for it any more, which is
// later than it returns where ctx ends first. The error is [ErrLost], that of ctx, or
// [ErrCannotStart]; with the last one done is not called.
func (w *Worker) Call(ctx context.Context, request []byte, done func()) ([]byte, error) {
	for tries := 0; tries < 2; {
		c, err := w.present(ctx)
		if errors.Is(err, ErrCannotStart) {
			return nil, err
		}
		if err != nil {
			done()
			return nil, err
		}
		answer, err := c.ask(ctx, request, done)
		switch {
		case err == nil:
			w.mu.Lock()
			w.futile = 0
			w.mu.Unlock()
			done()
			return answer, nil
		case errors.Is(err, errOver): // while we were on the way to it
		case errors.Is(err, errDied):
			tries++
		default:
			return nil, err // of ctx; done is called when the answer comes
		}
	}
	done()
	return nil, ErrLost
}

// present returns a process that runs, and starts one where there is none.
func (w *Worker) present(ctx context.Context) (*child, error) {
	for {
		w.mu.Lock()
		switch {
		case w.closed:
			w.mu.Unlock()
			return nil, ErrLost
		case w.child != nil:
			c := w.child
			w.mu.Unlock()
			return c, nil
		case w.opening != nil:
		case time.Now().Before(w.resting):
			err := w.why
			w.mu.Unlock()
			return nil, err
		default:
			w.opening = make(chan struct{})
			go w.open()
		}
		opening := w.opening
		w.mu.Unlock()
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open starts a process and tells those who wait for it.
func (w *Worker) open() {
	c, err := begin(w.cfg)
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.opening)
	w.opening = nil
	if err != nil {
		w.resting, w.why = time.Now().Add(tryAgain), fmt.Errorf("%w: %w", ErrCannotStart, err)
		if !w.silent {
			w.silent = true
			w.cfg.Logger.Warn("passwords are hashed in this process, where they are in the way of requests: the process for them cannot be started",
				slog.Any("error", err))
		}
		return
	}
	w.silent = false
	w.starts++
	w.cfg.Logger.Debug("the process that hashes passwords has started", slog.Int("pid", c.process.Pid))
	w.children.Go(func() { w.attend(c) })
	if w.closed {
		c.retire()
		return
	}
	w.child = c
	c.rest = time.AfterFunc(w.cfg.Idle, func() { w.look(c) })
}

// look ends a process that nobody has asked for a while.
func (w *Worker) look(c *child) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.child != c {
		return
	}
	if left := c.idle(w.cfg.Idle); left > 0 {
		c.rest.Reset(left)
		return
	}
	if c.retireIdle() {
		w.child = nil
		w.cfg.Logger.Debug("the process that hashes passwords ends: nobody logs in", slog.Int("pid", c.process.Pid))
	} else {
		c.rest.Reset(w.cfg.Idle)
	}
}

// attend reads the answers of a process until it ends, and sees to what it leaves.
func (w *Worker) attend(c *child) {
	fault := c.listen()
	_ = c.process.Kill() // it has ended, or does not do what it should
	w.forget(c, fault)
	c.fail() // after the process is forgotten: who was in it asks the next
	state, err := c.process.Wait()
	_ = c.out.Close()
	close(c.over)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.spent += state.UserTime() + state.SystemTime()
	}
	if !c.isRetired() {
		w.cfg.Logger.Warn("the process that hashes passwords died; what was asked of it is asked once more of another",
			slog.Int("pid", c.process.Pid), slog.String("how", ending(state, err)), slog.Any("error", fault))
	}
}

// forget lets the next call start another process: at once, but not where one after the
// other dies without having answered.
func (w *Worker) forget(c *child, fault error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.rest != nil {
		c.rest.Stop()
	}
	if w.child == c {
		w.child = nil
	}
	if c.isRetired() && fault == nil {
		return
	}
	w.deaths++
	if w.futile++; w.futile > 1 {
		w.resting = time.Now().Add(min(time.Second<<min(w.futile-2, 5), 30*time.Second))
		w.why = ErrLost
	}
}

// Close ends the process. Calls that still run, and those to come, end with [ErrLost].
func (w *Worker) Close() {
	w.mu.Lock()
	w.closed = true
	c, opening := w.child, w.opening
	w.child = nil
	w.mu.Unlock()
	if opening != nil {
		<-opening
	}
	if c != nil {
		c.retire()
		late := time.AfterFunc(endTime, func() { _ = c.process.Kill() })
		defer late.Stop()
	}
	w.children.Wait()
}

// Usage is what the processes of a [Worker] have taken.
type Usage struct {
	PID      int           // of the one that runs; 0: none does
	Starts   uint64        // that went well
	Deaths   uint64        // of processes that were not told to end
	CPU      time.Duration // of all
	Resident int64         // bytes of memory of the one that runs
}

// Usage tells what there is at the moment.
func (w *Worker) Usage() Usage {
	w.mu.Lock()
	defer w.mu.Unlock()
	var u Usage
	if w.child != nil {
		u = used(w.child.process)
	}
	// One that is about to be counted among those that have ended is nowhere for a moment.
	w.told = max(w.told, u.CPU+w.spent)
	u.Starts, u.Deaths, u.CPU = w.starts, w.deaths, w.told
	return u
}

// ending is how a process ended, for people.
func ending(state *os.ProcessState, err error) string {
	if err != nil {
		return err.Error()
	}
	return state.String()
}
