package tokens_test

import (
	"fmt"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
)

// These are the dimensions of what is remembered, for tokens of trusted issuers: each
// test changes one and asks with a token that is remembered. For our own tokens they
// are in verified_test.go.

// TestARememberedTokenOfAnIssuerEndsWithItsKey: the issuer withdraws the key.
func TestARememberedTokenOfAnIssuerEndsWithItsKey(t *testing.T) {
	one, two := newPair(t, "ES256", "one"), newPair(t, "ES256", "two")
	f := newForeigner(t, one, two)
	a := newAllied(t, nil, trust(f))
	token := one.sign(t, "", good(f))
	if got := a.says(token); got != "" || !a.Verifier().Remembers(token) {
		t.Fatalf("%q", got)
	}
	f.publish(two)
	// Another token makes the gateway fetch; the clock would, too.
	if got := a.says(newPair(t, "ES256", "three").sign(t, "", good(f))); got != "token_invalid" {
		t.Fatal(got)
	}
	if got := a.says(token); got != "token_invalid" || a.Verifier().Remembers(token) {
		t.Errorf("got %q, remembered: %v", got, a.Verifier().Remembers(token))
	}
	// The same name for another key makes the old token no better.
	again := newPair(t, "ES256", "one")
	a.after(10 * time.Second)
	f.publish(again, two)
	if got := a.says(again.sign(t, "", good(f))); got != "" {
		t.Errorf("the new key of that name: %q", got)
	}
	if got := a.says(token); got != "token_invalid" {
		t.Errorf("a token of the old one: %q", got)
	}
}

func TestARememberedTokenOfAnIssuerExpires(t *testing.T) {
	key := newPair(t, "ES256", "one")
	f := newForeigner(t, key)
	a := newAllied(t, nil, trust(f))
	token := key.sign(t, "", good(f))
	if got := a.says(token); got != "" || !a.Verifier().Remembers(token) {
		t.Fatalf("%q", got)
	}
	a.after(59 * time.Second)
	if got := a.says(token); got != "" {
		t.Errorf("in its last second: %q", got)
	}
	a.after(time.Second)
	if got := a.says(token); got != "token_expired" || a.Verifier().Remembers(token) {
		t.Errorf("at its end: %q, remembered: %v", got, a.Verifier().Remembers(token))
	}
}

// TestARememberedTokenOfAnIssuerIsForItsUserOfTheMoment: user: store.
func TestARememberedTokenOfAnIssuerIsForItsUserOfTheMoment(t *testing.T) {
	key := newPair(t, "ES256", "one")
	f := newForeigner(t, key)
	entry := trust(f)
	entry.User, entry.UsernameClaim = "store", []string{"name"}
	a := newAllied(t, nil, entry)
	token := key.sign(t, "", good(f, `"name":"carol"`))
	groups := func() string {
		t.Helper()
		p, err := a.Verifier().Verify(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(p.User.Groups)
	}
	if got := groups(); got != "[staff]" || !a.Verifier().Remembers(token) {
		t.Fatal(got)
	}
	if _, err := a.store.UpdateUser(t.Context(), "carol", users.Change{AddGroups: []string{"ops"}}); err != nil {
		t.Fatal(err)
	}
	if got := groups(); got != "[ops staff]" {
		t.Errorf("got %s", got)
	}
	if err := a.store.EndSessions(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := a.says(token); got != "token_blacklisted" {
		t.Errorf("after a logout everywhere: %q", got)
	}
}

// TestOneTokenBeforeTwoConfigurations: what one configuration has found of a token
// says nothing to another with other audiences or issuers, in whatever order they
// are asked.
func TestOneTokenBeforeTwoConfigurations(t *testing.T) {
	key := newPair(t, "ES256", "one")
	f := newForeigner(t, key)
	admits := newAllied(t, nil, trust(f))
	otherAudience, otherIssuer, otherClaims := trust(f), trust(f), trust(f)
	otherAudience.Audience = []string{"elsewhere"}
	otherIssuer.Issuer = "https://else.example"
	otherClaims.UserIDClaim = []string{"employee"}
	for name, entry := range map[string]tokens.TrustedIssuer{"another audience": otherAudience, "another issuer": otherIssuer, "another claim": otherClaims} {
		refuses := newAllied(t, nil, entry)
		for _, first := range []bool{true, false} {
			token := key.sign(t, "", good(f, fmt.Sprintf(`"jti":"%v-%s"`, first, name)))
			for i := range 6 {
				if (i%2 == 0) == first {
					if got := admits.says(token); got != "" {
						t.Errorf("%s: the one that admits it says %q", name, got)
					}
				} else if got := refuses.says(token); got == "" {
					t.Errorf("%s: it is admitted", name)
				}
			}
		}
	}
}

// BenchmarkVerifyForeign is what a token of a trusted issuer costs a request.
func BenchmarkVerifyForeign(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		for name, size := range map[string]int64{"cached": 32 << 20, "uncached": 0} {
			b.Run(alg+"/"+name, func(b *testing.B) {
				key := newPair(b, alg, "one")
				f := newForeigner(b, key)
				a := newAllied(b, func(c *tokens.Config) { c.CacheBytes, c.Keys = size, nil }, trust(f, alg))
				token := key.sign(b, "", good(f))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := a.Verifier().Verify(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
