package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/users"
	"gatehouse/users/rate"
)

// Throttle is the section `login.throttle`: how often logins may fail, and how often
// tokens may be refreshed and verified, before the answer is 429 with Retry-After, in
// the body that Django REST Framework has for it. A network is an IPv4 address, or the
// /64 of an IPv6 one, of the client as server.trusted_proxies finds it.
type Throttle struct {
	// Enabled turns all of it on. Default false, because a client of SimpleJWT sees the
	// difference; it should be on wherever people log in with passwords. Danger: without
	// it passwords can be guessed as fast as they can be hashed.
	Enabled bool `mapstructure:"enabled"`
	// AccountAndNetwork is how many logins of one account from one network may fail in
	// which time; default 5/5m. So many may at once, and one is given back every minute
	// (here). Whoever has used it up waits a minute for the next attempt, then two, then
	// four, up to the whole time. A login that goes well gives all of it back. The word
	// none is without end, here and below.
	AccountAndNetwork Limit `mapstructure:"per_account_and_network"`
	// Account is the same for one account from all networks together; default 50/1h.
	// A network from which the account has logged in (KnownNetworks) has this budget for
	// itself. Danger: whoever uses up that of an account from elsewhere lets its owner wait
	// who comes from a new network, for no longer than the time of the rate after each
	// attempt; a larger rate lets botnets guess faster.
	Account Limit `mapstructure:"per_account"`
	// Network is the same for one network and all accounts together; default 100/5m. Its
	// wait does not grow, since many people may be behind it: write more for an office
	// of thousands. Logins that go well are not counted.
	Network Limit `mapstructure:"per_network"`
	// KnownNetworks is for how long after a login that went well its network counts as
	// the account's own; default 720h (30 days), 0s is not at all. Of each account the
	// hundred latest are known.
	KnownNetworks time.Duration `mapstructure:"known_networks"`
	// RefreshPerNetwork is how often the refresh, blacklist and logout endpoints may be
	// asked from one network, good or bad; default 600/1m. This and the next two are
	// counted in memory, and where the store is PostgreSQL replicas tell each other what was
	// taken, so that together they let pass an eighth of it more for each at most.
	RefreshPerNetwork Limit `mapstructure:"refresh_per_network"`
	// RefreshPerSession is how often the tokens of one session may be refreshed; default
	// 30/1m. It ends loops of clients that refresh without end.
	RefreshPerSession Limit `mapstructure:"refresh_per_session"`
	// VerifyPerNetwork is how often the verify endpoint may be asked from one network;
	// default 6000/1m. Backends that verify each request there come from one address.
	VerifyPerNetwork Limit `mapstructure:"verify_per_network"`
}

// DefaultThrottle is off, with the budgets of which it is made when it is turned on.
func DefaultThrottle() Throttle {
	per := func(n int, in time.Duration) Limit { return Limit{Rate: rate.Rate{N: n, In: in}} }
	return Throttle{
		AccountAndNetwork: per(5, 5*time.Minute), Account: per(50, time.Hour), Network: per(100, 5*time.Minute), KnownNetworks: 30 * 24 * time.Hour,
		RefreshPerNetwork: per(600, time.Minute), RefreshPerSession: per(30, time.Minute), VerifyPerNetwork: per(6000, time.Minute),
	}
}

// Limit is a rate, or the word none.
type Limit struct {
	Rate rate.Rate
}

// UnmarshalText reads "5/5m" and "none".
func (l *Limit) UnmarshalText(text []byte) error {
	if string(text) == none {
		*l = Limit{}
		return nil
	}
	if err := l.Rate.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or none", err)
	}
	return nil
}

// MarshalText is the limit as it would be written.
func (l Limit) MarshalText() ([]byte, error) {
	if l.Rate.N == 0 {
		return []byte(none), nil
	}
	return []byte(l.Rate.String()), nil
}

// maxKnown is where a mistake in the unit is likelier than a wish.
const maxKnown = 10 * 366 * 24 * time.Hour

func (t Throttle) check() error {
	if t.KnownNetworks < 0 || t.KnownNetworks > maxKnown {
		return &Fault{"throttle.known_networks", fmt.Sprintf("%s is no time for which a network is known", t.KnownNetworks), "write 0s up to ten years, such as 720h"}
	}
	return nil
}

// The budgets of requests with tokens; those of logins are of the store.
const (
	budgetRefreshNetwork = "refresh_network"
	budgetRefreshSession = "refresh_session"
	budgetVerifyNetwork  = "verify_network"
)

// budgets are all of them, by the names that metrics have.
func budgets() []string {
	return []string{
		string(users.BudgetAccountAndNetwork), string(users.BudgetAccount), string(users.BudgetNetwork),
		budgetRefreshNetwork, budgetRefreshSession, budgetVerifyNetwork,
	}
}

// throttle is a compiled Throttle.
type throttle struct {
	logins users.Throttling
	own    map[string]*rate.Limiter // by budget; nil: without end
	limits map[string]Limit         // that these were made of
	shared []func()                 // end what share began
}

// share makes the budgets of requests those of all replicas, until unshare.
func (t *throttle) share(store *users.Store) {
	if t == nil || store == nil {
		return
	}
	for budget, limiter := range t.own {
		t.shared = append(t.shared, store.ShareBudgets(budget, limiter))
	}
}

func (t *throttle) unshare() {
	if t == nil {
		return
	}
	for _, stop := range t.shared {
		stop()
	}
}

// newThrottle returns nil for one that is off. What is left of budgets that have not
// changed goes on to count.
func newThrottle(cfg Throttle, before *Authority) *throttle {
	if !cfg.Enabled {
		return nil
	}
	t := &throttle{
		logins: users.Throttling{
			AccountAndNetwork: cfg.AccountAndNetwork.Rate, Account: cfg.Account.Rate, Network: cfg.Network.Rate, Known: cfg.KnownNetworks,
		},
		own: map[string]*rate.Limiter{}, limits: map[string]Limit{},
	}
	for budget, limit := range map[string]Limit{
		budgetRefreshNetwork: cfg.RefreshPerNetwork, budgetRefreshSession: cfg.RefreshPerSession, budgetVerifyNetwork: cfg.VerifyPerNetwork,
	} {
		switch {
		case limit.Rate.N == 0:
			continue
		case before != nil && before.throttle != nil && before.throttle.limits[budget] == limit:
			t.own[budget] = before.throttle.own[budget]
		default:
			t.own[budget] = rate.New(limit.Rate.N, limit.Rate.In, limit.Rate.N)
		}
		t.limits[budget] = limit
	}
	return t
}

// chargeLogin takes a login from its budgets before anything is hashed. The charge is nil
// where nothing is counted.
func (a *Authority) chargeLogin(r *http.Request, name string) (*users.Charge, error) {
	if a.throttle == nil {
		return nil, nil //nolint:nilnil // nothing was taken
	}
	charge, err := a.store.ChargeLogin(r.Context(), a.throttle.logins, users.Attempt{By: users.Column(a.login.FindBy), Name: name, Addr: address(r)})
	if err != nil {
		return nil, err
	}
	for _, used := range charge.UsedUp {
		a.logger.WarnContext(r.Context(), "a budget of failed logins is used up", slog.String("budget", string(used.Budget)),
			slog.String("address", client(r).Address), slog.Int64("wait_ms", used.Wait.Milliseconds()), slog.String("request_id", requestID(r)))
	}
	return charge, nil
}

// throttled is the answer where err is that nothing was left.
func (a *Authority) throttled(err error) (answer drf.Answer, by users.Budget, ok bool) {
	refused, ok := errors.AsType[*users.Throttled](err)
	if !ok {
		return drf.Answer{}, "", false
	}
	a.metrics.refused(string(refused.Budget))
	return drf.Throttled(refused.Wait), refused.Budget, true
}

// undo gives back what was taken for a login about which nobody decided. Not where the
// client went away: it could have waited for the answer.
func (a *Authority) undo(ctx context.Context, charge *users.Charge) {
	if ctx.Err() != nil {
		return
	}
	if err := charge.Undo(ctx); err != nil {
		a.logger.WarnContext(ctx, "the budgets of a login could not be given back", slog.Any("error", err))
	}
}

// limitNetwork takes a request from a budget of its network.
func (a *Authority) limitNetwork(r *http.Request, budget string) *drf.Answer {
	return a.limit(budget, rate.Network(address(r)))
}

// limitSession takes a refresh from the budget of its session. A token that is no good
// has none.
func (a *Authority) limitSession(session users.Family) *drf.Answer {
	return a.limit(budgetRefreshSession, rate.User(session.String()))
}

func (a *Authority) limit(budget string, key rate.Key) *drf.Answer {
	if a.throttle == nil || a.throttle.own[budget] == nil {
		return nil
	}
	wait, ok := a.throttle.own[budget].Take(key, a.now())
	if ok {
		return nil
	}
	a.metrics.refused(budget)
	answer := drf.Throttled(wait)
	answer.Reason = reasonThrottled
	return &answer
}
