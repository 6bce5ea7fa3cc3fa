package tokens_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
)

// refused asserts that nobody takes a token.
func (s *site) refused(name, token string) {
	s.Helper()
	for _, path := range [][2]string{{"verify", "token"}, {"refresh", "refresh"}, {"blacklist", "refresh"}} {
		if got := s.asked("/api/token/"+path[0]+"/", path[1], token); got != isInvalid {
			s.Errorf("%s: %s says %q", name, path[0], got)
		}
	}
	if got := s.bearer(token); got != badBearer(isInvalid) {
		s.Errorf("%s: a protected route says %s", name, got)
	}
}

// Attack (CVE-2026-39999 and its kin): the token names its own algorithm, "none" above all, and the verifier obeys.
func TestAttackTheTokenChoosesTheAlgorithm(t *testing.T) {
	s := open(t)
	payload := claims(opener, lives, id, user)
	for _, alg := range []string{
		"none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", " HS256", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA", "HS256\u0000", "dir",
	} {
		header := encode(fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, alg))
		if alg == "HS256\u0000" {
			header = encode(`{"alg":"HS256\u0000","typ":"JWT"}`)
		}
		s.refused(alg+" with an HS256 signature", sealParts(header, encode(payload)))
		s.refused(alg+" without a signature", header+"."+encode(payload)+".")
	}
	s.refused("HS256 without a signature", encode(usual)+"."+encode(payload)+".")
	s.refused("the key of nobody", sealWith("", encode(usual), encode(payload)))
	s.refused("another key", sealWith("another-signing-key-of-32-bytes-or-so", encode(usual), encode(payload)))
	s.refused("half a signature", sealParts(encode(usual), encode(payload))[:len(seal(usual, payload))-22])
}

// Attack: a key is used for another algorithm, or beyond its days.
func TestAttackAKeyIsUsedForWhatItIsNotFor(t *testing.T) {
	wide := strings.Repeat("0123456789abcdef", 4)
	s := open(t, func(c *tokens.Config) {
		c.Keys = append(c.Keys,
			keys.Config{ID: "old", Algorithm: "HS256", Secret: "the-key-of-last-year-of-32-bytes!", Use: "verify", Until: "2023-11-14"},
			keys.Config{ID: "wide", Algorithm: "HS512", Secret: wide, Use: "verify"})
	})
	payload := claims(opener, `"exp":1800000000`, id, user)
	s.refused("HS256 by the key for HS512", sealWith(wide, encode(usual), encode(payload)))
	s.refused("HS256 by the key for HS512, which it names", sealWith(wide, encode(`{"alg":"HS256","kid":"wide"}`), encode(payload)))
	old := sealWith("the-key-of-last-year-of-32-bytes!", encode(usual), encode(payload))
	s.judge(old, verdict{"", badType, ""}) // start is in the evening of the last day
	s.clock.Store(time.Date(2023, 11, 15, 0, 0, 0, 0, time.UTC).UnixNano())
	s.refused("by a key whose days are over", old)
	if access, _ := s.login(); s.bearer(access) != "" {
		t.Error("the key that signs is over as well")
	}
}

// Attack (apache/apisix#9809, CVE-2026-49230): a token in the form of JWE takes a way on which nobody checks a signature.
func TestAttackEncryptedTokens(t *testing.T) {
	s := open(t)
	payload := claims(opener, lives, id, user)
	s.refused("five parts", encode(`{"alg":"dir","enc":"A256GCM"}`)+"..AAAA.AAAA.AAAA")
	s.refused("five parts around a good token", seal(usual, payload)+".AAAA.AAAA")
	s.refused("a signed token with enc", seal(`{"alg":"HS256","enc":"A256GCM"}`, payload))
	s.refused("a signed token with zip", seal(`{"alg":"HS256","zip":"DEF"}`, payload))
}

// Attack: crit names an extension that changes what the token means, and the verifier passes over it, as JWT libraries do.
func TestAttackCriticalExtensions(t *testing.T) {
	s := open(t)
	payload := claims(opener, lives, id, user)
	for _, crit := range []string{`["b64"]`, `["exp"]`, `["x"]`, `[]`, `null`, `"exp"`, `5`, `{}`} {
		s.refused("crit "+crit, seal(`{"alg":"HS256","crit":`+crit+`,"x":1}`, payload))
	}
	s.refused("a payload that is not encoded", seal(`{"alg":"HS256","b64":false,"crit":["b64"]}`, payload))
	s.refused("the same without saying so", seal(`{"alg":"HS256","b64":false}`, payload))
	s.refused("an escape hides the name", seal(`{"alg":"HS256","\u0063rit":["x"]}`, payload))
}

// Attack (CVE-2020-26160): the audience in a form that skips the comparison.
func TestAttackAudience(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.Audience = tokens.Audience{Names: []string{"apps", "tools"}} })
	payload := func(aud ...string) string { return claims(append(aud, opener, lives, id, user)...) }
	for _, aud := range []string{`"aud":"apps"`, `"aud":["tools"]`, `"aud":["else","apps"]`} {
		s.judge(seal(usual, payload(aud)), verdict{"", badType, ""})
	}
	s.refused("no audience", seal(usual, payload()))
	for _, aud := range []string{
		`""`, `[]`, `null`, `true`, `5`, `{"apps":true}`, `"app"`, `"appss"`, `"apps,tools"`, `"APPS"`, `" apps"`, `[""]`, `[["apps"]]`, `["apps",5]`, `[null,"apps"]`,
	} {
		s.refused("aud "+aud, seal(usual, payload(`"aud":`+aud)))
	}
}

// Attack (CVE-2024-53861, CVE-2025-46647): the issuer is contained in the one that is wanted, or is not looked at because
// the key fits.
func TestAttackIssuer(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.Issuer = "https://gatehouse" })
	payload := func(iss ...string) string { return claims(append(iss, opener, lives, id, user)...) }
	s.judge(seal(usual, payload(`"iss":"https://gatehouse"`)), verdict{"", badType, ""})
	s.refused("no issuer", seal(usual, payload()))
	for _, iss := range []string{
		`""`, `"gatehouse"`, `"https://gatehouse/"`, `"https://gatehouse.evil.test"`, `"HTTPS://GATEHOUSE"`, `["https://gatehouse"]`, `null`, `true`, `{"https://gatehouse":1}`,
	} {
		s.refused("iss "+iss, seal(usual, payload(`"iss":`+iss)))
	}
}

// Attack (CVE-2024-51744): a token is expired and badly signed; whoever looks for "expired" alone and lets expired tokens
// be refreshed has let a forged one in. What is said must be about the signature.
func TestAttackExpiredAndBadlySigned(t *testing.T) {
	s := open(t)
	token := sealWith("another-signing-key-of-32-bytes-or-so", encode(usual), encode(claims(opener, dead, id, user)))
	s.refused("expired and forged", token)
}

// Attack (CVE-2025-30204): a token of dots makes the parser allocate for each.
func TestAttackAMegabyteOfDots(t *testing.T) {
	s := open(t)
	for name, token := range map[string]string{
		"dots":                         strings.Repeat(".", 1<<20),
		"one long segment":             strings.Repeat("A", 1<<20),
		"a header of brackets":         encode(strings.Repeat("[", 7000)) + ".e30.AAAA",
		"a header of objects":          encode(strings.Repeat(`{"a":`, 1500)) + ".e30.AAAA",
		"a signed payload of brackets": seal(usual, strings.Repeat("[", 7000)),
	} {
		if got := s.bearer(token); got != badBearer(isInvalid) {
			t.Errorf("%s: %.200s", name, got)
		}
		if len(token) < 1<<20 { // the others are decoded, once
			continue
		}
		allocated := testing.AllocsPerRun(20, func() { _, _ = s.Verifier().Verify(t.Context(), token) })
		if allocated > 5 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

// Attack: a token of endless claims, signed by a site that lets its users fill them, is carried through every request.
func TestAttackATokenOfEndlessClaims(t *testing.T) {
	s := open(t)
	token := func(bytes int) string {
		return seal(usual, claims(opener, lives, id, user, `"x":"`+strings.Repeat("x", bytes)+`"`))
	}
	s.judge(token(8<<10), verdict{"", badType, ""})
	s.refused("more than 16 KiB", token(16<<10))
}

// Attack: a body that never ends, at an endpoint that anybody may call.
func TestAttackAnEndlessBody(t *testing.T) {
	s := open(t)
	for _, e := range s.Endpoints() {
		if !strings.HasSuffix(e.Path, "/") {
			continue
		}
		status, _, body := s.post(e.Path, map[string]string{"token": strings.Repeat("x", 1<<17)})
		if status != http.StatusRequestEntityTooLarge || !strings.HasPrefix(body, `{"detail":"`) {
			t.Errorf("%s: %d %s", e.Path, status, body)
		}
	}
}

// Attack: the same token in another spelling. It outwits whoever remembers tokens by their text: caches, logs, block lists.
func TestAttackOneTokenInSeveralSpellings(t *testing.T) {
	s := open(t)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	// next is the encoding with its last character replaced by one that differs in the unused bits alone.
	next := func(segment string) string {
		last := strings.IndexByte(alphabet, segment[len(segment)-1])
		return segment[:len(segment)-1] + alphabet[last+1:last+2]
	}
	header, payload := encode(`{"alg":"HS256" }`), encode(claims(opener, lives, id, user)+"  ") // both leave bits over
	for len(payload)%4 == 0 {
		payload = encode(claims(opener, lives, id, user) + strings.Repeat(" ", len(payload)%3+1))
	}
	good := sealParts(header, payload)
	s.judge(good, verdict{"", badType, ""})
	signature := good[strings.LastIndexByte(good, '.')+1:]

	s.refused("unused bits in the signature", header+"."+payload+"."+next(signature))
	s.refused("unused bits in the payload", sealParts(header, next(payload)))
	s.refused("unused bits in the header", sealParts(next(header), payload))
	s.refused("padding at the signature", good+"=")
	s.refused("padding at the payload", sealParts(header, payload+strings.Repeat("=", 4-len(payload)%4)))
	s.refused("padding at the header", sealParts(header+strings.Repeat("=", 4-len(header)%4), payload))
	for _, blank := range []string{"\n", "\r", "\r\n", " ", "\t", "\u00a0"} {
		s.refused(fmt.Sprintf("%q in the signature", blank), header+"."+payload+"."+signature[:9]+blank+signature[9:])
		s.refused(fmt.Sprintf("%q in the payload", blank), sealParts(header, payload[:9]+blank+payload[9:]))
		s.refused(fmt.Sprintf("%q in the header", blank), sealParts(header[:9]+blank+header[9:], payload))
		if got := s.bearer(good + blank); got != badBearer(isInvalid) {
			t.Errorf("%q at the end: %s", blank, got)
		}
		if got := s.bearer(blank + good); got != badBearer(isInvalid) {
			t.Errorf("%q at the beginning: %s", blank, got)
		}
	}
	if got := s.bearer(good[:9] + "\x00" + good[9:]); got != badBearer(isInvalid) { // endpoints refuse the field
		t.Errorf("a NUL: %s", got)
	}
	odd := claims(opener, lives, id, user, `"x":"???>>>~~~"`)
	standard := base64.RawStdEncoding.EncodeToString([]byte(odd))
	if !strings.ContainsAny(standard, "+/") {
		t.Fatal("the payload does not show the difference")
	}
	s.refused("the alphabet of standard base64", sealParts(encode(usual), standard))
}

// Attack: two readers of one token disagree on what it says, because it says it twice or not in UTF-8 or goes on behind
// its end. What the gateway checks must be what a backend reads.
func TestAttackTokensWithTwoReadings(t *testing.T) {
	s := open(t)
	good := claims(opener, lives, id, user)
	for name, payload := range map[string]string{
		"a user twice":                 claims(opener, lives, id, user, `"user_id":"2"`),
		"an end twice":                 claims(opener, lives, id, user, `"exp":1`),
		"a type twice":                 claims(opener, lives, id, user, `"token_type":"refresh"`),
		"twice, once by an escape":     claims(opener, lives, id, user, `"\u0075ser_id":"2"`),
		"twice in an inner object":     claims(opener, lives, id, user, `"x":{"a":1,"a":2}`),
		"twice in an object in a list": claims(opener, lives, id, user, `"x":[[{"a":1,"a":2}]]`),
		"another object behind":        good + "{}",
		"a brace behind":               good + "}",
		"a NUL behind":                 good + "\x00",
		"bytes that are not UTF-8":     claims(opener, lives, id, user, "\"x\":\"\xff\""),
		"a slash in too many bytes":    claims(opener, lives, id, user, "\"x\":\"\xc0\xaf\""),
		"a surrogate in UTF-8":         claims(opener, lives, id, user, "\"x\":\"\xed\xa0\x80\""),
		"a byte order mark":            "\ufeff" + good,
		"UTF-16":                       "{\x00}\x00",
		"NaN":                          claims(opener, lives, id, user, `"x":NaN`),
		"Infinity":                     claims(opener, lives, id, user, `"x":-Infinity`),
		"a comment":                    good[:1] + "/* */" + good[1:],
		"a comma too many":             good[:len(good)-1] + ",}",
		"single quotes":                strings.ReplaceAll(good, `"`, "'"),
		"a raw line end in a text":     claims(opener, lives, id, user, "\"x\":\"a\nb\""),
	} {
		s.refused(name+", payload", seal(usual, payload))
	}
	for name, header := range map[string]string{
		"an algorithm twice":       `{"alg":"none","alg":"HS256"}`,
		"an algorithm twice, same": `{"alg":"HS256","alg":"HS256"}`,
		"bytes that are not UTF-8": "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
		"something behind":         usual + " x",
		"a byte order mark":        "\ufeff" + usual,
	} {
		s.refused(name+", header", seal(header, good))
	}
}

// Attack (CVE-2026-41413): the verifier fetches what a token points to, or takes the key that the token brings along.
func TestAttackTheTokenBringsItsKey(t *testing.T) {
	s := open(t)
	var fetched atomic.Int32
	bait := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer bait.Close()
	own := "a-key-that-the-attacker-has-chosen!!"
	header := fmt.Sprintf(`{"alg":"HS256","kid":"../../../dev/null","jku":%q,"x5u":%q,"jwk":{"kty":"oct","k":%q}}`, bait.URL, bait.URL, encode(own))
	s.refused("its own key", sealWith(own, encode(header), encode(claims(opener, lives, id, user))))
	s.refused("an empty key", sealWith("", encode(header), encode(claims(opener, lives, id, user))))
	if n := fetched.Load(); n != 0 {
		t.Errorf("fetched %d times", n)
	}
}

// Attack (CVE-2024-47616): a token for one purpose is used for another.
func TestAttackATokenForAnotherPurpose(t *testing.T) {
	s := open(t)
	access, refresh := s.login()
	if got := s.bearer(refresh); got != badBearer(badType) {
		t.Errorf("a refresh token as bearer: %s", got)
	}
	s.expect("/api/token/refresh/", map[string]string{"refresh": access}, http.StatusUnauthorized, coded(badType))
	s.expect("/api/token/blacklist/", map[string]string{"refresh": access}, http.StatusUnauthorized, coded(badType))
	assertion := seal(usual, claims(lives, id, `"sub":"1","aud":"reports"`)) // what a gateway tells a backend
	if got := s.bearer(assertion); got != badBearer(noType) {
		t.Errorf("an assertion as bearer: %s", got)
	}
}

// Attack (CVE-2024-22513): a user is disabled or deleted, and goes on with the tokens that are out.
func TestAttackADisabledUserGoesOn(t *testing.T) {
	s := open(t)
	access, refresh := s.login()
	s.setActive(false)
	if got := s.bearer(access); got != inactive {
		t.Errorf("disabled, bearer: %s", got)
	}
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, noActive)
	s.expect("/api/token/", map[string]string{"username": "testuser", "password": "testpassword"}, http.StatusUnauthorized, noAccount)

	s.setActive(true)
	if got := s.bearer(access); got != badBearer(isRevoked) { // it was a session of before
		t.Errorf("enabled again, bearer: %s", got)
	}
	s.ok(s.store.DeleteUser(t.Context(), "testuser"))
	if got := s.bearer(access); got != notFound {
		t.Errorf("deleted, bearer: %s", got)
	}
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, noActive)
}

// Attack (CVE-2022-29266): an error tells the secret to the client, or a log tells a credential to its readers.
func TestAttackSecretsInAnswersAndLogs(t *testing.T) {
	s := open(t)
	access, refresh := s.login()
	var told strings.Builder
	tell := func(path string, fields map[string]string) {
		_, header, body := s.post(path, fields)
		fmt.Fprint(&told, header, body)
	}
	tell("/api/token/", map[string]string{"username": "testuser", "password": "wrong-but-private"})
	tell("/api/token/verify/", map[string]string{"token": access + "x"})
	tell("/api/token/refresh/", map[string]string{"refresh": access})
	tell("/api/token/blacklist/", map[string]string{"refresh": refresh})
	tell("/api/token/blacklist/", map[string]string{"refresh": refresh})
	for _, private := range []string{secret, "testpassword", "wrong-but-private", access[:60], refresh[:60], s.alice.Password} {
		if strings.Contains(told.String(), private) {
			t.Errorf("an answer tells %q", private)
		}
	}
	log := s.log.take()
	for _, private := range []string{secret, "testpassword", "wrong-but-private", "eyJ", s.alice.Password} {
		if strings.Contains(log, private) {
			t.Errorf("the log tells %q: %s", private, log)
		}
	}
}
