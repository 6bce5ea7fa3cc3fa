package tokens

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
)

// FuzzForm: whatever the claims are called, a token that is found good survives being
// renewed: a sliding token keeps its id and what it says, an access token says what its
// refresh token said, and no token without an id is taken for another one.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		`{"token_type":"sliding","exp":1700000100,"jti":"x","refresh_exp":1700000200,"user_id":"1"}`,
		`{"typ":"sliding","exp":1700000100.5,"tid":"x","until":1700000200.5,"sub":1,"jti":"y"}`,
		`{"exp":1700000100,"user_id":1}`, `{"exp":1700000100,"":1,"refresh_exp":null}`,
		`{"token_type":"refresh","exp":true,"jti":"","aud":"a"}`, `{"exp":1700000100,"jti":5,"refresh_exp":1e999}`,
	} {
		for form := range byte(4) {
			f.Add(seed, form)
		}
	}
	now := time.Unix(1_700_000_000, 0)
	var forms []*Verifier
	var issuers []*Issuer
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) {
			c.UserIDClaim, c.TokenTypeClaim, c.JTIClaim, c.Sliding.RefreshExpClaim, c.Legacy.IntegerUserID = "sub", "typ", "tid", "until", true
		},
		func(c *Config) { c.TokenTypeClaim = none },
		func(c *Config) { c.JTIClaim = none },
	} {
		cfg := DefaultConfig()
		cfg.Keys = []keys.Config{{ID: "main", Algorithm: "HS256", Secret: fuzzSecret}}
		change(&cfg)
		set, err := keys.New(cfg.Keys)
		if err != nil {
			f.Fatal(err)
		}
		r, err := newRing(cfg, set, 0, time.Now, nil)
		if err != nil {
			f.Fatal(err)
		}
		forms = append(forms, &Verifier{cfg: cfg, ring: r, now: func() time.Time { return now }})
		issuers = append(issuers, &Issuer{cfg: cfg, ring: r})
	}
	f.Fuzz(func(t *testing.T, payload string, form byte) {
		v, issuer := forms[int(form)%len(forms)], issuers[int(form)%len(forms)]
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		signature, err := issuer.ring.set.Load().Signing().Sign(signed)
		if err != nil {
			t.Fatal(err)
		}
		claims, fault := v.read(signed + "." + base64.RawURLEncoding.EncodeToString(signature))
		if fault != "" {
			return
		}
		again := func(what, token string, err error, kind string) (same bool) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if len(token) > maxToken {
				return true
			}
			next, fault := v.read(token)
			if fault == "" {
				fault = v.cfg.checkToken(next, kind)
			}
			if fault != "" {
				t.Fatalf("%s: the %s made of %q", fault, what, payload)
			}
			for _, claim := range claims {
				value, there := next.Get(claim.Name)
				if issuer.copies(claim.Name) && (!there || !bytes.Equal(drf.AppendASCII(nil, value), drf.AppendASCII(nil, claim.Value))) {
					t.Errorf("the %s made of %q says %v of %q", what, payload, value, claim.Name)
				}
			}
			return v.idOf(next) == v.idOf(claims)
		}
		if v.cfg.checkToken(claims, typeSliding) == "" && v.checkSlidingEnd(claims, now) == "" {
			token, err := issuer.Slide(claims, now)
			_, named := claims.Get(v.cfg.idClaim())
			if same := again("sliding token", token, err, typeSliding); named && !same {
				t.Errorf("%q has another id when it is renewed", payload)
			}
		}
		if v.cfg.checkToken(claims, typeRefresh) == "" {
			token, err := issuer.Access(claims, "the id of the access token", now)
			again("access token", token, err, typeAccess)
			token, err = issuer.Next(claims, "the id of the next one", now)
			if again("refresh token", token, err, typeRefresh) && v.idOf(claims) != "the id of the next one" && len(token) <= maxToken {
				t.Errorf("the refresh token made of %q has the id of the old one", payload)
			}
		}
	})
}
