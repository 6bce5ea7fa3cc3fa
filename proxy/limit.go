package proxy

import (
	"fmt"
	"time"

	"gatehouse/proxy/route"
	"gatehouse/tokens"
	"gatehouse/tokens/drf"
	"gatehouse/users/rate"
)

// limits are the budgets of the routes and rules that have one. They are this
// process's: another one has its own.
type limits map[*route.Limit]budget

// budget is a limiter and whose it is, by which the next configuration finds it again.
type budget struct {
	*rate.Limiter
	id string
}

// newLimits goes on with the budgets before where neither the limit nor what it is for
// has changed.
func newLimits(table *route.Table, before limits) limits {
	known := make(map[string]*rate.Limiter, len(before))
	for _, b := range before {
		known[b.id] = b.Limiter
	}
	l := limits{}
	for match := range table.Matches() {
		limit := match.Limit()
		if limit == nil || l[limit].Limiter != nil {
			continue
		}
		b := budget{id: match.LimitID()}
		if b.Limiter = known[b.id]; b.Limiter == nil {
			b.Limiter = rate.New(limit.Rate.N, limit.Rate.In, limit.Burst)
		}
		l[limit] = b
	}
	return l
}

// limitNetwork counts what comes from a network before anything is asked about its
// token, so that a flood of bad tokens is counted too.
func (g *Gateway) limitNetwork(d *Decision, take bool) *Refusal {
	if limit := d.Match.Limit(); limit != nil && !limit.ByUser {
		return g.limit(limit, rate.Network(d.Client.Addr), take)
	}
	return nil
}

// limitUser counts what a user asks, once it is known who that is; who is nobody
// counts by network.
func (g *Gateway) limitUser(d *Decision, take bool) *Refusal {
	limit := d.Match.Limit()
	switch {
	case limit == nil || !limit.ByUser:
		return nil
	case d.Principal == nil:
		return g.limit(limit, rate.Network(d.Client.Addr), take)
	}
	return g.limit(limit, rate.User(budgetOf(d.Principal)), take)
}

// budgetOf tells apart users of the store and users of the issuers that are trusted,
// each of whom may have a user 1.
func budgetOf(p *tokens.Principal) string {
	if p.User.ID != 0 {
		return p.UserID
	}
	issuer, _ := p.Claims.Get("iss")
	return fmt.Sprintf("%q %s", issuer, p.UserID)
}

func (g *Gateway) limit(limit *route.Limit, key rate.Key, take bool) *Refusal {
	limiter := g.limits[limit].Limiter
	if limiter == nil {
		return refuseNoRoute // New has made one for each
	}
	look := limiter.Take
	if !take {
		look = limiter.Peek
	}
	wait, ok := look(key, g.now())
	if ok {
		return nil
	}
	return refuseThrottled(wait)
}

// refuseThrottled says what DRF says.
func refuseThrottled(wait time.Duration) *Refusal {
	return &Refusal{Reason: "throttled", Answer: drf.Throttled(wait)}
}
