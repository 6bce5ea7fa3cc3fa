package keys

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"testing"
)

// FuzzReadKey: whatever is taken for a key is one key, is said again in the same way
// by what we publish, and signs if it says that it can.
func FuzzReadKey(f *testing.F) {
	p := newPairs(f)
	for _, seed := range []string{
		rfcHMAC, rfcRSA, rfcP256, rfcP521, rfcEd25519, rfcEd25519Public, "", "{}", "-----BEGIN PRIVATE KEY-----", "base64:",
		pkcs8(f, p.rsa), pkcs8(f, p.p256), pkcs8(f, p.ed), pkix(f, p.p384), pkix(f, p.rsa), sec1(f, p.p521), certificate(f, p.ed),
		armor("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(p.rsa)),
		`{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQ","p":"AA","q":"AA"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, wrong := readKey(text)
		if wrong != nil {
			if wrong.problem == "" || wrong.fix == "" {
				t.Errorf("a refusal that says nothing: %+v", wrong)
			}
			return
		}
		if m.public == nil {
			if m.private != nil || len(m.secret) == 0 {
				t.Error("neither a secret nor a pair")
			}
			return
		}
		if m.private != nil && !equal(m.private.Public(), m.public) {
			t.Error("the halves are not of one key")
		}
		for name, a := range algorithms {
			if a.symmetric() || a.suits(m.public) != nil {
				continue
			}
			c := Config{Algorithm: name, PublicKey: text}
			if m.private != nil {
				c.PublicKey, c.PrivateKey = "", text
			}
			set, err := New([]Config{c})
			if err != nil {
				continue // its alg or its kid
			}
			var published struct{ Keys []json.RawMessage }
			if err := json.Unmarshal(set.JWKS(set.keys[0].until), &published); err != nil || len(published.Keys) != 1 {
				t.Fatalf("what is published cannot be read: %v", err)
			}
			again, wrong := readKey(string(published.Keys[0]))
			if wrong != nil || again.private != nil || !equal(again.public, m.public) || again.id != set.keys[0].ID() || again.alg != name {
				t.Errorf("published as another key: %s", published.Keys[0])
			}
			if set.Signing() != nil {
				signature, err := set.Signing().Sign("input")
				if err != nil || set.Signing().Verify("input", signature) != nil {
					t.Errorf("%s: a key that does not sign: %v", name, err)
				}
			}
		}
	})
}

// equal tells whether two public keys are the same.
func equal(a, b crypto.PublicKey) bool {
	one, errOne := x509.MarshalPKIXPublicKey(a)
	two, errTwo := x509.MarshalPKIXPublicKey(b)
	return errOne == nil && errTwo == nil && bytes.Equal(one, two)
}
