package proxy

import (
	"errors"
	"net/http"

	"gatehouse/proxy/route"
	"gatehouse/tokens"
)

// authorize finds the credential, asks whose it is and holds them against the
// policy of what was matched. On a public route a credential is not looked at:
// there an old token in a browser must not shut out its owner.
func (g *Gateway) authorize(in *http.Request, d *Decision) *Refusal {
	policy := d.Match.Policy()
	switch policy.Level {
	case route.Public:
		return nil
	case route.Optional, route.Required:
	default:
		// Deny, for good users too, and any level that this switch has not heard of.
		return refuseDenied
	}

	token, refusal := g.bearer(in.Header["Authorization"])
	if refusal != nil {
		return refusal
	}
	if token == "" {
		if policy.Anonymous() {
			return nil
		}
		return g.refuseAnonymous
	}
	principal, err := g.verifier.Verify(in.Context(), token)
	if err != nil {
		// On an optional route too: who says who they are must prove it.
		return g.refuseToken(err)
	}
	if principal == nil {
		return refuseUndecided(errors.New("the verifier named nobody"))
	}
	d.Principal = principal
	if !policy.Admits(principal.User.Groups) {
		return refuseForbidden
	}
	return nil
}

// bearer reads the Authorization header as SimpleJWT does: split at white space,
// two parts of which the first is exactly "Bearer". Another scheme is somebody
// else's and makes the request anonymous; a third part is a mistake.
func (g *Gateway) bearer(values []string) (token string, _ *Refusal) {
	if len(values) == 0 {
		return "", nil
	}
	scheme, rest := field(values[0])
	if scheme != "Bearer" {
		return "", nil
	}
	token, rest = field(rest)
	if third, _ := field(rest); token == "" || third != "" {
		return "", g.refuseTwoValues
	}
	return token, nil
}

// field cuts the first word off s. White space is ASCII's alone: a no-break space
// is part of a word.
func field(s string) (word, rest string) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	end := i
	for end < len(s) && !isSpace(s[end]) {
		end++
	}
	return s[i:end], s[end:]
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// refuseToken tells a bad token from one that could not be judged. The latter is
// refused as well: closed while the store is away.
func (g *Gateway) refuseToken(err error) *Refusal {
	if rejection, ok := errors.AsType[*tokens.Rejection](err); ok {
		return &Refusal{Reason: rejection.Reason, Answer: rejection.Answer()}
	}
	return refuseUndecided(err)
}
