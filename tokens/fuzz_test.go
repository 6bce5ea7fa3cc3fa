package tokens

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
)

// fuzzSecret is a key of HS256, and no secret.
const fuzzSecret = "an-example-signing-key-of-32-bytes!!"

// FuzzToken: what is taken apart can be put together again in one way only, which is the token itself. So no two texts
// are one token, and whoever remembers tokens by their text misses none. What the signature covers is the text as it was
// sent, and what is read of it says everything once.
func FuzzToken(f *testing.F) {
	const example = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.AAAA"
	for _, seed := range []string{
		"", ".", "..", "...", "....", example, example + "=", example[:len(example)-1] + "B", example + "\n", example + ".AA.AA",
		"eyJhbGciOiJIUzI1NiJ9.e30.", "eyJhbGciOiJub25lIn0.e30.", "e30.e30.e30", "W10.W10.W10", "eyJhbGciOiJIUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AA",
		strings.Repeat("A", maxToken) + "..", "eyJhbGciOiJIUzI1NiIsImNyaXQiOltdfQ.e30.AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, ok := split(token)
		if !ok {
			return
		}
		head, body, found := strings.Cut(p.signed, ".")
		header, err := base64.RawURLEncoding.DecodeString(head)
		if err != nil || !found {
			t.Fatalf("accepted %q, whose header cannot be decoded", token)
		}
		again := base64.RawURLEncoding.EncodeToString(header) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(p.payload)) + "." +
			base64.RawURLEncoding.EncodeToString(p.signature)
		if again != token || body != base64.RawURLEncoding.EncodeToString([]byte(p.payload)) {
			t.Errorf("%q is %q as well", token, again)
		}
		if len(token) > maxToken || p.algorithm == "" {
			t.Errorf("accepted %d bytes with the algorithm %q", len(token), p.algorithm)
		}
		value, err := drf.Decode(string(header))
		if object, is := value.(drf.Object); err != nil || !is {
			t.Errorf("the header %q is no object", header)
		} else if name, twice := object.Duplicate(); twice {
			t.Errorf("the header says %q twice", name)
		}
	})
}

// FuzzClaims: whatever somebody with the key signs, it is judged without a panic; and claims that are found good survive
// being issued anew: the access token made of them is good, and says what they said.
func FuzzClaims(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	for _, seed := range []string{
		"{}", `{"token_type":"refresh","exp":1700000100,"iat":1,"jti":"x","user_id":"1"}`,
		`{"exp":1e999}`, `{"exp":true,"iat":false,"nbf":"1"}`, `{"exp":1700000001.5,"jti":"\ud800","user_id":[{"a":1.50}],"token_type":"refresh"}`,
		`{"exp":1700000100,"jti":"","aud":["a",1],"iss":{},"sub":"s","z":1e400}`, `[]`, `nul`, "\xff",
	} {
		f.Add(seed)
	}
	cfg := DefaultConfig()
	cfg.Keys = []keys.Config{{ID: "main", Algorithm: "HS256", Secret: fuzzSecret}}
	set, err := keys.New(cfg.Keys)
	if err != nil {
		f.Fatal(err)
	}
	r, err := newRing(cfg, set, 0, time.Now, nil)
	if err != nil {
		f.Fatal(err)
	}
	v := &Verifier{cfg: cfg, ring: r, now: func() time.Time { return now }}
	issuer := &Issuer{cfg: cfg, ring: r}
	f.Fuzz(func(t *testing.T, payload string) {
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
		signature, err := set.Signing().Sign(signed)
		if err != nil {
			t.Fatal(err)
		}
		claims, fault := v.read(signed + "." + base64.RawURLEncoding.EncodeToString(signature))
		if fault == "" {
			fault = cfg.checkToken(claims, typeRefresh)
		}
		if fault != "" {
			return
		}
		if at := expiry(claims); !at.After(now) || at.Year() > 9999 {
			t.Errorf("accepted an end at %v", at)
		}
		id, _ := claims.Get(claimUser)
		if n, ok := userNumber(id); ok && falsy(id) && n != 0 {
			t.Errorf("the user %v is nobody and %d", id, n)
		}
		token, err := issuer.Access(claims, "id", now)
		if err != nil {
			t.Fatal(err)
		}
		if len(token) > maxToken {
			return
		}
		access, fault := v.read(token)
		if fault == "" {
			fault = cfg.checkToken(access, typeAccess)
		}
		if fault != "" {
			t.Fatalf("%s: the access token made of %q", fault, payload)
		}
		if len(access) != len(claims)+len(access[:4])-own(issuer, claims) {
			t.Errorf("%d claims became %d", len(claims), len(access))
		}
	})
}

// own counts the claims that are not copied.
func own(issuer *Issuer, claims drf.Object) (n int) {
	for _, claim := range claims {
		if !issuer.copies(claim.Name) {
			n++
		}
	}
	return n
}
