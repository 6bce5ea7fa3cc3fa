package tokens_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

// TestUsersWhomNobodyRemembers is a gateway without a store: the claims are all there is.
func TestUsersWhomNobodyRemembers(t *testing.T) {
	cfg := tokens.DefaultConfig()
	cfg.Keys = []keys.Config{{ID: "django", Algorithm: "HS256", Secret: secret, Use: "verify"}}
	cfg.UsernameClaim, cfg.EmailClaim, cfg.GroupsClaim = []string{"name"}, []string{"contact", "email"}, []string{"groups"}
	a, err := tokens.New(cfg, tokens.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	type person struct {
		ID, Name, Email string
		Groups          []string
	}
	for _, c := range []struct {
		name, claims string
		want         person // the zero person: refused
	}{
		{"a number", `"user_id":7,"name":"bob"`, person{"7", "bob", "", nil}},
		{"a text", `"user_id":"0b1c","name":"bob","contact":{"email":"b@example.com"},"groups":["a","b"]`, person{"0b1c", "bob", "b@example.com", []string{"a", "b"}}},
		{"one group as a text", `"user_id":"1","name":"bob","groups":"a"`, person{"1", "bob", "", []string{"a"}}},
		{"a name that is missing is nobody's", `"user_id":"1"`, person{"1", "", "", nil}},
		{"a name that is no text", `"user_id":"1","name":["bob"]`, person{"1", "", "", nil}},
		{"groups that are not all texts", `"user_id":"1","name":"bob","groups":["admin",{"x":1}]`, person{"1", "bob", "", nil}},
		{"an address that is no text", `"user_id":"1","name":"bob","contact":{"email":["b@example.com"]}`, person{"1", "bob", "", nil}},
		{"a step into a text", `"user_id":"1","name":"bob","contact":"b@example.com"`, person{"1", "bob", "", nil}},
		{"no user", `"name":"bob"`, person{}},
		{"an empty user", `"user_id":"","name":"bob"`, person{}},
		{"null", `"user_id":null`, person{}},
		{"a list", `"user_id":["1"]`, person{}},
		{"true", `"user_id":true`, person{}},
		{"a fraction", `"user_id":1.5`, person{}},
		{"a float", `"user_id":1e3`, person{}},
		{"longer than anybody", `"user_id":"` + strings.Repeat("x", 1025) + `"`, person{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := seal(usual, `{"token_type":"access","exp":4102444800,"jti":"x",`+c.claims+`}`)
			p, err := a.Verifier().Verify(t.Context(), token)
			var rejected *tokens.Rejection
			if c.want.ID == "" {
				if !errors.As(err, &rejected) || rejected.Reason != "no_user_claim" {
					t.Errorf("got %v, %v", p, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := person{p.UserID, p.User.Username, p.User.Email, p.User.Groups}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if !p.User.IsActive || p.User.IsStaff || p.User.IsSuperuser || p.User.ID != 0 {
				t.Errorf("a token made its user more than a name: %+v", p.User)
			}
		})
	}
}

func TestWhenAStoreIsNeeded(t *testing.T) {
	signing := keys.Config{ID: "a", Algorithm: "HS256", Secret: secret}
	verifying := signing
	verifying.Use = "verify"
	for _, c := range []struct {
		name        string
		keys        []keys.Config
		user        string
		needs, asks bool
	}{
		{"a key that signs", []keys.Config{signing}, "", true, true},
		{"one among others", []keys.Config{verifying, {ID: "b", Algorithm: "HS256", Secret: secret, Use: "sign"}}, "", true, true},
		{"keys that verify", []keys.Config{verifying}, "", false, true},
		{"a public key", []keys.Config{{Algorithm: "EdDSA", PublicKey: edHalf}}, "", false, true},
		{"keys that verify, for users of the store", []keys.Config{verifying}, "store", true, true},
		{"keys that verify, for users of the token", []keys.Config{verifying}, "token", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := tokens.DefaultConfig()
			cfg.Keys, cfg.User = c.keys, c.user
			if cfg.NeedsStore() != c.needs || cfg.TakesStore() != c.asks {
				t.Errorf("needs %v, asks %v; want %v, %v", cfg.NeedsStore(), cfg.TakesStore(), c.needs, c.asks)
			}
			if _, err := tokens.New(cfg, tokens.Parts{}); (err != nil) != c.needs {
				t.Errorf("without a store: %v", err)
			}
		})
	}
}

// A key verifies for as long as the longest of the tokens that it has signed lives.
func TestLongestLife(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*tokens.Config)
		want   time.Duration
	}{
		"a refresh token":                        {func(*tokens.Config) {}, 24 * time.Hour},
		"an access token that outlives it":       {func(c *tokens.Config) { c.AccessLifetime = 48 * time.Hour }, 48 * time.Hour},
		"a sliding token that outlives both":     {func(c *tokens.Config) { c.Sliding.Enabled, c.Sliding.Lifetime = true, 72*time.Hour }, 72 * time.Hour},
		"sliding tokens that nobody can get":     {func(c *tokens.Config) { c.Sliding.Lifetime = 72 * time.Hour }, 24 * time.Hour},
		"tokens that are taken for a while more": {func(c *tokens.Config) { c.Leeway = time.Minute }, 24*time.Hour + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := tokens.DefaultConfig()
			c.change(&cfg)
			if got := cfg.LongestLife(); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
