package tokens

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"gatehouse/tokens/drf"
)

// maxToken is the longest token that is looked at, in bytes. A header of that size
// would not pass most servers; what is longer is refused before it costs anything.
const maxToken = 16 << 10

// strict decodes base64url without padding, and only the one spelling that an
// encoder writes: with another one the same token would have several names, and
// whoever revokes or caches by the text would miss some of them.
var strict = base64.RawURLEncoding.Strict()

// parts is a token taken apart, before anything in it is believed.
type parts struct {
	algorithm string
	keyID     string // kid; "" is none
	typ       string // "" is none
	signed    string // header.payload: what the signature is of
	payload   string // decoded, not yet read
	signature []byte
}

// split takes a compact JWS (RFC 7515, section 7.1) apart and reads its header. It
// is false for anything else: five parts (RFC 7516), a spelling that no encoder
// writes, a header that asks for something that we would have to understand.
func split(token string) (p parts, ok bool) {
	if !isShaped(token) {
		return p, false
	}
	head, rest, _ := strings.Cut(token, ".")
	body, tail, _ := strings.Cut(rest, ".")
	header, ok := object(head)
	if !ok {
		return p, false
	}
	if p.algorithm, p.keyID, ok = headerKey(header); !ok {
		return p, false
	}
	if p.typ = text(header, "typ"); isAssertion(p.typ) {
		return p, false
	}
	payload, err := decodeSegment(body)
	if err != nil {
		return p, false
	}
	signature, err := decodeSegment(tail)
	if err != nil {
		return p, false
	}
	p.signed, p.payload, p.signature = token[:len(head)+1+len(body)], string(payload), signature
	return p, true
}

// isShaped tells whether something has the length and the three parts of a token.
func isShaped(token string) bool { return len(token) <= maxToken && strings.Count(token, ".") == 2 }

// headerKey returns alg and kid, which choose among our keys. What would bring a key
// along or point to one (jku, jwk, x5u, x5c) is never looked at; crit (RFC 7515,
// section 4.1.11) names what we would have to understand and do not, b64 (RFC 7797)
// among it; zip and enc belong to JWE.
func headerKey(header drf.Object) (algorithm, id string, ok bool) {
	for _, name := range []string{"crit", "b64", "enc", "zip"} {
		if _, there := header.Get(name); there {
			return "", "", false
		}
	}
	if kid, there := header.Get("kid"); there {
		if id, ok = kid.(string); !ok {
			return "", "", false
		}
	}
	value, _ := header.Get("alg")
	algorithm, ok = value.(string)
	return algorithm, id, ok && algorithm != ""
}

// decodeSegment decodes base64url strictly. The decoder alone would pass over line
// ends.
func decodeSegment(segment string) ([]byte, error) {
	if strings.ContainsAny(segment, "\r\n") {
		return nil, base64.CorruptInputError(0)
	}
	return strict.DecodeString(segment)
}

// object reads a base64url segment that holds one JSON object.
func object(segment string) (drf.Object, bool) {
	text, err := decodeSegment(segment)
	if err != nil {
		return nil, false
	}
	return claimsOf(string(text))
}

// claimsOf reads a JSON object that only one reading is possible of: valid UTF-8,
// nothing behind it, no member twice, no number that is none.
func claimsOf(text string) (drf.Object, bool) {
	if !utf8.ValidString(text) {
		return nil, false
	}
	value, err := drf.Decode(text)
	if err != nil {
		return nil, false
	}
	claims, ok := value.(drf.Object)
	if !ok {
		return nil, false
	}
	if _, twice := claims.Duplicate(); twice {
		return nil, false
	}
	return claims, true
}
