package keys

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"
)

const rfcEd25519Public = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

func TestFormsThatAreTaken(t *testing.T) {
	p := newPairs(t)
	type m = map[string]any
	for _, c := range []struct {
		name string
		cfg  Config
		id   string // "" is the thumbprint
	}{
		{"PKCS #8, RSA", Config{Algorithm: "RS256", PrivateKey: pkcs8(t, p.rsa)}, ""},
		{"PKCS #8, EC", Config{Algorithm: "ES384", PrivateKey: pkcs8(t, p.p384)}, ""},
		{"PKCS #8, Ed25519", Config{Algorithm: "EdDSA", PrivateKey: pkcs8(t, p.ed)}, ""},
		{"PKCS #1", Config{Algorithm: "PS512", PrivateKey: armor("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(p.rsa))}, ""},
		{"SEC 1", Config{Algorithm: "ES256", PrivateKey: sec1(t, p.p256)}, ""},
		{"SEC 1 behind the parameters of its curve", Config{Algorithm: "ES256", PrivateKey: armor("EC PARAMETERS", []byte{6, 0}) + sec1(t, p.p256)}, ""},
		{"the line ends of Windows, and text around", Config{Algorithm: "ES256", PrivateKey: "my key\r\n" + strings.ReplaceAll(sec1(t, p.p256), "\n", "\r\n") + "end\r\n"}, ""},
		{"PKIX", Config{Algorithm: "ES512", PublicKey: pkix(t, p.p521)}, ""},
		{"PKCS #1, public", Config{Algorithm: "RS512", PublicKey: armor("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&p.rsa.PublicKey))}, ""},
		{"a certificate, of which the dates do not count", Config{Algorithm: "EdDSA", PublicKey: certificate(t, p.ed)}, ""},
		{"JWK, RSA", Config{Algorithm: "RS256", PrivateKey: jwkOf(t, p.rsa, true, nil)}, ""},
		{"JWK, EC", Config{Algorithm: "ES256", PrivateKey: jwkOf(t, p.p256, true, nil)}, ""},
		{"JWK, Ed25519", Config{Algorithm: "EdDSA", PrivateKey: jwkOf(t, p.ed, true, nil)}, ""},
		{"JWK, public RSA", Config{Algorithm: "RS256", PublicKey: jwkOf(t, p.rsa, false, nil)}, ""},
		{"JWK, public EC", Config{Algorithm: "ES512", PublicKey: jwkOf(t, p.p521, false, nil)}, ""},
		{"JWK, public Ed25519", Config{Algorithm: "EdDSA", PublicKey: jwkOf(t, p.ed, false, nil)}, ""},
		{
			"JWK with a name, a use and members that nobody knows",
			Config{Algorithm: "EdDSA", PrivateKey: jwkOf(t, p.ed, true, m{"kid": "june", "use": "sig", "key_ops": []string{"sign"}, "alg": "EdDSA", "ext": true, "x5c": []string{}})},
			"june",
		},
		{"JWK with another name than is given", Config{ID: "mine", Algorithm: "EdDSA", PrivateKey: jwkOf(t, p.ed, true, m{"kid": "june"})}, "mine"},
		{"JWK, oct", Config{Algorithm: "HS256", Secret: `{"kty":"oct","kid":"shared","k":"` + segment.EncodeToString([]byte(long)) + `"}`}, "shared"},
		{"a secret that is another JSON", Config{ID: "json", Algorithm: "HS256", Secret: `{"secret":"0123456789abcdef0123456789abcdef"}`}, "json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, key := made(t, c.cfg)
			want := c.id
			if want == "" {
				want = describePublic(key.public).thumbprint()
			}
			if key.ID() != want {
				t.Errorf("the ID is %q, want %q", key.ID(), want)
			}
			if signs := c.cfg.PublicKey == ""; signs != (set.Signing() != nil) {
				t.Errorf("signing: %v, want %v", !signs, signs)
			}
			// A public form verifies what the private one signs.
			signer := key
			if !key.CanSign() {
				_, signer = made(t, Config{Algorithm: c.cfg.Algorithm, PrivateKey: pkcs8(t, p.of(c.cfg.Algorithm))})
			}
			signature, err := signer.Sign("input")
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify("input", signature); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFormsThatAreExplained(t *testing.T) {
	p := newPairs(t)
	type m = map[string]any
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, es, ed := "RS256", "ES256", "EdDSA"
	locked := &pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("x")}
	private := func(alg, text string) Config { return Config{ID: "k", Algorithm: alg, PrivateKey: text} }
	public := func(alg, text string) Config { return Config{ID: "k", Algorithm: alg, PublicKey: text} }
	hmac := func(text string) Config { return Config{ID: "k", Algorithm: "HS256", Secret: text} }
	for _, c := range []struct {
		name, field, says string
		cfg               Config
	}{
		{"no key", "private_key", "neither private_key nor public_key", Config{Algorithm: rs}},
		{"both halves", "public_key", "already", Config{Algorithm: ed, PrivateKey: pkcs8(t, p.ed), PublicKey: pkix(t, p.ed)}},
		{"a secret for a key pair", "secret", "no secret", Config{Algorithm: rs, Secret: long}},
		{"a key pair for HMAC", "private_key", "no key pair", Config{ID: "k", Algorithm: "HS256", PrivateKey: pkcs8(t, p.rsa)}},
		{"a public key for HMAC", "public_key", "no key pair", Config{ID: "k", Algorithm: "HS256", PublicKey: pkix(t, p.rsa)}},
		{"public given for private", "private_key", "is a public key", private(rs, pkix(t, p.rsa))},
		{"a certificate given for private", "private_key", "is a public key", private(rs, certificate(t, p.rsa))},
		{"a public JWK given for private", "private_key", "is a public key", private(ed, rfcEd25519Public)},
		{"private given for public", "public_key", "-pubout", public(rs, pkcs8(t, p.rsa))},
		{"a public key that is to sign", "use", "cannot sign", Config{Algorithm: ed, PublicKey: pkix(t, p.ed), Use: "sign"}},
		{"RSA of 1024 bits", "private_key", "1024 bits", private(rs, pkcs8(t, p.weak))},
		{"RSA of 1024 bits in a JWK", "public_key", "1024 bits", public("PS256", jwkOf(t, p.weak, false, nil))},
		{"RSA with the exponent 1", "public_key", "no key can have", public(rs, jwkOf(t, p.rsa, false, m{"e": "AQ"}))},
		{"RSA with an even exponent", "public_key", "no key can have", public(rs, jwkOf(t, p.rsa, false, m{"e": "Ag"}))},
		{"RSA with an exponent beyond all use", "public_key", "AQAB", public(rs, jwkOf(t, p.rsa, false, m{"e": "AQAAAAAB"}))},
		{"RSA as large as to be an attack", "public_key", "beyond all use", public(rs, jwkOf(t, p.rsa, false, m{"n": strings.Repeat("_", 4000)}))},
		{"RSA larger than is taken", "public_key", "8192", public(rs, jwkOf(t, p.rsa, false, m{"n": strings.Repeat("_", 1400)}))},
		{"the wrong curve", "private_key", "EC key on P-384, which is not for ES256", private(es, pkcs8(t, p.p384))},
		{"a curve that no algorithm has", "private_key", "P-224", private(es, pkcs8(t, p224))},
		{"EC for RSA", "private_key", "not for RS256", private(rs, pkcs8(t, p.p256))},
		{"RSA for EC", "private_key", "an RSA key, which is not for ES256", private(es, pkcs8(t, p.rsa))},
		{"RSA for EdDSA", "private_key", "ed25519", private(ed, pkcs8(t, p.rsa))},
		{"X25519, which does not sign", "public_key", "does not sign", public(ed, armor("PUBLIC KEY", der(t)(x509.MarshalPKIXPublicKey(x25519.PublicKey()))))},
		{"encrypted PKCS #8", "private_key", "openssl pkey", private(rs, armor("ENCRYPTED PRIVATE KEY", []byte("x")))},
		{"encrypted PKCS #1", "private_key", "passphrase", private(rs, string(pem.EncodeToMemory(locked)))},
		{"two keys", "private_key", "2 PEM blocks", private(ed, pkcs8(t, p.ed)+pkcs8(t, p.ed))},
		{"a key and its certificate", "private_key", "2 PEM blocks", private(ed, pkcs8(t, p.ed)+certificate(t, p.ed))},
		{"a chain of certificates", "public_key", "the one certificate", public(ed, certificate(t, p.ed)+certificate(t, p.rsa))},
		{"the parameters of a curve alone", "private_key", "no key", private(es, armor("EC PARAMETERS", []byte{6, 0}))},
		{"a PEM without line ends", "private_key", "real line ends", private(ed, strings.ReplaceAll(pkcs8(t, p.ed), "\n", `\n`))},
		{"half a PEM", "private_key", "damaged", private(ed, pkcs8(t, p.ed)[:60])},
		{"a damaged PEM before a good one", "private_key", "damaged", private(ed, "-----BEGIN PRIVATE KEY-----\n***\n"+pkcs8(t, p.ed))},
		{"a PEM of nothing", "private_key", "no key that is known", private(ed, armor("PRIVATE KEY", []byte("x")))},
		{"a PEM under the wrong name", "private_key", "no key that is known", private(ed, strings.ReplaceAll(pkcs8(t, p.ed), "PRIVATE KEY", "RSA PRIVATE KEY"))},
		{"a request for a certificate", "public_key", "CERTIFICATE REQUEST", public(ed, armor("CERTIFICATE REQUEST", []byte("x")))},
		{"OpenSSH", "private_key", "ssh-keygen", private(ed, armor("OPENSSH PRIVATE KEY", []byte("x")))},
		{"a line of authorized_keys", "public_key", "ssh-keygen", public(ed, "ssh-ed25519 AAAA me@home")},
		{"DER", "private_key", "-inform DER", private(ed, string(der(t)(x509.MarshalPKCS8PrivateKey(p.rsa))))},
		{"the name of a file", "private_key", "private_key_file", private(ed, "/run/secrets/jwt.pem")},
		{"base64 of anything", "private_key", "for secrets alone", private(ed, "base64:AAAA")},
		{"words", "public_key", "neither PEM nor JWK", public(ed, "my public key")},
		{"a JWK for another algorithm", "public_key", `"RS512"`, public(rs, jwkOf(t, p.rsa, false, m{"alg": "RS512"}))},
		{"a JWK for encryption", "public_key", `"enc"`, public(rs, jwkOf(t, p.rsa, false, m{"use": "enc"}))},
		{"a JWK that may only wrap keys", "public_key", "key_ops", public(rs, jwkOf(t, p.rsa, false, m{"key_ops": []string{"wrapKey"}}))},
		{"a JWK whose operations are no list", "public_key", "key_ops", public(rs, jwkOf(t, p.rsa, false, m{"key_ops": "verify"}))},
		{"a JWK with a member twice", "public_key", "each member once", public(ed, `{"kty":"OKP","crv":"Ed25519","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`)},
		{"a JWK with something behind it", "public_key", "each member once", public(ed, rfcEd25519Public+"{}")},
		{"a JWK cut short", "public_key", "each member once", public(ed, rfcEd25519Public[:40])},
		{"a JWK with a broken name", "public_key", "each member once", public(ed, `{"kty":"OKP","kid":"`+"\xff"+`"}`)},
		{"a JWK Set", "public_key", "JWK Set", public(ed, `{"keys":[`+rfcEd25519Public+`]}`)},
		{"a JWK whose name is a number", "public_key", "kid", public(ed, jwkOf(t, p.ed, false, m{"kid": 1}))},
		{"a JWK of an unknown type", "public_key", `"AKP"`, public(ed, `{"kty":"AKP"}`)},
		{"a JWK of type oct as a private key", "private_key", "which is a secret", private(ed, rfcHMAC)},
		{"a JWK with padding", "public_key", "without padding", public(ed, jwkOf(t, p.ed, false, m{"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo="}))},
		{"a JWK with stray bits", "public_key", "base64url", public(ed, jwkOf(t, p.ed, false, m{"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp"}))},
		{"a JWK without a number", "public_key", "member n is missing", public(rs, jwkOf(t, p.rsa, false, m{"n": nil}))},
		{"a private RSA JWK without its primes", "private_key", "member p is missing", private(rs, jwkOf(t, p.rsa, true, m{"p": nil}))},
		{"a private RSA JWK of another key", "private_key", "not of one key", private(rs, jwkOf(t, p.rsa, true, m{"d": "AQAB"}))},
		{"a private RSA JWK with numbers beyond all use", "private_key", "not of one key", private(rs, jwkOf(t, p.rsa, true, m{"p": strings.Repeat("_", 4000)}))},
		{"a private RSA JWK with three primes", "private_key", "more than two primes", private(rs, jwkOf(t, p.rsa, true, m{"oth": []any{}}))},
		{"an EC JWK without a number", "public_key", "member y is missing", public(es, jwkOf(t, p.p256, false, m{"y": nil}))},
		{"an EC JWK on an unknown curve", "public_key", "secp256k1", public(es, jwkOf(t, p.p256, false, m{"crv": "secp256k1"}))},
		{"an EC JWK of another curve's length", "public_key", "32 bytes of P-256", public(es, jwkOf(t, p.p384, false, m{"crv": "P-256"}))},
		{"an EC JWK off the curve", "public_key", "not on P-256", public(es, jwkOf(t, p.p256, false, m{"y": segment.EncodeToString(make([]byte, 32))}))},
		{"an EC JWK with the private half of another", "private_key", "not of one key", private(es, jwkOf(t, p.p256, true, m{"d": segment.EncodeToString(slices.Concat(make([]byte, 31), []byte{1}))}))},
		{"an EC JWK with an empty private half", "private_key", "member d is missing", private(es, jwkOf(t, p.p256, true, m{"d": ""}))},
		{"an Ed25519 JWK on another curve", "public_key", "Ed448", public(ed, jwkOf(t, p.ed, false, m{"crv": "Ed448"}))},
		{"an Ed25519 JWK without its number", "public_key", "member x is missing", public(ed, jwkOf(t, p.ed, false, m{"x": nil}))},
		{"an Ed25519 JWK too short", "public_key", "32 bytes", public(ed, jwkOf(t, p.ed, false, m{"x": "AQAB"}))},
		{"an Ed25519 JWK with half a private half", "private_key", "not of one key", private(ed, jwkOf(t, p.ed, true, m{"d": "AQAB"}))},
		{"an Ed25519 JWK with an empty private half", "private_key", "member d is missing", private(ed, jwkOf(t, p.ed, true, m{"d": ""}))},
		{"an Ed25519 JWK with the private half of another", "private_key", "not of one key", private(ed, jwkOf(t, p.ed, true, m{"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))},
		{"a private key as a secret", "secret", "key pair", hmac(pkcs8(t, p.rsa))},
		{"a JWK of a key pair as a secret", "secret", "an Ed25519 key and no secret", hmac(rfcEd25519Public)},
		{"a JWK with a short secret", "secret", "3 bytes", hmac(`{"kty":"oct","k":"AQAB"}`)},
		{"a JWK with a secret for another algorithm", "secret", `"HS512"`, hmac(strings.Replace(rfcHMAC, `"oct"`, `"oct","alg":"HS512"`, 1))},
		{"a JWK with a broken secret", "secret", "member k", hmac(`{"kty":"oct","k":"*"}`)},
		{"a JWK whose name tears the header", "kid", "printed", Config{Algorithm: ed, PublicKey: jwkOf(t, p.ed, false, m{"kid": "a\nb"})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New([]Config{c.cfg})
			fault, ok := err.(*Fault) //nolint:errorlint // New joins several; one comes joined too
			if joined, several := err.(interface{ Unwrap() []error }); several && len(joined.Unwrap()) == 1 {
				fault, ok = joined.Unwrap()[0].(*Fault) //nolint:errorlint // as above
			}
			if !ok {
				t.Fatalf("got %v, want one fault", err)
			}
			if want := "keys[0]." + c.field; fault.Field() != want {
				t.Errorf("got a fault of %s, want %s", fault.Field(), want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, want it to say %q", err, c.says)
			}
			if fault.Fix == "" || strings.Contains(err.Error(), "BEGIN PRIV") || len(err.Error()) > 300 {
				t.Errorf("unfit for a log or for help: %q", err)
			}
		})
	}
}

func TestTheSameKeyTwiceNeedsTwoNames(t *testing.T) {
	p := newPairs(t)
	list := []Config{{Algorithm: "RS256", PrivateKey: pkcs8(t, p.rsa)}, {Algorithm: "PS256", PublicKey: pkix(t, p.rsa)}}
	if _, err := New(list); err == nil || !strings.Contains(err.Error(), "an ID of its own") {
		t.Errorf("got %v, want a word about the ID", err)
	}
	list[1].ID = "pss"
	set, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(set.JWKS(time.Now())), `"kty"`); n != 2 {
		t.Errorf("%d keys are published, want 2", n)
	}
}
