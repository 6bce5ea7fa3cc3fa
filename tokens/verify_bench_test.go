package tokens_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

// benchKey is a key for an algorithm; RSA is made anew.
func benchKey(b *testing.B, alg string) keys.Config {
	b.Helper()
	c := keys.Config{ID: "bench", Algorithm: alg}
	switch {
	case strings.HasPrefix(alg, "HS"):
		c.Secret = hmacText
	case alg == "EdDSA":
		c.PrivateKey = edPair
	case alg == "ES256":
		c.PrivateKey = ecPair
	default:
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			b.Fatal(err)
		}
		c.PrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	}
	return c
}

// BenchmarkVerify is what a bearer token costs a request, its user from memory.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"HS256", "HS512", "RS256", "PS256", "ES256", "EdDSA"} {
		key := benchKey(b, alg)
		for name, size := range map[string]int64{"cached": 32 << 20, "uncached": 0} {
			b.Run(alg+"/"+name, func(b *testing.B) {
				g := newGate(b, func(c *tokens.Config) { c.CacheBytes = size }, key)
				token := g.issue().Access
				b.ReportAllocs()
				for b.Loop() {
					if _, err := g.Verifier().Verify(b.Context(), token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(alg+"/cached, all processors", func(b *testing.B) {
			g := newGate(b, nil, key)
			token := g.issue().Access
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := g.Verifier().Verify(b.Context(), token); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
