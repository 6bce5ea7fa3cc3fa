package users

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Outage is what becomes of requests while PostgreSQL is away. One word says it:
// "refuse" (default), or "serve_stale for 5m".
type Outage struct {
	// Mode is "refuse", where nobody passes whose account was not read within the last
	// ten seconds, or "serve_stale", where users go on who were known before. Danger:
	// what is revoked, disabled or changed meanwhile does not count until the database is
	// back. Logins and refreshes are answered with 503 in any case, as is everybody who
	// was not known.
	Mode string `mapstructure:"mode" words:"refuse serve_stale"`
	// For is how long that lasts, from when the account was read. It must be said with
	// serve_stale, and is at most an hour.
	For time.Duration `mapstructure:"for"`
}

const (
	outageRefuse = "refuse"
	outageStale  = "serve_stale"
	outageMost   = time.Hour
)

// UnmarshalText reads "refuse" and "serve_stale for 5m". Whether it is allowed is
// checked by [Open].
func (o *Outage) UnmarshalText(text []byte) error {
	mode, span, ok := strings.Cut(string(text), " for ")
	*o = Outage{Mode: strings.TrimSpace(mode)}
	if !ok {
		return nil
	}
	d, err := time.ParseDuration(strings.TrimSpace(span))
	if err != nil || d < 0 {
		return fmt.Errorf("is %q; write refuse, or serve_stale for 5m", text)
	}
	o.For = d
	return nil
}

// compile returns how long what is known is served; 0: not at all.
func (o Outage) compile(driver string) (time.Duration, error) {
	fault := func(at, problem, fix string) (time.Duration, error) {
		return 0, &Fault{At: "outage" + at, Problem: problem, Fix: fix}
	}
	switch o.Mode {
	case "", outageRefuse:
		if o.For != 0 {
			return fault(".for", "nothing is served when the database is away, so it has no duration", "write serve_stale for 5m, or refuse alone")
		}
		return 0, nil
	case outageStale:
	default:
		return fault(".mode", fmt.Sprintf("%q is not known", o.Mode), "write refuse, or serve_stale for 5m")
	}
	switch {
	case driver != "postgres":
		return fault("", "a file does not go away, and the driver is sqlite", "delete the line, or write driver: postgres")
	case o.For <= 0:
		return fault(".for", "it is not said for how long", "write serve_stale for 5m")
	case o.For > outageMost:
		return fault(".for", fmt.Sprintf("%v is too long to let pass who may have been disabled", o.For), fmt.Sprintf("write at most %v", outageMost))
	}
	return o.For, nil
}

// stale tells whether what was read so long ago may be used, since err came of asking
// anew: the store's own database is away, and that is to be put up with.
func (s *Store) stale(err error, age time.Duration) bool {
	return s.staleFor > 0 && errors.Is(err, ErrUnavailable) && !errors.Is(err, errSite) && age >= 0 && age < s.staleFor
}

// errSite is that the database of a site does not answer. What is known of its users
// is not served for longer than ever.
var errSite = errors.New("the users cannot be read from the site")

// Condition tells whether the database answers; if it does not, the error says so,
// and serving tells whether requests of known users are let pass meanwhile.
func (s *Store) Condition(ctx context.Context) (serving bool, err error) {
	if err = s.Ping(ctx); err == nil {
		return true, nil
	}
	return s.staleFor > 0 && time.Since(s.ended.readAt()) < s.staleFor, err
}

// circuit keeps calls from waiting, one after the other, for a database that is away:
// after one has found out, the others are told at once, and one at a time tries again.
// The zero value is closed.
type circuit struct {
	mu      sync.Mutex
	open    bool
	next    time.Time // when somebody may try
	success time.Time
}

// circuitPause is how long nobody tries after a failure.
const circuitPause = 300 * time.Millisecond

// errAway is what the others are told.
var errAway = fmt.Errorf("%w: it was tried a moment ago", ErrUnavailable)

// enter tells whether a call may try.
func (c *circuit) enter() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		return nil
	}
	now := time.Now()
	if now.Before(c.next) {
		return errAway
	}
	c.next = now.Add(10 * time.Second) // or less, when this one is done
	return nil
}

// done notes how a call ended. A call that got no connection for being one of too many
// says nothing about the database, as long as others succeed.
func (c *circuit) done(err error, within time.Duration) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case !errors.Is(err, ErrUnavailable):
		c.open, c.success = false, now
	case c.open || errors.Is(err, errLost) || now.Sub(c.success) >= within:
		c.open, c.next = true, now.Add(circuitPause)
	}
}

// left notes that a call that might have told did not wait for the answer.
func (c *circuit) left() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		c.next = time.Now()
	}
}
