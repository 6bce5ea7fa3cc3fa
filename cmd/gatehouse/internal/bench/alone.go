package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"gatehouse/users/password"
)

// lanes is how many hashes a gateway computes at once here (login.hashing.max_parallel: auto).
func lanes() int { return max(1, runtime.NumCPU()-1) }

// hashesAlone is how many hashes of passwords there are in a second with nothing around them, as
// many at once as in a gateway: first as a program has them that does nothing else, and then with
// its memory collected between two of them, as the process of a gateway does, which is the most
// that they can be. Each is a process of its own: in one that has other memory the collector gives
// that of the hashes back between them.
func hashesAlone(ctx context.Context, kind string, length time.Duration) (rates [2]float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return rates, err
	}
	for i, how := range []string{"as it is", "collected"} {
		cmd := exec.CommandContext(ctx, self, "be-alone", kind+","+how+","+length.String())
		cmd.Stderr = os.Stderr
		text, err := cmd.Output()
		if err != nil {
			return rates, fmt.Errorf("hashes alone: %w", err)
		}
		if rates[i], err = strconv.ParseFloat(strings.TrimSpace(string(text)), 64); err != nil {
			return rates, err
		}
	}
	return rates, nil
}

// beAlone is that process: kind, how and length.
func beAlone(ctx context.Context, line string, out io.Writer) error {
	words := strings.Split(line, ",")
	if len(words) != 3 {
		return fmt.Errorf("%q is no hash alone", line)
	}
	length, err := time.ParseDuration(words[2])
	if err != nil {
		return err
	}
	collect := words[1] == "collected"
	if collect {
		debug.SetGCPercent(-1)
	}
	cfg := password.DefaultConfig()
	cfg.Preferred = words[0]
	hasher, err := password.New(cfg)
	if err != nil {
		return err
	}
	encoded, err := hasher.Hash(ctx, passkey)
	if err != nil {
		return err
	}
	rate, err := steady(ctx, "", lanes(), length, func(int, *conversation) error {
		if collect {
			runtime.GC()
		}
		match, _, err := hasher.Verify(ctx, passkey, encoded)
		if err == nil && !match {
			err = errors.New("a hash of this password is not")
		}
		return err
	})
	if err == nil {
		fmt.Fprintln(out, rate)
	}
	return err
}
