package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	person  = "user0"
	passkey = "correct horse battery staple"
)

// sessions is how often sessions begin and go on: logins beside what the hash alone
// allows with as many at once, refreshes beside what the disk allows, each with the other
// builds in turn.
func (y *yard) sessions(ctx context.Context, s settings, file string, out io.Writer) error {
	builds := []string{gatewayName + "=" + file}
	var all []*sessionsOf
	for _, build := range append(builds, s.also...) {
		name, file, _ := strings.Cut(build, "=")
		g, err := y.special(ctx, "sessions", file, `
server: { admin_listen: "ADMIN", trusted_proxies: [127.0.0.0/8] }
tokens:
  rotation: { enabled: true }
  KEYS
login: { hashing: { preferred: "`+s.hash+`" } }
upstreams:
  app: { url: "http://`+y.backend.address+`" }
routes:
  - { to: app }
`, person+":"+passkey)
		if err != nil {
			return err
		}
		defer g.stop()
		all = append(all, &sessionsOf{name: name, g: g})
	}
	var alone [2][]float64
	var disk []float64
	for round := range s.rounds {
		// Whoever came first comes last the next time.
		order := slices.Clone(all)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, of := range order {
			before, err := hashesAlone(ctx, s.hash, s.slice/2)
			if err != nil {
				return err
			}
			n, err := of.g.logins(ctx, s.slice)
			if err != nil {
				return err
			}
			after, err := hashesAlone(ctx, s.hash, s.slice/2)
			if err != nil {
				return err
			}
			of.logins = append(of.logins, n)
			for i := range alone {
				a := (before[i] + after[i]) / 2
				alone[i], of.ratios[i] = append(alone[i], a), append(of.ratios[i], n/a)
			}
			d, err := syncs(of.g.dir, s.slice/2)
			if err != nil {
				return err
			}
			r, err := of.g.renewals(ctx, y.signers["HS256"], s.slice)
			if err != nil {
				return err
			}
			disk, of.renewals = append(disk, d), append(of.renewals, r.rate)
			of.costs, of.loads = append(of.costs, r.cost), append(of.loads, r.load)
		}
	}
	fmt.Fprintf(out, "\n## Sessions, SQLite on disk, rounds: %d\n\n", s.rounds)
	fmt.Fprintf(out, "%.1f hashes in a second alone, %d at once, and %.1f with the collector between them; %.0f writes of 4 KiB with fdatasync, one after the other\n\n",
		median(alone[0]), lanes(), median(alone[1]), median(disk))
	fmt.Fprintf(out, "| | logins/s | ÷ hashes alone | ÷ those with the collector between | refreshes/s, each on the disk | µs of processor time each | and of this program |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, of := range all {
		fmt.Fprintf(out, "| %s | %.1f | %s | %s | %.0f (%.0f–%.0f) | %.0f | %.0f |\n", of.name, median(of.logins), spread(of.ratios[0]), spread(of.ratios[1]),
			median(of.renewals), least(of.renewals), most(of.renewals), median(of.costs), median(of.loads))
	}
	return nil
}

// sessionsOf is what one build did in each round.
type sessionsOf struct {
	name                           string
	g                              *special
	logins, renewals, costs, loads []float64
	ratios                         [2][]float64 // logins to either kind of hashes alone
}

func spread(values []float64) string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(values), least(values), most(values))
}

func least(values []float64) float64 { return slicesMin(values, 1) }
func most(values []float64) float64  { return -slicesMin(values, -1) }

func slicesMin(values []float64, sign float64) float64 {
	low := sign * values[0]
	for _, v := range values {
		low = min(low, sign*v)
	}
	return low
}

// steady runs work on so many connections until the time is over, and returns how often
// it was done in a second.
func steady(ctx context.Context, address string, clients int, length time.Duration, work func(i int, c *conversation) error) (float64, error) {
	var done atomic.Int64
	var group sync.WaitGroup
	faults := make([]error, clients)
	began := time.Now()
	for i := range clients {
		group.Go(func() {
			c := &conversation{client{address: address}}
			defer c.close()
			for time.Since(began) < length && ctx.Err() == nil {
				if faults[i] = work(i, c); faults[i] != nil {
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(append(faults, ctx.Err())...)
}

// logins is how many logins there are in a second. As many wait as the queue takes.
func (g *special) logins(ctx context.Context, length time.Duration) (float64, error) {
	body := fmt.Sprintf(`{"username":%q,"password":%q}`, person, passkey)
	return steady(ctx, g.address, 8, length, func(i int, c *conversation) error {
		_, err := c.say(post("/api/token/", fmt.Sprintf("10.0.0.%d", i), body), 200)
		return err
	})
}

// renewal is how many refreshes there are in a second, and the processor time of each in
// µs: that of the gateway, and that of whoever asked.
type renewal struct{ rate, cost, load float64 }

// renewals refreshes on each connection a session that goes on.
func (g *special) renewals(ctx context.Context, signer *signer, length time.Duration) (out renewal, err error) {
	tokens := make([]string, connections)
	for i := range tokens {
		if tokens[i], err = signer.refresh(1); err != nil {
			return out, err
		}
	}
	next := func(i int, c *conversation) error {
		text, err := c.say(post("/api/token/refresh/", fmt.Sprintf("10.1.0.%d", i), `{"refresh":"`+tokens[i]+`"}`), 200)
		if err != nil {
			return err
		}
		var pair struct{ Refresh string }
		if err := json.Unmarshal(text, &pair); err != nil || pair.Refresh == "" || pair.Refresh == tokens[i] {
			return fmt.Errorf("got %q, %w", text, err)
		}
		tokens[i] = pair.Refresh
		return nil
	}
	// The sessions become known to the store before anything is counted.
	if _, err := steady(ctx, g.address, connections, length/10, next); err != nil {
		return out, err
	}
	before, own, err := g.times()
	if err != nil {
		return out, err
	}
	began := time.Now()
	out.rate, err = steady(ctx, g.address, connections, length, next)
	took := time.Since(began).Seconds()
	if err != nil {
		return out, err
	}
	after, ownAfter, err := g.times()
	out.cost, out.load = micros(after-before)/(out.rate*took), micros(ownAfter-own)/(out.rate*took)
	return out, err
}

// times are the processor time of the gateway, and that of this program.
func (g *special) times() (gateway, own time.Duration, err error) {
	if gateway, err = cpuTime(g.cmd.Process.Pid); err != nil {
		return 0, 0, err
	}
	utime, stime, err := ticks(os.Getpid())
	return gateway, time.Duration(utime+stime) * tick, err
}

// conversation is a client that keeps what it hears.
type conversation struct{ client }

// say sends a request and returns the body of the answer, which must have the status.
func (c *conversation) say(request []byte, want int) ([]byte, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		c.close()
		return nil, err
	}
	status, length, again, err := c.head()
	if err != nil {
		c.close()
		return nil, err
	}
	text := make([]byte, length)
	_, err = io.ReadFull(c.from, text)
	if err != nil || !again {
		c.close()
	}
	if err == nil && status != want {
		err = fmt.Errorf("got %d where %d is right: %.200s", status, want, text)
	}
	return text, err
}

// syncs is how often the disk takes 4 KiB for good in a second.
func syncs(dir string, length time.Duration) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "syncs"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close(); _ = os.Remove(f.Name()) }()
	page := bytes.Repeat([]byte("x"), 4<<10)
	n := 0
	began := time.Now()
	for ; time.Since(began) < length; n++ {
		// The same four MiB over and over, as a write-ahead log does.
		if _, err := f.WriteAt(page, int64(n%1024)*int64(len(page))); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// refresh is a refresh token of the user with that number.
func (s *signer) refresh(user int) (string, error) {
	token, err := s.claims(user, "refresh", time.Now().Add(24*time.Hour))
	return token, err
}
