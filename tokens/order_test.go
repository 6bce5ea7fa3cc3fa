package tokens_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
)

// verdict is what is said of one token by everybody who is asked. Empty is: good.
type verdict struct{ verify, refresh, bearer string }

func all(text string) verdict { return verdict{text, text, text} }

const (
	isInvalid = "Token is invalid"
	isExpired = "Token is expired"
	isRevoked = "Token is blacklisted"
	noExp     = "Token has no 'exp' claim"
	noID      = "Token has no id"
	noType    = "Token has no type"
	badType   = "Token has wrong type"
)

// judge asks verify, refresh, blacklist (which must agree with refresh) and a protected route.
func (s *site) judge(token string, want verdict) {
	s.Helper()
	got := verdict{
		verify:  s.asked("/api/token/verify/", "token", token),
		refresh: s.asked("/api/token/refresh/", "refresh", token),
	}
	got.bearer = strings.TrimSuffix(strings.TrimPrefix(s.bearer(token), strings.TrimSuffix(badBearer(""), `"}]}`)), `"}]}`)
	if got != want {
		s.Errorf("got  %+v\nwant %+v\nof %s", got, want, token)
	}
	if text := s.asked("/api/token/blacklist/", "refresh", token); text != want.refresh {
		s.Errorf("blacklist says %q, want %q as refresh", text, want.refresh)
	}
}

// asked returns the text with which an endpoint refuses a token.
func (s *site) asked(path, field, token string) string {
	s.Helper()
	status, _, body := s.post(path, map[string]string{field: token})
	switch {
	case status == http.StatusOK:
		return ""
	case status == http.StatusUnauthorized && strings.HasSuffix(body, `","code":"token_not_valid"}`):
		return strings.TrimPrefix(strings.TrimSuffix(body, `","code":"token_not_valid"}`), `{"detail":"`)
	}
	return body
}

// good are the claims of a token on which a test leaves out or changes one thing.
const (
	lives  = `"exp":1700000100`
	dead   = `"exp":1700000000`
	id     = `"jti":"an id"`
	user   = `"user_id":"1"`
	opener = `"token_type":"access"`
	yields = `"token_type":"refresh"`
)

func TestWhatIsFoundFirst(t *testing.T) {
	forged := func(token string) string { return token[:len(token)-2] + "AA" }
	onlyAccess := verdict{"", badType, ""}
	onlyRefresh := verdict{"", "", badType}
	for _, c := range []struct {
		name  string
		token string
		want  verdict
	}{
		{"a good access token", seal(usual, claims(opener, lives, id, user)), onlyAccess},
		{"a good refresh token", seal(usual, claims(yields, lives, id, user)), onlyRefresh},

		{"nothing but dots", "..", all(isInvalid)},
		{"a word", "garbage", all(isInvalid)},
		{"two segments", encode(usual) + "." + encode("{}"), all(isInvalid)},
		{"four segments", seal(usual, claims(opener, lives, id, user)) + ".e30", all(isInvalid)},
		{"a header that is a list", seal(`["HS256"]`, claims(opener, lives, id, user)), all(isInvalid)},
		{"a header that is no JSON", seal(`alg`, claims(opener, lives, id, user)), all(isInvalid)},
		{"a payload that is a list", seal(usual, "["+user+"]"), all(isInvalid)},
		{"a payload that is text", seal(usual, `"user_id"`), all(isInvalid)},
		{"a payload that is null", seal(usual, `null`), all(isInvalid)},
		{"an empty payload", seal(usual, ``), all(isInvalid)},
		{"no algorithm", seal(`{"typ":"JWT"}`, claims(opener, lives, id, user)), all(isInvalid)},
		{"an algorithm that is a list", seal(`{"alg":["HS256"]}`, claims(opener, lives, id, user)), all(isInvalid)},
		{"a bad signature", forged(seal(usual, claims(opener, lives, id, user))), all(isInvalid)},

		{"expired and badly signed", forged(seal(usual, claims(opener, dead, id, user))), all(isInvalid)},
		{"expired and of the wrong type", seal(usual, claims(`"token_type":"other"`, dead, id, user)), all(isExpired)},
		{"expired and without an id", seal(usual, claims(opener, dead, user)), all(isExpired)},
		{"expired and not yet begun", seal(usual, claims(opener, dead, id, `"nbf":1700000100`)), all(isInvalid)},
		{"expired and from the future", seal(usual, claims(opener, dead, id, `"iat":1700000100`)), all(isInvalid)},
		{"expired, with an id that is a number", seal(usual, claims(opener, dead, `"jti":5`)), all(isExpired)},
		{"without an end and without an id", seal(usual, claims(opener, user)), all(noExp)},
		{"without an end", seal(usual, claims(opener, id, user)), all(noExp)},
		{"without an id and without a type", seal(usual, claims(lives, user)), all(noID)},
		{"without a type", seal(usual, claims(lives, id, user)), verdict{"", noType, noType}},
		{"of a type that is null", seal(usual, claims(lives, id, user, `"token_type":null`)), verdict{"", badType, badType}},
		{"of a type that is a list", seal(usual, claims(lives, id, user, `"token_type":["access"]`)), verdict{"", badType, badType}},
		{"of a type in capitals", seal(usual, claims(lives, id, user, `"token_type":"ACCESS"`)), verdict{"", badType, badType}},
		{"sliding", seal(usual, claims(lives, id, user, `"token_type":"sliding"`)), verdict{"", badType, badType}},
	} {
		t.Run(c.name, func(t *testing.T) { open(t).judge(c.token, c.want) })
	}
}

func TestABlacklistedTokenIsThatBeforeItIsAnythingElse(t *testing.T) {
	for _, c := range []struct {
		name  string
		token string
		want  verdict
	}{
		{"a refresh token; verify does not ask", seal(usual, claims(yields, lives, id, user)), verdict{"", isRevoked, badType}},
		{"another refresh token of that id", seal(usual, claims(yields, lives, id, `"user_id":"2"`)), verdict{"", isRevoked, badType}},
		{"an access token of that id lives on", seal(usual, claims(opener, lives, id, user)), verdict{"", isRevoked, ""}},
		{"without an end", seal(usual, claims(yields, id)), verdict{noExp, isRevoked, noExp}},
		{"without a type", seal(usual, claims(lives, id)), verdict{"", isRevoked, noType}},
		{"expired", seal(usual, claims(yields, dead, id)), all(isExpired)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			s.ok(s.store.RevokeToken(t.Context(), users.Token{ID: "an id", Expires: start.Add(time.Hour)}))
			s.judge(c.token, c.want)
		})
	}
}

func TestTimes(t *testing.T) {
	good := verdict{"", badType, ""}
	token := func(times string) string { return seal(usual, claims(opener, id, user, times)) }
	for _, c := range []struct {
		name  string
		times string
		want  verdict
	}{
		{"ends in this very second", `"exp":1700000000`, all(isExpired)},
		{"ends in the next second", `"exp":1700000001`, good},
		{"ends within the next second", `"exp":1700000001.9`, good},
		{"ends within this second", `"exp":1700000000.9`, all(isExpired)},
		{"an end with an exponent", `"exp":1.8e9`, good},
		{"an end before 1970", `"exp":-5`, all(isExpired)},
		{"an end of zero", `"exp":0`, all(isExpired)},
		{"an end that is true, which is one", `"exp":true`, all(isExpired)},
		{"an end that is false, which is zero", `"exp":false`, all(isExpired)},
		{"the last second of the year 9999", `"exp":253402300799`, good},
		{"the year 10000", `"exp":253402300800`, all(isInvalid)},
		{"an end in milliseconds", `"exp":1700000300000`, all(isInvalid)},
		{"an end that no float can hold", `"exp":1e999`, all(isInvalid)},
		{"an end before all that a float can hold", `"exp":-1e999`, all(isInvalid)},
		{"an end that is null", `"exp":null`, all(isInvalid)},
		{"an end of digits", `"exp":"1800000000"`, all(isInvalid)},
		{"an end in words", `"exp":"tomorrow"`, all(isInvalid)},
		{"an end in a list", `"exp":[1800000000]`, all(isInvalid)},
		{"an end in an object", `"exp":{"at":1800000000}`, all(isInvalid)},
		{"an end that is NaN", `"exp":NaN`, all(isInvalid)},
		{"an end that is endless", `"exp":Infinity`, all(isInvalid)},

		{"made now", lives + `,"iat":1700000000`, good},
		{"made in a second", lives + `,"iat":1700000001`, all(isInvalid)},
		{"made long ago, with a fraction", lives + `,"iat":1.5`, good},
		{"made before 1970", lives + `,"iat":-1e12`, good},
		{"made at null", lives + `,"iat":null`, all(isInvalid)},
		{"made in words", lives + `,"iat":"now"`, all(isInvalid)},
		{"made at digits", lives + `,"iat":"1600000000"`, all(isInvalid)},
		{"made in a list", lives + `,"iat":[]`, all(isInvalid)},
		{"made in an object", lives + `,"iat":{}`, all(isInvalid)},

		{"begins now", lives + `,"nbf":1700000000`, good},
		{"begins within this second", lives + `,"nbf":1700000000.9`, good},
		{"begins in a second", lives + `,"nbf":1700000001`, all(isInvalid)},
		{"begins at null", lives + `,"nbf":null`, all(isInvalid)},
		{"begins in words", lives + `,"nbf":"soon"`, all(isInvalid)},
		{"begins in a list", lives + `,"nbf":[1]`, all(isInvalid)},
		{"begins at digits, which the original reads", lives + `,"nbf":"1600000000"`, good},
		{"begins at digits that are to come", lives + `,"nbf":"1800000000"`, all(isInvalid)},
	} {
		t.Run(c.name, func(t *testing.T) { open(t).judge(token(c.times), c.want) })
	}
}

func TestATokenEndsOnTheSecond(t *testing.T) {
	s := open(t)
	token := seal(usual, claims(opener, id, user, `"exp":1700000010`))
	s.clock.Store(time.Unix(1_700_000_010, 0).Add(-time.Microsecond).UnixNano())
	s.judge(token, verdict{"", badType, ""})
	s.clock.Store(time.Unix(1_700_000_010, 0).UnixNano())
	s.judge(token, all(isExpired))
}

func TestLeeway(t *testing.T) {
	good := verdict{"", badType, ""}
	for _, c := range []struct {
		name  string
		times string
		want  verdict
	}{
		{"expired for 29 s", `"exp":` + sec(-29), good},
		{"expired for 31 s", `"exp":` + sec(-31), all(isExpired)},
		{"made 28 s ahead", lives + `,"iat":` + sec(28), good},
		{"made 31 s ahead", lives + `,"iat":` + sec(31), all(isInvalid)},
		{"begins in 28 s", lives + `,"nbf":` + sec(28), good},
		{"begins in 31 s", lives + `,"nbf":` + sec(31), all(isInvalid)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, func(c *tokens.Config) { c.Leeway = 30 * time.Second })
			s.judge(seal(usual, claims(opener, id, user, c.times)), c.want)
		})
	}
}

func TestLeniencies(t *testing.T) {
	good := verdict{"", badType, ""}
	for _, c := range []struct {
		name  string
		token string
		want  verdict
	}{
		{"no typ", seal(`{"alg":"HS256"}`, claims(opener, lives, id, user)), good},
		{"a typ of another kind", seal(`{"alg":"HS256","typ":7}`, claims(opener, lives, id, user)), good},
		{"header in another order, with blanks", seal("{ \"typ\": \"at+jwt\",\n \"alg\": \"HS256\" }", claims(opener, lives, id, user)), good},
		{"a kid that no key has", seal(`{"alg":"HS256","kid":"of old"}`, claims(opener, lives, id, user)), good},
		{"keys offered in the header are not looked at", seal(`{"alg":"HS256","jku":"http://evil.test/","x5u":"x","jwk":{"kty":"oct"},"cty":"x"}`, claims(opener, lives, id, user)), good},
		{"a kid that is a number", seal(`{"alg":"HS256","kid":5}`, claims(opener, lives, id, user)), all(isInvalid)},
		{"a kid that is null", seal(`{"alg":"HS256","kid":null}`, claims(opener, lives, id, user)), all(isInvalid)},
		{"an empty id", seal(usual, claims(opener, lives, `"jti":""`, user)), good},
		{"a long id", seal(usual, claims(opener, lives, `"jti":"`+strings.Repeat("x", 4000)+`"`, user)), good},
		{"an id that is a number", seal(usual, claims(opener, lives, `"jti":5`, user)), all(isInvalid)},
		{"an id that is null", seal(usual, claims(opener, lives, `"jti":null`, user)), all(isInvalid)},
		{"a subject that is a number", seal(usual, claims(opener, lives, id, user, `"sub":1`)), all(isInvalid)},
		{"any issuer and audience where none is wanted", seal(usual, claims(opener, lives, id, user, `"iss":7,"aud":{"a":[]}`)), good},
		{"a payload over several lines", seal(usual, "{\n  "+opener+",\n\t"+lives+",\r\n"+id+", "+user+"\n}\n"), good},
		{"a user as a number, as before 5.5.1", seal(usual, claims(opener, lives, id, `"user_id":1`)), good},
	} {
		t.Run(c.name, func(t *testing.T) { open(t).judge(c.token, c.want) })
	}
}

func TestAnIDIsNotMixedUpWithAnother(t *testing.T) {
	for _, c := range []struct{ name, revoked, other string }{
		{"in capitals", `"jti":"abc"`, `"jti":"ABC"`},
		{"behind a NUL", `"jti":"a\u0000b"`, `"jti":"a\u0000c"`},
		{"cut at a NUL", `"jti":"a\u0000b"`, `"jti":"a"`},
		{"halves of surrogate pairs", `"jti":"\ud800"`, `"jti":"\ud801"`},
		{"with a blank behind", `"jti":"a "`, `"jti":"a"`},
		{"composed and decomposed", `"jti":"\u00e9"`, `"jti":"e\u0301"`},
		{"empty", `"jti":""`, `"jti":" "`},
		{"digits", `"jti":"1"`, `"jti":"01"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			revoked, other := seal(usual, claims(yields, lives, user, c.revoked)), seal(usual, claims(yields, lives, user, c.other))
			s.expect("/api/token/blacklist/", map[string]string{"refresh": revoked}, http.StatusOK, "{}")
			s.expect("/api/token/refresh/", map[string]string{"refresh": revoked}, http.StatusUnauthorized, coded(isRevoked))
			if text := s.asked("/api/token/refresh/", "refresh", other); text != "" {
				s.Errorf("the other one: %s", text)
			}
		})
	}
}
