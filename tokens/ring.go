package tokens

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/tokens/keys"
)

// ring is the keys of the moment: those of the configuration, and those of the key
// directory, which change while the gateway runs. It is safe for concurrent use.
type ring struct {
	set    atomic.Pointer[keys.Set]
	fixed  *keys.Set       // of the configuration
	dir    *keys.Directory // nil: there is none, and nothing ever changes
	poll   time.Duration
	now    func() time.Time
	logger *slog.Logger

	mu      sync.Mutex
	raw     string                   // the metadata as it was read last
	book    keys.Book                // what it says
	known   []*keys.Key              // of the directory
	trouble string                   // why the directory could not be read; "": it could
	signing string                   // the key of the directory that signs
	signs   func(now, before string) // told when that is another one; may be nil

	started sync.Once
	closed  context.Context
	close   context.CancelFunc
	running sync.WaitGroup
}

// pollKeys is how often the key directory is looked at. Reading a small file costs
// less than a request.
const pollKeys = 500 * time.Millisecond

// newRing reads the key directory, where there is one, for the first time.
func newRing(cfg Config, fixed *keys.Set, poll time.Duration, now func() time.Time, logger *slog.Logger) (*ring, error) {
	r := &ring{fixed: fixed, poll: poll, now: now, logger: logger}
	if r.poll <= 0 {
		r.poll = pollKeys
	}
	r.closed, r.close = context.WithCancel(context.Background())
	r.set.Store(fixed)
	if cfg.KeyDir == "" {
		return r, nil
	}
	r.dir = keys.NewDirectory(cfg.KeyDir)
	switch err := r.look(); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Fault{"key_dir", "there is no key in " + cfg.KeyDir, "make one with: gatehouse keys new"}
	case err != nil:
		return nil, &Fault{"key_dir", err.Error(), "let only the user that gatehouse runs as read it; gatehouse keys list shows what is in it"}
	}
	return r, nil
}

// look reads the directory if it has changed, and does what is due by the clock. What
// cannot be read changes nothing.
func (r *ring) look() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	raw, book, loaded, failed := r.read(now)
	if failed != nil {
		if r.raw == "" {
			return failed
		}
		raw, book = r.raw, r.book
		// What was read before goes on by the clock: its keys are all known.
		loaded, _ = r.dir.Load(book, now, r.known)
	}
	signing, ok := book.Signing(now)
	if !ok {
		return errors.New("no key of the directory signs; run: gatehouse keys new")
	}
	set, err := r.fixed.With(loaded, signing.ID)
	if err != nil {
		return err
	}
	old := r.set.Load()
	r.raw, r.book, r.known = raw, book, loaded
	if set.Equal(old) {
		return failed
	}
	r.set.Store(set)
	attrs := []any{slog.String("signing", signing.ID)}
	for _, state := range []keys.State{keys.StateNext, keys.StateVerifying} {
		if in := book.In(state, now); len(in) > 0 {
			ids := make([]string, len(in))
			for i, e := range in {
				ids[i] = e.ID
			}
			attrs = append(attrs, slog.Any(string(state), ids))
		}
	}
	r.logger.Info("keys of the key directory", attrs...)
	before := r.signing
	r.signing = signing.ID
	if before != "" && before != signing.ID && r.signs != nil {
		r.signs(signing.ID, before)
	}
	return failed
}

// read reads the metadata and the keys that are new in it.
func (r *ring) read(now time.Time) (raw string, book keys.Book, loaded []*keys.Key, err error) {
	if raw, err = r.dir.Raw(); err != nil {
		return "", book, nil, err
	}
	book = r.book
	if raw != r.raw || raw == "" { // an empty file is not what was read before, at the start either
		if book, err = keys.ReadBook(raw); err != nil {
			return "", book, nil, err
		}
	}
	loaded, err = r.dir.Load(book, now, r.known)
	return raw, book, loaded, err
}

// start begins to look at the directory by the clock, until stop.
func (r *ring) start() {
	if r.dir == nil {
		return
	}
	r.started.Do(func() {
		r.running.Go(func() {
			ticker := time.NewTicker(r.poll)
			defer ticker.Stop()
			for {
				select {
				case <-r.closed.Done():
					return
				case <-ticker.C:
					r.tell(r.look())
				}
			}
		})
	})
}

// tell logs what is wrong with the directory, once for each thing.
func (r *ring) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	before := r.trouble
	r.trouble = text
	r.mu.Unlock()
	switch {
	case text == before:
	case err != nil:
		r.logger.Error("the key directory cannot be used; the keys stay as they were", slog.String("key_dir", r.dir.Path()), slog.Any("error", err))
	default:
		r.logger.Info("the key directory can be used again", slog.String("key_dir", r.dir.Path()))
	}
}

func (r *ring) stop() {
	r.close()
	r.started.Do(func() {})
	r.running.Wait()
}

// unwell is what is wrong with the directory, or "".
func (r *ring) unwell() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trouble == "" {
		return ""
	}
	return fmt.Sprintf("%s: %s", r.dir.Path(), r.trouble)
}
