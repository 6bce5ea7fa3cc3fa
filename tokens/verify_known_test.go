package tokens_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

func (g *gate) verify(token string, want int) {
	g.Helper()
	if got := g.ask(http.MethodPost, "/api/token/verify/", `{"token":"`+token+`"}`, "Content-Type: application/json"); got.Code != want {
		g.Errorf("verify answers %d %s, want %d", got.Code, got.Body, want)
	}
}

// A backend that has each request verified asks again and again about tokens that open
// routes; these are remembered. What they are good for is looked at each time.
func TestVerifyRemembersTokensThatOpenRoutes(t *testing.T) {
	rotating := func(c *tokens.Config) { c.Rotation.Enabled = true }
	for _, by := range []string{"verify", "a route"} {
		t.Run("first asked by "+by, func(t *testing.T) {
			g := newGate(t, rotating, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
			pair := g.issue()
			if by == "verify" {
				g.verify(pair.Access, http.StatusOK)
			} else if got := g.says(pair.Access); got != "" {
				t.Fatal(got)
			}
			g.remembers(pair.Access, true)
			g.verify(pair.Access, http.StatusOK)
			g.verify(pair.Access[:len(pair.Access)-1], http.StatusUnauthorized)
			g.after(-time.Hour) // before it was made
			g.verify(pair.Access, http.StatusUnauthorized)
			g.after(time.Hour + 5*time.Minute)
			g.verify(pair.Access, http.StatusUnauthorized)
			if got := g.says(pair.Access); got != "token_expired" {
				t.Errorf("a route says %q", got)
			}
		})
	}
	t.Run("a refresh token", func(t *testing.T) {
		g := newGate(t, rotating, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
		pair := g.issue()
		g.verify(pair.Refresh, http.StatusOK)
		g.remembers(pair.Refresh, false)
		if got := g.says(pair.Refresh); got == "" {
			t.Error("it opens routes")
		}
		if err := g.store.RevokeToken(t.Context(), pair.RefreshToken); err != nil {
			t.Fatal(err)
		}
		g.verify(pair.Refresh, http.StatusBadRequest)
	})
	t.Run("another key", func(t *testing.T) {
		g := newGate(t, rotating, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
		token := g.issue().Access
		g.verify(token, http.StatusOK)
		g.reload(rotating, keys.Config{ID: "now", Algorithm: "ES256", PrivateKey: ecPair})
		g.verify(token, http.StatusUnauthorized)
	})
	t.Run("a key that ends", func(t *testing.T) {
		g := newGate(t, rotating, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
		token := g.issue().Access
		g.reload(rotating, keys.Config{ID: "now", Algorithm: "ES256", PrivateKey: ecPair}, keys.Config{Algorithm: "EdDSA", PublicKey: edHalf, Until: "2026-11-23T12:02:00Z"})
		g.verify(token, http.StatusOK)
		g.remembers(token, true)
		g.after(2 * time.Minute)
		g.verify(token, http.StatusUnauthorized)
	})
}

// BenchmarkVerifyEndpoint is what one question to the verify endpoint costs, with rotation,
// whose tokens can be revoked.
func BenchmarkVerifyEndpoint(b *testing.B) {
	for name, key := range map[string]keys.Config{
		"HS256": {Algorithm: "HS256", Secret: hmacText}, "ES256": {Algorithm: "ES256", PrivateKey: ecPair}, "EdDSA": {Algorithm: "EdDSA", PrivateKey: edPair},
	} {
		b.Run(name, func(b *testing.B) {
			g := newGate(b, func(c *tokens.Config) { c.Rotation.Enabled = true }, key)
			token := g.issue().Access
			b.ReportAllocs()
			for b.Loop() {
				g.verify(token, http.StatusOK)
			}
		})
	}
}

// BenchmarkRefreshEndpoint is a refresh with rotation, from the request to the answer.
func BenchmarkRefreshEndpoint(b *testing.B) {
	g := newGate(b, func(c *tokens.Config) { c.Rotation.Enabled = true }, keys.Config{Algorithm: "HS256", Secret: hmacText})
	pair := g.issue()
	token := pair.Refresh
	b.ReportAllocs()
	for b.Loop() {
		got := g.ask(http.MethodPost, "/api/token/refresh/", `{"refresh":"`+token+`"}`, "Content-Type: application/json")
		if got.Code != http.StatusOK {
			b.Fatal(got.Body)
		}
		token = refreshIn(b, got.Body.Bytes())
	}
}

func refreshIn(b *testing.B, body []byte) string {
	b.Helper()
	var pair struct{ Refresh string }
	if err := json.Unmarshal(body, &pair); err != nil {
		b.Fatal(err)
	}
	return pair.Refresh
}
