package password

import (
	"context"
	"errors"
	"math"
	"runtime/debug"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sync/semaphore"
)

// ErrBusy means that as many passwords as may wait are waiting already. It is the
// 503 with Retry-After of the login: nothing was computed, and a later attempt
// may succeed.
var ErrBusy = errors.New("too many passwords are being checked at this moment")

// pool bounds what all hashes together take of cores and memory.
type pool struct {
	places chan struct{}       // one for each that runs or waits
	slots  *semaphore.Weighted // one for each lane that computes
	memory *semaphore.Weighted // bytes
	size   int64               // of slots
	budget int64               // of memory
	rest   *time.Timer         // gives memory back when nobody has logged in for a while
}

// restAfter is how long nothing is computed before memory goes back to the system:
// long enough that a busy site never pays for it.
const restAfter = 2 * time.Second

func newPool(slots, queue int, budget int64) *pool {
	p := &pool{
		places: make(chan struct{}, slots+queue),
		slots:  semaphore.NewWeighted(int64(slots)),
		memory: semaphore.NewWeighted(budget),
		size:   int64(slots),
		budget: budget,
	}
	p.rest = time.AfterFunc(restAfter, p.giveBack)
	return p
}

// giveBack returns what the hashes have used. Without it a process that has seen one
// login holds tens of megabytes until the collector comes by, minutes later, and
// then only little by little.
func (p *pool) giveBack() {
	if len(p.places) == 0 {
		debug.FreeOSMemory()
	}
}

// enter returns when a hash of w may be computed, or ErrBusy at once, or the error of ctx
// when that ends while waiting. leave is called once, when it has been computed.
func (p *pool) enter(ctx context.Context, w work) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.places <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	// Always slots before memory: no two can wait for each other. What asks for
	// more than there is runs alone.
	lanes := min(max(int64(w.p), 1), p.size)
	if err := p.slots.Acquire(ctx, lanes); err != nil {
		<-p.places
		return nil, err
	}
	bytes := min(int64(w.memory())<<10, p.budget)
	if err := p.memory.Acquire(ctx, bytes); err != nil {
		p.slots.Release(lanes)
		<-p.places
		return nil, err
	}
	return func() {
		p.memory.Release(bytes)
		p.slots.Release(lanes)
		<-p.places
	}, nil
}

// run computes in this process when w has its place. A computation that has begun is finished.
func (p *pool) run(ctx context.Context, w work, compute func()) error {
	leave, err := p.enter(ctx, w)
	if err != nil {
		return err
	}
	defer p.rested()
	defer leave()
	compute()
	return nil
}

// rested notes that something was computed in this process.
func (p *pool) rested() { p.rest.Reset(restAfter) }

// autoParallel leaves one core to the rest of the process and three quarters of
// the memory; one hash at a time is the least.
func autoParallel(cores int, memory, each int64) int {
	slots := max(cores-1, 1)
	if each > 0 {
		slots = int(min(int64(slots), max(memory/4/each, 1)))
	}
	return slots
}

// memoryLimit returns the bytes that this process may use: the least of what the
// control group, the machine and the Go runtime say.
func memoryLimit() int64 {
	limit := debug.SetMemoryLimit(-1) // a negative limit only reads
	for _, read := range []func() (uint64, error){memlimit.FromCgroup, memlimit.FromSystem} {
		if n, err := read(); err == nil && n > 0 && n < math.MaxInt64 {
			limit = min(limit, int64(n))
		}
	}
	return limit
}
