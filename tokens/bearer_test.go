package tokens_test

import (
	"errors"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
)

const (
	notFound = `{"detail":"User not found","code":"user_not_found"}`
	inactive = `{"detail":"User is inactive","code":"user_inactive"}`
	nobody   = `{"detail":"Token contained no recognizable user identification","code":"token_not_valid"}`
	noActive = `{"detail":"No active account found for the given token."}`
)

func TestWhomATokenBelongsTo(t *testing.T) {
	for _, c := range []struct {
		name    string
		claim   string
		bearer  string // "": passes
		refresh string // "": passes
	}{
		{"the number", `"user_id":1`, "", ""},
		{"digits", `"user_id":"1"`, "", ""},
		{"digits between blanks", `"user_id":" 1\t"`, "", ""},
		{"digits behind zeros", `"user_id":"001"`, "", ""},
		{"a whole float", `"user_id":1.0`, "", ""},
		{"true", `"user_id":true`, "", ""},

		{"no claim", `"x":1`, nobody, ""},
		{"null", `"user_id":null`, notFound, ""},
		{"zero", `"user_id":0`, notFound, ""},
		{"false", `"user_id":false`, notFound, ""},
		{"empty", `"user_id":""`, notFound, ""},
		{"blank", `"user_id":" "`, notFound, noActive},
		{"minus one", `"user_id":-1`, notFound, noActive},
		{"another number", `"user_id":2`, notFound, noActive},
		{"a name", `"user_id":"testuser"`, notFound, noActive},
		{"a UUID", `"user_id":"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`, notFound, noActive},
		{"a list", `"user_id":[1]`, notFound, noActive},
		{"an object", `"user_id":{"id":1}`, notFound, noActive},
		{"more than 64 bits", `"user_id":18446744073709551617`, notFound, noActive},
		{"more than 64 bits in digits", `"user_id":"18446744073709551617"`, notFound, noActive},
		{"more than a float holds", `"user_id":1e999`, notFound, noActive},
		{"half a number", `"user_id":1.5`, notFound, noActive},
		{"a number in hexadecimal", `"user_id":"0x1"`, notFound, noActive},
		{"a number and more", `"user_id":"1 OR 1=1"`, notFound, noActive},
		{"the claim in capitals", `"USER_ID":1`, nobody, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			if got := s.bearer(seal(usual, claims(opener, lives, id, c.claim))); got != c.bearer {
				t.Errorf("protected route: got %s, want %s", got, c.bearer)
			}
			got := s.asked("/api/token/refresh/", "refresh", seal(usual, claims(yields, lives, id, c.claim)))
			if got != c.refresh {
				t.Errorf("refresh: got %s, want %s", got, c.refresh)
			}
			// Neither looks a user up.
			if got := s.asked("/api/token/verify/", "token", seal(usual, claims(yields, lives, id, c.claim))); got != "" {
				t.Errorf("verify: %s", got)
			}
			if got := s.asked("/api/token/blacklist/", "refresh", seal(usual, claims(yields, lives, id, c.claim))); got != "" {
				t.Errorf("blacklist: %s", got)
			}
		})
	}
}

func TestAPrincipalIsTheUserAsTheyAreNow(t *testing.T) {
	s := open(t)
	access, _ := s.login()
	name, mail := "renamed", "new@example.com"
	s.change(users.Change{Username: &name, Email: &mail, AddGroups: []string{"admin"}, RemoveGroups: []string{"staff"}})
	p, err := s.Verifier().Verify(t.Context(), access)
	if err != nil {
		t.Fatal(err)
	}
	if p.UserID != "1" || p.User.Username != name || p.User.Email != mail || len(p.User.Groups) != 1 || p.User.Groups[0] != "admin" {
		t.Errorf("got %+v", p.User)
	}
	if !p.Expires.Equal(time.Unix(1_700_000_300, 0)) {
		t.Errorf("expires %v", p.Expires)
	}
	if jti, _ := p.Claims.Get("jti"); jti != p.TokenID || p.TokenID == "" {
		t.Errorf("token ID %q, jti %v", p.TokenID, jti)
	}
}

// Whoever cannot be judged is not let in, and not told that the token is bad either.
func TestNothingIsDecidedWithoutTheStore(t *testing.T) {
	s := open(t)
	token := seal(usual, claims(opener, lives, id, user))
	s.ok(s.store.Close())
	p, err := s.Verifier().Verify(t.Context(), token)
	if _, refused := errors.AsType[*tokens.Rejection](err); p != nil || err == nil || refused {
		t.Errorf("got %v, %v; want a plain error", p, err)
	}
	// What needs no store is decided all the same.
	if got := s.bearer(seal(usual, claims(opener, dead, id, user))); got != badBearer(isExpired) {
		t.Errorf("an expired token: %s", got)
	}
}
