package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/tokens/keys"
)

// ErrUnavailable means that there are no keys to decide by: none were fetched yet, or
// those that were are too old, or the one that a token names may be among those that
// cannot be fetched now.
var ErrUnavailable = errors.New("the keys of the issuer are not available")

// The times between fetches that are not by the clock.
const (
	unknownEvery = 5 * time.Second // because a token names a key that is not known
	retryFirst   = 2 * time.Second // after one that failed, doubled each time
	retryLast    = time.Minute
)

// Source is the keys of one issuer. It is safe for concurrent use.
type Source struct {
	cfg    Config
	client *http.Client // nil: the set is the operator's, and never fetched
	logger *slog.Logger
	now    func() time.Time

	current atomic.Pointer[snapshot] // nil: none was fetched yet
	mu      sync.Mutex
	call    *call     // the fetch that is under way
	failed  error     // of the last fetch
	fetches [2]uint64 // that failed, that went well
	empty   time.Time // when a token made us fetch last because there were no keys
	doubt   time.Time // and because it named one that is not known

	started sync.Once
	closed  context.Context
	close   context.CancelFunc
	running sync.WaitGroup
}

// snapshot is the keys at one moment. It never changes.
type snapshot struct {
	keys []*keys.Key
	at   time.Time
}

// Parts are what a Source works with.
type Parts struct {
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
}

// New checks cfg. Its error is every *Fault, joined. Nothing is fetched before Start
// or the first token.
func New(cfg Config, parts Parts) (*Source, error) {
	s := &Source{cfg: cfg, logger: parts.Logger, now: parts.Now}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.closed, s.close = context.WithCancel(context.Background())
	var faults []error
	ways := 0
	for _, said := range []bool{cfg.JWKSURL != "", cfg.Discovery, cfg.JWKS != ""} {
		if said {
			ways++
		}
	}
	if ways != 1 {
		problem := "it is not said where the keys of the issuer are"
		if ways > 1 {
			problem = "it is said in more than one way where the keys of the issuer are"
		}
		faults = append(faults, &Fault{"jwks_url", problem, "write one of jwks_url, discovery: true and jwks_file"})
	}
	if cfg.JWKSURL != "" {
		if problem, fix := checkURL(cfg.JWKSURL, cfg.AllowHTTP); problem != "" {
			faults = append(faults, &Fault{"jwks_url", problem, fix})
		}
	}
	if cfg.Discovery {
		if problem, fix := checkURL(cfg.Issuer, cfg.AllowHTTP); problem != "" {
			faults = append(faults, &Fault{"issuer", problem, fix + "; or write jwks_url in place of discovery"})
		}
	}
	if cfg.JWKS != "" {
		found, skipped, err := readSet([]byte(cfg.JWKS), cfg.Algorithms)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("it has no key for algs%s", joined(skipped))
		}
		if err != nil {
			faults = append(faults, &Fault{"jwks", err.Error(), "write the JWK Set that the issuer publishes"})
		}
		s.current.Store(&snapshot{keys: found})
	} else {
		var err error
		if s.client, err = newClient(cfg); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return s, nil
}

func joined(skipped []string) string {
	text := ""
	for _, why := range skipped {
		text += ", " + why
	}
	return text
}

// Start begins to fetch in the background, until Close.
func (s *Source) Start() {
	if s.client == nil {
		return
	}
	s.started.Do(func() { s.running.Go(s.run) })
}

// Close ends the fetching. What was fetched stays.
func (s *Source) Close() {
	s.close()
	s.started.Do(func() {}) // it begins no more
	s.running.Wait()
	if s.client != nil {
		s.client.CloseIdleConnections()
	}
}

// Follow takes over the keys that another Source has fetched, if it has the same
// settings: an issuer that is away must not lose its users by a change that has nothing to
// do with it. It is for the time before Start.
func (s *Source) Follow(before *Source) {
	if !reflect.DeepEqual(s.cfg, before.cfg) || s.client == nil {
		return
	}
	before.mu.Lock()
	defer before.mu.Unlock()
	s.current.Store(before.current.Load())
	s.failed, s.empty, s.doubt, s.fetches = before.failed, before.empty, before.doubt, before.fetches
}

// run fetches by the clock.
func (s *Source) run() {
	retry := retryFirst
	for {
		wait := s.cfg.Refresh
		if _, err := s.fetch(s.closed, nil, 0); err != nil {
			wait, retry = min(retry, wait), min(2*retry, retryLast)
		} else {
			retry = retryFirst
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.closed.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// call is one fetch. err is there once done is closed.
type call struct {
	done chan struct{}
	err  error
}

// fetch gets the keys anew, and waits for them no longer than ctx. It is false if the
// last time is not that long ago; nil is without such a bound. All who ask while a
// fetch is under way wait for that one.
func (s *Source) fetch(ctx context.Context, last *time.Time, every time.Duration) (fetched bool, err error) {
	s.mu.Lock()
	c, now := s.call, s.now()
	if c == nil {
		if last != nil {
			if since := now.Sub(*last); !last.IsZero() && since >= 0 && since < every {
				s.mu.Unlock()
				return false, nil
			}
			*last = now
		}
		c = &call{done: make(chan struct{})}
		s.call = c
		go s.perform(c)
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-c.done:
		return true, c.err
	}
}

// perform is one fetch. Its time is not that of who asked for it: he may go away.
func (s *Source) perform(c *call) {
	ctx, cancel := context.WithTimeout(s.closed, s.cfg.Timeout)
	defer cancel()
	var found []*keys.Key
	found, c.err = s.ask(ctx)
	s.settle(found, c.err)
	s.mu.Lock()
	s.call = nil
	s.mu.Unlock()
	close(c.done)
}

func (s *Source) ask(ctx context.Context) (found []*keys.Key, err error) {
	address := s.cfg.JWKSURL
	if s.cfg.Discovery {
		if address, err = discover(ctx, s.client, s.cfg); err != nil {
			return nil, err
		}
	}
	body, err := get(ctx, s.client, address)
	if err != nil {
		return nil, err
	}
	found, skipped, err := readSet(body, s.cfg.Algorithms)
	if err != nil {
		return nil, err
	}
	level := slog.LevelDebug
	if len(found) == 0 {
		level = slog.LevelWarn
	}
	if len(skipped) > 0 || len(found) == 0 {
		s.logger.Log(ctx, level, "keys of an issuer are not used", slog.String("issuer", s.cfg.Issuer), slog.Int("used", len(found)), slog.Any("not_used", skipped))
	}
	return found, nil
}

// settle remembers what came of a fetch, and logs what changed.
func (s *Source) settle(found []*keys.Key, err error) {
	s.mu.Lock()
	before := s.failed
	s.failed = err
	if err != nil {
		s.fetches[0]++
	} else {
		s.fetches[1]++
	}
	s.mu.Unlock()
	issuer := slog.String("issuer", s.cfg.Issuer)
	if err != nil {
		if s.closed.Err() == nil && (before == nil || before.Error() != err.Error()) {
			s.logger.Warn("the keys of an issuer cannot be fetched", issuer, slog.Any("error", err), slog.Bool("old_keys", s.usable() != nil))
		}
		return
	}
	old := s.current.Load()
	next := &snapshot{keys: found, at: s.now()}
	if old != nil {
		for i, key := range next.keys { // a key that stays is the same, also to who compares pointers
			if j := slices.IndexFunc(old.keys, key.Same); j >= 0 {
				next.keys[i] = old.keys[j]
			}
		}
	}
	s.current.Store(next)
	if old == nil || before != nil || !slices.Equal(old.keys, next.keys) {
		ids := make([]string, len(found))
		for i, key := range found {
			ids[i] = key.ID()
		}
		s.logger.Info("fetched the keys of an issuer", issuer, slog.Any("keys", ids))
	}
}

// usable returns the keys that count, or nil where there are none or they are too old.
func (s *Source) usable() *snapshot {
	current := s.current.Load()
	if current == nil || s.client != nil && s.now().Sub(current.at) > s.cfg.MaxStale {
		return nil
	}
	return current
}

// Holds tells whether a key counts at the moment.
func (s *Source) Holds(key *keys.Key) bool {
	current := s.usable()
	return current != nil && slices.Contains(current.keys, key)
}

// Signer returns the key of that algorithm and key ID ("" is any) for which signed
// answers true, or nil if there is none. It fetches, and so waits, only where that may
// help. The error is ErrUnavailable, or that of ctx.
func (s *Source) Signer(ctx context.Context, algorithm, id string, signed func(*keys.Key) bool) (*keys.Key, error) {
	current := s.usable()
	if current != nil {
		if key, known := current.find(algorithm, id, signed); known {
			return key, nil
		}
	}
	if s.client == nil {
		return nil, nil //nolint:nilnil // no key has signed it, and that is for certain
	}
	last, every := &s.doubt, unknownEvery
	if current == nil {
		last, every = &s.empty, retryFirst
	}
	before := current
	fetched, err := s.fetch(ctx, last, every)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	// Also where nothing was fetched: it may have been, since we looked.
	if current = s.usable(); current != nil && (fetched || current != before) {
		if key, known := current.find(algorithm, id, signed); known {
			return key, nil
		}
	}
	return nil, s.undecided()
}

// undecided is nil if the last answer of the source was a good one: then it was about
// all keys that there are.
func (s *Source) undecided() error {
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	switch {
	case failed != nil:
		return fmt.Errorf("%w: %s: %w", ErrUnavailable, s.cfg.Issuer, failed)
	case s.usable() == nil:
		return fmt.Errorf("%w: %s: nothing was fetched for too long", ErrUnavailable, s.cfg.Issuer)
	}
	return nil
}

// find looks for a key. known is false where another set of keys might say otherwise:
// none has the ID, or the token names none.
func (c *snapshot) find(algorithm, id string, signed func(*keys.Key) bool) (found *keys.Key, known bool) {
	for _, key := range c.keys {
		if id != "" && key.ID() != id || key.Algorithm() != algorithm {
			known = known || id != "" && key.ID() == id
			continue
		}
		if signed(key) {
			return key, true
		}
		known = known || id != ""
	}
	return nil, known
}

// State is what an operator is told of a source.
type State struct {
	Issuer string
	Keys   int
	Age    time.Duration // of the keys; 0 where they are the operator's
	Err    error         // of the last fetch; nil: it went well
	Usable bool          // false: its tokens can be neither taken nor refused

	Fetches [2]uint64 // that failed, that went well
}

// State tells how the source is.
func (s *Source) State() State {
	s.mu.Lock()
	state := State{Issuer: s.cfg.Issuer, Err: s.failed, Fetches: s.fetches}
	s.mu.Unlock()
	if current := s.usable(); current != nil {
		state.Usable, state.Keys = true, len(current.keys)
		if s.client != nil {
			state.Age = s.now().Sub(current.at)
		}
	}
	return state
}
