package tokens

import (
	"errors"
	"log/slog"
	"time"

	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// Parts are what an Authority works with.
type Parts struct {
	Store  *users.Store     // nil: there is none; see Config.NeedsStore
	Login  Login            // without a fault; the zero value is DefaultLogin
	Logger *slog.Logger     // nil: nothing is logged
	Now    func() time.Time // nil: time.Now
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
	now      func() time.Time
}

// New makes an Authority. It returns every fault of the configuration, joined;
// each has its key inside the section (Field).
func New(cfg Config, parts Parts) (*Authority, error) {
	set, err := keys.New(cfg.Keys)
	if err := errors.Join(cfg.check(), err); err != nil {
		return nil, err
	}
	if parts.Store == nil && cfg.NeedsStore() {
		return nil, errors.New("tokens need a store of users")
	}
	if cfg.User == userFromToken {
		parts.Store = nil // nothing of it may decide
	}
	a := &Authority{cfg: cfg, login: parts.Login, store: parts.Store, logger: parts.Logger, now: parts.Now}
	if a.login == (Login{}) {
		a.login = DefaultLogin()
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	if key := set.Signing(); key != nil {
		a.issuer = &Issuer{cfg: cfg, key: key}
	}
	a.verifier = &Verifier{cfg: cfg, keys: set, store: parts.Store, names: cfg.mapping(), classes: cfg.accepted(), now: a.now, seen: newVerified(cfg.CacheBytes)}
	a.verifier.rejections = a.verifier.newRejections()
	return a, nil
}

// Issuer makes tokens. It is nil where every key only verifies.
func (a *Authority) Issuer() *Issuer { return a.issuer }

// Verifier checks tokens.
func (a *Authority) Verifier() *Verifier { return a.verifier }
