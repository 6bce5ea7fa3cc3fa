package password

import (
	"crypto/rand"
	"strings"
)

// maxEncoded is the longest encoded form that is looked at, in bytes. Django's
// column holds 128 characters.
const maxEncoded = 512

// saltSize is the length of the salts that are made, and the one below which a
// stored salt is outdated: 22 letters and digits carry 130 bits, as in Django.
const saltSize = 22

// stored is an encoded password that has been read and is worth computing.
type stored struct {
	encoded string // what was read
	kind    *kind
	work    work
	salt    string // the bytes that go into the function
	sum     string // what the result is compared with
	short   bool   // salt or sum is shorter than in a new hash
}

// parse reads an encoded password. It is not ok for what can match nothing:
// unusable, unknown, malformed, or more work than a check may take.
func parse(encoded string) (stored, bool) {
	s, ok := parseForm(encoded)
	s.encoded = encoded
	return s, ok
}

func parseForm(encoded string) (stored, bool) {
	if encoded == "" || len(encoded) > maxEncoded || encoded[0] == '!' {
		return stored{}, false
	}
	// The two unsalted forms are told by their length, as Django does.
	switch {
	case len(encoded) == 32 && !strings.Contains(encoded, "$"):
		return parseDigest(&unsaltedMD5, "$"+encoded)
	case len(encoded) == 37 && strings.HasPrefix(encoded, "md5$$"):
		return parseDigest(&unsaltedMD5, encoded[len("md5$"):])
	case len(encoded) == 46 && strings.HasPrefix(encoded, "sha1$$"):
		return parseDigest(&unsaltedSHA1, encoded[len("sha1$"):])
	}
	name, rest, ok := strings.Cut(encoded, "$")
	if !ok {
		return stored{}, false
	}
	switch name {
	case "argon2":
		return parseArgon2(rest)
	case "pbkdf2_sha256":
		return parsePBKDF2(&pbkdf2SHA256, rest)
	case "pbkdf2_sha1":
		return parsePBKDF2(&pbkdf2SHA1, rest)
	case "scrypt":
		return parseScrypt(rest)
	case "bcrypt_sha256":
		return parseBcrypt(&bcryptSHA256, rest)
	case "bcrypt":
		return parseBcrypt(&bcryptPlain, rest)
	case "md5":
		return parseDigest(&saltedMD5, rest)
	case "sha1":
		return parseDigest(&saltedSHA1, rest)
	}
	return stored{}, false
}

// Unusable returns an encoded password that matches nothing: "!" and forty
// random characters, as Django writes it.
func Unusable() string { return "!" + randomText(40) }

// Usable tells whether some password could match encoded. It is false for an
// unusable, unknown or malformed form and for one that asks for more work than a
// check may take; true for the forms that [Config.AcceptLegacy] guards.
func Usable(encoded string) bool {
	_, ok := parse(encoded)
	return ok
}

// Identify names the algorithm of an encoded password: argon2id, argon2i,
// pbkdf2_sha256, pbkdf2_sha1, scrypt, bcrypt_sha256, bcrypt, and the legacy md5,
// sha1, unsalted_md5, unsalted_sha1. It is not ok where [Usable] is false.
func Identify(encoded string) (algorithm string, ok bool) {
	s, ok := parse(encoded)
	if !ok {
		return "", false
	}
	return s.kind.name, true
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText returns n letters and digits, each equally likely.
func randomText(n int) string {
	text := make([]byte, 0, n)
	block := make([]byte, 2*n)
	for len(text) < n {
		_, _ = rand.Read(block) // it never fails: crypto/rand ends the process instead
		for _, b := range block {
			// 248 is the largest multiple of 62 in a byte: what lies above would
			// favor the first letters.
			if b < 248 && len(text) < n {
				text = append(text, alphabet[b%62])
			}
		}
	}
	return string(text)
}

// number reads a decimal as its writer prints it: digits, no sign, no leading
// zero, at most nine of them.
func number(text string) (int, bool) {
	if text == "" || len(text) > 9 || (text[0] == '0' && len(text) > 1) {
		return 0, false
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
