package keys

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// each lists a signing key per algorithm.
func each(t testing.TB) []Config {
	t.Helper()
	p := newPairs(t)
	var list []Config
	for _, alg := range strings.FieldsFunc(strings.Replace(algorithmNames, " or ", ", ", 1), func(r rune) bool { return r == ',' || r == ' ' }) {
		c := Config{ID: alg, Algorithm: alg}
		if strings.HasPrefix(alg, "HS") {
			c.Secret = long + long
		} else {
			c.PrivateKey = pkcs8(t, p.of(alg))
		}
		list = append(list, c)
	}
	if len(list) != len(algorithms) {
		t.Fatalf("%d of %d algorithms are named", len(list), len(algorithms))
	}
	return list
}

// made returns the one key of a set.
func made(t testing.TB, c Config) (*Set, *Key) {
	t.Helper()
	set, err := New([]Config{c})
	if err != nil {
		t.Fatal(err)
	}
	return set, set.keys[0]
}

func TestEachAlgorithmSignsAndVerifies(t *testing.T) {
	const input = "header.payload"
	for _, c := range each(t) {
		t.Run(c.Algorithm, func(t *testing.T) {
			_, key := made(t, c)
			if !key.CanSign() || key.Algorithm() != c.Algorithm || key.Symmetric() != (c.Secret != "") {
				t.Errorf("the key is not what was asked for: %+v", key.Algorithm())
			}
			signature, err := key.Sign(input)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify(input, signature); err != nil {
				t.Errorf("its own signature: %v", err)
			}
			flipped := slices.Clone(signature)
			flipped[len(flipped)/2] ^= 1
			for name, wrong := range map[string][]byte{
				"none": nil, "flipped": flipped, "cut": signature[:len(signature)-1], "longer": append(slices.Clone(signature), 0),
				"zeros": make([]byte, len(signature)), "led by a zero": append([]byte{0}, signature...),
			} {
				if key.Verify(input, wrong) == nil {
					t.Errorf("a signature that is %s is taken", name)
				}
			}
			if key.Verify(input+".", signature) == nil {
				t.Error("the signature of another text is taken")
			}
		})
	}
}

// TestNoKeyServesAnotherAlgorithm has one RSA key in six entries and every other key
// beside it: each signature is taken by the key of its own algorithm alone.
func TestNoKeyServesAnotherAlgorithm(t *testing.T) {
	set, err := New(each(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range each(t) {
		_, signer := made(t, c)
		signature, err := signer.Sign("input")
		if err != nil {
			t.Fatal(err)
		}
		for alg := range algorithms {
			var taken []string
			for key := range set.Candidates(alg, "", time.Now()) {
				if key.Verify("input", signature) == nil {
					taken = append(taken, key.ID())
				}
			}
			if want := alg == c.Algorithm; (len(taken) == 1) != want || len(taken) > 1 {
				t.Errorf("signed as %s and called %s: taken by %v", c.Algorithm, alg, taken)
			}
		}
	}
}

// TestAnRSAKeyIsNoSecret is the oldest trick: the token says HS256 and is signed with
// the text of the public key, which everybody has.
func TestAnRSAKeyIsNoSecret(t *testing.T) {
	p := newPairs(t)
	public := pkix(t, p.rsa)
	set, _ := made(t, Config{Algorithm: "RS256", PublicKey: public, Use: "verify"})
	for range set.Candidates("HS256", "", time.Now()) {
		t.Error("a key for RS256 is a candidate for HS256")
	}
	if _, err := New([]Config{{ID: "a", Algorithm: "HS256", Secret: public}}); err == nil || !strings.Contains(err.Error(), "key pair") {
		t.Errorf("the public key as a secret: %v", err)
	}
}

func TestECDSASignaturesAreTwoNumbersOfTheCurvesLength(t *testing.T) {
	for alg, size := range map[string]int{"ES256": 64, "ES384": 96, "ES512": 132} {
		_, key := made(t, Config{Algorithm: alg, PrivateKey: pkcs8(t, newPairs(t).of(alg))})
		one, err := key.Sign("input")
		if err != nil {
			t.Fatal(err)
		}
		two, err := key.Sign("input")
		if err != nil || !slices.Equal(one, two) || len(one) != size {
			t.Errorf("%s: %d bytes, the same twice: %v, %v", alg, len(one), slices.Equal(one, two), err)
		}
		text, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(one[:size/2]), new(big.Int).SetBytes(one[size/2:])})
		if err != nil {
			t.Fatal(err)
		}
		if key.Verify("input", text) == nil {
			t.Errorf("%s: a signature in DER is taken", alg)
		}
	}
}

// TestPSSSaltsHaveTheLengthOfTheHash is RFC 7518, section 3.5.
func TestPSSSaltsHaveTheLengthOfTheHash(t *testing.T) {
	p := newPairs(t)
	_, key := made(t, Config{Algorithm: "PS256", PrivateKey: pkcs8(t, p.rsa)})
	sum := sha256.Sum256([]byte("input"))
	for length, want := range map[int]bool{32: true, 20: false, 0x40: false} {
		signature, err := rsa.SignPSS(rand.Reader, p.rsa, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: length})
		if err != nil {
			t.Fatal(err)
		}
		if got := key.Verify("input", signature) == nil; got != want {
			t.Errorf("a salt of %d bytes: %v, want %v", length, got, want)
		}
	}
}

func TestAKeyIDRestrictsAllButHMAC(t *testing.T) {
	p := newPairs(t)
	set, err := New([]Config{
		{ID: "one", Algorithm: "EdDSA", PrivateKey: pkcs8(t, p.ed)},
		{ID: "two", Algorithm: "EdDSA", PublicKey: rfcEd25519Public, Until: "2026-12-31"},
		{ID: "ec", Algorithm: "ES256", PublicKey: pkix(t, p.p256)},
		{ID: "hmac", Algorithm: "HS256", Secret: long, Use: "verify"},
	})
	if err != nil {
		t.Fatal(err)
	}
	before, after := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, alg, kid string
		now            time.Time
		want           []string
	}{
		{"no kid: all of the algorithm", "EdDSA", "", before, []string{"one", "two"}},
		{"a kid", "EdDSA", "two", before, []string{"two"}},
		{"a kid of a key that has ended", "EdDSA", "two", after, nil},
		{"an unknown kid", "EdDSA", "three", before, nil},
		{"a kid in other letters", "EdDSA", "ONE", before, nil},
		{"the kid of a key for another algorithm", "EdDSA", "ec", before, nil},
		{"the kid of an HMAC key", "EdDSA", "hmac", before, nil},
		{"HMAC with a kid of anything", "HS256", "one", before, []string{"hmac"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for key := range set.Candidates(c.alg, c.kid, c.now) {
				got = append(got, key.ID())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestCandidatesEndWithTheLoop(t *testing.T) {
	set, err := New([]Config{{ID: "a", Algorithm: "HS256", Secret: long}, {ID: "b", Algorithm: "HS256", Secret: long}})
	if err != nil {
		t.Fatal(err)
	}
	for key := range set.Candidates("HS256", "", time.Now()) {
		if key.ID() != "a" {
			t.Errorf("got %s first", key.ID())
		}
		break
	}
}

func BenchmarkSign(b *testing.B) {
	for _, c := range each(b) {
		b.Run(c.Algorithm, func(b *testing.B) {
			_, key := made(b, c)
			for b.Loop() {
				if _, err := key.Sign("input"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
