package proxy

import (
	"net/http"
	"time"

	"gatehouse/proxy/cors"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
)

// Decision is everything that is known about a request when it is acted upon. A
// decision that ended in a Refusal is filled as far as it came.
type Decision struct {
	RequestID string
	Client    Client
	Host      string     // asked for: what was matched, and what the upstream receives
	Path      route.Path // canonical: what was matched, and what the upstream receives

	Match     route.Match       // zero for an endpoint of gatehouse itself
	Principal *tokens.Principal // nil: anonymous
	Identity  identity.Lines    // what the upstream is told about the principal
	Reported  *Refusal          // what the policy would have refused, where it only reports
	Check     bool              // another proxy asks; nothing is forwarded
	Ignored   string            // why a bad token counts as none, where the policy says so

	bearer   credential          // of the principal
	withheld []route.TokenSource // which hold tokens that are not forwarded
	headers  *identity.Headers   // that say it, and that no client may send
	upstream *upstream.Upstream
	line     *upstream.Line // to upstream, with the timeouts of what was matched
	target   route.Path     // Path as the route and rule change it
	cors     *cors.Set      // what holds for scripts of other origins; nil: the upstream decides
	// upstreamTook is from the request handed over to the head of the answer.
	upstreamTook time.Duration
	local        http.Handler // an endpoint of gatehouse itself, in place of an upstream
}

// decide says what becomes of a request, and fills d, which is zero before. It writes
// nothing and sends nothing, and whatever it cannot decide it refuses.
func (g *Gateway) decide(in *http.Request, d *Decision) *Refusal { return g.consider(in, d, true) }

// consider is decide, and counts the request against its rate limit only if told to.
func (g *Gateway) consider(in *http.Request, d *Decision, count bool) *Refusal {
	if refusal := g.admit(in, d); refusal != nil {
		return refusal
	}
	if handler, reserved := g.local.match(d.Path); reserved {
		d.cors = g.local.cors
		if handler == nil {
			return refuseNoRoute
		}
		if _, ok := cors.Preflight(in); ok && d.cors != nil {
			return d.answerPreflight(in, d.cors)
		}
		d.local = handler
		return nil
	}
	if answer := g.preflight(in, d); answer != nil {
		return answer
	}
	match, err := g.table.Match(d.Host, d.Path, in.Method)
	if err != nil {
		return refuseUnmatched(err)
	}
	if !g.sameForOverride(in, d.Host, d.Path, match) {
		return refuseOverride
	}
	d.Match = match
	d.cors = g.corsOf(match)
	if refusal := g.limitNetwork(d, count); refusal != nil {
		return refusal
	}
	if refusal := g.authorize(in, d); refusal != nil {
		return refusal
	}
	if refusal := g.limitUser(d, count); refusal != nil {
		return refusal
	}
	if refusal := g.aim(d); refusal != nil {
		return refusal
	}
	// Last: whoever may not come in learns nothing about limits.
	if g.maxBody > 0 && in.ContentLength > g.maxBody {
		return refuseBody
	}
	return nil
}
