package users

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Family is what all tokens of one session have in common: 60 bits that stand in
// the id (jti) of each. So the session of a token is known from the token alone,
// without a claim that SimpleJWT does not have.
type Family int64

// NewFamily returns a family by chance.
func NewFamily() Family {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it does not fail: the program ends first
	return Family(binary.BigEndian.Uint64(b[:]) >> 4)
}

// FamilyOf returns the family of a token by its id. A random UUID of version 4 (RFC
// 9562, section 5.4), as 32 hex digits in lower case, has it in its first 48 bits
// and the 12 behind the version. An id of another form, which others made, is a
// family by itself. It allocates nothing.
func FamilyOf(jti string) Family {
	if f, ok := uuidFamily(jti); ok {
		return f
	}
	sum := sha256.Sum256([]byte(jti))
	return Family(binary.BigEndian.Uint64(sum[:8]) >> 4)
}

func uuidFamily(jti string) (f Family, ok bool) {
	if len(jti) != 32 || jti[12] != '4' {
		return 0, false
	}
	for i := range len(jti) {
		digit := hexDigit(jti[i])
		if digit < 0 {
			return 0, false
		}
		if i < 16 && i != 12 {
			f = f<<4 | Family(digit)
		}
	}
	return f, true
}

// hexDigit returns -1 for what is none in lower case.
func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// NewTokenID returns a new id for a token of f: a UUID of version 4 as 32 hex digits
// of which the family is one part and 62 bits are random.
func (f Family) NewTokenID() string {
	var tail [8]byte
	_, _ = rand.Read(tail[:])
	tail[0] = tail[0]&0x3f | 0x80
	digits := f.String()
	return fmt.Sprintf("%s4%s%x", digits[:12], digits[12:], tail)
}

// String returns f as 15 hex digits.
func (f Family) String() string { return fmt.Sprintf("%015x", int64(f)) }

// ParseFamily reads what [Family.String] writes.
func ParseFamily(s string) (Family, bool) {
	n, err := strconv.ParseInt(s, 16, 64)
	f := Family(n)
	return f, err == nil && n >= 0 && f.String() == s
}
