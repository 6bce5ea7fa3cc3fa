package tokens_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

func TestDiscoveryDocument(t *testing.T) {
	ed := keys.Config{Algorithm: "EdDSA", PrivateKey: edPair}
	for _, c := range []struct {
		issuer, path, jwks string
		key                keys.Config
	}{
		{"https://auth.example.com", "/.well-known/openid-configuration", "https://auth.example.com/.well-known/jwks.json", ed},
		{"https://auth.example.com/", "/.well-known/openid-configuration", "https://auth.example.com/.well-known/jwks.json", ed},
		{"https://example.com:8443/realms/apps", "/realms/apps/.well-known/openid-configuration", "https://example.com:8443/.well-known/jwks.json", ed},
		{"gatehouse", "", "", ed},
		{"", "", "", ed},
		{"https://auth.example.com?x=1", "", "", ed},
		{"https://auth.example.com/a/../b", "", "", ed},
		{"https://auth.example.com", "", "", keys.Config{ID: "a", Algorithm: "HS256", Secret: hmacText}},
		{"https://auth.example.com", "", "", keys.Config{Algorithm: "EdDSA", PublicKey: edHalf}},
	} {
		t.Run(c.issuer, func(t *testing.T) {
			g := newGate(t, func(cfg *tokens.Config) { cfg.Issuer = c.issuer }, c.key)
			served := ""
			for _, e := range g.Endpoints() {
				if strings.HasSuffix(e.Path, "/openid-configuration") {
					served = e.Path
				}
			}
			if served != c.path {
				t.Fatalf("it is at %q, want %q", served, c.path)
			}
			if served == "" {
				return
			}
			got := g.ask(http.MethodGet, served, "")
			var document struct {
				Issuer string   `json:"issuer"`
				JWKS   string   `json:"jwks_uri"`
				Algs   []string `json:"id_token_signing_alg_values_supported"`
			}
			if err := json.Unmarshal(got.Body.Bytes(), &document); err != nil || document.Issuer != c.issuer || document.JWKS != c.jwks || len(document.Algs) != 1 || document.Algs[0] != "EdDSA" {
				t.Errorf("got %s, %v", got.Body, err)
			}
			if got.Header().Get("Etag") == "" || got.Header().Get("Cache-Control") != "public, max-age=300" {
				t.Errorf("got %v", got.Header())
			}
			if again := g.ask(http.MethodGet, served, "", "If-None-Match: "+got.Header().Get("Etag")); again.Code != http.StatusNotModified {
				t.Errorf("who has it already: %d", again.Code)
			}
			if got := g.ask(http.MethodPost, served, ""); got.Code != http.StatusMethodNotAllowed {
				t.Errorf("POST: %d", got.Code)
			}
		})
	}
}

// TestOneGatehouseTrustsAnother: what the one publishes is enough for the other.
func TestOneGatehouseTrustsAnother(t *testing.T) {
	var first *gate
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, e := range first.Endpoints() {
			if e.Path == r.URL.Path {
				e.Handler.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	first = newGate(t, func(cfg *tokens.Config) {
		cfg.Issuer, cfg.Audience = server.URL, tokens.Audience{Names: []string{"apps"}}
	}, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	cfg := tokens.DefaultConfig()
	cfg.TrustedIssuers = []tokens.TrustedIssuer{{
		Issuer: server.URL, Discovery: true, AllowHTTP: true, Audience: []string{"apps"}, Algorithms: []string{"EdDSA"}, UserIDClaim: []string{"user_id"}, Prefix: "first:", Timeout: time.Minute,
	}}
	second, err := tokens.New(cfg, tokens.Parts{Now: first.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Close)
	pair := first.issue()
	p, err := second.Verifier().Verify(t.Context(), pair.Access)
	if err != nil || p.UserID != "first:1" {
		t.Errorf("an access token: %+v, %v", p, err)
	}
	if _, err := second.Verifier().Verify(t.Context(), pair.Refresh); err == nil {
		t.Error("a refresh token opens a route")
	}
}
