package main

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	gauges "runtime/metrics"
	"sync/atomic"
)

// How much garbage may lie about before it is collected. Go's own measure is as much
// as there is in use; a gateway has a few MiB in use, and so would collect many times
// a second, for a tenth of all its work.
const (
	mostGarbage   = 64 << 20 // bytes
	garbageFactor = 400      // percent of what is in use (GOGC), at most
	ownFactor     = 100      // percent, at least: Go's own
)

// collector keeps the collection of garbage rare within a bound on memory.
type collector struct {
	allowed int64 // bytes of garbage
	percent int64
	stopped atomic.Bool
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
	c.afterNext()
	return func() {
		c.stopped.Store(true)
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
		c.afterNext()
	}, c)
}

// factor is GOGC for a heap of which that much is in use.
func (c *collector) factor(live int64) int64 {
	return max(ownFactor, min(garbageFactor, c.allowed*100/max(live, 1)))
}

// set stops the world for a moment, and so is for changes that are worth it.
func (c *collector) set(percent int64) {
	if change := percent - c.percent; change > c.percent/8 || change < -c.percent/8 {
		c.percent = percent
		debug.SetGCPercent(int(percent))
	}
}
