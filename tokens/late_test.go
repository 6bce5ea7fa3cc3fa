package tokens_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

// late is a gate and a token that has expired; of both it knows already.
func late(t *testing.T) (*gate, string) {
	t.Helper()
	g := newGate(t, nil, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	token := g.issue().Access
	g.after(time.Hour)
	for range 3 {
		if got := g.says(token); got != "token_expired" {
			t.Fatalf("an expired token: %q", got)
		}
		if !g.Verifier().KnowsLate(token) {
			t.Fatal("its signature will be checked once more")
		}
		g.remembers(token, false)
	}
	return g, token
}

// An expired token that comes again is refused as it was the first time.
func TestAnExpiredTokenIsAnsweredAlike(t *testing.T) {
	g := newGate(t, nil, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	token := g.issue().Access
	g.after(time.Hour)
	first := g.ask("POST", "/api/token/verify/", `{"token":"`+token+`"}`).Body.String()
	_, before := g.Verifier().Verify(t.Context(), token)
	_, again := g.Verifier().Verify(t.Context(), token)
	if before == nil || !errors.Is(again, before) {
		t.Errorf("%v, and then %v", before, again)
	}
	if second := g.ask("POST", "/api/token/verify/", `{"token":"`+token+`"}`).Body.String(); first != second {
		t.Errorf("%s, and then %s", first, second)
	}
}

// What is not the same token, to the last byte, is not expired but garbage.
func TestWhatIsLikeAnExpiredTokenIsInvalid(t *testing.T) {
	g, token := late(t)
	head, rest, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(rest, ".")
	for name, wrong := range map[string]string{
		"no signature": head + "." + body + ".", "another": head + "." + body + "." + strings.ToUpper(signature), "a byte more": token + "A",
	} {
		if got := g.says(wrong); got != "token_invalid" {
			t.Errorf("%s: %q", name, got)
		}
		if g.Verifier().KnowsLate(wrong) {
			t.Errorf("%s is remembered", name)
		}
	}
}

// When its key has gone, it is no token of ours any more.
func TestAnExpiredTokenEndsWithItsKey(t *testing.T) {
	g := newGate(t, nil, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	token := g.issue().Access
	g.reload(nil, keys.Config{ID: "now", Algorithm: "ES256", PrivateKey: ecPair}, keys.Config{Algorithm: "EdDSA", PublicKey: edHalf, Until: "2026-11-23T12:10:00Z"})
	g.after(6 * time.Minute)
	for range 2 {
		if got := g.says(token); got != "token_expired" {
			t.Fatalf("with its key: %q", got)
		}
	}
	g.after(5 * time.Minute)
	if got := g.says(token); got != "token_invalid" {
		t.Errorf("without: %q", got)
	}
}

// A clock that was ahead and is right again makes it good again.
func TestAnExpiredTokenIsGoodWhenTheClockSaysSo(t *testing.T) {
	g, token := late(t)
	g.after(-time.Hour)
	if got := g.says(token); got != "" {
		t.Errorf("got %q", got)
	}
	g.remembers(token, true)
}

// However many expired tokens come, the good ones stay, and what is held is bounded.
func TestExpiredTokensPushNothingOut(t *testing.T) {
	g := newGate(t, func(c *tokens.Config) { c.CacheBytes = 1 << 20 }, keys.Config{ID: "main", Algorithm: "HS256", Secret: hmacText})
	var old []string
	for range 500 {
		old = append(old, g.issue().Access)
	}
	g.after(time.Hour)
	good := g.issue().Access
	g.says(good)
	entries, size := g.Verifier().Remembered()
	for _, token := range old {
		if got := g.says(token); got != "token_expired" {
			t.Fatal(got)
		}
	}
	g.remembers(good, true)
	if n, s := g.Verifier().Remembered(); n != entries || s != size {
		t.Errorf("%d entries of %d bytes, before %d of %d", n, s, entries, size)
	}
	known := 0
	for _, token := range old {
		if g.Verifier().KnowsLate(token) {
			known++
		}
	}
	if known == 0 || known > 100 {
		t.Error(fmt.Sprint(known, " expired tokens are known, in 32 KiB"))
	}
}
