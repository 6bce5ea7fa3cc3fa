package password

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"

	"gatehouse/users/password/worker"
)

// ErrUnavailable means that the process that hashes passwords died over this one, more than
// once. Nothing is known about it; a later attempt may succeed. It is the 503 with
// Retry-After of the login.
var ErrUnavailable = errors.New("the process that hashes passwords does not answer")

// maxPlain is the longest password that is handed to another process, in bytes. What is
// longer is hashed where it is.
const maxPlain = worker.MaxMessage - 4<<10

// childMemory is what the other process takes beside the hashes, in bytes.
const childMemory = 32 << 20

// Isolate has hashes computed by a process of their own from here on, as [Config].Isolation
// says; it is called once, before anything else, by a program that serves. command are the
// arguments of this program, its name first, that end in a call of [Serve]; a number is
// appended: how many hashes are computed at once. Without it, and with "none", they are
// computed in this process. The error is that "process" is asked for and none can be started.
func (h *Hasher) Isolate(ctx context.Context, command []string, logger *slog.Logger) error {
	if h.isolation == isolationNone || h.isolation != isolationProcess && !worker.Supported {
		return nil
	}
	w := worker.New(worker.Config{
		Args:   append(command[:len(command):len(command)], strconv.FormatInt(h.pool.size, 10)),
		Env:    []string{"GOMAXPROCS=" + strconv.FormatInt(h.pool.size, 10), "GOMEMLIMIT=" + strconv.FormatInt(h.asideMemory(), 10), "GOTRACEBACK=none"},
		Logger: logger,
	})
	if h.isolation == isolationProcess {
		if err := w.Start(ctx); err != nil {
			w.Close()
			return &Fault{At: "isolation", Problem: "passwords are to be hashed by a process of their own, and " + err.Error(), Fix: "write auto, or none"}
		}
	}
	h.aside = w
	return nil
}

// Isolated tells whether hashes are computed by a process of their own, as far as one can be started,
// and how many bytes of memory that may take.
func (h *Hasher) Isolated() (memory int64, ok bool) {
	if h.aside == nil {
		return 0, false
	}
	return h.asideMemory(), true
}

// asideMemory is what the hashes take that run, as much that is garbage, and the program.
func (h *Hasher) asideMemory() int64 { return 2*h.pool.size*int64(h.work.memory())<<10 + childMemory }

// Close ends the other process, if there is one. Nothing may be hashed any more.
func (h *Hasher) Close() {
	if h != nil && h.aside != nil {
		h.aside.Close()
	}
}

// Serve is what that other process does: it computes what comes in, at most so many at once,
// until in ends.
func Serve(in io.Reader, out io.Writer, parallel int) error {
	worker.Settle("gatehouse-hash")
	// There is nothing here but blocks of a hash each. Collected one by one, before the next,
	// each is the same memory again; otherwise the runtime gives it back meanwhile, and
	// thousands of page faults take a quarter of the time of the next.
	debug.SetGCPercent(-1)
	return worker.Serve(in, out, parallel, func(request []byte) []byte {
		e, ok := unmarshalErrand(request)
		if !ok {
			return nil
		}
		if e.work.memory() > 1<<10 {
			runtime.GC()
		}
		o, err := e.do()
		if err != nil {
			return nil
		}
		return o.marshal(e)
	})
}

// run does an errand when a hash of w may be computed. The error is [ErrBusy], [ErrUnavailable],
// that of ctx, or that there can be no such hash.
func (h *Hasher) run(ctx context.Context, w work, e errand) (outcome, error) {
	leave, err := h.pool.enter(ctx, w)
	if err != nil {
		return outcome{}, err
	}
	if h.aside != nil && len(e.plain) <= maxPlain {
		answer, err := h.aside.Call(ctx, e.marshal(), leave)
		switch {
		case err == nil:
			o, ok := unmarshalOutcome(answer, e)
			if !ok {
				return outcome{}, fmt.Errorf("%w: it has no answer", ErrUnavailable)
			}
			return o, nil
		case errors.Is(err, worker.ErrLost):
			return outcome{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
		case !errors.Is(err, worker.ErrCannotStart):
			return outcome{}, err
		}
	}
	defer h.pool.rested()
	defer leave()
	return e.do()
}
