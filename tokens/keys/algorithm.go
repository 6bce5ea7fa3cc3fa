package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is what a key may be for (RFC 7518, section 3.1; RFC 8037, section 3.1).
// Exactly one of least, rsa, curve and edwards is set.
type algorithm struct {
	method  jwt.SigningMethod
	least   int            // HMAC: the shortest secret in bytes
	rsa     bool           // RSA, by PKCS #1 v1.5 or PSS
	curve   elliptic.Curve // ECDSA on that curve
	edwards bool           // Ed25519
}

func (a algorithm) symmetric() bool { return a.least > 0 }

// algorithms are all there are. EdDSA is Ed25519 alone: nothing in the library, and
// next to no client, knows Ed448.
var algorithms = map[string]algorithm{
	"HS256": {method: jwt.SigningMethodHS256, least: 32},
	"HS384": {method: jwt.SigningMethodHS384, least: 48},
	"HS512": {method: jwt.SigningMethodHS512, least: 64},
	"RS256": {method: jwt.SigningMethodRS256, rsa: true},
	"RS384": {method: jwt.SigningMethodRS384, rsa: true},
	"RS512": {method: jwt.SigningMethodRS512, rsa: true},
	"PS256": {method: pss(jwt.SigningMethodPS256), rsa: true},
	"PS384": {method: pss(jwt.SigningMethodPS384), rsa: true},
	"PS512": {method: pss(jwt.SigningMethodPS512), rsa: true},
	"ES256": {method: deterministic{jwt.SigningMethodES256}, curve: elliptic.P256()},
	"ES384": {method: deterministic{jwt.SigningMethodES384}, curve: elliptic.P384()},
	"ES512": {method: deterministic{jwt.SigningMethodES512}, curve: elliptic.P521()},
	"EdDSA": {method: jwt.SigningMethodEdDSA, edwards: true},
}

const algorithmNames = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA"

// pss takes salts of the hash's length alone (RFC 7518, section 3.5). The library
// takes any when it verifies.
func pss(m *jwt.SigningMethodRSAPSS) jwt.SigningMethod {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA,
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
}

// deterministic signs as RFC 6979 says: no random number can fail and give the key
// away, and the same claims make the same token.
type deterministic struct{ *jwt.SigningMethodECDSA }

// Sign returns R and S, each in the curve's length (RFC 7518, section 3.4).
func (m deterministic) Sign(input string, key any) ([]byte, error) {
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, jwt.ErrInvalidKeyType
	}
	hash := m.Hash.New()
	hash.Write([]byte(input))
	der, err := private.Sign(nil, hash.Sum(nil), m.Hash)
	if err != nil {
		return nil, err
	}
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil, err
	}
	signature := make([]byte, 2*m.KeySize)
	pair.R.FillBytes(signature[:m.KeySize])
	pair.S.FillBytes(signature[m.KeySize:])
	return signature, nil
}

// The bounds of RSA keys in bits. Beyond the upper one a check costs milliseconds,
// for nothing.
const (
	leastRSA = 2048
	mostRSA  = 8192
)

// suits returns why a public key is not one for the algorithm.
func (a algorithm) suits(public crypto.PublicKey) *flaw {
	name := a.method.Alg()
	switch key := public.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		switch {
		case !a.rsa:
		case bits < leastRSA || bits > mostRSA:
			return &flaw{
				fmt.Sprintf("the RSA key has %d bits and %s takes %d to %d", bits, name, leastRSA, mostRSA),
				a.remedy(),
			}
		case key.E < 3 || key.E%2 == 0 || key.N.Bit(0) == 0:
			return &flaw{"the RSA key has numbers that no key can have", a.remedy()}
		case isROCA(key.N):
			return &flaw{"the RSA key was made by a chip whose keys can be broken (CVE-2017-15361)", a.remedy()}
		default:
			return nil
		}
	case *ecdsa.PublicKey:
		if a.curve != nil && key.Curve == a.curve {
			return nil
		}
	case ed25519.PublicKey:
		if a.edwards {
			return nil
		}
	}
	return &flaw{fmt.Sprintf("it is %s, which is not for %s", describe(public), name), a.remedy()}
}

// remedy is how a key for the algorithm is made.
func (a algorithm) remedy() string {
	switch {
	case a.symmetric():
		return fmt.Sprintf(`make one with "openssl rand -base64 %d" and name its file in secret_file`, a.least*3/2)
	case a.rsa:
		return `make one with "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072"`
	case a.curve != nil:
		return fmt.Sprintf(`make one with "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:%s"`, a.curve.Params().Name)
	default:
		return `make one with "openssl genpkey -algorithm ed25519"`
	}
}

// describe says what a public key is.
func describe(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return "an RSA key"
	case *ecdsa.PublicKey:
		return "an EC key on " + key.Curve.Params().Name
	case ed25519.PublicKey:
		return "an Ed25519 key"
	default:
		return "a key that does not sign"
	}
}
