package keys

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"unicode/utf8"
)

// material is what the text of a key holds, before it is known what the key is for.
type material struct {
	secret  []byte           // of a JWK of type oct
	private crypto.Signer    // nil: it is a public key
	public  crypto.PublicKey // nil: it is a secret
	id      string           // what a JWK says of itself: kid
	alg     string           // and alg
}

// flaw is what is wrong with the text of a key, and what would be right. It holds
// nothing of it but names: types, curves, algorithms.
type flaw struct{ problem, fix string }

const seeForms = "write a PEM or a JWK; docs/tokens.md has a line that makes each"

// readKey reads a private or public key.
func readKey(text string) (material, *flaw) {
	switch trimmed := strings.TrimSpace(text); {
	case strings.HasPrefix(trimmed, "{"):
		return readJWK(trimmed)
	case strings.Contains(text, "-----BEGIN "):
		return readPEM(text)
	case strings.HasPrefix(text, "\x30") && !utf8.ValidString(text):
		return material{}, &flaw{"it is in DER, which is binary", `write it as PEM: openssl pkey -inform DER -in FILE (with -pubin for a public key)`}
	case strings.HasPrefix(trimmed, "ssh-"), strings.HasPrefix(trimmed, "ecdsa-sha2-"):
		return material{}, &flaw{"it is in the form of OpenSSH", `write it as PEM: ssh-keygen -e -m PKCS8 -f FILE`}
	case strings.HasPrefix(trimmed, "base64:"):
		return material{}, &flaw{"base64: is for secrets alone", seeForms}
	case len(trimmed) < 256 && !strings.ContainsAny(trimmed, "\r\n") && strings.ContainsAny(trimmed, "/."):
		return material{}, &flaw{"it is neither PEM nor JWK", "if it is the name of a file, write it behind private_key_file or public_key_file"}
	default:
		return material{}, &flaw{"it is neither PEM nor JWK", seeForms}
	}
}

// readPEM reads a text with one key as PEM (RFC 7468). Text around it is passed
// over, as OpenSSL writes it; a second key, or one that is damaged, is not.
func readPEM(text string) (material, *flaw) {
	var found *pem.Block
	blocks, keys := 0, 0
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks++
		// What openssl ecparam -genkey writes before the key; the key says its curve too.
		if block.Type != "EC PARAMETERS" {
			found = block
			keys++
		}
	}
	switch begun := strings.Count(text, "-----BEGIN "); {
	case begun != blocks && strings.Contains(text, `\n`):
		return material{}, &flaw{`its lines are joined by the two characters \n`, "give the PEM real line ends, name its file instead, or write a JWK, which has one line"}
	case begun != blocks:
		return material{}, &flaw{"its PEM is damaged", "copy the whole file, with the lines BEGIN and END and every line end between"}
	case keys == 0:
		return material{}, &flaw{"it holds the parameters of a curve and no key", seeForms}
	case keys > 1 && found.Type == "CERTIFICATE":
		return material{}, &flaw{fmt.Sprintf("it holds %d PEM blocks", keys), "keep the one certificate whose key it is"}
	case keys > 1:
		return material{}, &flaw{fmt.Sprintf("it holds %d PEM blocks", keys), "write one key, and an entry of the list for each further one"}
	}
	return readBlock(found)
}

func readBlock(block *pem.Block) (material, *flaw) {
	if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return material{}, &flaw{"it is encrypted, and nobody is there to type the passphrase", `decrypt it: openssl pkey -in FILE -out NEW, and let the file's rights keep it`}
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = certificate.PublicKey
		}
	case "OPENSSH PRIVATE KEY":
		return material{}, &flaw{"it is in the form of OpenSSH", `write it as PEM: ssh-keygen -p -m PKCS8 -f COPY`}
	default:
		return material{}, &flaw{fmt.Sprintf("a PEM of type %.40q is no key", block.Type), seeForms}
	}
	if err != nil {
		// Not err itself: it is about ASN.1, and nobody can do anything with it.
		return material{}, &flaw{
			"its PEM of type " + block.Type + " holds no key that is known here",
			"write an RSA key, an EC key on P-256, P-384 or P-521, or an Ed25519 key",
		}
	}
	if private, ok := key.(crypto.Signer); ok {
		return material{private: private, public: private.Public()}, nil
	}
	return material{public: key}, nil
}

// readSecret reads an HMAC secret as it is written: SimpleJWT takes the text itself.
func readSecret(text string, a algorithm) (material, *flaw) {
	if encoded, ok := strings.CutPrefix(text, "base64:"); ok {
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return material{}, &flaw{"what follows base64: is not standard base64", a.remedy()}
		}
		return material{secret: secret}, nil
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") && strings.Contains(text, `"kty"`) {
		return readJWK(text)
	}
	return material{secret: []byte(text)}, nil
}

// isKeyFile recognizes a key in PEM or SSH form. Whoever verifies HMAC with a public
// key accepts what everybody can sign who has that public key.
func isKeyFile(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "-----BEGIN ") || strings.HasPrefix(text, "ssh-") || strings.HasPrefix(text, "ecdsa-sha2-")
}
