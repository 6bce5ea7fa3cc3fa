package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"
)

// pairs are a key for each kind of algorithm, made once.
type pairs struct {
	rsa, weak        *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
}

var madePairs = sync.OnceValues(func() (p pairs, err error) {
	var errs [5]error
	p.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	p.weak, errs[1] = rsa.GenerateKey(rand.Reader, 1024)
	p.p256, errs[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.p384, errs[3] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p.p521, errs[4] = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	for _, e := range errs {
		if e != nil {
			err = e
		}
	}
	if err == nil {
		_, p.ed, err = ed25519.GenerateKey(rand.Reader)
	}
	return p, err
})

func newPairs(t testing.TB) pairs {
	t.Helper()
	p, err := madePairs()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// of is the pair for an algorithm.
func (p pairs) of(alg string) crypto.Signer {
	switch alg {
	case "ES256":
		return p.p256
	case "ES384":
		return p.p384
	case "ES512":
		return p.p521
	case "EdDSA":
		return p.ed
	default:
		return p.rsa
	}
}

func armor(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func der(t testing.TB) func(der []byte, err error) []byte {
	t.Helper()
	return func(der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
}

func pkcs8(t testing.TB, key any) string {
	t.Helper()
	return armor("PRIVATE KEY", der(t)(x509.MarshalPKCS8PrivateKey(key)))
}

func pkix(t testing.TB, key crypto.Signer) string {
	t.Helper()
	return armor("PUBLIC KEY", der(t)(x509.MarshalPKIXPublicKey(key.Public())))
}

func sec1(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	return armor("EC PRIVATE KEY", der(t)(x509.MarshalECPrivateKey(key)))
}

func certificate(t testing.TB, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}
	return armor("CERTIFICATE", der(t)(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

// jwkOf is a key as a JWK with more members.
func jwkOf(t testing.TB, key crypto.Signer, private bool, more map[string]any) string {
	t.Helper()
	text, err := json.Marshal(describePublic(key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]any{}
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	if private {
		switch key := key.(type) {
		case *rsa.PrivateKey:
			members["d"] = segment.EncodeToString(key.D.Bytes())
			members["p"] = segment.EncodeToString(key.Primes[0].Bytes())
			members["q"] = segment.EncodeToString(key.Primes[1].Bytes())
		case *ecdsa.PrivateKey:
			members["d"] = segment.EncodeToString(der(t)(key.Bytes()))
		case ed25519.PrivateKey:
			members["d"] = segment.EncodeToString(key.Seed())
		}
	}
	for name, value := range more {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	if text, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
