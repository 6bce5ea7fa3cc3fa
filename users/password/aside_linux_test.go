package password

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The memory of a hash is that of the one before it. Memory that is given back between two is
// 4,864 page faults for each hash, and a fifth of its time. Under the race detector each hash
// touches four times that by itself, for what the detector remembers of it.
func TestIsolatedHashesUseTheSameMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector touches memory of its own")
	}
	cfg := DefaultConfig()
	cfg.MaxParallel, cfg.Isolation = "1", isolationProcess
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Isolate(t.Context(), []string{"password-test", beHasher}, nil); err != nil {
		t.Skip(err)
	}
	t.Cleanup(h.Close)
	const hashes = 4
	most := int64(hashes * h.work.memory() / 4 / 2) // half of the pages of each
	var counted []int64
	for range 10 { // on a machine that does other things it may rest between two, and then it gives memory back
		before := minorFaults(t, h.aside.Usage().PID)
		for range hashes {
			if _, err := h.Hash(t.Context(), "secret"); err != nil {
				t.Fatal(err)
			}
		}
		u := h.aside.Usage()
		faults := minorFaults(t, u.PID) - before
		if limit := h.asideMemory() + 32<<20; u.Resident > limit {
			t.Errorf("%d bytes are resident, at most %d are expected", u.Resident, limit)
		}
		if counted = append(counted, faults); len(counted) > 1 && faults < most {
			return
		}
	}
	t.Errorf("%d hashes had %d page faults, which is never below %d", hashes, counted, most)
}

// minorFaults is how many pages a process has touched that were not there.
func minorFaults(t *testing.T, pid int) int64 {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// The name is in parentheses and may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	n, err := strconv.ParseInt(fields[7], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
