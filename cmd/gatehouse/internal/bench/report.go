package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// describe says where the numbers are from.
func describe(out io.Writer) {
	fmt.Fprintf(out, "%d × %s, %s, %s/%s; %d connections, answers of %d bytes; CPU is of the subject's own processes\n",
		runtime.NumCPU(), machine(), runtime.Version(), runtime.GOOS, runtime.GOARCH, connections, answerBytes)
}

// cell is one load: which tokens, how many different ones.
type cell struct {
	name      string
	algorithm string
	requests  [][]byte
	status    int
	beside    []byte // a request that is let in, a few in a second; nil: none
}

// many is how many different tokens come in turn where one hot one would flatter.
const many = 10_000

func (y *yard) cells(s settings) ([]cell, error) {
	var all []cell
	for _, algorithm := range s.tokens {
		var requests [][]byte
		for i := range many {
			good, err := y.signers[algorithm].good(i%members + 1)
			if err != nil {
				return nil, err
			}
			requests = append(requests, good)
		}
		all = append(all, cell{algorithm + ", one token", algorithm, requests[:1], 200, nil},
			cell{fmt.Sprintf("%s, %d tokens", algorithm, many), algorithm, requests, 200, nil})
	}
	return all, nil
}

// cost is the processor time that a subject takes for a request.
func (s *subject) cost(ctx context.Context, c cell, length time.Duration) (time.Duration, error) {
	before, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	beside, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { s.trickle(beside, c.beside); close(ended) }()
	defer func() { stop(); <-ended }()
	n, err := flood(ctx, s.address, c.requests, c.status, length)
	if err != nil {
		return 0, fmt.Errorf("%s, %s: %w", s.name, c.name, err)
	}
	after, err := cpuTime(s.cmd.Process.Pid)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s, %s: %d answers, %w", s.name, c.name, n, err)
	}
	return (after - before) / time.Duration(n), nil
}

// trickle sends a request now and then until ctx ends.
func (s *subject) trickle(ctx context.Context, request []byte) {
	client := &client{address: s.address}
	defer client.close()
	for request != nil && ctx.Err() == nil {
		_, _ = client.ask(request)
		pause(ctx, 50*time.Millisecond)
	}
}

// greet sends each request of a cell once.
func (s *subject) greet(ctx context.Context, c cell) error {
	return together(func(i int) error {
		client := &client{address: s.address}
		defer client.close()
		for at := i; at < len(c.requests) && ctx.Err() == nil; at += connections {
			if status, err := client.ask(c.requests[at]); err != nil || status != c.status {
				return fmt.Errorf("%s, %s: got %d where %d is right, %w", s.name, c.name, status, c.status, err)
			}
		}
		return ctx.Err()
	})
}

// costs loads subjects in turn, round after round, and prints for each cell the
// median of each subject and the median of its ratio, within a round, to the first
// subject, or to its own first cell.
func (y *yard) costs(ctx context.Context, s settings, out io.Writer, cells []cell, toOwn bool, of func(cell) []*subject) error {
	for _, c := range cells {
		for _, subject := range of(c) {
			// Once each before anything counts: what a token costs that is new is another question.
			if err := subject.greet(ctx, c); err != nil {
				return err
			}
		}
	}
	measured := make([]map[string][]time.Duration, len(cells))
	for i := range cells {
		measured[i] = map[string][]time.Duration{}
	}
	for round := range s.rounds {
		for i, c := range cells {
			subjects := slices.Clone(of(c))
			if round%2 == 1 {
				slices.Reverse(subjects)
			}
			for _, subject := range subjects {
				took, err := subject.cost(ctx, c, s.slice)
				if err != nil {
					return err
				}
				measured[i][subject.name] = append(measured[i][subject.name], took)
			}
		}
	}
	names := make([]string, len(y.subjects))
	for i, subject := range y.subjects {
		names[i] = subject.name
	}
	heading := "| CPU µs per request (ratio to " + names[0] + ") |"
	if toOwn {
		heading = "| CPU µs per request (ratio to its own " + cells[0].name + ") |"
	}
	for _, name := range names {
		heading += " " + name + " |"
	}
	fmt.Fprintln(out, heading)
	fmt.Fprintln(out, "|"+strings.Repeat(" --- |", len(names)+1))
	for i, c := range cells {
		line := "| " + c.name + " |"
		base := measured[i][names[0]]
		for _, name := range names {
			if toOwn {
				base = measured[0][cmp.Or(y.find(name).beside, name)]
			}
			line += " " + entry(measured[i][name], base) + " |"
		}
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out)
	return nil
}

// entry is "84.1 (0.82, 0.80–0.85)": the median, and the median, least and greatest
// of the ratios to what was measured in the same rounds.
func entry(values, base []time.Duration) string {
	if len(values) == 0 {
		return "–"
	}
	text := fmt.Sprintf("%.1f", micros(median(values)))
	if len(base) != len(values) {
		return text
	}
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = float64(values[i]) / float64(base[i])
	}
	return text + fmt.Sprintf(" (%.2f, %.2f–%.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// proxied is what a good request costs.
func (y *yard) proxied(ctx context.Context, s settings, out io.Writer) error {
	cells, err := y.cells(s)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n## Proxied requests, rounds: %d\n\n", s.rounds)
	return y.costs(ctx, s, out, cells, false, func(c cell) []*subject {
		var who []*subject
		for _, subject := range y.subjects {
			if subject.auth == nil || subject.checks(c.algorithm) {
				who = append(who, subject)
			}
		}
		return who
	})
}

// bulk is what a good request costs whose answer is a hundred times as long.
func (y *yard) bulk(ctx context.Context, s settings, out io.Writer) error {
	good, err := y.signers["HS256"].good(1)
	if err != nil {
		return err
	}
	good = bytes.Replace(good, []byte("/api/things/"), []byte(bulkPath), 1)
	fmt.Fprintf(out, "\n## Answers of %d KiB, rounds: %d\n\n", bulkBytes>>10, s.rounds)
	cells := []cell{{"HS256, one token", "HS256", [][]byte{good}, 200, nil}}
	return y.costs(ctx, s, out, cells, false, func(cell) []*subject { return y.subjects })
}

// refused is what a bad request costs, beside a good one in the first line.
func (y *yard) refused(ctx context.Context, s settings, out io.Writer) error {
	signer := y.signers["HS256"]
	good, err := signer.good(1)
	if err != nil {
		return err
	}
	bad, err := signer.bad()
	if err != nil {
		return err
	}
	// Tokens that nobody has seen, well formed, so that nothing but the signature
	// tells that they are worth nothing.
	var forged [][]byte
	for range many {
		foreign, err := signer.bad()
		if err != nil {
			return err
		}
		forged = append(forged, foreign["forged"])
	}
	cells := []cell{
		{"proxied", "HS256", [][]byte{good}, 200, nil},
		{"no token", "HS256", [][]byte{bad["no token"]}, 401, nil},
		{"garbage", "HS256", [][]byte{bad["garbage"]}, 401, nil},
		{"garbage, and somebody is let in", "HS256", [][]byte{bad["garbage"]}, 401, good},
		{"expired", "HS256", [][]byte{bad["expired"]}, 401, nil},
		{fmt.Sprintf("%d forged tokens", many), "HS256", forged, 401, nil},
		{"proxied again", "HS256", [][]byte{good}, 200, nil},
	}
	floors, err := y.refusers(ctx)
	if err != nil {
		return err
	}
	before := y.subjects
	y.subjects = slices.Concat(before, floors)
	defer func() {
		y.subjects = before
		for _, floor := range floors {
			floor.stop()
		}
	}()
	fmt.Fprintf(out, "\n## Refused requests, rounds: %d\n\n", s.rounds)
	return y.costs(ctx, s, out, cells, true, func(c cell) []*subject {
		var who []*subject
		for _, subject := range y.subjects {
			isFloor := slices.Contains(floors, subject)
			if c.status == 200 && !isFloor || subject.checks(c.algorithm) || isFloor && slices.Contains([]string{"no token", "expired"}, c.name) {
				who = append(who, subject)
			}
		}
		return who
	})
}

// latency is what a subject adds to the time until the answer is there.
func (y *yard) latency(ctx context.Context, s settings, out io.Writer) error {
	good, err := y.signers["HS256"].good(1)
	if err != nil {
		return err
	}
	who := append([]*subject{y.backend}, y.subjects...)
	p50, p99 := map[string][]time.Duration{}, map[string][]time.Duration{}
	for range s.rounds {
		for _, subject := range who {
			took, _, err := pace(ctx, subject.address, nil, good, s.rate, 2*s.slice)
			if err != nil {
				return fmt.Errorf("%s: %w", subject.name, err)
			}
			p50[subject.name] = append(p50[subject.name], took[len(took)/2])
			p99[subject.name] = append(p99[subject.name], took[len(took)*99/100])
		}
	}
	fmt.Fprintf(out, "\n## Latency at %d requests/s, open loop, rounds: %d\n\n", s.rate, s.rounds)
	fmt.Fprintln(out, "| µs | p50 | p99 | added p50 | added p99 |\n| --- | --- | --- | --- | --- |")
	for _, subject := range who {
		name := subject.name
		line := fmt.Sprintf("| %s | %.0f | %.0f |", name, micros(median(p50[name])), micros(median(p99[name])))
		if subject != y.backend {
			line += fmt.Sprintf(" %.0f | %.0f |", micros(median(p50[name])-median(p50["backend"])), micros(median(p99[name])-median(p99["backend"])))
		} else {
			line += " | |"
		}
		fmt.Fprintln(out, line)
	}
	return nil
}

// visitors is how many different tokens come once each when memory is measured.
const visitors = 200_000

// memory is what a fresh gateway holds, and what it holds after many tokens.
func (y *yard) memory(ctx context.Context, out io.Writer) error {
	fresh, err := y.gatehouse(ctx, "fresh", y.find(gatewayName).cmd.Path)
	if err != nil {
		return err
	}
	defer fresh.stop()
	time.Sleep(500 * time.Millisecond)
	idle := resident(fresh.cmd.Process.Pid)
	until := time.Now().Add(6 * time.Hour)
	requests := make([][]byte, 0, visitors)
	for i := range visitors {
		token, err := y.signers["HS256"].token(i%members+1, until)
		if err != nil {
			return err
		}
		requests = append(requests, request(token))
	}
	if err := fresh.greet(ctx, cell{"visitors", "HS256", requests, 200, nil}); err != nil {
		return err
	}
	full := resident(fresh.cmd.Process.Pid)
	pause(ctx, 35*time.Second) // of rest
	rested := resident(fresh.cmd.Process.Pid)
	fmt.Fprintf(out, "\n## Memory\n\n| resident, MiB | idle | after %d tokens | at rest again |\n| --- | --- | --- | --- |\n| %s | %.1f | %.1f | %.1f |\n",
		visitors, gatewayName, mib(idle), mib(full), mib(rested))
	return nil
}

// start is how long it takes from the start of the program on an existing store
// to the first answer of a backend through it.
func (y *yard) start(ctx context.Context, file string, out io.Writer) error {
	good, err := y.signers["HS256"].good(1)
	if err != nil {
		return err
	}
	old := y.find(gatewayName)
	var took []time.Duration
	for range 15 {
		cmd := exec.CommandContext(ctx, file, old.cmd.Args[1:len(old.cmd.Args)-1]...)
		began := time.Now()
		s, err := y.run(gatewayName, nil, nil, func(address string) *exec.Cmd {
			cmd.Args = append(cmd.Args, address)
			began = time.Now()
			return cmd
		})
		if err != nil {
			return err
		}
		c := client{address: s.address}
		status, err := c.ask(good)
		took = append(took, time.Since(began))
		c.close()
		s.stop()
		if err != nil || status != 200 {
			return fmt.Errorf("got %d, %w", status, err)
		}
	}
	fmt.Fprintf(out, "\n## Start\n\nFirst answer through %s %.0f ms after its start (median of %d, existing store; %.0f–%.0f).\n",
		gatewayName, median(took).Seconds()*1000, len(took), slices.Min(took).Seconds()*1000, slices.Max(took).Seconds()*1000)
	return nil
}
