package keys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Set is the keys of a gateway: at most one that signs, any number that verify. It
// is immutable and safe for concurrent use.
type Set struct {
	keys    []*Key
	signing *Key
}

// Signing returns the key that new tokens are signed with, or nil where every key
// only verifies.
func (s *Set) Signing() *Key { return s.signing }

// Candidates returns the keys that a token of that algorithm may be signed with
// at that moment. A key of another algorithm is never among them. A kid ("" is none)
// leaves the key of that ID alone, except with HMAC, where it is not looked at:
// SimpleJWT writes none, and others ignore it.
func (s *Set) Candidates(algorithm, kid string, now time.Time) func(yield func(*Key) bool) {
	return func(yield func(*Key) bool) {
		for _, k := range s.keys {
			if k.Algorithm() != algorithm || !k.Valid(now) || kid != "" && kid != k.id && !k.Symmetric() {
				continue
			}
			if !yield(k) {
				return
			}
		}
	}
}

// With returns the set with more keys before those that it has, of which the one of
// that ID signs. None of s may sign.
func (s *Set) With(more []*Key, signing string) (*Set, error) {
	if s.signing != nil {
		return nil, errors.New("another key signs")
	}
	joined := &Set{keys: slices.Concat(more, s.keys)}
	for i, k := range joined.keys {
		if k.id == signing && k.CanSign() {
			joined.signing = k
		}
		if slices.ContainsFunc(joined.keys[:i], func(other *Key) bool { return other.id == k.id }) {
			return nil, fmt.Errorf("two keys have the ID %q", k.id)
		}
	}
	if joined.signing == nil {
		return nil, fmt.Errorf("there is no key %q to sign with", signing)
	}
	return joined, nil
}

// Equal tells whether two sets do the same.
func (s *Set) Equal(other *Set) bool {
	same := func(a, b *Key) bool { return a == b || a.Same(b) }
	return slices.EqualFunc(s.keys, other.keys, same) && (s.signing == nil) == (other.signing == nil) &&
		(s.signing == nil || same(s.signing, other.signing))
}

// Holds tells whether a key, or one with the same public half under the same name,
// is in the set and verifies at that moment.
func (s *Set) Holds(key *Key, now time.Time) bool {
	for _, k := range s.keys {
		if k == key || k.print != "" && k.print == key.print && k.id == key.id && k.method == key.method {
			return k.Valid(now)
		}
	}
	return false
}

// All returns the keys of the set; signing tells which of them signs, if one does.
func (s *Set) All() (all []*Key, signing *Key) { return slices.Clone(s.keys), s.signing }

// Public tells whether there is anything to publish.
func (s *Set) Public() bool {
	return slices.ContainsFunc(s.keys, func(k *Key) bool { return !k.Symmetric() })
}

// JWKS returns the public keys that verify at that moment as a JWK Set (RFC 7517,
// section 5). HMAC keys have no public half and are never in it.
func (s *Set) JWKS(now time.Time) []byte {
	set := []byte(`{"keys":[`)
	first := true
	for _, k := range s.keys {
		if k.Symmetric() || !k.Valid(now) {
			continue
		}
		if !first {
			set = append(set, ',')
		}
		set, first = append(set, k.jwk...), false
	}
	return append(set, `]}`...)
}

// New makes a Set of the list in the configuration. It returns every *Fault of
// it, joined.
func New(list []Config) (*Set, error) {
	if len(list) == 0 {
		return nil, &Fault{
			Problem: "there is no key to sign or check tokens with",
			Fix:     `write keys: [{ kid: main, alg: HS256, secret_file: /run/secrets/jwt }] and make the file with "openssl rand -base64 48"`,
		}
	}
	var faults []error
	set := &Set{keys: make([]*Key, len(list))}
	ids := make([]string, len(list))
	for i, c := range list {
		key, wrong := newKey(i, c)
		set.keys[i], ids[i] = key, c.ID
		if key != nil {
			ids[i] = key.id
		}
		if j := slices.Index(ids[:i], ids[i]); ids[i] != "" && j >= 0 {
			wrong = append(wrong, fault(i, "kid", fmt.Sprintf("the key ID %q is that of keys[%d] too", ids[i], j), "give each key an ID of its own"))
		}
		faults = append(faults, wrong...)
	}
	signer := -1
	for i, c := range list {
		if c.Use != "sign" {
			continue
		}
		if signer >= 0 {
			faults = append(faults, fault(i, "use", fmt.Sprintf("keys[%d] signs already", signer), "let one key sign and write use: verify for the others"))
			continue
		}
		signer = i
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if signer < 0 {
		signer = slices.IndexFunc(list, func(c Config) bool { return c.Use == "" && c.PublicKey == "" })
	}
	for i, key := range set.keys {
		if i != signer {
			key.private = nil
		}
	}
	if signer < 0 {
		return set, nil
	}
	set.signing = set.keys[signer]
	if !set.signing.until.IsZero() {
		return nil, fault(signer, "until", "the key that signs has an end, after which its tokens would be refused",
			"take it away; when another key signs, give this one use: verify and the end")
	}
	return set, nil
}

func newKey(i int, c Config) (*Key, []error) {
	var faults []error
	add := func(field, problem, fix string) { faults = append(faults, fault(i, field, problem, fix)) }
	switch c.Use {
	case "", "sign", "verify":
	default:
		add("use", fmt.Sprintf("%q is no use of a key", c.Use), "write sign or verify")
	}
	until, err := parseUntil(c.Until)
	if err != nil {
		add("until", fmt.Sprintf("%q is no date", c.Until), `write a day ("2026-12-31") or a moment ("2026-12-31T18:00:00Z")`)
	}
	a, known := algorithms[c.Algorithm]
	if !known {
		problem := fmt.Sprintf("there is no algorithm %q", c.Algorithm)
		if c.Algorithm == "" {
			problem = "the key says no algorithm"
		}
		add("alg", problem, "write "+algorithmNames)
		return nil, faults
	}
	key := &Key{id: c.ID, method: a.method, until: until}
	if field, wrong := key.fill(c, a); wrong != nil {
		add(field, wrong.problem, wrong.fix)
	} else if key.id == "" {
		add("kid", "the key has no ID", "give it a name, such as kid: main")
	}
	if len(key.id) > maxID || strings.ContainsFunc(key.id, func(r rune) bool { return !unicode.IsPrint(r) }) {
		add("kid", fmt.Sprintf("the key ID is longer than %d bytes, or cannot be printed", maxID), "give it a short name, such as kid: main")
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return key, nil
}

// maxID is the longest key ID in bytes: a hash in hex, and more, in each token.
const maxID = 200

// fill reads the key itself. It returns the field at fault and what is wrong with it.
func (k *Key) fill(c Config, a algorithm) (field string, wrong *flaw) {
	if a.symmetric() {
		return k.fillSecret(c, a)
	}
	field, text := "private_key", c.PrivateKey
	switch {
	case c.Secret != "":
		return "secret", &flaw{c.Algorithm + " has a key pair and no secret", "take it away and write private_key_file; or write alg: HS256, if it is a secret"}
	case c.PrivateKey != "" && c.PublicKey != "":
		return "public_key", &flaw{"the private key holds the public one already", "take one of them away"}
	case c.PublicKey != "":
		field, text = "public_key", c.PublicKey
	case c.PrivateKey == "":
		return field, &flaw{"the key has neither private_key nor public_key", a.remedy() + " and name its file in private_key_file"}
	}
	m, wrong := readKey(text)
	switch {
	case wrong != nil:
		return field, wrong
	case m.public == nil:
		return field, &flaw{"it is a JWK of type oct, which is a secret", "write it as secret with alg: HS256, HS384 or HS512"}
	case field == "private_key" && m.private == nil:
		return field, &flaw{"it is a public key", "write the private one; or write this one as public_key, which only verifies"}
	case field == "public_key" && m.private != nil:
		return field, &flaw{"it is a private key, which a place that only verifies should not have", `write its public half: openssl pkey -in FILE -pubout`}
	case field == "public_key" && c.Use == "sign":
		return "use", &flaw{"a public key cannot sign", "write private_key_file, or use: verify"}
	}
	if wrong := a.suits(m.public); wrong != nil {
		return field, wrong
	}
	if wrong := m.says(c.Algorithm); wrong != nil {
		return field, wrong
	}
	jwk := describePublic(m.public)
	k.print = jwk.thumbprint()
	k.id = cmp.Or(k.id, m.id, k.print)
	jwk.Use, jwk.Algorithm, jwk.ID = "sig", c.Algorithm, k.id
	k.jwk, _ = json.Marshal(jwk) // strings always encode
	k.public = m.public
	if m.private != nil { // not as an interface that holds nil
		k.private = m.private
	}
	return "", nil
}

func (k *Key) fillSecret(c Config, a algorithm) (field string, wrong *flaw) {
	for _, other := range []struct{ field, value string }{{"private_key", c.PrivateKey}, {"public_key", c.PublicKey}} {
		if other.value != "" {
			return other.field, &flaw{c.Algorithm + " has a secret and no key pair", "write secret_file; or write the alg that the key is for, such as RS256, ES256 or EdDSA"}
		}
	}
	m, wrong := readSecret(c.Secret, a)
	switch {
	case wrong != nil:
		return "secret", wrong
	case m.public != nil:
		return "secret", &flaw{"it is " + describe(m.public) + " and no secret", "write it as private_key or public_key with the alg that it is for"}
	case len(m.secret) == 0:
		return "secret", &flaw{"the key has no secret", a.remedy()}
	case isKeyFile(string(m.secret)):
		return "secret", &flaw{
			"the secret is a key of a key pair, whose public half anybody may have",
			"write it as private_key or public_key with the alg that it is for, or " + a.remedy(),
		}
	case len(m.secret) < a.least && !c.weakened(m.secret):
		return "secret", &flaw{fmt.Sprintf("the secret has %d bytes and %s needs %d", len(m.secret), c.Algorithm, a.least), a.remedy()}
	}
	if wrong := m.says(c.Algorithm); wrong != nil {
		return "secret", wrong
	}
	k.id = cmp.Or(k.id, m.id)
	k.private, k.public = m.secret, m.secret
	return "", nil
}

// says returns a flaw if a JWK is for another algorithm.
func (m material) says(algorithm string) *flaw {
	if m.alg == "" || m.alg == algorithm {
		return nil
	}
	return &flaw{fmt.Sprintf("the JWK says that it is for %.20q", m.alg), "write the same as alg, or take it out of the JWK"}
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
