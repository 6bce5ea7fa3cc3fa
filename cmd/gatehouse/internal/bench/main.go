package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatehouse/users/password"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// settings are the command line.
type settings struct {
	rounds  int
	slice   time.Duration // of one measurement
	rate    int           // requests per second of the open loop
	only    []string      // of sections
	tokens  []string      // algorithms
	also    []string      // NAME=FILE: other builds of gatehouse
	no      []string      // names of subjects
	floods  []string      // kinds of them; nil: all
	small   int           // how much smaller floods are
	store   string        // of timing; empty: SQLite
	file    string        // the gateway; empty: it is built
	streams []string      // how their names begin; nil: all
	hash    string        // of passwords, in sessions
}

// sections are what can be measured, in order.
var sections = []string{"proxied", "refused", "bulk", "streams", "latency", "memory", "start", "sessions", "timing", "floods"}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 2 { // this program is also two of its subjects
		switch args[0] {
		case "be-backend":
			return serveBackend(ctx, args[1])
		case "be-bare":
			return serveBare(ctx, args[1])
		case "be-floor":
			return serveFloor(ctx, args[1])
		case "be-hang":
			return serveHang(ctx, args[1])
		case "be-alone":
			return beAlone(ctx, args[1], out)
		case "be-attacker":
			return beAttacker(ctx, args[1], out)
		}
	}
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&s.rounds, "rounds", 5, "how often each is measured")
	flags.DurationVar(&s.slice, "slice", 1500*time.Millisecond, "how long one measurement takes")
	flags.IntVar(&s.rate, "rate", 500, "requests per second when latency is measured, and beside floods")
	list := func(name string, to *[]string, usage string) {
		flags.Func(name, usage, func(text string) error { *to = strings.Split(text, ","); return nil })
	}
	list("only", &s.only, "`SECTIONS` of "+strings.Join(sections, ",")+" (default all)")
	list("tokens", &s.tokens, "`ALGORITHMS` of "+strings.Join(algorithms, ",")+" (default all)")
	list("also", &s.also, "more gateways, `NAME=FILE,…`: other builds, to compare a change with what was before it")
	list("floods", &s.floods, "`KINDS` of floods (default all)")
	list("streams", &s.streams, "`KINDS` of streams, by how their names begin: WebSocket, events, download, upload (default all)")
	flags.StringVar(&s.file, "gatehouse", "", "`FILE` of a gateway that is built already (default builds it)")
	flags.StringVar(&s.store, "postgres", "", "`DSN` of an empty database of PostgreSQL, for the timing of logins in place of SQLite")
	flags.StringVar(&s.hash, "hash", password.DefaultConfig().Preferred, "`KIND` of hash of passwords in sessions, such as pbkdf2_sha256")
	flags.IntVar(&s.small, "smaller", 1, "by how much smaller floods are than the machine is thought to bear")
	list("without", &s.no, "`SUBJECTS` to leave out, such as haproxy,nginx,caddy")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("there is nothing to do with %q", flags.Arg(0))
	}
	if s.only == nil {
		s.only = sections
	}
	if s.tokens == nil {
		s.tokens = algorithms
	}
	for _, other := range s.also {
		if !strings.Contains(other, "=") {
			return fmt.Errorf("write -also NAME=FILE, not %q", other)
		}
	}
	for _, name := range s.only {
		if !slices.Contains(sections, name) {
			return fmt.Errorf("there is no section %q; there are %s", name, strings.Join(sections, ", "))
		}
	}
	for _, name := range s.tokens {
		if !slices.Contains(algorithms, name) {
			return fmt.Errorf("there is no algorithm %q; there are %s", name, strings.Join(algorithms, ", "))
		}
	}
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	return measure(ctx, s, dir, out)
}

func measure(ctx context.Context, s settings, dir string, out io.Writer) error {
	gateway := s.file
	if gateway == "" {
		gateway = filepath.Join(dir, "gatehouse")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", gateway, "gatehouse/cmd/gatehouse")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, text)
		}
	}
	signers, err := newSigners(dir)
	if err != nil {
		return err
	}
	y := &yard{dir: dir, signers: signers}
	defer y.close()
	if err := y.open(ctx, gateway, s); err != nil {
		return err
	}
	describe(out)
	if err := y.prove(); err != nil {
		return err
	}
	for _, section := range sections {
		if !slices.Contains(s.only, section) {
			continue
		}
		var err error
		switch section {
		case "proxied":
			err = y.proxied(ctx, s, out)
		case "refused":
			err = y.refused(ctx, s, out)
		case "bulk":
			err = y.bulk(ctx, s, out)
		case "streams":
			err = y.streams(ctx, s, out)
		case "latency":
			err = y.latency(ctx, s, out)
		case "memory":
			err = y.memory(ctx, out)
		case "start":
			err = y.start(ctx, gateway, out)
		case "sessions":
			err = y.sessions(ctx, s, gateway, out)
		case "timing":
			err = y.timing(ctx, s, gateway, out)
		case "floods":
			err = y.floods(ctx, s, gateway, out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
	}
	return nil
}
