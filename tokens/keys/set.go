package keys

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Set is the keys of a gateway: one that signs, any number that verify. It is
// immutable and safe for concurrent use.
type Set struct {
	keys    []*Key
	signing *Key
}

// Signing returns the key that new tokens are signed with.
func (s *Set) Signing() *Key { return s.signing }

// Candidates returns the keys that a token of that algorithm may be signed with
// at that moment. A key of another algorithm is never among them. The kid of an
// HMAC token is not looked at: SimpleJWT writes none, and others ignore it.
func (s *Set) Candidates(algorithm string, now time.Time) func(yield func(*Key) bool) {
	return func(yield func(*Key) bool) {
		for _, k := range s.keys {
			if k.Algorithm() == algorithm && k.Valid(now) && !yield(k) {
				return
			}
		}
	}
}

// hmacMethods are the algorithms there are, with the shortest secret of each in bytes.
var hmacMethods = map[string]struct {
	method jwt.SigningMethod
	least  int
}{
	"HS256": {jwt.SigningMethodHS256, 32},
	"HS384": {jwt.SigningMethodHS384, 48},
	"HS512": {jwt.SigningMethodHS512, 64},
}

// New makes a Set of the list in the configuration. It returns every *Fault of
// it, joined.
func New(list []Config) (*Set, error) {
	if len(list) == 0 {
		return nil, &Fault{
			Problem: "there is no key to sign tokens with",
			Fix:     `write keys: [{ kid: main, alg: HS256, secret_file: /run/secrets/jwt }] and make the file with "openssl rand -base64 48"`,
		}
	}
	var faults []error
	set := &Set{}
	signer := -1
	for i, c := range list {
		key, wrong := newKey(i, c)
		for j, other := range list[:i] {
			if c.ID != "" && c.ID == other.ID {
				wrong = append(wrong, fault(i, "kid", fmt.Sprintf("the key ID %q is that of keys[%d] too", c.ID, j), "give each key an ID of its own"))
				break
			}
		}
		if len(wrong) > 0 {
			faults = append(faults, wrong...)
			continue
		}
		signs := c.Use == "sign" || c.Use == "" && i == 0
		if signs && signer >= 0 && c.Use == "sign" {
			if list[signer].Use == "" {
				// The first key signs only where no other one is said to.
				set.signing.private = nil
			} else {
				faults = append(faults, fault(i, "use", fmt.Sprintf("keys[%d] signs already", signer), "let one key sign and write use: verify for the others"))
				continue
			}
		}
		if signs {
			set.signing, signer = key, i
		} else {
			key.private = nil
		}
		set.keys = append(set.keys, key)
	}
	if len(faults) == 0 && set.signing == nil {
		faults = append(faults, &Fault{Problem: "every key is for verifying", Fix: "write use: sign for the key that new tokens are signed with"})
	}
	if len(faults) == 0 && !set.signing.until.IsZero() {
		faults = append(faults, fault(signer, "until", "the key that signs has an end, after which its tokens would be refused",
			"take it away; when another key signs, give this one use: verify and the end"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return set, nil
}

func newKey(i int, c Config) (*Key, []error) {
	var faults []error
	if c.ID == "" {
		faults = append(faults, fault(i, "kid", "the key has no ID", `give it a name, such as kid: main`))
	}
	switch c.Use {
	case "", "sign", "verify":
	default:
		faults = append(faults, fault(i, "use", fmt.Sprintf("%q is no use of a key", c.Use), "write sign or verify"))
	}
	until, err := parseUntil(c.Until)
	if err != nil {
		faults = append(faults, fault(i, "until", fmt.Sprintf("%q is no date", c.Until), `write a day ("2026-12-31") or a moment ("2026-12-31T18:00:00Z")`))
	}
	hmac, known := hmacMethods[c.Algorithm]
	if !known {
		problem := fmt.Sprintf("there is no algorithm %q", c.Algorithm)
		if c.Algorithm == "" {
			problem = "the key says no algorithm"
		}
		return nil, append(faults, fault(i, "alg", problem, "write HS256, HS384 or HS512"))
	}
	secret, err := secretBytes(c.Secret)
	switch remedy := fmt.Sprintf(`make one with "openssl rand -base64 %d" and name its file in secret_file`, hmac.least*3/2); {
	case err != nil:
		faults = append(faults, fault(i, "secret", "what follows base64: is not standard base64", remedy))
	case len(secret) == 0:
		faults = append(faults, fault(i, "secret", "the key has no secret", remedy))
	case isKeyFile(string(secret)):
		faults = append(faults, fault(i, "secret", "the secret is a key of a key pair, whose public half anybody may have", remedy))
	case len(secret) < hmac.least:
		faults = append(faults, fault(i, "secret", fmt.Sprintf("the secret has %d bytes and %s needs %d", len(secret), c.Algorithm, hmac.least), remedy))
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return &Key{id: c.ID, method: hmac.method, private: secret, public: secret, until: until}, nil
}

// secretBytes reads a secret as it is written: SimpleJWT takes the text itself.
func secretBytes(text string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(text, "base64:"); ok {
		return base64.StdEncoding.DecodeString(encoded)
	}
	return []byte(text), nil
}

// isKeyFile recognizes a key in PEM or SSH form. Whoever verifies HMAC with a public
// key accepts what everybody can sign who has that public key.
func isKeyFile(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "-----BEGIN ") || strings.HasPrefix(text, "ssh-") || strings.HasPrefix(text, "ecdsa-sha2-")
}

// parseUntil returns the first moment at which the key no longer counts.
func parseUntil(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, text)
}
