package proxy

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"gatehouse/proxy/route"
	"gatehouse/tokens"
	"gatehouse/tokens/drf"
)

// authorize holds the request against the policy of what was matched. Where the
// policy only reports, its refusal is noted and the request goes on, as nobody or as
// whoever was really proven.
func (g *Gateway) authorize(in *http.Request, d *Decision) *Refusal {
	policy := d.Match.Policy()
	found, refusal := g.credential(in, d, &policy)
	if refusal != nil && !refusal.policy {
		return refusal // the request cannot be understood, and so not be forwarded either
	}
	if refusal == nil {
		refusal = g.hold(in, d, &policy, found)
	} else if policy.Level != route.Optional && policy.Level != route.Required {
		refusal = g.hold(in, d, &policy, found) // no credential is looked at
	} else if policy.InvalidIsAnonymous && refusal.Answer.Status == http.StatusUnauthorized {
		d.Ignored = refusal.Reason
		return nil
	}
	switch {
	case refusal == nil:
		return nil
	case policy.Report:
		d.Reported = refusal
		return nil
	}
	return g.sendToLogin(in, d, refusal)
}

// hold asks whose the credential is, and whether the policy lets them pass. On a
// public route a credential is not looked at: there an old token in a browser must
// not shut out its owner.
func (g *Gateway) hold(in *http.Request, d *Decision, policy *route.Policy, found credential) *Refusal {
	switch policy.Level {
	case route.Public:
		return nil
	case route.Optional, route.Required:
	default:
		// Deny, for good users too, and any level that this switch has not heard of.
		return refuseDenied
	}
	if found.token == "" {
		if policy.Anonymous() {
			return nil
		}
		return g.refuseAnonymous
	}
	if found.byBrowser && !safe(in) && !g.fromHere(in, d) {
		return refuseCrossOrigin
	}
	principal, err := g.verify(in.Context(), found.token)
	if err != nil {
		rejection, rejected := errors.AsType[*tokens.Rejection](err)
		switch {
		case !rejected:
			return refuseUndecided(err) // closed while the store is away
		case policy.InvalidIsAnonymous:
			d.Ignored = rejection.Reason
			return nil
		}
		// On an optional route too: who says who they are must prove it.
		return g.refuseToken(rejection)
	}
	if principal == nil {
		return refuseUndecided(errors.New("the verifier named nobody"))
	}
	d.Principal = principal
	d.bearer = found
	switch policy.Lacks(bearerOf(principal)) {
	case route.Nothing:
		return nil
	case route.ClaimValue:
		return refuseClaim
	case route.Scope:
		return g.refuseScope(policy.Scopes)
	}
	return refuseForbidden
}

// verify asks whose token it is.
func (g *Gateway) verify(ctx context.Context, token string) (*tokens.Principal, error) {
	if g.tracing == nil {
		return g.verifier.Verify(ctx, token)
	}
	ctx, span := g.tracedVerify(ctx)
	defer span.End()
	principal, err := g.verifier.Verify(ctx, token)
	if rejection, rejected := errors.AsType[*tokens.Rejection](err); rejected {
		span.SetAttributes(attribute.String("gatehouse.reason", rejection.Reason))
	} else if err != nil {
		span.SetStatus(codes.Error, "undecided")
	}
	return principal, err
}

// bearerOf is what a policy may ask about a principal.
func bearerOf(p *tokens.Principal) route.Bearer {
	return route.Bearer{
		Groups: p.User.Groups,
		Claims: func(steps []string) (any, bool) {
			var value any = p.Claims
			for _, step := range steps {
				object, ok := value.(drf.Object)
				if !ok {
					return nil, false
				}
				if value, ok = object.Get(step); !ok {
					return nil, false
				}
			}
			return comparableClaim(value), true
		},
	}
}

// comparableClaim replaces the types of drf by those that package route compares.
func comparableClaim(value any) any {
	switch value := value.(type) {
	case drf.Number:
		return route.Number(value)
	case drf.Object:
		return route.Object{Members: len(value)}
	case []any:
		list := make([]any, len(value))
		for i, v := range value {
			list[i] = comparableClaim(v)
		}
		return list
	}
	return value
}
