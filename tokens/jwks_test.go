package tokens_test

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens/keys"
)

const jwksPath = "/.well-known/jwks.json"

func TestTheJWKS(t *testing.T) {
	g := newGate(t, nil,
		keys.Config{Algorithm: "EdDSA", PrivateKey: edPair},
		keys.Config{ID: "old", Algorithm: "ES256", PrivateKey: ecPair, Until: "2026-11-23T13:00:00Z"},
		keys.Config{ID: "django", Algorithm: "HS256", Secret: hmacText, Use: "verify"})
	const (
		current = `{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}`
		old     = `{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","use":"sig","alg":"ES256","kid":"old"}`
	)
	first := g.ask(http.MethodGet, jwksPath, "")
	if want := `{"keys":[` + current + `,` + old + `]}`; first.Code != http.StatusOK || first.Body.String() != want {
		t.Errorf("got  %d %s\nwant %s", first.Code, first.Body, want)
	}
	for name, want := range map[string]string{"Content-Type": "application/jwk-set+json", "Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"} {
		if got := first.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	tag := first.Header().Get("ETag")
	if len(tag) < 10 || !strings.HasPrefix(tag, `"`) {
		t.Fatalf("the ETag is %q", tag)
	}
	if again := g.ask(http.MethodGet, jwksPath, ""); again.Header().Get("ETag") != tag {
		t.Errorf("the ETag of the same keys is another: %q, %q", tag, again.Header().Get("ETag"))
	}
	for _, c := range []struct {
		name, method, match string
		status              int
		empty               bool
	}{
		{"what the client has", http.MethodGet, tag, http.StatusNotModified, true},
		{"what the client has, among others", http.MethodGet, `"x", ` + tag, http.StatusNotModified, true},
		{"anything", http.MethodGet, "*", http.StatusNotModified, true},
		{"what it no longer is", http.MethodGet, `"x"`, http.StatusOK, false},
		{"HEAD", http.MethodHead, "", http.StatusOK, true},
		{"HEAD of what the client has", http.MethodHead, tag, http.StatusNotModified, true},
		{"POST", http.MethodPost, "", http.StatusMethodNotAllowed, false},
		{"PUT", http.MethodPut, "", http.StatusMethodNotAllowed, false},
		{"DELETE", http.MethodDelete, "", http.StatusMethodNotAllowed, false},
		{"OPTIONS", http.MethodOptions, "", http.StatusMethodNotAllowed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := g.ask(c.method, jwksPath, "", "If-None-Match: "+c.match)
			if got.Code != c.status || (got.Body.Len() == 0) != c.empty {
				t.Errorf("got %d with %d bytes, want %d", got.Code, got.Body.Len(), c.status)
			}
			if allow := got.Header().Get("Allow"); (allow == "GET, HEAD") != (c.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow is %q", allow)
			}
			if keep := got.Header().Get("Cache-Control"); (keep == "no-store") != (c.status == http.StatusMethodNotAllowed) {
				t.Errorf("Cache-Control is %q", keep)
			}
		})
	}

	g.after(time.Hour)
	later := g.ask(http.MethodGet, jwksPath, "", "If-None-Match: "+tag)
	if want := `{"keys":[` + current + `]}`; later.Code != http.StatusOK || later.Body.String() != want {
		t.Errorf("after the end of a key: got %d %s\nwant %s", later.Code, later.Body, want)
	}
}

func TestEndpointsFollowFromTheKeys(t *testing.T) {
	all := []string{
		"/api/token/", "/api/token", "/api/token/refresh/", "/api/token/refresh", "/api/token/verify/", "/api/token/verify",
		"/api/token/blacklist/", "/api/token/blacklist", "/api/token/logout/", "/api/token/logout",
	}
	verify := all[4:6]
	for _, c := range []struct {
		name string
		keys []keys.Config
		want []string
	}{
		{"HMAC has nothing to publish", []keys.Config{{ID: "a", Algorithm: "HS256", Secret: hmacText}}, all},
		{"a key pair", []keys.Config{{Algorithm: "EdDSA", PrivateKey: edPair}}, append(slices.Clone(all), jwksPath)},
		{"HMAC that signs beside an old key pair", []keys.Config{{ID: "a", Algorithm: "HS256", Secret: hmacText}, {Algorithm: "EdDSA", PublicKey: edHalf}}, append(slices.Clone(all), jwksPath)},
		{"a public key alone", []keys.Config{{Algorithm: "EdDSA", PublicKey: edHalf}}, verify},
		{"a secret to verify with", []keys.Config{{ID: "a", Algorithm: "HS256", Secret: hmacText, Use: "verify"}}, verify},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t, nil, c.keys...)
			var got []string
			for _, endpoint := range g.Endpoints() {
				got = append(got, endpoint.Path)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if signs := len(c.want) > 2; signs != (g.Issuer() != nil) {
				t.Errorf("an issuer: %v, want %v", g.Issuer() != nil, signs)
			}
		})
	}
}

// TestAGatewayThatOnlyVerifies takes tokens that another made with the private half.
func TestAGatewayThatOnlyVerifies(t *testing.T) {
	g := newGate(t, nil, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	pair := g.issue()
	g.reload(nil, keys.Config{Algorithm: "EdDSA", PublicKey: edHalf})
	if got := g.says(pair.Access); got != "" {
		t.Errorf("the token of the other: %s", got)
	}
	got := g.ask(http.MethodPost, "/api/token/verify/", `{"token":"`+pair.Refresh+`"}`, "Content-Type: application/json")
	if got.Code != http.StatusOK || got.Body.String() != "{}" {
		t.Errorf("verify: %d %s", got.Code, got.Body)
	}
}

func TestTheHeaderOfEachKindOfToken(t *testing.T) {
	for _, c := range []struct {
		name string
		key  keys.Config
		want string
	}{
		{"HMAC: SimpleJWT's to the byte", keys.Config{ID: "main", Algorithm: "HS256", Secret: hmacText}, `{"alg":"HS256","typ":"JWT"}`},
		{"a key without a name", keys.Config{Algorithm: "EdDSA", PrivateKey: edPair}, `{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"JWT"}`},
		{"a key with a name", keys.Config{ID: `Grüße "2026"`, Algorithm: "ES256", PrivateKey: ecPair}, `{"alg":"ES256","kid":"Gr\u00fc\u00dfe \"2026\"","typ":"JWT"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t, nil, c.key)
			pair := g.issue()
			for _, token := range []string{pair.Access, pair.Refresh} {
				head, _, _ := strings.Cut(token, ".")
				if got, err := base64.RawURLEncoding.DecodeString(head); err != nil || string(got) != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}
			if got := g.says(pair.Access); got != "" {
				t.Errorf("its own token is refused: %s", got)
			}
		})
	}
}
