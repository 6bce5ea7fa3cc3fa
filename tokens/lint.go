package tokens

import (
	"fmt"
	"slices"
	"time"
)

// ended returns what should be known of keys that verify no more.
func (c Config) ended(now time.Time) []Warning {
	var all []Warning
	for i, key := range c.Keys {
		if end, ok := key.Ended(now); ok {
			text := fmt.Sprintf("the key has verified nothing since %s; delete it, or write a later day if its tokens are still out", end.Format(time.RFC3339))
			all = append(all, Warning{fmt.Sprintf("keys[%d].until", i), text})
		}
	}
	return all
}

// MayHave tells whether a token that opens routes may have a claim of that name, as far as
// it is known here: of tokens that others make it is not.
func (c Config) MayHave(claim string) bool {
	if len(c.TrustedIssuers) > 0 || !c.Signs() {
		return true
	}
	if made := len(c.Keys); made > 1 || made == 1 && c.KeyDir != "" {
		return true // another one's key, or one of ours from when claims were others
	}
	return claim == "sub" || c.takenBy(claim) != "" || slices.ContainsFunc(c.Claims, func(own Claim) bool { return own.Name == claim })
}

// BringsGroups tells whether some tokens say of which groups their users are, who then
// need not be in the store.
func (c Config) BringsGroups() bool {
	return c.GroupsClaim != nil || slices.ContainsFunc(c.TrustedIssuers, func(t TrustedIssuer) bool { return t.GroupsClaim != nil && t.User != userFromStore })
}
