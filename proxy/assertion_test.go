package proxy_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// asserting is a world whose upstream gets assertions, with a token of its user alice.
func asserting(t *testing.T, issuer string) (w *world, authority *tokens.Authority, pair tokens.Pair) {
	t.Helper()
	w = &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	store := userstest.Open(t)
	alice := userstest.Add(t, store, users.NewUser{Username: "alice", Password: "alices password", Email: "a@example.com", Groups: []string{"staff"}})
	settings := tokens.DefaultConfig()
	settings.Keys, settings.Issuer = []keys.Config{{Algorithm: "EdDSA", PrivateKey: edPrivate}}, issuer
	authority, err := tokens.New(settings, tokens.Parts{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	cfg := site(w.backend.addr)
	app := cfg.Upstreams["app"]
	app.Assertion = upstream.Assertion{Header: "X-Proof", Audience: "books", Lifetime: 20 * time.Second}
	cfg.Upstreams["app"] = app
	gateway, err := proxy.New(cfg, proxy.Parts{Verifier: authority.Verifier(), Endpoints: authority.Endpoints(), Asserter: authority.Asserter(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	if pair, err = authority.Issuer().Pair(alice, time.Now()); err != nil {
		t.Fatal(err)
	}
	return w, authority, pair
}

func TestWhatAnAssertionSays(t *testing.T) {
	w, _, pair := asserting(t, "https://auth.example.com")
	if got := w.get("/x", "Authorization: Bearer "+pair.Access); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, got.Text)
	}
	proof := w.only().Header["X-Proof"]
	if len(proof) != 1 {
		t.Fatalf("got %q", proof)
	}
	parts := strings.Split(proof[0], ".")
	head, _ := base64.RawURLEncoding.DecodeString(parts[0])
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	if want := `{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"gatehouse-assertion+jwt"}`; string(head) != want {
		t.Errorf("got %s, want %s", head, want)
	}
	if want := `{"iss":"https://auth.example.com","aud":"books","sub":"1","username":"alice","email":"a@example.com","groups":["staff"],"iat":`; !strings.HasPrefix(string(body), want) {
		t.Errorf("got %s", body)
	}
}

// A token that is taken for a while behind its end has an assertion that is not over.
func TestAnAssertionInTheLeeway(t *testing.T) {
	settings := tokens.DefaultConfig()
	settings.Keys, settings.Leeway = []keys.Config{{Algorithm: "EdDSA", PrivateKey: edPrivate}}, time.Minute
	now := time.Unix(1_800_000_000, 0)
	authority, err := tokens.New(settings, tokens.Parts{Store: userstest.Open(t), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		left, want time.Duration // of the token, of the assertion
	}{
		"long before the end":   {time.Hour, 20 * time.Second},
		"behind the end":        {-10 * time.Second, 20 * time.Second},
		"close to the leeway's": {-55 * time.Second, 5 * time.Second},
	} {
		proof, err := authority.Asserter().Assert(&tokens.Principal{UserID: "1", Expires: now.Add(c.left)}, "books", 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[1])
		if want := fmt.Sprintf(`"exp":%d}`, now.Add(c.want).Unix()); !strings.HasSuffix(string(body), want) {
			t.Errorf("%s: %s, want %s", name, body, want)
		}
	}
}

// TestAttackAnAssertionAsACredential: who has read one in a backend's log shows it at
// every entry, and none takes it (CVE-2024-47616).
func TestAttackAnAssertionAsACredential(t *testing.T) {
	for _, issuer := range []string{"", "gatehouse"} {
		w, authority, pair := asserting(t, issuer)
		w.get("/x", "Authorization: Bearer "+pair.Access)
		proof := w.only().Header.Get("X-Proof")
		if proof == "" {
			t.Fatal("there is no assertion")
		}
		for _, target := range []string{"/x", "/optional/x", "/staff/x"} {
			if got := w.get(target, "Authorization: Bearer "+proof); got.StatusCode != http.StatusUnauthorized || !strings.Contains(got.Text, "Token is invalid") {
				t.Errorf("%s: %d %s", target, got.StatusCode, got.Text)
			}
		}
		for path, field := range map[string]string{"refresh/": "refresh", "verify/": "token", "blacklist/": "refresh", "logout/": "token"} {
			body := `{"` + field + `":"` + proof + `"}`
			got := w.raw(head("POST", "/api/token/"+path, "Content-Type: application/json", "Content-Length: "+itoa(len(body))) + body)
			if got.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", path, got.StatusCode, got.Text)
			}
		}
		// Nor does a gateway that trusts this one as an issuer.
		other := tokens.DefaultConfig()
		other.TrustedIssuers = []tokens.TrustedIssuer{{
			Issuer: "gatehouse", JWKS: string(authority.Keys().JWKS(time.Now())), Audience: []string{"books"}, Algorithms: []string{"EdDSA"},
		}}
		trusting, err := tokens.New(other, tokens.Parts{})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := trusting.Verifier().Verify(t.Context(), proof); err == nil {
			t.Errorf("another gateway lets in %+v", p)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// TestAttackAForgedAssertion: no client can send the header, in any spelling, on any route.
func TestAttackAForgedAssertion(t *testing.T) {
	w, _, pair := asserting(t, "")
	for _, name := range []string{"X-Proof", "x-proof", "X_Proof", "X.Proof", "x-PROOF"} {
		for _, target := range []string{"/public/x", "/optional/x", "/x"} {
			headers := []string{name + ": forged", "Connection: x-proof"}
			if target == "/x" {
				headers = append(headers, "Authorization: Bearer "+pair.Access)
			}
			if got := w.get(target, headers...); got.StatusCode != http.StatusOK {
				t.Fatalf("%d %s", got.StatusCode, got.Text)
			}
			for sent, values := range w.only().Header {
				if identity.Fold(sent) == "x_proof" && (target != "/x" || len(values) != 1 || values[0] == "forged" || sent != "X-Proof") {
					t.Errorf("%s on %s: the backend got %s: %q", name, target, sent, values)
				}
			}
		}
	}
}

func TestFaultsOfAssertions(t *testing.T) {
	pair := partsWith(t, keys.Config{Algorithm: "EdDSA", PrivateKey: edPrivate})
	hmac := partsWith(t, keys.Config{ID: "main", Algorithm: "HS256", Secret: "an-example-signing-key-of-32-bytes!!"})
	for _, c := range []struct {
		name      string
		parts     proxy.Parts
		assertion upstream.Assertion
		want      string
	}{
		{"a good one", pair, upstream.Assertion{Header: "X-Proof"}, ""},
		{"a key that has no public half", hmac, upstream.Assertion{Header: "X-Proof"}, "upstreams.app.assertion: no key pair signs"},
		{"a header that has a meaning", pair, upstream.Assertion{Header: "Authorization"}, "upstreams.app.assertion.header: Authorization has a meaning of its own"},
		{"a header with underscores", pair, upstream.Assertion{Header: "X_Proof"}, "upstreams.app.assertion.header: the name of a header has letters"},
		{"a header of the identity", pair, upstream.Assertion{Header: "x-user-id"}, "upstreams.app.assertion.header: X-User-Id says who the user is already"},
		{"for too long", pair, upstream.Assertion{Lifetime: 61 * time.Second}, "upstreams.app.assertion.lifetime: 1m1s is no lifetime"},
		{"for too short", pair, upstream.Assertion{Lifetime: time.Second}, "upstreams.app.assertion.lifetime: 1s is no lifetime"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := site("127.0.0.1:1")
			app := cfg.Upstreams["app"]
			app.Assertion = c.assertion
			cfg.Upstreams["app"] = app
			gateway, err := proxy.New(cfg, c.parts)
			if err == nil {
				gateway.Close()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(located(err), c.want)) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// located is an error with the key that it is about.
func located(err error) string {
	var all []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, located(one))
		}
		return strings.Join(all, "\n")
	}
	if f, ok := err.(interface{ Field() string }); ok {
		return f.Field() + ": " + err.Error()
	}
	return err.Error()
}
