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
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/users/password"
)

const (
	person  = "user0"
	passkey = "correct horse battery staple"
)

// sessions is how often sessions begin and go on: logins beside what the hash alone
// allows on as many cores, refreshes beside what the disk allows.
func (y *yard) sessions(ctx context.Context, s settings, file string, out io.Writer) error {
	g, err := y.special(ctx, "sessions", file, `
server: { admin_listen: "ADMIN", trusted_proxies: [127.0.0.0/8] }
tokens:
  rotation: { enabled: true }
  KEYS
upstreams:
  app: { url: "http://`+y.backend.address+`" }
routes:
  - { to: app }
`, person+":"+passkey)
	if err != nil {
		return err
	}
	defer g.stop()
	hash, err := newAlone(ctx)
	if err != nil {
		return err
	}
	var logins, alone, ratios, disk, renewals, costs []float64
	for range s.rounds {
		n, err := g.logins(ctx, s.slice)
		if err != nil {
			return err
		}
		a, err := hash.rate(ctx, s.slice)
		if err != nil {
			return err
		}
		logins, alone, ratios = append(logins, n), append(alone, a), append(ratios, n/a)
		d, err := syncs(g.dir, s.slice)
		if err != nil {
			return err
		}
		r, cost, err := g.renewals(ctx, y.signers["HS256"], s.slice)
		if err != nil {
			return err
		}
		disk, renewals, costs = append(disk, d), append(renewals, r), append(costs, cost)
	}
	fmt.Fprintf(out, "\n## Sessions, SQLite on disk, rounds: %d\n\n| per second | |\n| --- | --- |\n", s.rounds)
	fmt.Fprintf(out, "| logins | %.1f |\n| hashes alone, as many at once | %.1f |\n| ratio | %.2f (%.2f–%.2f) |\n", median(logins), median(alone), median(ratios), least(ratios), most(ratios))
	fmt.Fprintf(out, "| refreshes with rotation, each on the disk | %.0f (%.0f µs of processor time each) |\n| writes of 4 KiB and fdatasync, one after the other | %.0f |\n", median(renewals), median(costs), median(disk))
	return nil
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

// renewals is how many refreshes there are in a second, and the processor time of
// each in µs. Each connection is a session that goes on.
func (g *special) renewals(ctx context.Context, signer *signer, length time.Duration) (rate, cost float64, err error) {
	tokens := make([]string, connections)
	for i := range tokens {
		if tokens[i], err = signer.refresh(1); err != nil {
			return 0, 0, err
		}
	}
	before, err := cpuTime(g.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	rate, err = steady(ctx, g.address, connections, length, func(i int, c *conversation) error {
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
	})
	took := time.Since(began).Seconds()
	if err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(g.cmd.Process.Pid)
	return rate, micros(after-before) / (rate * took), err
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

// alone is the hash of a password without anything around it.
type alone struct {
	hasher  *password.Hasher
	encoded string
	lanes   int
}

func newAlone(ctx context.Context) (*alone, error) {
	hasher, err := password.New(password.DefaultConfig())
	if err != nil {
		return nil, err
	}
	encoded, err := hasher.Hash(ctx, passkey)
	return &alone{hasher, encoded, max(1, runtime.NumCPU()-1)}, err
}

func (a *alone) rate(ctx context.Context, length time.Duration) (float64, error) {
	return steady(ctx, "", a.lanes, length, func(int, *conversation) error {
		match, _, err := a.hasher.Verify(ctx, passkey, a.encoded)
		if err == nil && !match {
			err = errors.New("a hash of this password is not")
		}
		return err
	})
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
