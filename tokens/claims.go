package tokens

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/tokens/drf"
)

// The texts of SimpleJWT for what is wrong with a token, in the order in which they
// are found.
const (
	textInvalid     = "Token is invalid"
	textExpired     = "Token is expired"
	textBlacklisted = "Token is blacklisted"
	textNoExpiry    = "Token has no 'exp' claim"
	textNoID        = "Token has no id"
	textNoType      = "Token has no type"
	textWrongType   = "Token has wrong type"
)

// The claims of SimpleJWT, as they are called unless the configuration says otherwise.
const (
	claimType = "token_type"
	claimUser = "user_id"
	claimID   = "jti"
)

// What a token may say that it is for.
const (
	typeAccess  = "access"
	typeRefresh = "refresh"
	typeSliding = "sliding"
)

// lastSecond is the end of the year 9999: a time behind it is one in another unit.
const lastSecond = 253402300799

// checkRegistered looks at the registered claims (RFC 7519, section 4.1) in the
// order of PyJWT, and returns the text of the first fault, or "".
func (v *Verifier) checkRegistered(claims drf.Object, now time.Time) string {
	if fault := v.checkTimes(claims, now); fault != "" {
		return fault
	}
	if v.cfg.Issuer != "" {
		if iss, _ := claims.Get("iss"); iss != v.cfg.Issuer {
			return textInvalid
		}
	}
	if len(v.cfg.Audience.Names) > 0 && !namesOne(claims, v.cfg.Audience.Names) {
		return textInvalid
	}
	// Older versions wrote the number of a user there.
	number := v.cfg.Legacy.IntegerUserID && v.cfg.UserIDClaim == "sub" && isInt(claims, "sub")
	if !number && !isText(claims, "sub") {
		return textInvalid
	}
	if !isText(claims, claimID) || v.cfg.JTIClaim != claimID && !isText(claims, v.cfg.idClaim()) {
		return textInvalid
	}
	return ""
}

// checkTimes looks at iat, nbf and exp, as far as they are there.
func (v *Verifier) checkTimes(claims drf.Object, now time.Time) string {
	t, ok := timesOf(claims)
	if !ok {
		return textInvalid
	}
	return t.fault(now, v.cfg.Leeway)
}

// times are iat, nbf and exp of a token, in seconds; where one is missing, a time that
// excludes nothing.
type times struct{ from, end float64 }

// timesOf reads them. It is not ok if one is no time: of such a token nothing else is said.
func timesOf(claims drf.Object) (t times, ok bool) {
	t = times{math.Inf(-1), math.Inf(1)}
	for _, name := range []string{"iat", "nbf", "exp"} {
		value, there := claims.Get(name)
		if !there {
			continue
		}
		at, ok := numericDate(value, name == "nbf")
		switch {
		case !ok:
			return t, false
		case name == "exp":
			t.end = at
		default:
			t.from = max(t.from, at)
		}
	}
	return t, true
}

// fault is the text of what is wrong with the times, or "".
func (t times) fault(now time.Time, leeway time.Duration) string {
	seconds := float64(now.UnixMicro()) / 1e6
	switch {
	case t.from > seconds+leeway.Seconds():
		return textInvalid
	case t.end <= seconds-leeway.Seconds():
		return textExpired
	}
	return ""
}

// isText tells whether a claim is a string, if it is there.
func isText(claims drf.Object, name string) bool {
	value, there := claims.Get(name)
	_, text := value.(string)
	return text || !there
}

// isInt tells whether a claim is a whole number.
func isInt(claims drf.Object, name string) bool {
	value, _ := claims.Get(name)
	number, ok := value.(drf.Number)
	return ok && number.IsInt()
}

// numericDate reads a NumericDate (RFC 7519, section 2) as Python's int() does:
// fractions are cut off, true is 1. Digits in a string count where the original
// takes them, which is nbf alone.
func numericDate(value any, digits bool) (float64, bool) {
	switch value := value.(type) {
	case bool:
		if value {
			return 1, true
		}
		return 0, true
	case drf.Number:
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || f > lastSecond+1 {
			return 0, false
		}
		if f = math.Trunc(f); f > lastSecond {
			return 0, false
		}
		return f, true
	case string:
		if n, ok := integer(value); digits && ok {
			return float64(n), true
		}
	}
	return 0, false
}

// namesOne tells whether aud is a string or a list of strings (RFC 7519, section
// 4.1.3), one of which is wanted.
func namesOne(claims drf.Object, wanted []string) bool {
	value, _ := claims.Get("aud")
	switch aud := value.(type) {
	case string:
		return slices.Contains(wanted, aud)
	case []any:
		found := false
		for _, one := range aud {
			text, ok := one.(string)
			if !ok {
				return false
			}
			found = found || slices.Contains(wanted, text)
		}
		return found
	}
	return false
}

// checkToken looks at what every token of SimpleJWT must have, behind the
// registered claims, and returns the text of the first fault, or "". A kind of ""
// is any.
func (c SimpleJWT) checkToken(claims drf.Object, kind string) string {
	if _, there := claims.Get("exp"); !there {
		return textNoExpiry
	}
	if c.JTIClaim != none {
		if _, there := claims.Get(c.JTIClaim); !there {
			return textNoID
		}
	}
	if kind == "" || c.typeClaim() == "" {
		return ""
	}
	switch got, there := claims.Get(c.TokenTypeClaim); {
	case !there:
		return textNoType
	case got != kind:
		return textWrongType
	}
	return ""
}

// expiry returns exp of claims that checkRegistered and checkToken have passed.
func expiry(claims drf.Object) time.Time {
	value, _ := claims.Get("exp")
	seconds, _ := numericDate(value, false)
	return time.Unix(int64(seconds), 0)
}

// text returns a claim that is a string, or "".
func text(claims drf.Object, name string) string {
	value, _ := claims.Get(name)
	s, _ := value.(string)
	return s
}

// userNumber reads the id of a user as Django's integer key does: 1, "1", " 1 ",
// "001", 1.0 and true all mean the first. It is false for what cannot be an id.
func userNumber(value any) (int64, bool) {
	switch value := value.(type) {
	case bool:
		if value {
			return 1, true
		}
		return 0, true
	case string:
		return integer(value)
	case drf.Number:
		if value.IsInt() {
			return integer(string(value))
		}
		// Not cut off as Python would: 1.9 is nobody, not the first user.
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, false
		}
		return int64(f), true
	}
	return 0, false
}

// integer reads decimal digits with white space around them.
func integer(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// falsy is Python's idea of a value that counts as nothing.
func falsy(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case drf.Number:
		f, err := strconv.ParseFloat(string(value), 64)
		return err == nil && f == 0
	case []any:
		return len(value) == 0
	case drf.Object:
		return len(value) == 0
	}
	return false
}

// with returns claims with one set: in its place if it is there, else last.
func with(claims drf.Object, name string, value any) drf.Object {
	for i := range claims {
		if claims[i].Name == name {
			claims[i].Value = value
			return claims
		}
	}
	return append(claims, drf.Member{Name: name, Value: value})
}
