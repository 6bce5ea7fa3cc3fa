package password

import (
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // pbkdf2_sha1 of old rows: HMAC does not need collision resistance
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// The kinds that Django has today. None of these variables changes.
var (
	argon2ID = kind{
		name: "argon2id", numbers: []string{"m", "t", "p"},
		// OWASP's first choice, and its smallest.
		usual: work{m: 19456, t: 2, p: 1}, least: work{m: 7168, t: 5, p: 1}, cheapest: work{m: 8, t: 1, p: 1},
		effort: func(w work) int { return w.m * w.t }, most: 4 << 20,
		valid: validArgon2, check: checkArgon2, encode: encodeArgon2,
	}
	argon2I = kind{
		name: "argon2i", effort: argon2ID.effort, most: argon2ID.most, valid: validArgon2, check: checkArgon2,
	}
	pbkdf2SHA256 = kind{
		name: "pbkdf2_sha256", numbers: []string{"t"},
		usual: work{t: 600_000}, least: work{t: 100_000}, cheapest: work{t: 1},
		effort: func(w work) int { return w.t }, most: 10_000_000,
		valid: func(w work) bool { return w.t >= 1 }, check: checkPBKDF2, encode: encodePBKDF2,
	}
	pbkdf2SHA1 = kind{
		name: "pbkdf2_sha1", effort: pbkdf2SHA256.effort, most: pbkdf2SHA256.most,
		valid: pbkdf2SHA256.valid, check: checkPBKDF2,
	}
	scryptPlain = kind{
		name: "scrypt", numbers: []string{"n", "r", "p"},
		usual: work{n: 16384, r: 8, p: 5}, least: work{n: 16384, r: 8, p: 1}, cheapest: work{n: 2, r: 1, p: 1},
		effort: func(w work) int { return w.n * w.r * w.p }, most: 8 << 20,
		valid: func(w work) bool { return w.n >= 2 && w.n&(w.n-1) == 0 && w.r >= 1 && w.p >= 1 },
		check: checkScrypt, encode: encodeScrypt,
	}
	bcryptSHA256 = kind{
		name: "bcrypt_sha256", numbers: []string{"t"},
		usual: work{t: 12}, least: work{t: 10}, cheapest: work{t: bcrypt.MinCost},
		effort: func(w work) int { return w.t }, most: 16,
		valid: func(w work) bool { return w.t >= bcrypt.MinCost },
		check: checkBcrypt, encode: encodeBcrypt,
	}
	bcryptPlain = kind{
		name: "bcrypt", effort: bcryptSHA256.effort, most: bcryptSHA256.most,
		valid: bcryptSHA256.valid, check: checkBcrypt,
	}
)

// Sizes of the hashes themselves, in bytes.
const (
	argon2Size = 32 // of new ones; stored ones say
	scryptSize = 64
	bcryptText = 60 // characters of "$2b$12$", the salt and the hash
)

// parseArgon2 reads what follows "argon2": a PHC string, base64 without padding.
func parseArgon2(rest string) (stored, bool) {
	fields := strings.Split(rest, "$")
	if len(fields) != 5 || fields[1] != "v=19" {
		return stored{}, false // earlier versions computed something else
	}
	s := stored{kind: &argon2ID}
	switch fields[0] {
	case argon2ID.name:
	case argon2I.name:
		s.kind = &argon2I
	default:
		return stored{}, false
	}
	terms := strings.Split(fields[2], ",")
	if len(terms) != len(argon2ID.numbers) {
		return stored{}, false
	}
	for i, name := range argon2ID.numbers {
		text, named := strings.CutPrefix(terms[i], name+"=")
		n, ok := number(text)
		if !named || !ok {
			return stored{}, false
		}
		*s.work.term(name) = n
	}
	salt, saltOK := decodeBase64(base64.RawStdEncoding, fields[3])
	sum, sumOK := decodeBase64(base64.RawStdEncoding, fields[4])
	// RFC 9106, section 3.1, would take sums of four bytes, which are guessed.
	if !saltOK || !sumOK || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 {
		return stored{}, false
	}
	s.salt, s.sum = salt, sum
	s.short = len(salt) < saltSize || len(sum) < argon2Size
	return s, s.kind.bearable(s.work)
}

// validArgon2 is RFC 9106, section 3.1: eight blocks for each lane.
func validArgon2(w work) bool { return w.t >= 1 && w.p >= 1 && w.m >= 8*w.p }

func checkArgon2(plain string, s stored) bool {
	return equal(sumArgon2(s.kind.name, plain, s.salt, s.work, len(s.sum)), s.sum)
}

func encodeArgon2(plain string, w work) (string, error) {
	salt := randomText(saltSize)
	sum := sumArgon2("argon2id", plain, salt, w, argon2Size)
	return fmt.Sprintf("argon2$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, w.m, w.t, w.p,
		base64.RawStdEncoding.EncodeToString([]byte(salt)), base64.RawStdEncoding.EncodeToString([]byte(sum))), nil
}

// sumArgon2 takes a valid and bearable work only: that is what makes the
// conversions safe, and keeps the library from panicking.
func sumArgon2(name, plain, salt string, w work, size int) string {
	derive := argon2.IDKey
	if name == "argon2i" {
		derive = argon2.Key
	}
	return string(derive([]byte(plain), []byte(salt), uint32(w.t), uint32(w.m), uint8(w.p), uint32(size))) //nolint:gosec // bounded by bearable
}

// parsePBKDF2 reads `ITERATIONS$SALT$HASH`. The salt is its own bytes.
func parsePBKDF2(k *kind, rest string) (stored, bool) {
	fields := strings.Split(rest, "$")
	if len(fields) != 3 || fields[1] == "" {
		return stored{}, false
	}
	t, ok := number(fields[0])
	sum, sumOK := decodeBase64(base64.StdEncoding, fields[2])
	if !ok || !sumOK || len(sum) != pbkdf2Size(k) {
		return stored{}, false
	}
	s := stored{kind: k, work: work{t: t}, salt: fields[1], sum: sum, short: len(fields[1]) < saltSize}
	return s, k.bearable(s.work)
}

func pbkdf2Size(k *kind) int {
	if k.name == "pbkdf2_sha1" {
		return sha1.Size
	}
	return sha256.Size
}

func checkPBKDF2(plain string, s stored) bool {
	var sum []byte
	var err error
	if pbkdf2Size(s.kind) == sha1.Size {
		sum, err = pbkdf2.Key(sha1.New, plain, []byte(s.salt), s.work.t, sha1.Size)
	} else {
		sum, err = pbkdf2.Key(sha256.New, plain, []byte(s.salt), s.work.t, sha256.Size)
	}
	return err == nil && equal(string(sum), s.sum)
}

func encodePBKDF2(plain string, w work) (string, error) {
	salt := randomText(saltSize)
	sum, err := pbkdf2.Key(sha256.New, plain, []byte(salt), w.t, sha256.Size)
	return "pbkdf2_sha256$" + strconv.Itoa(w.t) + "$" + salt + "$" + base64.StdEncoding.EncodeToString(sum), err
}

// parseScrypt reads `N$SALT$R$P$HASH`. The salt is its own bytes.
func parseScrypt(rest string) (stored, bool) {
	fields := strings.Split(rest, "$")
	if len(fields) != 5 || fields[1] == "" {
		return stored{}, false
	}
	n, nOK := number(fields[0])
	r, rOK := number(fields[2])
	p, pOK := number(fields[3])
	sum, sumOK := decodeBase64(base64.StdEncoding, fields[4])
	if !nOK || !rOK || !pOK || !sumOK || len(sum) != scryptSize {
		return stored{}, false
	}
	s := stored{kind: &scryptPlain, work: work{n: n, r: r, p: p}, salt: fields[1], sum: sum, short: len(fields[1]) < saltSize}
	return s, s.kind.bearable(s.work)
}

func checkScrypt(plain string, s stored) bool {
	sum, err := scrypt.Key([]byte(plain), []byte(s.salt), s.work.n, s.work.r, s.work.p, scryptSize)
	return err == nil && equal(string(sum), s.sum)
}

func encodeScrypt(plain string, w work) (string, error) {
	salt := randomText(saltSize)
	sum, err := scrypt.Key([]byte(plain), []byte(salt), w.n, w.r, w.p, scryptSize)
	return fmt.Sprintf("scrypt$%d$%s$%d$%d$%s", w.n, salt, w.r, w.p, base64.StdEncoding.EncodeToString(sum)), err
}

// parseBcrypt reads what follows the name: a whole bcrypt string.
func parseBcrypt(k *kind, rest string) (stored, bool) {
	if len(rest) != bcryptText || rest[:2] != "$2" || !strings.Contains("aby", rest[2:3]) || rest[3] != '$' || rest[6] != '$' {
		return stored{}, false
	}
	tens, units := rest[4]-'0', rest[5]-'0'
	if tens > 9 || units > 9 {
		return stored{}, false
	}
	for _, c := range []byte(rest[7:]) {
		if !strings.Contains(alphabet+"./", string(rune(c))) {
			return stored{}, false
		}
	}
	s := stored{kind: k, work: work{t: int(tens)*10 + int(units)}, sum: rest}
	return s, k.bearable(s.work)
}

func checkBcrypt(plain string, s stored) bool {
	return bcrypt.CompareHashAndPassword([]byte(s.sum), bcryptInput(s.kind.name, plain)) == nil
}

func encodeBcrypt(plain string, w work) (string, error) {
	sum, err := bcrypt.GenerateFromPassword(bcryptInput("bcrypt_sha256", plain), w.t)
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	// The library names its result 2a; 2b, which Django writes, is the same
	// computation for inputs of up to 255 bytes.
	return "bcrypt_sha256$$2b" + strings.TrimPrefix(string(sum), "$2a"), nil
}

// bcryptInput returns what bcrypt sees of a password: the hexadecimal SHA-256, or
// the first 72 bytes, which are all that count.
func bcryptInput(name, plain string) []byte {
	if name == "bcrypt_sha256" {
		sum := sha256.Sum256([]byte(plain))
		return hex.AppendEncode(nil, sum[:])
	}
	return []byte(plain[:min(len(plain), 72)])
}

// equal compares in a time that does not depend on where the two differ.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// decodeBase64 accepts the one spelling that enc would write. Enc alone skips
// line ends and ignores unused bits.
func decodeBase64(enc *base64.Encoding, text string) (string, bool) {
	b, err := enc.DecodeString(text)
	return string(b), err == nil && enc.EncodeToString(b) == text
}
