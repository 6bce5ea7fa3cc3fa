package tokens

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// AccessFor makes an access token as a login of user would, without a login: for
// asking what would become of a request of theirs. more are claims behind those of
// a login, or in place of what tokens.claims says under the same name. Nothing is remembered of it, and no session is opened.
func (s *Issuer) AccessFor(user users.User, more drf.Object, now time.Time) (string, error) {
	pair, err := s.Pair(user, now)
	if err != nil {
		return "", err
	}
	parts := strings.Split(pair.Refresh, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	decoded, err := drf.Decode(string(payload))
	if err != nil {
		return "", err
	}
	claims, ok := decoded.(drf.Object)
	if !ok {
		return "", errors.New("the claims of a token are no object")
	}
	for _, claim := range more {
		if slices.ContainsFunc(s.cfg.Claims, func(c Claim) bool { return c.Name == claim.Name }) {
			claims = with(claims, claim.Name, claim.Value)
		} else {
			claims = append(claims, claim)
		}
	}
	return s.Access(claims, users.NewFamily().NewTokenID(), now)
}

// Rehearsal returns the section with a key that signs in place of all that says whose
// tokens are good, so that AccessFor makes tokens that open routes also where nobody
// makes any otherwise. Where tokens are looked for, and of which form they are, stays.
func (c Config) Rehearsal(signs keys.Config) Config {
	c.Keys, c.KeyDir, c.TrustedIssuers = []keys.Config{signs}, "", nil
	c.User, c.UsernameClaim, c.EmailClaim, c.GroupsClaim = "", nil, nil, nil
	c.AcceptedTypes = []string{typeAccess}
	return c
}
