package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// segment is the one spelling of bytes in a JWK.
var segment = base64.RawURLEncoding.Strict()

// jwk are the members of a JWK (RFC 7517, section 4), each once.
type jwk map[string]json.RawMessage

// readJWK reads one JWK. Members that we do not know are ignored, as section 4 says;
// what would be read in two ways is refused.
func readJWK(text string) (material, *flaw) {
	k, ok := members(text)
	if !ok {
		return material{}, &flaw{"it is no JSON object with each member once", "write one JWK as RFC 7517 has them"}
	}
	if _, set := k["keys"]; set {
		return material{}, &flaw{"it is a JWK Set", "write the one key out of its list, and an entry for each further one"}
	}
	for _, name := range []string{"kty", "kid", "alg", "use", "crv"} {
		if _, ok := k.text(name); !ok {
			return material{}, &flaw{"its member " + name + " is no string", "write it as RFC 7517 has it"}
		}
	}
	if use, _ := k.text("use"); use != "" && use != "sig" {
		return material{}, &flaw{fmt.Sprintf("its use is %.20q", use), "take a key that is for sig, which signs"}
	}
	if raw, there := k["key_ops"]; there {
		var ops []string
		if json.Unmarshal(raw, &ops) != nil || !slices.Contains(ops, "sign") && !slices.Contains(ops, "verify") {
			return material{}, &flaw{"its key_ops hold neither sign nor verify", "take a key that signs"}
		}
	}
	var m material
	var wrong *flaw
	switch kty, _ := k.text("kty"); kty {
	case "oct":
		m.secret, wrong = k.bytes("k")
	case "RSA":
		m, wrong = k.rsa()
	case "EC":
		m, wrong = k.ec()
	case "OKP":
		m, wrong = k.okp()
	default:
		wrong = &flaw{fmt.Sprintf("its kty is %.20q", kty), "write oct, RSA, EC or OKP"}
	}
	if wrong != nil {
		return material{}, wrong
	}
	m.id, _ = k.text("kid")
	m.alg, _ = k.text("alg")
	return m, nil
}

// members splits a JSON object. encoding/json alone would let the last of two win
// and replace invalid UTF-8.
func members(text string) (jwk, bool) {
	if !utf8.ValidString(text) {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	k := jwk{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if _, twice := k[name]; err != nil || !ok || twice {
			return nil, false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, false
		}
		k[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, false
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, false
	}
	return k, true
}

// text returns a member that is a string, or "" where it is absent.
func (k jwk) text(name string) (value string, ok bool) {
	raw, there := k[name]
	if !there {
		return "", true
	}
	if !bytes.HasPrefix(raw, []byte(`"`)) {
		return "", false
	}
	return value, json.Unmarshal(raw, &value) == nil
}

// bytes returns a member in base64url that must be there.
func (k jwk) bytes(name string) ([]byte, *flaw) {
	text, ok := k.text(name)
	value, err := segment.DecodeString(text)
	switch {
	case !ok || err != nil || strings.ContainsAny(text, "\r\n"):
		return nil, &flaw{"its member " + name + " is not base64url without padding", "write it as RFC 7518, section 6 has it"}
	case len(value) == 0:
		return nil, &flaw{"its member " + name + " is missing", "write it as RFC 7518, section 6 has it"}
	}
	return value, nil
}

// all returns several members, or the first flaw.
func (k jwk) all(names ...string) ([][]byte, *flaw) {
	values := make([][]byte, len(names))
	for i, name := range names {
		var wrong *flaw
		if values[i], wrong = k.bytes(name); wrong != nil {
			return nil, wrong
		}
	}
	return values, nil
}

func (k jwk) private() bool { _, there := k["d"]; return there }

var noPair = &flaw{"its private and public members are not of one key", "copy the whole JWK"}

// rsa reads RFC 7518, section 6.3. dp, dq and qi follow from the others and are
// computed anew.
func (k jwk) rsa() (material, *flaw) {
	numbers, wrong := k.all("n", "e")
	if wrong != nil {
		return material{}, wrong
	}
	n, e := new(big.Int).SetBytes(numbers[0]), new(big.Int).SetBytes(numbers[1])
	if n.BitLen() > mostRSA || e.BitLen() > 31 {
		return material{}, &flaw{"its RSA key has numbers beyond all use", fmt.Sprintf("write one of %d to %d bits with the exponent 65537 (AQAB)", leastRSA, mostRSA)}
	}
	public := &rsa.PublicKey{N: n, E: int(e.Int64())}
	if !k.private() {
		return material{public: public}, nil
	}
	if _, more := k["oth"]; more {
		return material{}, &flaw{"its RSA key has more than two primes", "write one with p and q alone"}
	}
	numbers, wrong = k.all("d", "p", "q")
	if wrong != nil {
		return material{}, wrong
	}
	for _, number := range numbers {
		if len(number) > mostRSA/8 {
			return material{}, noPair
		}
	}
	private := &rsa.PrivateKey{PublicKey: *public, D: new(big.Int).SetBytes(numbers[0])}
	private.Primes = []*big.Int{new(big.Int).SetBytes(numbers[1]), new(big.Int).SetBytes(numbers[2])}
	private.Precompute()
	if private.Validate() != nil {
		return material{}, noPair
	}
	return material{private: private, public: private.Public()}, nil
}

// ec reads RFC 7518, section 6.2.
func (k jwk) ec() (material, *flaw) {
	name, _ := k.text("crv")
	curves := []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}
	i := slices.IndexFunc(curves, func(c elliptic.Curve) bool { return c.Params().Name == name })
	if i < 0 {
		return material{}, &flaw{fmt.Sprintf("its crv is %.20q", name), "write a key on P-256, P-384 or P-521"}
	}
	numbers, wrong := k.all("x", "y")
	if wrong != nil {
		return material{}, wrong
	}
	size := (curves[i].Params().BitSize + 7) / 8
	point := slices.Concat([]byte{4}, numbers[0], numbers[1])
	if len(numbers[0]) != size || len(numbers[1]) != size {
		return material{}, &flaw{fmt.Sprintf("its x and y have not the %d bytes of %s", size, name), "write them in full, with zeros before (RFC 7518, section 6.2.1.2)"}
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curves[i], point)
	if err != nil {
		return material{}, &flaw{"its point is not on " + name, "copy the whole JWK"}
	}
	if !k.private() {
		return material{public: public}, nil
	}
	d, wrong := k.bytes("d")
	if wrong != nil {
		return material{}, wrong
	}
	private, err := ecdsa.ParseRawPrivateKey(curves[i], d)
	if err != nil || !private.PublicKey.Equal(public) {
		return material{}, noPair
	}
	return material{private: private, public: public}, nil
}

// okp reads RFC 8037, section 2.
func (k jwk) okp() (material, *flaw) {
	if name, _ := k.text("crv"); name != "Ed25519" {
		return material{}, &flaw{fmt.Sprintf("its crv is %.20q", name), "write an Ed25519 key"}
	}
	x, wrong := k.bytes("x")
	if wrong != nil {
		return material{}, wrong
	}
	if len(x) != ed25519.PublicKeySize {
		return material{}, &flaw{"its x has not 32 bytes", "copy the whole JWK"}
	}
	if !k.private() {
		return material{public: ed25519.PublicKey(x)}, nil
	}
	d, wrong := k.bytes("d")
	if wrong != nil {
		return material{}, wrong
	}
	if len(d) != ed25519.SeedSize {
		return material{}, noPair
	}
	private := ed25519.NewKeyFromSeed(d)
	if !private.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(x)) {
		return material{}, noPair
	}
	return material{private: private, public: ed25519.PublicKey(x)}, nil
}

// publicJWK are the members of a public key (RFC 7518, section 6; RFC 8037), of which
// kty and those before use identify it. encoding/json writes them in this order.
type publicJWK struct {
	Curve     string `json:"crv,omitempty"`
	E         string `json:"e,omitempty"`
	Type      string `json:"kty"`
	N         string `json:"n,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	ID        string `json:"kid,omitempty"`
}

// describePublic returns the members that identify a key which suits an algorithm.
func describePublic(public crypto.PublicKey) publicJWK {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return publicJWK{Type: "RSA", N: segment.EncodeToString(key.N.Bytes()), E: segment.EncodeToString(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, _ := key.Bytes() // the curve is one of ours
		size := (len(point) - 1) / 2
		return publicJWK{
			Type: "EC", Curve: key.Curve.Params().Name,
			X: segment.EncodeToString(point[1 : 1+size]), Y: segment.EncodeToString(point[1+size:]),
		}
	case ed25519.PublicKey:
		return publicJWK{Type: "OKP", Curve: "Ed25519", X: segment.EncodeToString(key)}
	default:
		return publicJWK{}
	}
}

// thumbprint is that of RFC 7638 with SHA-256: the identifying members in the order
// of the alphabet, without white space.
func (j publicJWK) thumbprint() string {
	j.Use, j.Algorithm, j.ID = "", "", ""
	text, _ := json.Marshal(j) // strings always encode
	sum := sha256.Sum256(text)
	return segment.EncodeToString(sum[:])
}
