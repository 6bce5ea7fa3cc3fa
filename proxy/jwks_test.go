package proxy_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users/userstest"
)

// The key of RFC 8037, appendix A.
const (
	edPrivate = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	edPublic  = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// openWith is open with another key than that of most tests.
func openWith(t *testing.T, key keys.Config) *world {
	t.Helper()
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	cfg.Routes[0].Auth = route.Auth{Word: "public"}
	gateway, err := proxy.New(cfg, partsWith(t, key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	return w
}

func partsWith(t testing.TB, key keys.Config) proxy.Parts {
	t.Helper()
	cfg := tokens.DefaultConfig()
	cfg.Keys = []keys.Config{key}
	authority, err := tokens.New(cfg, tokens.Parts{Store: userstest.Open(t)})
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Parts{Verifier: authority.Verifier(), Endpoints: authority.Endpoints(), Asserter: authority.Asserter(), Logger: slog.New(slog.DiscardHandler)}
}

// TestTheJWKSIsOnePathAndNoMore: certificates are ordered through other paths below
// /.well-known/, and they must go on to be.
func TestTheJWKSIsOnePathAndNoMore(t *testing.T) {
	w := openWith(t, keys.Config{Algorithm: "EdDSA", PrivateKey: edPrivate})
	for _, target := range []string{
		"/.well-known/acme-challenge/token", "/.well-known/", "/.well-known", "/.well-known/security.txt",
		"/.well-known/jwks.jsonx", "/.well-known/JWKS.json", "/jwks.json", "/x/.well-known/jwks.json",
	} {
		t.Run(target, func(t *testing.T) {
			if got := w.get(target); got.StatusCode != http.StatusOK || w.only().Target != target {
				t.Errorf("got %d %s", got.StatusCode, got.Text)
			}
		})
	}
	if got := w.get("/.well-known/jwks.json"); got.StatusCode != http.StatusOK || !strings.Contains(got.Text, `"x":"11qYAYKx`) {
		t.Errorf("the JWKS: %d %s", got.StatusCode, got.Text)
	}
	if got := w.raw("POST /.well-known/jwks.json HTTP/1.1\nHost: app.example.com\nContent-Length: 0\n\n"); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST to the JWKS: %d %s", got.StatusCode, got.Text)
	}
	for _, target := range []string{"/.well-known/jwks.json/", "/.well-known/jwks.json/x", "/.well-known//jwks.json", "/x/../.well-known/jwks.json", "/api/token/unheard/of"} {
		w.refused(w.get(target), http.StatusNotFound, notFound)
	}
	w.untouched()
}

func TestWithoutPublicKeysTheJWKSIsTheBackends(t *testing.T) {
	w := openWith(t, keys.Config{ID: "main", Algorithm: "HS256", Secret: "an-example-signing-key-of-32-bytes!!"})
	if got := w.get("/.well-known/jwks.json"); got.StatusCode != http.StatusOK || w.only().Target != "/.well-known/jwks.json" {
		t.Errorf("got %d %s", got.StatusCode, got.Text)
	}
}

// TestAGatewayThatOnlyVerifiesLeavesLoginToTheBackend: a Django behind it issues the
// tokens, with the private half of the key, and publishes it as it likes.
func TestAGatewayThatOnlyVerifiesLeavesLoginToTheBackend(t *testing.T) {
	w := openWith(t, keys.Config{Algorithm: "EdDSA", PublicKey: edPublic})
	for _, target := range []string{"/api/token/", "/api/token/refresh/", "/api/token/blacklist/", "/.well-known/jwks.json"} {
		if got := w.get(target); got.StatusCode != http.StatusOK || w.only().Target != target {
			t.Errorf("%s: got %d %s", target, got.StatusCode, got.Text)
		}
	}
	got := w.raw("POST /api/token/verify/ HTTP/1.1\nHost: app.example.com\nContent-Type: application/json\nContent-Length: 13\n\n" + `{"token":"x"}`)
	w.refused(got, http.StatusUnauthorized, `{"detail":"Token is invalid","code":"token_not_valid"}`)
	w.refused(w.get("/api/token/verify/x"), http.StatusNotFound, notFound)
	w.untouched()
}

func TestNoRouteIsHiddenBehindAnEndpoint(t *testing.T) {
	parts := partsWith(t, keys.Config{Algorithm: "EdDSA", PrivateKey: edPrivate})
	for path, reserved := range map[string]bool{
		"/.well-known/jwks.json": true, "/.well-known/*": false, "/.well-known/acme-challenge/*": false,
		"/api/token/": true, "/api/token/verify/*": true, "/api/token/x": true, "/api/*": false,
	} {
		cfg := site("127.0.0.1:1")
		cfg.Routes[0].Rules = append(cfg.Routes[0].Rules, route.RuleConfig{Path: path, Auth: route.Auth{Word: "public"}})
		_, err := proxy.New(cfg, parts)
		if refused := err != nil; refused != reserved {
			t.Errorf("a rule for %s: %v", path, err)
		} else if reserved && !strings.Contains(err.Error(), "gatehouse itself answers") {
			t.Errorf("a rule for %s: %v", path, err)
		}
	}
}
