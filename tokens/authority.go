package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// Parts are what an Authority works with.
type Parts struct {
	Store   *users.Store     // nil: there is none; see Config.NeedsStore
	Login   Login            // without a fault; the zero value is DefaultLogin
	Logger  *slog.Logger     // nil: nothing is logged
	Metrics *Metrics         // nil: nothing is counted
	Now     func() time.Time // nil: time.Now
	Poll    time.Duration    // from one look at the key directory to the next; 0: 2s
	Before  *Authority       // whose place it takes: keys of issuers that were fetched go on to count; nil: nobody's
	// Audit is told of what endpoints do, and of keys, by many at once; nil: nobody is. Its
	// error is that what was done must not have been: a login is taken back, and the
	// client is answered 503.
	Audit func(context.Context, Event) error
	// AuditReady is asked before a login or a refresh whether Audit will take it; nil: it
	// will. Its error is answered 503, and nothing is done: a refresh token that was
	// exchanged for an answer that nobody gets would look stolen when it comes again.
	AuditReady func() error
}

// Authority is the one that says which tokens are good. It is immutable and safe
// for concurrent use.
type Authority struct {
	cfg      Config
	login    Login
	issuer   *Issuer // nil: no key signs
	verifier *Verifier
	store    *users.Store
	logger   *slog.Logger
	metrics  *Metrics
	throttle *throttle // nil: nothing is bounded
	audit    func(context.Context, Event) error
	ready    func() error // nil: always
	now      func() time.Time
}

// New makes an Authority. It returns every fault of the configuration, joined;
// each has its key inside the section (Field).
func New(cfg Config, parts Parts) (*Authority, error) {
	set, err := new(keys.Set), error(nil)
	if len(cfg.Keys) > 0 || len(cfg.TrustedIssuers) == 0 && cfg.KeyDir == "" {
		set, err = keys.New(cfg.Keys)
	}
	trusted, faults := newTrusted(cfg, parts)
	if err := errors.Join(cfg.check(), err, errors.Join(faults...)); err != nil {
		return nil, err
	}
	if parts.Store == nil && cfg.NeedsStore() {
		return nil, errors.New("tokens need a store of users")
	}
	a := &Authority{cfg: cfg, login: parts.Login, store: parts.Store, logger: parts.Logger, now: parts.Now}
	if a.login == (Login{}) {
		a.login = DefaultLogin()
	}
	a.metrics, a.throttle, a.audit = parts.Metrics, newThrottle(a.login.Throttle, parts.Before), parts.Audit
	a.ready = parts.AuditReady
	if a.now == nil {
		a.now = time.Now
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	ring, err := newRing(cfg, set, parts.Poll, a.now, a.logger)
	if err != nil {
		return nil, err
	}
	ring.signs = a.tellOfKey
	if ring.set.Load().Signing() != nil {
		a.issuer = &Issuer{cfg: cfg, ring: ring}
	}
	a.verifier = &Verifier{
		cfg: cfg, ring: ring, store: parts.Store, ownStore: cfg.User != userFromToken && parts.Store != nil, names: cfg.mapping(),
		trusted: trusted, classes: cfg.accepted(), now: a.now, strangers: newGate(runtime.GOMAXPROCS(0)),
	}
	a.verifier.seen, a.verifier.late = newVerifieds(cfg.CacheBytes, parts.Metrics)
	if parts.Before != nil {
		for issuer, t := range trusted {
			if before := parts.Before.verifier.trusted[issuer]; before != nil {
				t.source.Follow(before.source)
			}
		}
	}
	a.verifier.rejections = a.verifier.newRejections()
	return a, nil
}

// Start begins what goes on without a request: to fetch the keys of trusted issuers,
// which without it are fetched when the first token comes, to follow the key
// directory, and to share budgets with other replicas. Close ends it.
func (a *Authority) Start() {
	a.verifier.ring.start()
	for _, t := range a.verifier.trusted {
		t.source.Start()
	}
	a.throttle.share(a.store)
}

// Close ends what Start began. Requests that still use the Authority finish.
func (a *Authority) Close() {
	a.verifier.ring.stop()
	for _, t := range a.verifier.trusted {
		t.source.Close()
	}
	a.throttle.unshare()
}

// Unwell tells of each trusted issuer whose keys could not be fetched last, or of whom
// none can be used, by its name, in a sentence for operators.
func (a *Authority) Unwell() map[string]string {
	all := map[string]string{}
	for name, t := range a.verifier.trusted {
		switch state := t.source.State(); {
		case state.Usable && state.Err != nil:
			all[name] = fmt.Sprintf("its keys are %s old: %v", state.Age.Round(time.Second), state.Err)
		case !state.Usable && state.Err != nil:
			all[name] = fmt.Sprintf("there are no keys, and its tokens are answered 503: %v", state.Err)
		case state.Usable && state.Keys == 0:
			all[name] = "its set has no key for signatures with one of algs, and its tokens are refused"
		case !state.Usable:
			all[name] = "there are no keys yet"
		}
	}
	return all
}

// Keys are our keys of the moment.
func (a *Authority) Keys() *keys.Set { return a.verifier.ring.set.Load() }

// KeyTrouble tells why the key directory cannot be used, so that the keys stay as they
// were; "" where it can, or there is none.
func (a *Authority) KeyTrouble() string { return a.verifier.ring.unwell() }

// Issuer makes tokens. It is nil where every key only verifies.
func (a *Authority) Issuer() *Issuer { return a.issuer }

// Verifier checks tokens.
func (a *Authority) Verifier() *Verifier { return a.verifier }
