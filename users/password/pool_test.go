package password

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestSlots(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name   string
		cores  int
		memory int64
		want   int
	}{
		{"one core", 1, 8192 * mib, 1},
		{"two cores: one is left to forwarding", 2, 8192 * mib, 1},
		{"eight cores", 8, 8192 * mib, 7},
		{"eight cores in a small container", 8, 256 * mib, 3},
		{"eight cores and hardly any memory", 8, 32 * mib, 1},
	} {
		if got := autoParallel(tt.cores, tt.memory, 19*mib); got != tt.want {
			t.Errorf("%s: %d at once, want %d", tt.name, got, tt.want)
		}
	}
	if got := autoParallel(8, 8192*mib, 0); got != 7 {
		t.Errorf("a hash without memory: %d at once", got)
	}
	if limit := memoryLimit(); limit < mib {
		t.Errorf("this machine has %d bytes", limit)
	}
}

func TestFullQueueRefusesAtOnce(t *testing.T) {
	p := newPool(1, 2, 1<<30)
	hold, running := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	var done atomic.Int32
	group.Go(func() {
		if err := p.run(t.Context(), work{}, func() { close(running); <-hold }); err != nil {
			t.Error(err)
		}
	})
	<-running
	for range 2 {
		group.Go(func() {
			if err := p.run(t.Context(), work{}, func() { done.Add(1) }); err != nil {
				t.Error(err)
			}
		})
	}
	for len(p.places) < 3 {
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	if err := p.run(t.Context(), work{}, func() { t.Error("was computed") }); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	if waited := time.Since(begin); waited > 20*time.Second {
		t.Errorf("waited %v to be refused", waited)
	}
	close(hold)
	group.Wait()
	if done.Load() != 2 {
		t.Errorf("%d of the 2 that waited were computed", done.Load())
	}
	if err := p.run(t.Context(), work{}, func() {}); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	p := newPool(1, 10, 1<<30)
	hold, running := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() { _ = p.run(t.Context(), work{}, func() { close(running); <-hold }) })
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.run(ctx, work{}, func() { t.Error("was computed") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	close(hold)
	group.Wait()
	if err := p.run(ctx, work{}, func() { t.Error("was computed") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with a free slot: %v", err)
	}
	if len(p.places) != 0 {
		t.Errorf("%d places are still taken", len(p.places))
	}
}

func TestMemoryIsBoundedAcrossHashes(t *testing.T) {
	const each = 100 << 10 // KiB
	p := newPool(8, 100, 250<<20)
	var now, most atomic.Int32
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			err := p.run(t.Context(), work{m: each}, func() {
				n := now.Add(1)
				for {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				time.Sleep(2 * time.Millisecond)
				now.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most.Load() != 2 {
		t.Errorf("%d hashes of 100 MiB at once in 250 MiB", most.Load())
	}
	// One that is larger than the budget runs, alone.
	if err := p.run(t.Context(), work{m: 300 << 10, p: 50}, func() {}); err != nil {
		t.Error(err)
	}
}

func TestHashLargerThanHalfOfTheMemoryIsNotComputed(t *testing.T) {
	h := cheap(t, Config{})
	h.memory = 50 << 10
	match, _, err := h.Verify(t.Context(), unicodePassword, vectors[2].encoded)
	if match || err != nil {
		t.Errorf("match %t, error %v", match, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	h := cheap(t, Config{MaxParallel: "2", MaxQueue: 200})
	encoded, err := h.Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			match, _, err := h.Verify(t.Context(), []string{"secret", "wrong"}[i%2], encoded)
			if err != nil || match != (i%2 == 0) {
				t.Errorf("match %t, error %v", match, err)
			}
		})
	}
	group.Wait()
}

func TestBusyHasherRefusesEverything(t *testing.T) {
	h := cheap(t, Config{MaxParallel: "1", MaxQueue: 1})
	h.pool.places <- struct{}{}
	h.pool.places <- struct{}{}
	if _, err := h.Hash(t.Context(), "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("Hash: %v", err)
	}
	if _, _, err := h.Verify(t.Context(), "x", vectors[0].encoded); !errors.Is(err, ErrBusy) {
		t.Errorf("Verify: %v", err)
	}
	if _, _, err := h.Verify(t.Context(), "x", "!"); !errors.Is(err, ErrBusy) {
		t.Errorf("Verify of an unusable hash: %v", err)
	}
	if err := h.VerifyNothing(t.Context(), "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("VerifyNothing: %v", err)
	}
}

// The attack: time a login, and learn which names exist. A wrong password, an
// unusable hash and a user who does not exist must take the same time, and a
// hash with less work than preferred must not be quicker.
func TestTimeTellsNothing(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("measures time")
	}
	for _, tt := range []struct {
		preferred    string
		strong, weak work
	}{
		{"argon2id", work{m: 8192, t: 2, p: 1}, work{m: 1024, t: 1, p: 1}},
		{"pbkdf2_sha256", work{t: 20_000}, work{t: 1000}},
		{"bcrypt_sha256", work{t: 8}, work{t: 5}},
		{"scrypt", work{n: 4096, r: 8, p: 4}, work{n: 4096, r: 8, p: 1}},
	} {
		t.Run(tt.preferred, func(t *testing.T) {
			h := cheap(t, Config{Preferred: tt.preferred})
			h.work = tt.strong // enough to be measured, and no more
			right := hashOf(t, h.preferred, h.work)
			weak := hashOf(t, h.preferred, tt.weak)
			check := map[string]func() error{
				"wrong password":      func() error { _, _, err := h.Verify(t.Context(), "wrong", right); return err },
				"no such user":        func() error { return h.VerifyNothing(t.Context(), "wrong") },
				"unusable hash":       func() error { _, _, err := h.Verify(t.Context(), "wrong", Unusable()); return err },
				"hash with less work": func() error { _, _, err := h.Verify(t.Context(), "wrong", weak); return err },
			}
			times := map[string][]time.Duration{}
			for range 15 { // in turn, so that a noisy moment disturbs all alike
				for name, f := range check {
					begin := worked(t)
					if err := f(); err != nil {
						t.Fatal(err)
					}
					times[name] = append(times[name], worked(t)-begin)
				}
			}
			want := slices.Min(times["wrong password"])
			for name, all := range times {
				// Minima of the time on a core, which other programs do not lengthen: an omitted hash is 100 % off.
				if got := slices.Min(all); got < want*6/10 || got > want*16/10 {
					t.Errorf("%s takes %v, a wrong password %v", name, got, want)
				}
			}
		})
	}
}

// worked is the time that this process has spent on cores.
func worked(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkVerifyDefault(b *testing.B) {
	h, err := New(DefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	encoded, err := h.Hash(b.Context(), "secret")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := h.Verify(b.Context(), "secret", encoded); err != nil {
			b.Fatal(err)
		}
	}
}

func encodeBcryptPlain(plain string) (string, error) {
	sum, err := bcrypt.GenerateFromPassword([]byte(plain), bcrypt.MinCost)
	return "bcrypt$" + string(sum), err
}

func encodedPBKDF2(t *testing.T, plain, salt string, iterations int) string {
	t.Helper()
	sum, err := pbkdf2.Key(sha256.New, plain, []byte(salt), iterations, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	return "pbkdf2_sha256$" + strconv.Itoa(iterations) + "$" + salt + "$" + base64.StdEncoding.EncodeToString(sum)
}
