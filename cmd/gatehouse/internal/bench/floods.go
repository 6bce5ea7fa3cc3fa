package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a gateway may take while it is flooded, beside what its connections take: a few
// goroutines and files for each of theirs, and no more memory than this.
const (
	mostMemory     = 700 << 20
	perConnection  = 4
	besides        = 400
	recoverWithin  = 2 * time.Minute
	filesOfAttacks = 2
)

// flooded is what was measured of an attack.
type flooded struct {
	attack

	p50, p99   [3][]time.Duration // alone, while another is flooded, while this one is
	entered    []time.Duration    // of new connections while it is
	memory     int64
	gauges     gauges
	said       string
	after      gauges
	afterBytes int64
}

// floods measures what somebody else's requests take while a flood comes, beside what
// they take without it, and beside what they take while the same flood comes to
// another gateway on the same machine: so much is the processors' part, which another
// process would have had to share alike. Every request of somebody else must be answered,
// and right; memory, goroutines and files must stay within bounds and come back.
func (y *yard) floods(ctx context.Context, s settings, file string, out io.Writer) error {
	var yards [2]*special
	for i, name := range []string{"flooded", "another"} {
		var hang []string
		for range 3 {
			h, err := y.helper(ctx, "be-hang", "")
			if err != nil {
				return err
			}
			defer h.stop()
			hang = append(hang, `"http://`+h.address+`"`)
		}
		half, err := y.helper(ctx, "be-hang", "half:")
		if err != nil {
			return err
		}
		defer half.stop()
		g, err := y.special(ctx, name, file, `
server: { admin_listen: "ADMIN", trusted_proxies: [`+balancer+`], max_connections: `+strconv.Itoa(atBound/max(1, s.small))+` }
tokens:
  KEYS
upstreams:
  app: { url: "http://`+y.backend.address+`" }
  hang: { urls: [`+strings.Join(hang, ", ")+`] }
  half: { url: "http://`+half.address+`" }
routes:
  - { to: app }
  - { path: /hang/*, to: hang }
  - { path: /half/*, to: half }
`, person+":"+passkey)
		if err != nil {
			return err
		}
		defer g.stop()
		yards[i] = g
	}
	good, err := y.signers["HS256"].token(1, time.Now().Add(6*time.Hour))
	if err != nil {
		return err
	}
	idle, err := yards[0].gauges(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n## Floods, %d requests/s of somebody else beside, open loop, rounds: %d of %d requests in each state\n\n", s.rate, s.rounds, int(2*s.slice.Seconds()*float64(s.rate)))
	fmt.Fprintf(out, "Idle: %.0f MiB, %d goroutines, %d files.\n\n", mib(resident(yards[0].cmd.Process.Pid)), idle.goroutines, idle.files)
	fmt.Fprintln(out, "| flood | p50, p99 alone, ms | flood on another process | on this one | p99 ÷ alone | p99 ÷ other process | new connection, ms | peak MiB | goroutines | files | 20 s later |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, a := range attacks {
		if s.floods != nil && !slices.Contains(s.floods, a.kind) {
			continue
		}
		if s.small > 1 {
			a.size = max(16, a.size/s.small)
		}
		f := &flooded{attack: a}
		for range s.rounds {
			for state := range 3 {
				if err := f.measure(ctx, s, yards, state, good); err != nil {
					return fmt.Errorf("%s: %w", a.name, err)
				}
			}
		}
		if err := f.recover(ctx, s, yards[0], idle); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		f.print(out)
	}
	return nil
}

// measure sends somebody else's requests to the first gateway, and the flood to none, to
// the other, or to the same. It comes from another address: who shares one with it cannot
// be told from it, and may be refused.
func (f *flooded) measure(ctx context.Context, s settings, yards [2]*special, state int, good string) error {
	g := yards[0]
	if state > 0 {
		stop, err := f.begin(ctx, yards[state%2], good, s.small > 1)
		if err != nil {
			return err
		}
		defer stop()
	}
	watching, stopWatching := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- watchMemory(watching, g.cmd.Process.Pid) }()
	took, entered, err := pace(ctx, g.address, net.ParseIP(ours), request(good), s.rate, 2*s.slice)
	stopWatching()
	memory := <-peak
	if err != nil {
		return fmt.Errorf("a request of somebody else: %w", err)
	}
	f.p50[state] = append(f.p50[state], took[len(took)/2])
	f.p99[state] = append(f.p99[state], took[len(took)*99/100])
	if state < 2 {
		return nil
	}
	f.entered = append(f.entered, entered...)
	now, err := g.gauges(ctx)
	if err != nil {
		return err
	}
	f.memory, f.gauges.goroutines, f.gauges.files = max(f.memory, memory), max(f.gauges.goroutines, now.goroutines), max(f.gauges.files, now.files)
	most := perConnection*(f.size+connections) + besides
	switch {
	case f.memory > mostMemory:
		return fmt.Errorf("%d bytes of memory, %d are the bound", f.memory, mostMemory)
	case f.gauges.goroutines > most:
		return fmt.Errorf("%d goroutines, %d are the bound", f.gauges.goroutines, most)
	case f.gauges.files > filesOfAttacks*(f.size+connections)+besides:
		return fmt.Errorf("%d files, %d are the bound", f.gauges.files, filesOfAttacks*(f.size+connections)+besides)
	}
	return nil
}

// begin starts the flood and waits until all its connections are there. One that is small is for tests: it has its
// share of the processors, or it would not begin on a machine that is busy, and latencies mean nothing.
func (f *flooded) begin(ctx context.Context, target *special, good string, small bool) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// As if it were on another machine: with the least priority alone it goes on for
	// milliseconds that somebody else waits for.
	args := []string{"nice", "-n", "19"}
	if _, err := exec.LookPath("chrt"); small {
		args = []string{"nice", "-n", "0"}
	} else if err == nil {
		args = []string{"chrt", "--idle", "0"}
	}
	args = append(args, self, "be-attacker", fmt.Sprintf("%s,%d,%s,%s,%s", f.kind, f.size, f.from, target.address, good))
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(said)
	stop = func() {
		_ = in.Close()
		for lines.Scan() {
			f.said = lines.Text()
		}
		_ = cmd.Wait()
	}
	if !lines.Scan() || lines.Text() != "all there" {
		stop()
		return nil, fmt.Errorf("the flood does not begin: %q", lines.Text())
	}
	return stop, nil
}

// recover waits until the flood has left nothing behind.
func (f *flooded) recover(ctx context.Context, s settings, g *special, idle gauges) error {
	// Connections that are kept, and what serves them, may stay for a while.
	goroutines, files := idle.goroutines+besides, idle.files+besides
	for began := time.Now(); ; {
		now, err := g.gauges(ctx)
		if err != nil {
			return err
		}
		f.after = now
		if now.goroutines <= goroutines && now.files <= files {
			break
		}
		if time.Since(began) > recoverWithin {
			return fmt.Errorf("%v later there are %d goroutines and %d files", recoverWithin, now.goroutines, now.files)
		}
		pause(ctx, 200*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if s.small <= 1 {
		pause(ctx, 20*time.Second)
	}
	f.afterBytes = resident(g.cmd.Process.Pid)
	return nil
}

func (f *flooded) print(out io.Writer) {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	line := "| " + f.name + " |"
	for state := range 3 {
		p99 := f.p99[state]
		line += fmt.Sprintf(" %.2f, %.1f (%.1f–%.1f) |", ms(median(f.p50[state])), ms(median(p99)), ms(slices.Min(p99)), ms(slices.Max(p99)))
	}
	ratio := func(to int) string {
		ratios := make([]float64, len(f.p99[2]))
		for i := range ratios {
			ratios[i] = float64(f.p99[2][i]) / float64(f.p99[to][i])
		}
		return fmt.Sprintf(" %.2f (%.2f–%.2f) |", median(ratios), slices.Min(ratios), slices.Max(ratios))
	}
	line += ratio(0) + ratio(1)
	line += fmt.Sprintf(" %.1f (%.0f) |", ms(median(f.entered)), ms(slices.Max(f.entered)))
	line += fmt.Sprintf(" %.0f | %d | %d | %.0f MiB |", mib(f.memory), f.gauges.goroutines, f.gauges.files, mib(f.afterBytes))
	fmt.Fprintln(out, line)
	if f.said != "" {
		fmt.Fprintf(os.Stderr, "%s: %s\n", f.name, f.said)
	}
}

// watchMemory is the most that a process has resident until ctx ends.
func watchMemory(ctx context.Context, pid int) int64 {
	most := resident(pid)
	for ctx.Err() == nil {
		pause(ctx, 100*time.Millisecond)
		most = max(most, resident(pid))
	}
	return most
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// helper starts this program as one of its own parts.
func (y *yard) helper(ctx context.Context, part, prefix string) (*subject, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return y.run(part, nil, nil, func(address string) *exec.Cmd { return exec.CommandContext(ctx, self, part, prefix+address) })
}
