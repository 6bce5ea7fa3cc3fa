package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatehouse/tokens/keys"
)

// algorithms are those that are measured.
var algorithms = []string{"HS256", "RS256", "ES256", "EdDSA"}

// signer makes tokens of one algorithm, as the gateway's own are.
type signer struct {
	algorithm string
	key       *keys.Key
	file      string // of the secret or the private key
	public    string // file of the public key, for HAProxy; for HS256 the secret
	secret    string
}

func newSigners(dir string) (map[string]*signer, error) {
	all := map[string]*signer{}
	for _, algorithm := range algorithms {
		s := &signer{algorithm: algorithm, file: filepath.Join(dir, algorithm+".key"), public: filepath.Join(dir, algorithm+".pub")}
		if err := s.generate(); err != nil {
			return nil, err
		}
		cfg := keys.Config{ID: algorithm, Algorithm: algorithm, Use: "sign"}
		text, err := os.ReadFile(s.file)
		if err != nil {
			return nil, err
		}
		if algorithm == "HS256" {
			cfg.Secret = s.secret
		} else {
			cfg.PrivateKey = string(text)
		}
		set, err := keys.New([]keys.Config{cfg})
		if err != nil {
			return nil, err
		}
		s.key = set.Signing()
		all[algorithm] = s
	}
	return all, nil
}

func (s *signer) generate() error {
	var private crypto.Signer
	var err error
	switch s.algorithm {
	case "HS256":
		var random [32]byte
		_, _ = rand.Read(random[:])
		s.secret = hex.EncodeToString(random[:])
		return os.WriteFile(s.file, []byte(s.secret), 0o600)
	case "RS256":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	if der, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		return err
	}
	return os.WriteFile(s.public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

// token is an access token of the user with that number, as SimpleJWT writes them.
func (s *signer) token(user int, until time.Time) (string, error) {
	return s.claims(user, "access", until)
}

// claims is a token of that kind.
func (s *signer) claims(user int, kind string, until time.Time) (string, error) {
	var id [16]byte
	_, _ = rand.Read(id[:])
	kid := ""
	if s.algorithm != "HS256" {
		kid = fmt.Sprintf(`"kid":"%s",`, s.algorithm)
	}
	header := fmt.Sprintf(`{"alg":"%s",%s"typ":"JWT"}`, s.algorithm, kid)
	claims := fmt.Sprintf(`{"token_type":"%s","exp":%d,"iat":%d,"jti":"%x","user_id":"%d"}`, kind, until.Unix(), time.Now().Unix(), id, user)
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := s.key.Sign(signed)
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// good is a request with a token that every subject lets in.
func (s *signer) good(user int) ([]byte, error) {
	token, err := s.token(user, time.Now().Add(6*time.Hour))
	return request(token), err
}

// request is what a browser's script sends, more or less.
func request(token string) []byte {
	text := "GET /api/things/?page=2 HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: Mozilla/5.0 (bench)\r\nAccept: application/json\r\n" +
		"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.5\r\nReferer: http://app.example.com/things/\r\n"
	if token != "" {
		text += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(text + "\r\n")
}

// bad are requests that must be refused, by what is wrong with them.
func (s *signer) bad() (map[string][]byte, error) {
	expired, err := s.token(1, time.Now().Add(-time.Minute))
	if err != nil {
		return nil, err
	}
	forged, err := s.token(1, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	// Not the last letter: some of its bits may not count.
	at := len(forged) - 10
	letter := byte('A')
	if forged[at] == letter {
		letter = 'B'
	}
	forged = forged[:at] + string(letter) + forged[at+1:]
	return map[string][]byte{
		"no token": request(""), "garbage": request("not-a-token"), "expired": request(expired), "forged": request(forged),
	}, nil
}
