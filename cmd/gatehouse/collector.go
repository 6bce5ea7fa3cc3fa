package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	gauges "runtime/metrics"
	"sync/atomic"
	"time"
)

// How much garbage may lie about before it is collected. Go's own measure is as much
// as there is in use; a gateway has a few MiB in use, and so would collect many times
// a second, for a tenth of all its work.
const (
	mostGarbage   = 64 << 20 // bytes
	garbageFactor = 400      // percent of what is in use (GOGC) until something was collected: whoever only starts stays small
	mostFactor    = 1600     // percent from then on, at most
	ownFactor     = 100      // percent, at least: Go's own
)

// When nothing was collected for restAfter, little is going on: then what lies about is
// collected, and goes back to the system, if it is worthGiving. Otherwise the memory of a flood
// would stay with a gateway that rests.
const (
	restAfter   = 30 * time.Second
	worthGiving = 16 << 20 // bytes
)

// collector keeps the collection of garbage rare within a bound on memory.
type collector struct {
	allowed int64 // bytes of garbage
	percent int64
	stopped atomic.Bool
	rest    *time.Timer
}

// tuneCollector lets the program take more memory to work less, unless the
// environment says GOGC. With a limit of memory (GOMEMLIMIT, or that of a container)
// a sixteenth of it at most is left to garbage. stop ends it.
func tuneCollector() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	c := &collector{allowed: mostGarbage, percent: ownFactor}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		c.allowed = min(c.allowed, limit/16)
	}
	c.set(garbageFactor)
	c.rest = time.AfterFunc(restAfter, func() {
		if !c.stopped.Load() && spare() > worthGiving {
			debug.FreeOSMemory() // which collects, and so has this come by once more
		}
	})
	c.afterNext()
	return func() {
		c.stopped.Store(true)
		c.rest.Stop()
		debug.SetGCPercent(ownFactor)
	}
}

// sentinel is of no use, which is found out by the next collection.
type sentinel struct{ _ [16]byte }

// afterNext looks again when garbage was collected the next time.
func (c *collector) afterNext() {
	runtime.AddCleanup(new(sentinel), func(c *collector) {
		if c.stopped.Load() {
			return
		}
		sample := []gauges.Sample{{Name: "/gc/heap/live:bytes"}}
		gauges.Read(sample)
		c.set(c.factor(int64(sample[0].Value.Uint64()))) //nolint:gosec // bytes of memory
		c.rest.Reset(restAfter)
		c.afterNext()
	}, c)
}

// spare is how much memory the process has that is garbage, or free.
func spare() int64 {
	samples := []gauges.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/live:bytes"}}
	gauges.Read(samples)
	return int64(samples[0].Value.Uint64()) + int64(samples[1].Value.Uint64()) - int64(samples[2].Value.Uint64()) //nolint:gosec // bytes of memory
}

// factor is GOGC for a heap of which that much is in use.
func (c *collector) factor(live int64) int64 {
	return max(ownFactor, min(mostFactor, c.allowed*100/max(live, 1)))
}

// set stops the world for a moment, and so is for changes that are worth it.
func (c *collector) set(percent int64) {
	if change := percent - c.percent; change > c.percent/8 || change < -c.percent/8 {
		c.percent = percent
		debug.SetGCPercent(int(percent))
	}
}
