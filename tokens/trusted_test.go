package tokens_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/tokens/remote"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// foreigner is an issuer elsewhere: a listener with discovery and a JWK Set that tests
// change, and the private halves. Tokens are signed by hand, not by the code under test.
type foreigner struct {
	*httptest.Server
	mu      sync.Mutex
	jwks    string
	broken  bool
	fetches atomic.Int64
}

func newForeigner(t testing.TB, keys ...*pair) *foreigner {
	t.Helper()
	f := &foreigner{}
	f.publish(keys...)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.broken {
			http.Error(w, "broken", http.StatusBadGateway)
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, f.URL, f.URL+"/jwks")
		case "/jwks":
			f.fetches.Add(1)
			fmt.Fprint(w, f.jwks)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *foreigner) publish(keys ...*pair) {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.jwk
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jwks = `{"keys":[` + strings.Join(all, ",") + `]}`
}

func (f *foreigner) breakDown(broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = broken
}

// pair is a key of a foreigner.
type pair struct {
	alg, kid string
	private  crypto.Signer
	jwk      string
}

var b64 = base64.RawURLEncoding.EncodeToString

func newPair(t testing.TB, alg, kid string) *pair {
	t.Helper()
	p := &pair{alg: alg, kid: kid}
	var err error
	switch alg {
	case "RS256":
		var key *rsa.PrivateKey
		key, err = rsa.GenerateKey(rand.Reader, 2048)
		p.private = key
		p.jwk = fmt.Sprintf(`{"kty":"RSA","kid":%q,"alg":"RS256","use":"sig","n":%q,"e":"AQAB"}`, kid, b64(key.N.Bytes()))
	case "ES256":
		var key *ecdsa.PrivateKey
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		p.private = key
		point, _ := key.PublicKey.Bytes()
		p.jwk = fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":%q,"alg":"ES256","x":%q,"y":%q}`, kid, b64(point[1:33]), b64(point[33:]))
	case "EdDSA":
		var public ed25519.PublicKey
		public, p.private, err = ed25519.GenerateKey(rand.Reader)
		p.jwk = fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","kid":%q,"alg":"EdDSA","x":%q}`, kid, b64(public))
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sign makes a token of the payload; header "" is the usual one.
func (p *pair) sign(t testing.TB, header, payload string) string {
	t.Helper()
	if header == "" {
		header = fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, p.alg, p.kid)
	}
	input := encode(header) + "." + encode(payload)
	sum := sha256.Sum256([]byte(input))
	var signature []byte
	var err error
	switch key := p.private.(type) {
	case *rsa.PrivateKey:
		signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	case *ecdsa.PrivateKey:
		r, s, failed := ecdsa.Sign(rand.Reader, key, sum[:])
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), failed
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(input))
	}
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(signature)
}

// allied is an authority with keys of its own and trusted issuers, and a clock that stands still.
type allied struct {
	testing.TB
	*tokens.Authority
	store *users.Store
	clock atomic.Int64
}

func (a *allied) now() time.Time        { return time.Unix(0, a.clock.Load()) }
func (a *allied) after(d time.Duration) { a.clock.Add(int64(d)) }

func newAllied(t testing.TB, change func(*tokens.Config), issuers ...tokens.TrustedIssuer) *allied {
	t.Helper()
	a := &allied{TB: t}
	a.clock.Store(start.UnixNano())
	cfg := settings()
	cfg.TrustedIssuers = issuers
	if change != nil {
		change(&cfg)
	}
	if cfg.NeedsStore() {
		a.store = userstest.Open(t, userstest.Now(a.now))
		userstest.Add(t, a.store, users.NewUser{Username: "carol", Password: "carols password", Groups: []string{"staff"}})
	}
	var err error
	if a.Authority, err = tokens.New(cfg, tokens.Parts{Store: a.store, Now: a.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// says is "" for a token that opens a route, "undecided", or the reason why it does not.
func (a *allied) says(token string) string {
	a.Helper()
	_, err := a.Verifier().Verify(a.Context(), token)
	var rejected *tokens.Rejection
	switch {
	case err == nil:
		return ""
	case errors.As(err, &rejected):
		return rejected.Reason
	case errors.Is(err, remote.ErrUnavailable):
		return "undecided"
	default:
		return err.Error()
	}
}

// trust is an entry for a foreigner whose keys are at its JWKS URL.
func trust(f *foreigner, algs ...string) tokens.TrustedIssuer {
	if algs == nil {
		algs = []string{"ES256"}
	}
	return tokens.TrustedIssuer{Issuer: f.URL, JWKSURL: f.URL + "/jwks", Audience: []string{"apps"}, Algorithms: algs, AllowHTTP: true, Timeout: time.Minute}
}

// good is the payload of a token that opens a route, with more members or others in place of these.
func good(f *foreigner, others ...string) string {
	members := []string{
		fmt.Sprintf(`"iss":%q`, f.URL), `"aud":"apps"`, `"sub":"u-17"`, `"exp":` + sec(60), `"iat":` + sec(-60),
	}
	for _, other := range others {
		name, _, _ := strings.Cut(other, ":")
		kept := members[:0]
		for _, m := range members {
			if !strings.HasPrefix(m, name+":") {
				kept = append(kept, m)
			}
		}
		members = kept
		if !strings.HasSuffix(other, ":") {
			members = append(members, other)
		}
	}
	return claims(members...)
}

func TestTokensOfATrustedIssuer(t *testing.T) {
	key := newPair(t, "ES256", "one")
	f := newForeigner(t, key)
	a := newAllied(t, nil, trust(f))
	for _, c := range []struct{ name, header, payload, want string }{
		{"a good one", "", good(f), ""},
		{"an access token of RFC 9068", `{"alg":"ES256","kid":"one","typ":"at+jwt"}`, good(f), ""},
		{"the same, written in full", `{"alg":"ES256","kid":"one","typ":"application/AT+JWT"}`, good(f), ""},
		{"without a type", `{"alg":"ES256","kid":"one"}`, good(f), ""},
		{"without a key ID", `{"alg":"ES256"}`, good(f), ""},
		{"of Keycloak", "", good(f, `"typ":"Bearer"`), ""},
		{"for several", "", good(f, `"aud":["other","apps"]`), ""},

		{"expired", "", good(f, `"exp":`+sec(-1)), "token_expired"},
		{"without an end", "", good(f, `"exp":`), "token_no_exp"},
		{"not yet good", "", good(f, `"nbf":`+sec(5)), "token_invalid"},
		{"of the future", "", good(f, `"iat":`+sec(5)), "token_invalid"},
		{"for another service", "", good(f, `"aud":"other"`), "token_invalid"},
		{"for nobody", "", good(f, `"aud":[]`), "token_invalid"},
		{"without an audience", "", good(f, `"aud":`), "token_invalid"},
		{"an audience that is a number", "", good(f, `"aud":7`), "token_invalid"},
		{"without a user", "", good(f, `"sub":`), "no_user_claim"},
		{"a user that is empty", "", good(f, `"sub":""`), "no_user_claim"},
		{"a refresh token of SimpleJWT", "", good(f, `"token_type":"refresh"`), "token_wrong_type"},
		{"a refresh token of Keycloak", "", good(f, `"typ":"Refresh"`), "token_wrong_type"},
		{"an ID token of Keycloak", "", good(f, `"typ":"ID"`), "token_wrong_type"},
		{"a logout token", `{"alg":"ES256","kid":"one","typ":"logout+jwt"}`, good(f), "token_invalid"},
		{"an assertion", `{"alg":"ES256","kid":"one","typ":"gatehouse-assertion+jwt"}`, good(f), "token_invalid"},
		{"an issuer with a slash more", "", good(f, fmt.Sprintf(`"iss":"%s/"`, f.URL)), "token_invalid"},
		{"an issuer in capitals", "", good(f, fmt.Sprintf(`"iss":%q`, strings.ToUpper(f.URL))), "token_invalid"},
		{"an issuer that begins the same", "", good(f, fmt.Sprintf(`"iss":"%s.evil.test"`, f.URL)), "token_invalid"},
		{"a list of issuers", "", good(f, fmt.Sprintf(`"iss":[%q]`, f.URL)), "token_invalid"},
		{"without an issuer", "", good(f, `"iss":`), "token_invalid"},
		{"an extension that must be understood", `{"alg":"ES256","kid":"one","crit":["exp"]}`, good(f), "token_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := key.sign(t, c.header, c.payload)
			for _, time := range []string{"first", "again"} {
				if got := a.says(token); got != c.want {
					t.Errorf("%s: got %q, want %q", time, got, c.want)
				}
			}
		})
	}
	if n := f.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// TestAttackTheForeignTokenChoosesItsAlgorithm: the public key as the secret of HMAC,
// no signature at all, a key of another kind (CVE-2026-39999).
func TestAttackTheForeignTokenChoosesItsAlgorithm(t *testing.T) {
	ec, rs := newPair(t, "ES256", "ec"), newPair(t, "RS256", "rs")
	f := newForeigner(t, ec, rs)
	a := newAllied(t, nil, trust(f, "ES256"))
	public := rs.private.Public().(*rsa.PublicKey)
	for name, token := range map[string]string{
		"none":                                 encode(`{"alg":"none","kid":"ec"}`) + "." + encode(good(f)) + ".",
		"none in capitals":                     encode(`{"alg":"NONE"}`) + "." + encode(good(f)) + ".",
		"the modulus as a secret":              sealWith(string(public.N.Bytes()), encode(`{"alg":"HS256","kid":"rs"}`), encode(good(f))),
		"the JWK as a secret":                  sealWith(rs.jwk, encode(`{"alg":"HS256","kid":"rs"}`), encode(good(f))),
		"our secret":                           seal(`{"alg":"HS256","typ":"JWT"}`, good(f, `"token_type":"access"`, `"jti":"x"`, `"user_id":"1"`)),
		"a key of the set that algs leave out": rs.sign(t, "", good(f)),
		"the right key under another name":     ec.sign(t, `{"alg":"ES256","kid":"rs"}`, good(f)),
		"another algorithm for the right key":  ec.sign(t, `{"alg":"RS256","kid":"ec"}`, good(f)),
	} {
		if got := a.says(token); got != "token_invalid" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestAttackTheForeignTokenBringsItsKey: jku, x5u, jwk and x5c are never looked at, so
// nothing is fetched from where they point.
func TestAttackTheForeignTokenBringsItsKey(t *testing.T) {
	key, evil := newPair(t, "ES256", "one"), newPair(t, "ES256", "evil")
	f, trap := newForeigner(t, key), newForeigner(t, evil)
	a := newAllied(t, nil, trust(f))
	for _, header := range []string{
		`{"alg":"ES256","kid":"evil","jku":"` + trap.URL + `/jwks"}`,
		`{"alg":"ES256","jku":"` + trap.URL + `/jwks"}`,
		`{"alg":"ES256","x5u":"` + trap.URL + `/jwks"}`,
		`{"alg":"ES256","jwk":` + evil.jwk + `}`,
		`{"alg":"ES256","kid":"` + trap.URL + `/jwks"}`,
	} {
		if got := a.says(evil.sign(t, header, good(f))); got != "token_invalid" {
			t.Errorf("%s: %q", header, got)
		}
	}
	if n := trap.fetches.Load(); n != 0 {
		t.Errorf("%d keys were fetched from where the token pointed", n)
	}
}

// TestAttackTwoIssuersWithOneKey: the issuer that a token names decides, with its own
// audience and claims, also where the other has the same key (CVE-2025-46647).
func TestAttackTwoIssuersWithOneKey(t *testing.T) {
	shared := newPair(t, "ES256", "shared")
	f, g := newForeigner(t, shared), newForeigner(t, shared)
	one, two := trust(f), trust(g)
	one.Prefix, two.Prefix = "one:", "two:"
	two.Audience = []string{"others"}
	a := newAllied(t, nil, one, two)
	for _, c := range []struct{ name, payload, user string }{
		{"of the one", good(f), "one:u-17"},
		{"of the other", good(g, `"aud":"others"`), "two:u-17"},
		{"of the one for the other's audience", good(f, `"aud":"others"`), ""},
		{"of the other for the one's audience", good(g), ""},
		{"of a third with that key", good(f, `"iss":"https://third.example"`), ""},
		{"of nobody with that key", good(f, `"iss":`), ""},
	} {
		token := shared.sign(t, "", c.payload)
		for range 2 {
			p, err := a.Verifier().Verify(t.Context(), token)
			if c.user == "" && err == nil || c.user != "" && (err != nil || p.UserID != c.user) {
				t.Errorf("%s: got %+v, %v, want %q", c.name, p, err, c.user)
			}
		}
	}
}

// TestAttackOurKeysAndTheirs: a token of ours and one of an issuer are told apart by
// iss alone, and each is checked by its own keys and never by the other's.
func TestAttackOurKeysAndTheirs(t *testing.T) {
	shared := newPair(t, "EdDSA", "shared")
	private := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q,"d":%q}`, b64(shared.private.Public().(ed25519.PublicKey)), b64(shared.private.(ed25519.PrivateKey).Seed()))
	theirs := newPair(t, "EdDSA", "theirs")
	f := newForeigner(t, shared, theirs)
	a := newAllied(t, func(cfg *tokens.Config) {
		cfg.Issuer, cfg.Audience = "gatehouse", tokens.Audience{Names: []string{"apps"}}
		cfg.Keys = []keys.Config{{ID: "shared", Algorithm: "EdDSA", PrivateKey: private}}
	}, trust(f, "EdDSA"))
	simple := []string{`"token_type":"access"`, `"jti":"x"`, `"user_id":"1"`}
	as := func(iss string, more ...string) string {
		return good(f, append([]string{`"iss":"` + iss + `"`}, more...)...)
	}
	for _, c := range []struct{ name, token, want string }{
		{"ours by our key", shared.sign(t, "", as("gatehouse", simple...)), ""},
		{"ours by their key", theirs.sign(t, "", as("gatehouse", simple...)), "token_invalid"},
		{"theirs by their key", theirs.sign(t, "", good(f)), ""},
		{"theirs by the key that both have", shared.sign(t, "", good(f)), ""},
		{"neither's by our key", shared.sign(t, "", as("https://else.example", simple...)), "token_invalid"},
		{"our refresh token as theirs", shared.sign(t, "", good(f, `"token_type":"refresh"`, `"jti":"x"`, `"user_id":"1"`)), "token_wrong_type"},
	} {
		if got := a.says(c.token); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	// Nobody refreshes, revokes or logs out with what an issuer elsewhere has signed,
	// also where it is a refresh token by its looks and our key has signed it.
	refresh := shared.sign(t, "", good(f, `"token_type":"refresh"`, `"jti":"x"`, `"user_id":"1"`))
	for _, path := range []string{"/api/token/refresh/", "/api/token/blacklist/", "/api/token/logout/"} {
		for _, e := range a.Endpoints() {
			if e.Path != path {
				continue
			}
			in := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"refresh":"`+refresh+`"}`))
			in.Header.Set("Content-Type", "application/json")
			out := httptest.NewRecorder()
			e.Handler.ServeHTTP(out, in)
			if out.Code != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", path, out.Code, out.Body)
			}
		}
	}
}

func TestVerifyKnowsTokensOfTrustedIssuers(t *testing.T) {
	key := newPair(t, "RS256", "one")
	f := newForeigner(t, key)
	a := newAllied(t, func(cfg *tokens.Config) { cfg.Keys = nil }, trust(f, "RS256"))
	ask := func(token string) (int, string) {
		body, _ := json.Marshal(map[string]string{"token": token})
		for _, e := range a.Endpoints() {
			if e.Path == "/api/token/verify/" {
				in := httptest.NewRequest(http.MethodPost, e.Path, strings.NewReader(string(body)))
				in.Header.Set("Content-Type", "application/json")
				out := httptest.NewRecorder()
				e.Handler.ServeHTTP(out, in)
				return out.Code, out.Body.String()
			}
		}
		t.Fatal("there is no verify")
		return 0, ""
	}
	if n := len(a.Endpoints()); n != 2 {
		t.Errorf("%d endpoints, want verify alone, with and without its slash", n)
	}
	if code, body := ask(key.sign(t, "", good(f))); code != http.StatusOK || body != "{}" {
		t.Errorf("a good one: %d %s", code, body)
	}
	if code, body := ask(key.sign(t, "", good(f, `"exp":`+sec(-1)))); code != http.StatusUnauthorized || body != coded("Token is expired") {
		t.Errorf("an expired one: %d %s", code, body)
	}
	if code, body := ask(key.sign(t, "", good(f, `"aud":"other"`))); code != http.StatusUnauthorized || body != coded("Token is invalid") {
		t.Errorf("one for another: %d %s", code, body)
	}
}

// TestUsersOfAnIssuerWhoMustBeKnown is user: store.
func TestUsersOfAnIssuerWhoMustBeKnown(t *testing.T) {
	key := newPair(t, "ES256", "one")
	f := newForeigner(t, key)
	byName, byNumber := trust(f), trust(f)
	byName.User, byName.UsernameClaim = "store", []string{"preferred_username"}
	byNumber.User, byNumber.UserIDClaim = "store", []string{"employee", "number"}
	a := newAllied(t, nil, byName)
	named := func(name string) string { return key.sign(t, "", good(f, `"preferred_username":"`+name+`"`)) }
	p, err := a.Verifier().Verify(t.Context(), named("carol"))
	if err != nil || p.UserID != "1" || p.User.Username != "carol" || p.User.Groups[0] != "staff" || p.Issuer != f.URL {
		t.Fatalf("carol: %+v, %v", p, err)
	}
	for _, name := range []string{"Carol", "carol ", "dave", ""} {
		if got := a.says(named(name)); got != "user_not_found" {
			t.Errorf("%q: %q", name, got)
		}
	}
	if got := a.says(key.sign(t, "", good(f))); got != "user_not_found" {
		t.Errorf("without a name: %q", got)
	}
	// What becomes of the user counts for tokens that are remembered.
	no, yes, other := false, true, "charlotte"
	change := func(name string, c users.Change) {
		t.Helper()
		if _, err := a.store.UpdateUser(t.Context(), name, c); err != nil {
			t.Fatal(err)
		}
	}
	token := named("carol")
	change("carol", users.Change{Active: &no})
	if got := a.says(token); got != "user_inactive" {
		t.Errorf("a disabled user: %q", got)
	}
	change("carol", users.Change{Active: &yes})
	if got := a.says(token); got != "token_blacklisted" {
		t.Errorf("a token of before the sessions were ended: %q", got)
	}
	a.after(2 * time.Second)
	token = key.sign(t, "", good(f, `"preferred_username":"carol"`, `"iat":`+sec(2)))
	if got := a.says(token); got != "" {
		t.Errorf("one of after: %q", got)
	}
	change("carol", users.Change{Username: &other})
	if got := a.says(token); got != "user_not_found" {
		t.Errorf("a name that was given up: %q", got)
	}
	userstest.Add(t, a.store, users.NewUser{Username: "carol", Password: "another password"})
	if p, err := a.Verifier().Verify(t.Context(), token); err != nil || p.UserID != "2" {
		t.Errorf("a name that another took: %+v, %v", p, err)
	}

	a = newAllied(t, nil, byNumber)
	for number, want := range map[string]string{`1`: "", `"1"`: "", `"01"`: "user_not_found", `" 1"`: "user_not_found", `1.0`: "no_user_claim", `true`: "no_user_claim", `2`: "user_not_found"} {
		if got := a.says(key.sign(t, "", good(f, `"employee":{"number":`+number+`}`))); got != want {
			t.Errorf("the number %s: got %q, want %q", number, got, want)
		}
	}
}

func TestAnIssuerRotatesItsKeys(t *testing.T) {
	one, two := newPair(t, "ES256", "one"), newPair(t, "ES256", "two")
	for _, discovery := range []bool{false, true} {
		f := newForeigner(t, one)
		entry := trust(f)
		if discovery {
			entry.JWKSURL, entry.Discovery = "", true
		}
		a := newAllied(t, nil, entry)
		old := one.sign(t, "", good(f))
		if got := a.says(old); got != "" {
			t.Fatalf("the first key: %q", got)
		}
		f.publish(one, two)
		if got := a.says(two.sign(t, "", good(f))); got != "" {
			t.Errorf("a key that is new: %q", got)
		}
		if got := a.says(old); got != "" {
			t.Errorf("the old one beside it: %q", got)
		}
		a.after(time.Minute)
		f.publish(two)
		if got := a.says(newPair(t, "ES256", "three").sign(t, "", good(f, `"exp":`+sec(120)))); got != "token_invalid" {
			t.Errorf("a key that nobody has: %q", got)
		}
		if got := a.says(one.sign(t, "", good(f, `"exp":`+sec(120)))); got != "token_invalid" {
			t.Errorf("a key that was withdrawn: %q", got)
		}
	}
}

// TestAttackEndlessKeyIDs: tokens with keys that nobody has make the gateway fetch
// seldom, whatever clients send, and shut nobody out.
func TestAttackEndlessKeyIDs(t *testing.T) {
	key, evil := newPair(t, "ES256", "one"), newPair(t, "ES256", "evil")
	f := newForeigner(t, key)
	a := newAllied(t, nil, trust(f))
	fine := key.sign(t, "", good(f))
	if got := a.says(fine); got != "" {
		t.Fatal(got)
	}
	var crowd sync.WaitGroup
	for i := range 200 {
		crowd.Go(func() {
			if got := a.says(evil.sign(t, fmt.Sprintf(`{"alg":"ES256","kid":"evil-%d"}`, i), good(f))); got != "token_invalid" {
				t.Errorf("an unheard key: %q", got)
			}
		})
	}
	crowd.Wait()
	if n := f.fetches.Load(); n > 2 {
		t.Errorf("%d fetches", n)
	}
	if got := a.says(fine); got != "" {
		t.Errorf("a good token meanwhile: %q", got)
	}
	a.after(6 * time.Second)
	_ = a.says(evil.sign(t, `{"alg":"ES256","kid":"evil"}`, good(f)))
	if n := f.fetches.Load(); n != 3 && n != 2 {
		t.Errorf("%d fetches after a while", n)
	}
}

func TestAnIssuerThatIsAway(t *testing.T) {
	key, next := newPair(t, "ES256", "one"), newPair(t, "ES256", "two")
	f := newForeigner(t, key)
	f.breakDown(true)
	a := newAllied(t, nil, trust(f))
	token := func(p *pair) string { return p.sign(t, "", good(f, `"exp":`+sec(1_000_000))) }
	if got := a.says(token(key)); got != "undecided" {
		t.Errorf("from the start: %q", got)
	}
	if got := a.says(seal(usual, claims(`"token_type":"access"`, `"exp":`+sec(60), `"jti":"x"`, `"user_id":"1"`))); got != "" {
		t.Errorf("our own token meanwhile: %q", got)
	}
	if unwell := a.Unwell()[f.URL]; !strings.Contains(unwell, "status 502") {
		t.Errorf("what operators are told: %q", unwell)
	}
	f.breakDown(false)
	a.after(3 * time.Second)
	if got := a.says(token(key)); got != "" {
		t.Errorf("when it is back: %q", got)
	}
	if unwell := a.Unwell(); len(unwell) > 0 {
		t.Errorf("what operators are told: %v", unwell)
	}
	f.breakDown(true)
	a.after(6 * time.Second)
	if got := a.says(token(next)); got != "undecided" {
		t.Errorf("a key that may be new: %q", got)
	}
	if got := a.says(token(key)); got != "" {
		t.Errorf("a key that is known: %q", got)
	}
	if unwell := a.Unwell()[f.URL]; !strings.Contains(unwell, "its keys are 6s old") {
		t.Errorf("what operators are told: %q", unwell)
	}
	a.after(23 * time.Hour)
	if got := a.says(token(key)); got != "" {
		t.Errorf("almost a day later: %q", got)
	}
	a.after(time.Hour)
	for range 2 { // a token that is remembered is no better
		if got := a.says(token(key)); got != "undecided" {
			t.Errorf("a day later: %q", got)
		}
	}
	if unwell := a.Unwell()[f.URL]; !strings.Contains(unwell, "no keys") {
		t.Errorf("what operators are told: %q", unwell)
	}
	f.breakDown(false)
	a.after(6 * time.Second)
	if got := a.says(token(key)); got != "" {
		t.Errorf("when it is back: %q", got)
	}
	f.publish() // a good answer, by which no token is good any more
	a.after(6 * time.Second)
	if got := a.says(token(next)); got == "" || got == "undecided" {
		t.Errorf("of a set without keys: %q", got)
	}
	if unwell := a.Unwell()[f.URL]; !strings.Contains(unwell, "no key for signatures") {
		t.Errorf("what operators are told: %q", unwell)
	}
}

func TestFaultsOfTrustedIssuers(t *testing.T) {
	whole := tokens.TrustedIssuer{Issuer: "https://idp.example.com", JWKSURL: "https://idp.example.com/jwks", Audience: []string{"apps"}, Algorithms: []string{"RS256"}}
	for _, c := range []struct {
		name   string
		change func(*tokens.TrustedIssuer)
		want   string
	}{
		{"nothing", func(*tokens.TrustedIssuer) {}, ""},
		{"no issuer", func(c *tokens.TrustedIssuer) { c.Issuer = "" }, "trusted_issuers[0].issuer: it is not said who the issuer is"},
		{"ourselves", func(c *tokens.TrustedIssuer) { c.Issuer = "us" }, "trusted_issuers[0].issuer: that is our own issuer"},
		{"no audience", func(c *tokens.TrustedIssuer) { c.Audience = nil }, "trusted_issuers[0].audience: it is not said who its tokens are for"},
		{"an empty audience", func(c *tokens.TrustedIssuer) { c.Audience = []string{"a", ""} }, "trusted_issuers[0].audience: an empty audience"},
		{"no algorithms", func(c *tokens.TrustedIssuer) { c.Algorithms = nil }, "trusted_issuers[0].algs: it is not said"},
		{"a secret", func(c *tokens.TrustedIssuer) { c.Algorithms = []string{"HS256"} }, "trusted_issuers[0].algs: HS256 has a secret"},
		{"none", func(c *tokens.TrustedIssuer) { c.Algorithms = []string{"none"} }, `trusted_issuers[0].algs: there is no algorithm "none"`},
		{"no way to the keys", func(c *tokens.TrustedIssuer) { c.JWKSURL = "" }, "trusted_issuers[0].jwks_url: it is not said where"},
		{"two ways", func(c *tokens.TrustedIssuer) { c.Discovery = true }, "trusted_issuers[0].jwks_url: it is said in more than one way"},
		{"http", func(c *tokens.TrustedIssuer) { c.JWKSURL = "http://idp.example.com/jwks" }, "trusted_issuers[0].jwks_url: it is http"},
		{"a file", func(c *tokens.TrustedIssuer) { c.JWKSURL = "file:///etc/passwd" }, "trusted_issuers[0].jwks_url: it is no URL"},
		{"a password in the URL", func(c *tokens.TrustedIssuer) { c.JWKSURL = "https://a:b@idp.example.com/" }, "trusted_issuers[0].jwks_url: it has a user or password"},
		{"discovery of what is no URL", func(c *tokens.TrustedIssuer) { c.Issuer, c.JWKSURL, c.Discovery = "idp", "", true }, "trusted_issuers[0].issuer: it is no URL"},
		{"a set without a usable key", func(c *tokens.TrustedIssuer) { c.JWKSURL, c.JWKS = "", `{"keys":[{"kty":"oct","k":"AAAA"}]}` }, "trusted_issuers[0].jwks: it has no key for algs, keys[0]: it is a secret"},
		{"a set that is none", func(c *tokens.TrustedIssuer) { c.JWKSURL, c.JWKS = "", `{}` }, "trusted_issuers[0].jwks: it is no JWK Set"},
		{"no such users", func(c *tokens.TrustedIssuer) { c.User = "both" }, `trusted_issuers[0].user: "both" says nothing`},
		{"groups beside the store", func(c *tokens.TrustedIssuer) { c.User, c.GroupsClaim = "store", []string{"groups"} }, "trusted_issuers[0].user: with user: store"},
		{"an empty step", func(c *tokens.TrustedIssuer) { c.UserIDClaim = []string{"a", ""} }, "trusted_issuers[0].user_id_claim: a step"},
		{"too often", func(c *tokens.TrustedIssuer) { c.RefreshInterval = time.Second }, "trusted_issuers[0].refresh_interval: 1s is out of bounds"},
		{"stale before it is fetched again", func(c *tokens.TrustedIssuer) { c.MaxStale = time.Minute }, "trusted_issuers[0].max_stale: 1m0s is out of bounds"},
		{"no authority", func(c *tokens.TrustedIssuer) { c.CA = "none" }, "trusted_issuers[0].ca: it holds no certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			entry := whole
			c.change(&entry)
			cfg := settings()
			cfg.Issuer, cfg.TrustedIssuers = "us", []tokens.TrustedIssuer{entry}
			_, err := tokens.New(cfg, tokens.Parts{Store: userstest.Open(t)})
			var fault *tokens.Fault
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
			case !errors.As(err, &fault) || !strings.HasPrefix(fault.At+": "+fault.Problem, c.want):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	cfg := settings()
	cfg.TrustedIssuers = []tokens.TrustedIssuer{whole, whole}
	if _, err := tokens.New(cfg, tokens.Parts{Store: userstest.Open(t)}); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("the same issuer twice: %v", err)
	}
}
