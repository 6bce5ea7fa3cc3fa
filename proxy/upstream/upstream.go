package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Upstream is one backend or several that answer alike. Its settings never change;
// it is safe for concurrent use.
type Upstream struct {
	name       string
	settings   Config
	balance    balance
	idempotent bool // retry: idempotent
	direct     bool // transport: direct
	servers    []*server
	timeouts   bounds
	lines      []*Line
	slots      *slots // nil: no bound
	health     Health // Path "" asks nothing
	logger     *slog.Logger

	began time.Time
	turn  atomic.Uint64 // of round_robin, and of what else must not always begin at the first

	asked  atomic.Bool // set by the first request, which begins the health checks
	closed context.Context
	close  context.CancelFunc
	askers sync.WaitGroup
	mu     sync.Mutex // askers are not begun once closed
}

// Parts are what an Upstream works with.
type Parts struct {
	Logger *slog.Logger // for servers that go and come; nil discards
	// MaxConnections is the bound where the settings have none; 0 is no bound.
	MaxConnections int
	// Before is the upstream of this name until now, whose requests may go on: what is known
	// of servers stays known where nothing about them has changed, and one bound of
	// connections holds for both. nil: there is none.
	Before *Upstream
}

// maxServers is what the set of servers that a request has tried can hold.
const maxServers = 64

// New checks cfg and returns the upstream of that name. The error joins every
// Fault found. Nothing is connected to before the first request; Close ends what
// that one begins.
func New(name string, cfg Config, parts Parts) (*Upstream, error) {
	c := compiler{at: "upstreams." + name}
	u := &Upstream{
		name:       name,
		balance:    balance(c.word("balance", cfg.Balance, string(roundRobin), string(leastRequests), string(sticky))),
		idempotent: c.word("retry", cfg.Retry, "unsent", "idempotent") == "idempotent",
		direct:     c.word("transport", cfg.Transport, "direct", "standard") == "direct",
		logger:     cmp.Or(parts.Logger, slog.New(slog.DiscardHandler)),
		began:      time.Now(),
	}
	endpoints := c.endpoints(cfg)
	u.timeouts = bounds{
		connect:   c.duration("timeouts.connect", cfg.Timeouts.Connect, DefaultConnect),
		firstByte: c.duration("timeouts.first_byte", cfg.Timeouts.FirstByte, DefaultFirstByte),
		idle:      c.duration("timeouts.idle", cfg.Timeouts.Idle, 0),
	}
	keepAlive := c.duration("keep_alive", cfg.KeepAlive, DefaultKeepAlive)
	u.health = c.health(cfg.Health)
	u.slots = c.slots(cfg.MaxConnections, parts.MaxConnections, cfg.MaxPending)
	secured := c.tls(cfg.TLS, endpoints)
	if err := errors.Join(c.faults...); err != nil {
		return nil, err
	}
	for _, e := range endpoints {
		u.servers = append(u.servers, &server{endpoint: e, keepAlive: keepAlive, tls: secured, hash: hashText(e.url)})
	}
	u.settings = cfg
	u.follow(parts.Before)
	u.closed, u.close = context.WithCancel(context.Background())
	u.Line(Timeouts{})
	return u, nil
}

// Name is the upstream's key in the configuration.
func (u *Upstream) Name() string { return u.name }

// Line is a way to the upstream with these timeouts; where they are nil, with the
// upstream's own. It is for the time of configuration: lines are kept, each with
// connections of its own, and making one is not safe beside requests.
func (u *Upstream) Line(t Timeouts) *Line {
	b := u.timeouts
	for _, o := range []struct {
		here *time.Duration
		said *time.Duration
	}{{&b.connect, t.Connect}, {&b.firstByte, t.FirstByte}, {&b.idle, t.Idle}} {
		if o.said != nil {
			*o.here = *o.said
		}
	}
	if i := slices.IndexFunc(u.lines, func(l *Line) bool { return l.bounds == b }); i >= 0 {
		return u.lines[i]
	}
	line := &Line{upstream: u, bounds: b}
	for _, s := range u.servers {
		line.transports = append(line.transports, u.transport(s, b))
	}
	u.lines = append(u.lines, line)
	return line
}

// Close ends the health checks and closes the connections that no request is
// using. Requests in flight finish.
func (u *Upstream) Close() {
	u.mu.Lock()
	u.close()
	u.mu.Unlock()
	u.askers.Wait()
	for _, line := range u.lines {
		for _, t := range line.transports {
			t.CloseIdleConnections()
		}
	}
}

// clock is the time since New in nanoseconds, never 0.
func (u *Upstream) clock() int64 { return int64(time.Since(u.began)) + 1 }

// Fault is something wrong in the configuration, at a key of the file.
type Fault struct {
	At      string // "upstreams.app.url"
	Problem string // what is wrong, with the value at fault
	Fix     string // what to write instead
}

// Error is the problem and its remedy.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the path of the key at fault in the file.
func (f *Fault) Field() string { return f.At }

// compiler collects the faults of New.
type compiler struct {
	at     string
	faults []error
}

func (c *compiler) fault(key, fix, problem string, args ...any) {
	c.faults = append(c.faults, &Fault{At: c.at + "." + key, Problem: fmt.Sprintf(problem, args...), Fix: fix})
}

// word is one of words, the first where nothing is said.
func (c *compiler) word(key, said string, words ...string) string {
	if said == "" {
		return words[0]
	}
	if !slices.Contains(words, said) {
		c.fault(key, "write "+strings.Join(words[:len(words)-1], ", ")+" or "+words[len(words)-1], "%s cannot be %q", key, said)
	}
	return said
}

func (c *compiler) duration(key string, value *time.Duration, otherwise time.Duration) time.Duration {
	if value == nil {
		return otherwise
	}
	if *value < 0 {
		c.fault(key, "write a time such as "+cmp.Or(otherwise, time.Minute).String()+", or 0s for none", "%v is negative", *value)
	}
	return *value
}

// health fills in the defaults.
func (c *compiler) health(h Health) Health {
	if h.Path == "" {
		if h != (Health{}) {
			c.fault("health", "write path: with what to ask for, such as /healthz", "the health check has no path")
		}
		return h
	}
	if !strings.HasPrefix(h.Path, "/") || strings.ContainsFunc(h.Path, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }) {
		c.fault("health.path", "write it as /healthz", "%q is not a path", h.Path)
	}
	for _, d := range []struct {
		key       string
		value     *time.Duration
		otherwise time.Duration
	}{{"health.interval", &h.Interval, DefaultHealthInterval}, {"health.timeout", &h.Timeout, DefaultHealthTimeout}} {
		if *d.value < 0 {
			c.fault(d.key, "write a time such as "+d.otherwise.String(), "%v is negative", *d.value)
		}
		*d.value = cmp.Or(*d.value, d.otherwise)
	}
	for _, n := range []struct {
		key       string
		value     *int
		otherwise int
	}{{"health.healthy_after", &h.HealthyAfter, DefaultHealthyAfter}, {"health.unhealthy_after", &h.UnhealthyAfter, DefaultUnhealthyAfter}} {
		if *n.value < 0 {
			c.fault(n.key, "write how many answers in a row, such as "+fmt.Sprint(n.otherwise), "%d is negative", *n.value)
		}
		*n.value = cmp.Or(*n.value, n.otherwise)
	}
	return h
}

func (c *compiler) slots(connections, otherwise int, pending *int) *slots {
	switch {
	case connections < 0:
		c.fault("max_connections", "write how many, or 0 for no bound", "%d is negative", connections)
	case pending != nil && *pending < 0:
		c.fault("max_pending", "write how many may wait, or 0 for none", "%d is negative", *pending)
	case pending != nil && connections == 0:
		c.fault("max_pending", "write max_connections too, or leave it out", "nothing ever waits without max_connections")
	case connections > 0:
		if pending == nil {
			pending = &connections
		}
		return &slots{taken: make(chan struct{}, connections), most: int64(*pending)}
	case otherwise > 0:
		return &slots{taken: make(chan struct{}, otherwise), most: int64(otherwise)}
	}
	return nil
}
