package keys

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrNoSigning is answered by a key that only verifies.
var ErrNoSigning = errors.New("the key only verifies")

// Key is one key, bound to its algorithm. It is immutable and safe for
// concurrent use.
type Key struct {
	id      string
	method  jwt.SigningMethod
	private any             // what the method signs with; nil where the key only verifies
	public  any             // what the method verifies with
	until   time.Time       // the moment from which it verifies no more; zero is never
	jwk     json.RawMessage // the public key for a JWKS; nil for HMAC, which has none
	print   string          // its thumbprint (RFC 7638); "" for HMAC
}

// ID is the key ID.
func (k *Key) ID() string { return k.id }

// Algorithm is the name of the one JWS algorithm that the key serves.
func (k *Key) Algorithm() string { return k.method.Alg() }

// Symmetric tells whether the key is a secret: HMAC.
func (k *Key) Symmetric() bool { return k.jwk == nil }

// Until is the moment from which the key verifies no more; zero is never.
func (k *Key) Until() time.Time { return k.until }

// CanSign tells whether the key makes tokens.
func (k *Key) CanSign() bool { return k.private != nil }

// Valid tells whether the key still verifies at that moment.
func (k *Key) Valid(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }

// NewPublic makes a key that only verifies of a public key that was read elsewhere.
// The key ID may be empty. The error is a sentence for an operator.
func NewPublic(algorithm, id string, public crypto.PublicKey) (*Key, error) {
	a, known := algorithms[algorithm]
	if !known || a.symmetric() {
		return nil, fmt.Errorf("%.20q is no algorithm for public keys", algorithm)
	}
	if wrong := a.suits(public); wrong != nil {
		return nil, errors.New(wrong.problem)
	}
	if len(id) > maxID {
		return nil, fmt.Errorf("the key ID is longer than %d bytes", maxID)
	}
	jwk := describePublic(public)
	print := jwk.thumbprint()
	jwk.Use, jwk.Algorithm, jwk.ID = "sig", algorithm, id
	text, _ := json.Marshal(jwk) // strings always encode
	return &Key{id: id, method: a.method, public: public, jwk: text, print: print}, nil
}

// IsAlgorithm tells whether a JWS algorithm of that name is known, and whether it is
// one with a secret (HMAC).
func IsAlgorithm(name string) (known, symmetric bool) {
	a, known := algorithms[name]
	return known, a.symmetric()
}

// Same tells whether two keys with a public half are one and the same for a verifier.
func (k *Key) Same(other *Key) bool {
	return k.print != "" && k.print == other.print && k.id == other.id && k.Algorithm() == other.Algorithm() && k.until.Equal(other.until)
}

// Sign returns the signature of a JWS signing input (RFC 7515, section 5.1).
func (k *Key) Sign(input string) ([]byte, error) {
	if !k.CanSign() {
		return nil, ErrNoSigning
	}
	return k.method.Sign(input, k.private)
}

// Verify returns nil if the signature is this key's of the signing input.
func (k *Key) Verify(input string, signature []byte) error {
	return k.method.Verify(input, signature, k.public)
}
