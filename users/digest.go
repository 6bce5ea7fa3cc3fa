package users

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// digests makes digests with the secret of the store.
type digests []byte

// of returns 32 hex digits.
func (d digests) of(words ...string) string {
	mac := hmac.New(sha256.New, d)
	for _, word := range words {
		fmt.Fprintf(mac, "%d:%s", len(word), word)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// account is the digest of a name in the one spelling that it is compared in.
func (d digests) account(by Column, name string) string {
	return d.of("account", string(by), norm.NFKC.String(name))
}

// NameDigest stands for a name that was typed at a login and may be a secret, such as a
// password in the wrong field: 16 hex digits, the same for the same name in all
// processes on this store, from which nobody gets the name without it.
func (s *Store) NameDigest(ctx context.Context, name string) (string, error) {
	digests, err := s.secret(ctx)
	if err != nil {
		return "", err
	}
	return digests.of("name", norm.NFKC.String(name))[:16], nil
}

// secret reads what digests are made with, once.
func (s *Store) secret(ctx context.Context) (digests, error) {
	s.digestsMu.Lock()
	defer s.digestsMu.Unlock()
	if s.digests != nil {
		return s.digests, nil
	}
	var text string
	err := s.read(ctx, func(ctx context.Context, db reads) error {
		return db.QueryRowContext(ctx, `SELECT value FROM secrets WHERE name = 'digests'`).Scan(&text)
	})
	if err != nil {
		return nil, fmt.Errorf("read the secret of the store: %w", err)
	}
	s.digests = digests(text)
	return s.digests, nil
}

// forgetSecret has it read anew.
func (s *Store) forgetSecret() {
	s.digestsMu.Lock()
	defer s.digestsMu.Unlock()
	s.digests = nil
}
