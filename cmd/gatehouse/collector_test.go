package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGarbageIsBounded(t *testing.T) {
	const mib = 1 << 20
	c := &collector{allowed: 64 * mib}
	for _, tc := range []struct{ live, want int64 }{
		{0, 1600}, {4 * mib, 1600}, {8 * mib, 800}, {16 * mib, 400}, {32 * mib, 200}, {64 * mib, 100}, {1024 * mib, 100},
	} {
		if got := c.factor(tc.live); got != tc.want {
			t.Errorf("%d MiB in use: GOGC %d, want %d", tc.live/mib, got, tc.want)
		}
	}
}

// What is set follows what is in use, collection after collection.
func TestTheCollectorFollows(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	before := debug.SetGCPercent(ownFactor)
	limit := debug.SetMemoryLimit(64 << 20) // of which garbage may take 4 MiB
	defer debug.SetMemoryLimit(limit)
	defer debug.SetGCPercent(before)
	stop := tuneCollector()
	current := func() int {
		percent := debug.SetGCPercent(ownFactor)
		debug.SetGCPercent(percent)
		return percent
	}
	if got := current(); got != garbageFactor {
		t.Errorf("GOGC %d at the start, want %d", got, garbageFactor)
	}
	inUse := make([]byte, 8<<20)
	eventually(t, "GOGC of its own with 8 MiB in use and 4 MiB for garbage", func() bool {
		runtime.GC()
		return current() == ownFactor
	})
	runtime.KeepAlive(inUse)
	stop()
}
