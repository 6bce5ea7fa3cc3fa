package password

import (
	"context"
	"runtime"

	"gatehouse/users/password/worker"
)

// Hasher hashes and checks passwords, a bounded number at a time. It is made by
// [New] and safe for concurrent use.
type Hasher struct {
	preferred    *kind
	work         work
	acceptLegacy bool
	memory       int // KiB that one stored hash may take
	pool         *pool
	isolation    string
	aside        *worker.Worker // computes; nil: this process does
}

// New returns a Hasher, or all faults of cfg, each a [*Fault].
func New(cfg Config) (*Hasher, error) {
	preferred, w, slots, err := cfg.compile()
	if err != nil {
		return nil, err
	}
	memory := memoryLimit()
	if slots == 0 {
		slots = autoParallel(runtime.GOMAXPROCS(0), memory, int64(w.memory())<<10)
	}
	queue := cfg.MaxQueue
	if queue == 0 {
		queue = 32 * slots
	}
	return &Hasher{
		preferred:    preferred,
		work:         w,
		acceptLegacy: cfg.AcceptLegacy,
		memory:       int(min(memory/2>>10, maxMemory)),
		isolation:    cfg.Isolation,
		pool:         newPool(slots, queue, max(memory/4, int64(slots)*int64(w.memory())<<10)),
	}, nil
}

// Hash returns plain in the preferred form. Its error is [ErrBusy], [ErrUnavailable] or that of ctx.
func (h *Hasher) Hash(ctx context.Context, plain string) (encoded string, err error) {
	o, err := h.run(ctx, h.work, h.errand(plain))
	return o.encoded, err
}

// errand is a new preferred hash of plain.
func (h *Hasher) errand(plain string) errand {
	return errand{preferred: h.preferred, work: h.work, plain: plain, legacy: h.acceptLegacy}
}

// Verify tells whether plain is the password that encoded was made from, and if
// so, whether encoded should be replaced by what [Hasher.Hash] makes today: it is
// outdated when its kind or its work is not the preferred one, or its salt is
// short. An encoded password that can match nothing is no match, at the cost of a
// preferred hash; so is one that would take half of the memory there is. The
// error is [ErrBusy], [ErrUnavailable] or that of ctx; then nothing is known.
//
// A hash of the preferred kind with less work than preferred takes as long as a
// preferred one. A hash of another kind takes its own time; that it does not tell an observer
// that there is such a user, those who do not exist take such times too: see [Mix].
func (h *Hasher) Verify(ctx context.Context, plain, encoded string) (match, outdated bool, err error) {
	s, ok := parse(encoded)
	if !ok || (s.kind.legacy && !h.acceptLegacy) || s.work.memory() > h.memory {
		return false, false, h.VerifyNothing(ctx, plain)
	}
	need := s.work
	if s.kind == h.preferred && need.memory() < h.work.memory() {
		need = h.work // makeUp may take that much
	}
	e := h.errand(plain)
	e.encoded, e.makeUp = encoded, true
	o, err := h.run(ctx, need, e)
	if err != nil {
		return false, false, err
	}
	return o.match, o.match && (s.kind != h.preferred || s.work != h.work || s.short), nil
}

// VerifyNothing takes as long as [Hasher.Verify] with a preferred hash and the
// wrong password. It is for the user who does not exist. The error is [ErrBusy],
// [ErrUnavailable] or that of ctx.
func (h *Hasher) VerifyNothing(ctx context.Context, plain string) error {
	_, err := h.run(ctx, h.work, h.errand(plain))
	return err
}
