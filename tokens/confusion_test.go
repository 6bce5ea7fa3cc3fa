package tokens_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"gatehouse/tokens/keys"
)

const edID = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

func raw(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// forge puts another header before the payload of a token and signs it with sign.
func forge(token, header string, sign func(input string) []byte) string {
	input := raw(header) + "." + strings.Split(token, ".")[1]
	return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
}

// TestATokenDoesNotChooseItsAlgorithm has a gateway with a key pair of each kind, and
// tokens whose header says something else than their signature is (CVE-2026-39999,
// CVE-2022-29217): what everybody may know must open nothing.
func TestATokenDoesNotChooseItsAlgorithm(t *testing.T) {
	g := newGate(t, nil,
		keys.Config{Algorithm: "EdDSA", PrivateKey: edPair},
		keys.Config{ID: "ec", Algorithm: "ES256", PrivateKey: ecPair},
		keys.Config{ID: "shared", Algorithm: "HS256", Secret: hmacText})
	token := g.issue().Access
	if got := g.says(token); got != "" {
		t.Fatal(got)
	}
	x, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(x))
	if err != nil {
		t.Fatal(err)
	}
	published := g.ask(http.MethodGet, jwksPath, "").Body.String()
	mac := func(secret string) func(string) []byte {
		return func(input string) []byte {
			h := hmac.New(sha256.New, []byte(secret))
			fmt.Fprint(h, input)
			return h.Sum(nil)
		}
	}
	same := func(string) []byte {
		signature, _ := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
		return signature
	}
	for _, c := range []struct {
		name, header string
		sign         func(string) []byte
	}{
		{"HS256 by the public key as PEM", `{"alg":"HS256","typ":"JWT"}`, mac(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))},
		{"HS256 by the public key as PEM without its last line end", `{"alg":"HS256","typ":"JWT"}`, mac(strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))))},
		{"HS256 by the public key in DER", `{"alg":"HS256","typ":"JWT"}`, mac(string(der))},
		{"HS256 by the bytes of the public key", `{"alg":"HS256","typ":"JWT"}`, mac(string(x))},
		{"HS256 by the JWK", `{"alg":"HS256","typ":"JWT"}`, mac(edHalf)},
		{"HS256 by the JWKS", `{"alg":"HS256","typ":"JWT"}`, mac(published)},
		{"HS256 by nothing", `{"alg":"HS256","typ":"JWT"}`, mac("")},
		{"HS256 by the public key, with its kid", `{"alg":"HS256","kid":"` + edID + `","typ":"JWT"}`, mac(string(x))},
		{"EdDSA in the header, HMAC by the secret", `{"alg":"EdDSA","kid":"shared","typ":"JWT"}`, mac(hmacText)},
		{"none", `{"alg":"none"}`, func(string) []byte { return nil }},
		{"None", `{"alg":"None"}`, func(string) []byte { return nil }},
		{"NONE with the signature", `{"alg":"NONE"}`, same},
		{"an algorithm without a key", `{"alg":"RS256","typ":"JWT"}`, same},
		{"the other name of EdDSA, which no key has", `{"alg":"Ed25519","kid":"` + edID + `","typ":"JWT"}`, same},
		{"small letters", `{"alg":"eddsa","kid":"` + edID + `","typ":"JWT"}`, same},
		{"a key brought along", `{"alg":"EdDSA","jwk":` + edHalf + `,"typ":"JWT"}`, same},
		{"a key to be fetched", `{"alg":"EdDSA","jku":"https://evil.example/jwks.json","typ":"JWT"}`, same},
	} {
		t.Run(c.name, func(t *testing.T) {
			forged := forge(token, c.header, c.sign)
			if got := g.says(forged); got != "token_invalid" {
				t.Errorf("got %q", got)
			}
			g.remembers(forged, false)
		})
	}
}

// TestAKeyIDChoosesOneKey: the signature is right, and by a key of ours, but not by the
// one that the token names.
func TestAKeyIDChoosesOneKey(t *testing.T) {
	pair := keys.Config{ID: "one", Algorithm: "EdDSA", PrivateKey: edPair}
	other := keys.Config{ID: "ec", Algorithm: "ES256", PrivateKey: ecPair, Use: "verify"}
	signer, err := keys.New([]keys.Config{pair})
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(t, nil, pair, other)
	token := g.issue().Access
	for header, want := range map[string]string{
		`{"alg":"EdDSA","kid":"one","typ":"JWT"}`:     "",
		`{"alg":"EdDSA","typ":"JWT"}`:                 "",
		`{"alg":"EdDSA","kid":"one","jku":"https:"}`:  "", // never looked at
		`{"alg":"EdDSA","kid":"two","typ":"JWT"}`:     "token_invalid",
		`{"alg":"EdDSA","kid":"ec","typ":"JWT"}`:      "token_invalid",
		`{"alg":"ES256","kid":"one","typ":"JWT"}`:     "token_invalid",
		`{"alg":"ES256","kid":"ec","typ":"JWT"}`:      "token_invalid",
		`{"alg":"EdDSA","kid":1,"typ":"JWT"}`:         "token_invalid",
		`{"alg":"EdDSA","kid":null,"typ":"JWT"}`:      "token_invalid",
		`{"alg":"EdDSA","kid":["one"],"typ":"JWT"}`:   "token_invalid",
		`{"alg":"EdDSA","kid":"../one","typ":"JWT"}`:  "token_invalid",
		`{"alg":"EdDSA","kid":"one\u0000","typ":"a"}`: "token_invalid",
	} {
		forged := forge(token, header, func(input string) []byte {
			signature, err := signer.Signing().Sign(input)
			if err != nil {
				t.Fatal(err)
			}
			return signature
		})
		if got := g.says(forged); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}

// TestAnECDSASignatureHasOneForm: not DER, which other software writes, and not
// another length.
func TestAnECDSASignatureHasOneForm(t *testing.T) {
	g := newGate(t, nil, keys.Config{ID: "ec", Algorithm: "ES256", PrivateKey: ecPair})
	token := g.issue().Access
	input, tail := token[:strings.LastIndexByte(token, '.')], token[strings.LastIndexByte(token, '.')+1:]
	signature, err := base64.RawURLEncoding.DecodeString(tail)
	if err != nil || len(signature) != 64 {
		t.Fatalf("%d bytes, %v", len(signature), err)
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	wide := append(append(make([]byte, 16), signature[:32]...), append(make([]byte, 16), signature[32:]...)...)
	for name, wrong := range map[string][]byte{
		"DER": der, "as long as that of ES384": wide, "63 bytes": signature[1:], "65 bytes": append([]byte{0}, signature...),
		"zeros": make([]byte, 64), "R twice": append(signature[:32:32], signature[:32]...), "empty": nil,
	} {
		if got := g.says(input + "." + base64.RawURLEncoding.EncodeToString(wrong)); got != "token_invalid" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := g.says(token); got != "" {
		t.Errorf("the token itself: %q", got)
	}
}
