package tokens_test

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// accepting changes which tokens open routes.
func accepting(words ...string) func(*tokens.Config) {
	return func(c *tokens.Config) { c.AcceptedTypes = words }
}

// shape fails unless a token has that payload, in which ID stands for an id of ours.
func (s *site) shape(token, want string) {
	s.Helper()
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "ID", `"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}"`)
	if got := payloadOf(s, token); !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
		s.Errorf("got  %s\nwant %s", got, want)
	}
}

// rejected returns the whole answer to a token, and what WWW-Authenticate says.
func (s *site) rejected(token string) (body, challenge string) {
	s.Helper()
	_, err := s.Verifier().Verify(s.Context(), token)
	rejection, ok := err.(*tokens.Rejection) //nolint:errorlint // it is not wrapped
	if !ok {
		s.Fatalf("got %v, want a rejection", err)
	}
	recorder := httptest.NewRecorder()
	rejection.Answer().Write(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	return recorder.Body.String(), recorder.Header().Get("WWW-Authenticate")
}

func TestTheFirstHeaderTypeIsNamedEverywhere(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.HeaderTypes = []string{"JWT", "Bearer"} })
	const want = `JWT realm="api"`
	if got := s.Verifier().Challenge(); got != want {
		t.Errorf("got %s", got)
	}
	if _, got := s.rejected("x"); got != want {
		t.Errorf("a bad token: %s", got)
	}
	if _, got := s.rejected(seal(usual, claims(opener, lives, id))); got != want {
		t.Errorf("a token of nobody: %s", got)
	}
	for _, path := range []string{"/", "/refresh/", "/verify/", "/blacklist/", "/logout/"} {
		fields := map[string]string{"username": "x", "password": "x", "refresh": "x", "token": "x"}
		status, header, _ := s.post("/api/token"+path, fields)
		if got := header.Get("WWW-Authenticate"); status != http.StatusUnauthorized || got != want {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
}

func TestLogoutReadsTheHeaderOfTheTokens(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.HeaderName, c.HeaderTypes = "X-Access-Token", []string{"JWT", "Bearer"} })
	access, _ := s.login()
	for _, c := range []struct {
		header, value string
		status        int
	}{
		{"Authorization", "JWT " + access, 400},
		{"X-Access-Token", access, 400},
		{"X-Access-Token", "Token " + access, 400},
		{"X-Access-Token", "jwt " + access, 400},
		{"X-Access-Token", "JWT " + access + " x", 400},
		{"x-access-token", "Bearer  " + access, 200},
	} {
		in, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/token/logout/", nil)
		s.ok(err)
		in.Header.Set(c.header, c.value)
		if status, _, body := s.send(in); status != c.status {
			t.Errorf("%s: %.12s…: got %d %s, want %d", c.header, c.value, status, body, c.status)
		}
	}
	if got := s.Verifier().HeaderName(); got != "X-Access-Token" {
		t.Errorf("the header is %s", got)
	}
}

func TestClaimsOfOtherNames(t *testing.T) {
	s := open(t, rotating(0, "refuse"), func(c *tokens.Config) { c.UserIDClaim, c.TokenTypeClaim, c.JTIClaim = "sub", "typ", "tid" })
	access, refresh := s.login()
	s.shape(access, `{"typ":"access","exp":1700000300,"iat":1700000000,"tid":ID,"sub":"1"}`)
	s.shape(refresh, `{"typ":"refresh","exp":1700086400,"iat":1700000000,"tid":ID,"sub":"1"}`)
	if got := s.bearer(access); got != "" {
		t.Errorf("our own: %s", got)
	}
	if got := s.bearer(refresh); got != badBearer(badType) {
		t.Errorf("a refresh token: %s", got)
	}
	access, next, _ := s.yield(refresh)
	s.shape(access, `{"typ":"access","exp":1700000300,"iat":1700000000,"tid":ID,"sub":"1"}`)
	s.shape(next, `{"typ":"refresh","exp":1700086400,"iat":1700000000,"tid":ID,"sub":"1"}`)
	s.spent(refresh)
	for name, c := range map[string]struct{ payload, want string }{
		"the usual names":     {claims(opener, lives, id, user), badBearer(noID)},
		"the usual type":      {claims(opener, lives, `"tid":"x"`, `"sub":"1"`), badBearer(noType)},
		"the usual user":      {claims(`"typ":"access"`, lives, `"tid":"x"`, user), `{"detail":"Token contained no recognizable user identification","code":"token_not_valid"}`},
		"an id that is 5":     {claims(`"typ":"access"`, lives, `"tid":5`, `"sub":"1"`), badBearer(isInvalid)},
		"a jti that is 5":     {claims(`"typ":"access"`, lives, `"tid":"x"`, `"jti":5`, `"sub":"1"`), badBearer(isInvalid)},
		"a user that is 1":    {claims(`"typ":"access"`, lives, `"tid":"x"`, `"sub":1`), badBearer(isInvalid)}, // sub is a string
		"both, and all right": {claims(`"typ":"access"`, lives, `"tid":"x"`, `"jti":"y"`, `"sub":"1"`, `"user_id":"7"`), ""},
	} {
		if got := s.bearer(seal(usual, c.payload)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	// What a token of others calls jti is not copied beside ours.
	access, _, _ = s.yield(seal(usual, claims(`"typ":"refresh"`, lives, `"tid":"z"`, `"jti":"y"`, `"sub":"1"`, `"x":2`)))
	s.shape(access, `{"typ":"access","exp":1700000300,"iat":1700000000,"tid":ID,"sub":"1","x":2}`)

	s.expect("/api/token/blacklist/", map[string]string{"refresh": next}, http.StatusOK, "{}")
	s.spent(next)
	access, _ = s.login()
	s.expect("/api/token/logout/", map[string]string{"access": access}, http.StatusOK, "{}")
	if got := s.bearer(access); got != badBearer(isRevoked) {
		t.Errorf("after logout: %s", got)
	}
}

func TestTokensThatNameTheirUserByNameOrAddress(t *testing.T) {
	const nobody = `{"detail":"User not found","code":"user_not_found"}`
	for field, value := range map[string]string{"username": "testuser", "email": "t@example.com"} {
		t.Run(field, func(t *testing.T) {
			s := open(t, rotating(0, "refuse"), func(c *tokens.Config) { c.UserIDField, c.UserIDClaim = field, "who" })
			userstest.Add(t, s.store, users.NewUser{Username: "42", Email: "42", Password: "x"})
			userstest.Add(t, s.store, users.NewUser{Username: "one", Email: "two@example.com"})
			userstest.Add(t, s.store, users.NewUser{Username: "two", Email: "two@example.com"})
			access, refresh := s.login()
			s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"who":"`+value+`"}`)
			p, err := s.Verifier().Verify(t.Context(), access)
			if err != nil || p.UserID != "1" || p.User.Username != "testuser" {
				t.Errorf("got %v, %v", p, err)
			}
			for who, want := range map[string]string{
				`"1"`: nobody, `1`: nobody, `"` + strings.ToUpper(value) + `"`: nobody, `""`: nobody, `null`: nobody, `["` + value + `"]`: nobody, `true`: nobody,
				`"42"`: "", `42`: "", `"two@example.com"`: nobody, `"\ud800"`: nobody,
			} {
				if got := s.bearer(seal(usual, claims(opener, lives, id, `"who":`+who))); got != want {
					t.Errorf("%s: got %s, want %s", who, got, want)
				}
			}
			_, next, _ := s.yield(refresh)
			s.spent(refresh)
			s.expect("/api/token/refresh/", map[string]string{"refresh": seal(usual, claims(yields, lives, id, `"who":"x"`))},
				http.StatusUnauthorized, `{"detail":"No active account found for the given token."}`)

			// Logout everywhere knows whose token it is.
			other, _ := s.login()
			s.pass(time.Second)
			s.expect("/api/token/logout/?all=true", map[string]string{"refresh": next}, http.StatusOK, "{}")
			if got := s.bearer(other); got != badBearer(isRevoked) {
				t.Errorf("another session: %s", got)
			}

			// Who is called otherwise is not whom old tokens name.
			s.pass(time.Second)
			access, refresh = s.login()
			s.bearer(access)
			s.change(users.Change{Username: new("renamed"), Email: new("r@example.com")})
			if got := s.bearer(access); got != nobody {
				t.Errorf("after a new name: %s", got)
			}
			s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, `{"detail":"No active account found for the given token."}`)
		})
	}
}

// A token that names nobody would be renewed for ever, and one with the address of two
// is of either.
func TestWithoutAnAddressOfTheirOwnNobodyLogsIn(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.UserIDField = "email"; c.Sliding.Enabled = true })
	for name, email := range map[string]string{"without": "", "one": "same@example.com", "two": "same@example.com", "own": "own@example.com"} {
		userstest.Add(t, s.store, users.NewUser{Username: name, Email: email, Password: "testpassword"})
	}
	for _, path := range []string{"/api/token/", "/api/token/sliding/"} {
		for _, name := range []string{"without", "one", "two"} {
			s.expect(path, map[string]string{"username": name, "password": "testpassword"}, http.StatusUnauthorized, noAccount)
			if log := s.log.take(); !strings.Contains(log, "e-mail address") {
				t.Errorf("%s: logged %q", name, log)
			}
		}
		if status, _, body := s.post(path, map[string]string{"username": "own", "password": "testpassword"}); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestWithoutATypeEveryTokenIsGoodForEverything(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.TokenTypeClaim = "none" })
	access, refresh := s.login()
	s.shape(access, `{"exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1"}`)
	s.shape(refresh, `{"exp":1700086400,"iat":1700000000,"jti":ID,"user_id":"1"}`)
	s.judge(access, all("")) // judge also blacklists it
	if got := s.bearer(access); got != badBearer(isRevoked) {
		t.Errorf("revoked by its id: %s", got)
	}
	if got := s.bearer(refresh); got != "" {
		t.Errorf("a refresh token: %s", got)
	}
	for _, token := range []string{seal(usual, claims(lives, id, user)), seal(usual, claims(lives, `"jti":"another"`, user, `"token_type":"other"`))} {
		s.judge(token, all(""))
	}
	s.expect("/api/token/logout/", map[string]string{"token": refresh}, http.StatusOK, "{}")
	if got := s.bearer(refresh); got != badBearer(isRevoked) {
		t.Errorf("after logout: %s", got)
	}
}

func TestTokensOfOthersWithoutAnID(t *testing.T) {
	s := open(t, rotating(0, "refuse"), func(c *tokens.Config) { c.JTIClaim = "none" })
	access, refresh := s.login() // ours have one all the same
	s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1"}`)
	s.yield(refresh)
	s.spent(refresh)
	theirs := seal(usual, claims(opener, lives, user))
	other := seal(usual, claims(opener, lives, user, `"x":1`))
	for _, token := range []string{theirs, theirs, other} {
		if got := s.bearer(token); got != "" {
			t.Errorf("without an id: %s", got)
		}
	}
	s.expect("/api/token/logout/", map[string]string{"access": theirs}, http.StatusOK, "{}")
	if got := s.bearer(theirs); got != badBearer(isRevoked) {
		t.Errorf("after logout: %s", got)
	}
	if got := s.bearer(other); got != "" {
		t.Errorf("another token without an id: %s", got)
	}
	yielding := func(n int) string { return seal(usual, claims(yields, lives, user, fmt.Sprintf(`"x":%d`, n))) }
	_, next, _ := s.yield(yielding(1))
	s.shape(next, `{"token_type":"refresh","exp":1700086400,"user_id":"1","x":1,"jti":ID,"iat":1700000000}`)
	s.spent(yielding(1)) // once, as every other
	s.yield(yielding(2))
	s.expect("/api/token/blacklist/", map[string]string{"refresh": yielding(3)}, http.StatusOK, "{}")
	s.spent(yielding(3))
	s.yield(yielding(4))
}

func TestEachTypeThatOpensRoutesSaysWhyATokenIsNone(t *testing.T) {
	const class = `{"token_class":"%s","token_type":"%s","message":"%s"}`
	message := func(word, text string) string {
		return fmt.Sprintf(class, map[string]string{"access": "AccessToken", "sliding": "SlidingToken", "refresh": "RefreshToken", "untyped": "UntypedToken"}[word], word, text)
	}
	token := func(kind string) string { return seal(usual, claims(`"token_type":"`+kind+`"`, lives, id, user)) }
	expired := seal(usual, claims(opener, dead, id, user))
	untyped := seal(usual, claims(lives, id, user))
	for _, c := range []struct {
		accepted []string
		token    string
		revoked  bool
		want     []string // the messages; none: it opens routes
	}{
		{[]string{"access", "sliding"}, token("access"), false, nil},
		{[]string{"access", "sliding"}, token("access"), true, nil}, // its id is nobody's business
		{[]string{"sliding", "access"}, token("access"), true, nil},
		{[]string{"access", "sliding"}, token("sliding"), false, nil},
		{[]string{"access", "sliding"}, token("sliding"), true, []string{message("access", badType), message("sliding", isRevoked)}},
		{[]string{"access", "sliding"}, token("refresh"), false, []string{message("access", badType), message("sliding", badType)}},
		{[]string{"access", "sliding"}, token("refresh"), true, []string{message("access", badType), message("sliding", isRevoked)}},
		{[]string{"sliding", "access"}, expired, false, []string{message("sliding", isExpired), message("access", isExpired)}},
		{[]string{"sliding", "access"}, "garbage", false, []string{message("sliding", isInvalid), message("access", isInvalid)}},
		{[]string{"sliding", "access"}, untyped, false, []string{message("sliding", noType), message("access", noType)}},
		{[]string{"sliding"}, token("access"), false, []string{message("sliding", badType)}},
		{[]string{"refresh"}, token("refresh"), false, nil},
		{[]string{"refresh"}, token("refresh"), true, []string{message("refresh", isRevoked)}},
		{[]string{"untyped"}, token("anything"), false, nil},
		{[]string{"untyped"}, untyped, false, nil},
		{[]string{"untyped"}, token("refresh"), true, []string{message("untyped", isRevoked)}}, // SimpleJWT does not look
		{[]string{"access", "untyped"}, token("sliding"), true, []string{message("access", badType), message("untyped", isRevoked)}},
		{[]string{"untyped"}, seal(usual, claims(opener, lives, user)), false, []string{message("untyped", noID)}},
	} {
		name := fmt.Sprintf("%v takes %.60s, revoked %v", c.accepted, payloadOrText(c.token), c.revoked)
		t.Run(name, func(t *testing.T) {
			s := open(t, accepting(c.accepted...))
			if c.revoked {
				s.ok(s.store.RevokeToken(t.Context(), users.Token{ID: "an id", Expires: s.now().Add(time.Hour)}))
			}
			for range 2 { // the second time it may be remembered
				if c.want == nil {
					if got := s.bearer(c.token); got != "" {
						t.Errorf("got %s", got)
					}
					continue
				}
				want := `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[` + strings.Join(c.want, ",") + `]}`
				if got := s.bearer(c.token); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

func payloadOrText(token string) string {
	if parts := strings.Split(token, "."); len(parts) == 3 {
		return decoded(parts[1])
	}
	return token
}

// A token that is remembered is revoked at once all the same.
func TestARevokedTokenThatIsRemembered(t *testing.T) {
	s := open(t, accepting("access", "sliding"), func(c *tokens.Config) { c.Sliding.Enabled = true })
	token := s.slide()
	for range 3 {
		if got := s.bearer(token); got != "" {
			t.Fatal(got)
		}
	}
	if !s.Verifier().Remembers(token) {
		t.Error("it is not remembered")
	}
	s.ok(s.store.RevokeToken(t.Context(), users.Token{ID: idIn(t, token), Expires: s.now().Add(time.Hour)}))
	if got, _ := s.rejected(token); !strings.Contains(got, `"SlidingToken","token_type":"sliding","message":"Token is blacklisted"`) {
		t.Errorf("revoked: %s", got)
	}
}

func TestTheDigestOfThePassword(t *testing.T) {
	const changed = `{"detail":"The user's password has been changed.","code":"password_changed"}`
	s := open(t, func(c *tokens.Config) {
		c.CheckPasswordChange = true
		c.Sliding.Enabled = true
		c.AcceptedTypes = []string{"access", "sliding"}
	})
	digest := fmt.Sprintf("%X", md5.Sum([]byte(s.alice.Password)))
	access, refresh := s.login()
	s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1","hash_password":"`+digest+`"}`)
	s.shape(refresh, `{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,"user_id":"1","hash_password":"`+digest+`"}`)
	sliding := s.slide()
	s.shape(sliding, `{"token_type":"sliding","exp":1700000300,"iat":1700000000,"jti":ID,"refresh_exp":1700086400,"user_id":"1","hash_password":"`+digest+`"}`)
	later, _, _ := s.yield(refresh)
	for _, token := range []string{access, later, sliding} {
		if got := s.bearer(token); got != "" {
			t.Errorf("a good one: %s", got)
		}
	}
	for name, claim := range map[string]string{
		"none": `"x":1`, "another": `"hash_password":"4DCE5C19C5F10A3FD9514782AF213100"`, "null": `"hash_password":null`,
		"in small letters": `"hash_password":"` + strings.ToLower(digest) + `"`, "a list": `"hash_password":["` + digest + `"]`,
	} {
		if got := s.bearer(seal(usual, claims(opener, lives, id, user, claim))); got != changed {
			t.Errorf("%s: got %s", name, got)
		}
		old := seal(usual, claims(yields, lives, `"jti":"`+name+`"`, user, claim))
		s.expect("/api/token/verify/", map[string]string{"token": old}, http.StatusOK, "{}") // does not ask
		s.expect("/api/token/refresh/", map[string]string{"refresh": old}, http.StatusUnauthorized, `{"detail":"The user's password has been changed."}`)
		s.spent(old) // it was revoked by that
		old = seal(usual, claims(`"token_type":"sliding"`, lives, `"jti":"s`+name+`"`, `"refresh_exp":1700000100`, user, claim))
		s.expect("/api/token/sliding/refresh/", map[string]string{"token": old}, http.StatusUnauthorized, `{"detail":"The user's password has been changed."}`)
		s.expect("/api/token/sliding/refresh/", map[string]string{"token": old}, http.StatusUnauthorized, coded(isRevoked))
	}
	// Whoever has gone is that first, and who is nobody has no password.
	if got := s.bearer(seal(usual, claims(opener, lives, id, `"user_id":"9"`))); got != `{"detail":"User not found","code":"user_not_found"}` {
		t.Errorf("of nobody: %s", got)
	}
	s.yield(seal(usual, claims(yields, lives, id)))

	s.ok(s.store.SetPassword(t.Context(), "testuser", "another password"))
	for range 2 {
		if got := s.bearer(access); got != changed {
			t.Errorf("after a new password: %s", got)
		}
	}
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, `{"detail":"The user's password has been changed."}`)
	s.spent(refresh)
}

func TestTheVectorOfTheDigest(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.CheckPasswordChange, c.PasswordClaim = true, "pw" })
	const encoded = "pbkdf2_sha256$1000$seasalt1234567890abcdef$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="
	u := userstest.Add(t, s.store, users.NewUser{Username: "old", Encoded: encoded})
	token := seal(usual, claims(opener, lives, id, `"user_id":`+fmt.Sprint(u.ID), `"pw":"4DCE5C19C5F10A3FD9514782AF213100"`))
	if got := s.bearer(token); got != "" {
		t.Error(got)
	}
	// A login that replaces the hash makes the tokens of before those of another password.
	s.expect("/api/token/", map[string]string{"username": "old", "password": "wrong"}, http.StatusUnauthorized, noAccount)
	if got := s.bearer(token); got != "" {
		t.Error(got)
	}
	status, _, body := s.post("/api/token/", map[string]string{"username": "old", "password": "pässwörd-密码"})
	if status != http.StatusOK {
		t.Fatal(body)
	}
	if got := s.bearer(token); !strings.Contains(got, "password_changed") {
		t.Errorf("after the hash was replaced: %q", got)
	}
}

func TestTokensOfUsersWhoAreDisabled(t *testing.T) {
	s := open(t, func(c *tokens.Config) {
		c.AcceptInactive, c.Sliding.Enabled = true, true
		c.AcceptedTypes = []string{"access", "sliding"}
	})
	access, refresh := s.login()
	sliding := s.slide()
	s.bearer(access)
	s.change(users.Change{Active: new(false), KeepSessions: true})
	for _, token := range []string{access, sliding} {
		if got := s.bearer(token); got != "" {
			t.Errorf("kept: %s", got)
		}
	}
	s.yield(refresh)
	if status, _, body := s.post("/api/token/sliding/refresh/", map[string]string{"token": sliding}); status != http.StatusOK {
		t.Errorf("sliding: %d %s", status, body)
	}
	// They cannot log in.
	for _, path := range []string{"/api/token/", "/api/token/sliding/"} {
		s.expect(path, map[string]string{"username": "testuser", "password": "testpassword"}, http.StatusUnauthorized, noAccount)
	}
	// Unless their sessions are kept, they end.
	s.setActive(true)
	s.setActive(false)
	if got, _ := s.rejected(access); !strings.Contains(got, isRevoked) {
		t.Errorf("ended: %s", got)
	}
	s.spent(refresh)

	s = open(t)
	access, _ = s.login()
	s.change(users.Change{Active: new(false), KeepSessions: true})
	if got := s.bearer(access); got != `{"detail":"User is inactive","code":"user_inactive"}` {
		t.Errorf("by default: %s", got)
	}
	s.setActive(true)
	if got := s.bearer(access); got != "" {
		t.Errorf("let in again, with the session that was kept: %s", got)
	}
}

func TestWhatOlderVersionsDid(t *testing.T) {
	const either = "Token is invalid or expired"
	s := open(t, func(c *tokens.Config) { c.Legacy = tokens.Legacy{Texts: true, IntegerUserID: true} })
	access, refresh := s.login()
	s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":1}`)
	s.shape(refresh, `{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,"user_id":1}`)
	if got := s.bearer(access); got != "" {
		t.Error(got)
	}
	s.judge("garbage", all(either))
	s.judge(seal(usual, claims(opener, dead, id, user)), all(either))
	s.judge(seal(usual, claims(lives, user)), all(noID))
	s.judge(seal(usual, claims(opener, lives, id, user)), verdict{"", badType, ""})
	s.expect("/api/token/logout/", map[string]string{"token": "x"}, http.StatusUnauthorized, coded(either))
	s.expect("/api/token/blacklist/", map[string]string{"refresh": refresh}, http.StatusOK, "{}")
	s.spent(refresh)
}

// A site that has the user in sub and moves from an old version has numbers out there,
// which PyJWT 2.10 would refuse.
func TestNumbersInSub(t *testing.T) {
	for legacy, want := range map[bool]string{true: "", false: badBearer(isInvalid)} {
		s := open(t, func(c *tokens.Config) { c.UserIDClaim, c.Legacy.IntegerUserID = "sub", legacy })
		if got := s.bearer(seal(usual, claims(opener, lives, id, `"sub":1`))); got != want {
			t.Errorf("legacy %v: %s", legacy, got)
		}
		for _, sub := range []string{"1.0", "true", "null", "[1]"} {
			if got := s.bearer(seal(usual, claims(opener, lives, id, `"sub":`+sub))); got != badBearer(isInvalid) {
				t.Errorf("legacy %v, %s: %s", legacy, sub, got)
			}
		}
		access, refresh := s.login()
		s.yield(refresh)
		if got := s.bearer(access); got != "" {
			t.Errorf("legacy %v: our own: %s", legacy, got)
		}
	}
	s := open(t, func(c *tokens.Config) { c.Legacy.IntegerUserID = true })
	if got := s.bearer(seal(usual, claims(opener, lives, id, user, `"sub":1`))); got != badBearer(isInvalid) {
		t.Errorf("a number in sub that is not the user: %s", got)
	}
}

func TestAnAudienceKeepsItsForm(t *testing.T) {
	for _, c := range []struct {
		audience tokens.Audience
		want     string
	}{
		{tokens.Audience{Names: []string{"a"}, Plain: true}, `"a"`},
		{tokens.Audience{Names: []string{"a"}}, `["a"]`},
		{tokens.Audience{Names: []string{"a", "b"}}, `["a","b"]`},
	} {
		s := open(t, func(c2 *tokens.Config) { c2.Audience = c.audience })
		access, refresh := s.login()
		for _, token := range []string{access, refresh} {
			if got := payloadOf(t, token); !strings.HasSuffix(got, `,"aud":`+c.want+"}") {
				t.Errorf("got %s, want %s", got, c.want)
			}
		}
		for aud, good := range map[string]bool{`"a"`: true, `["x","a"]`: true, `"x"`: false, `[]`: false, `["a",1]`: false, `{"a":1}`: false, `null`: false} {
			if got := s.bearer(seal(usual, claims(opener, lives, id, user, `"aud":`+aud))); (got == "") != good {
				t.Errorf("%v takes %s: %s", c.audience, aud, got)
			}
		}
	}
}

func TestFaultsOfTheForm(t *testing.T) {
	store := userstest.Open(t)
	for _, c := range []struct {
		name   string
		change func(*tokens.Config)
		want   []string
	}{
		{"no header", func(c *tokens.Config) { c.HeaderName = "" }, []string{"header_name"}},
		{"Django's name of a header", func(c *tokens.Config) { c.HeaderName = "HTTP_X_ACCESS_TOKEN" }, []string{"header_name"}},
		{"a header with an underscore", func(c *tokens.Config) { c.HeaderName = "X_Token" }, []string{"header_name"}},
		{"a header with a space", func(c *tokens.Config) { c.HeaderName = "X Token" }, []string{"header_name"}},
		{"the cookie", func(c *tokens.Config) { c.HeaderName = "Cookie" }, []string{"header_name"}},
		{"the host", func(c *tokens.Config) { c.HeaderName = "HOST" }, []string{"header_name"}},
		{"a header of the identity", func(c *tokens.Config) { c.HeaderName = "X-User-Id" }, []string{"header_name"}},
		{"a header of forwarding", func(c *tokens.Config) { c.HeaderName = "x-forwarded-for" }, []string{"header_name"}},
		{"no header types", func(c *tokens.Config) { c.HeaderTypes = nil }, []string{"header_types"}},
		{"header types that are none", func(c *tokens.Config) { c.HeaderTypes = []string{"Bearer", "", "a b", "Bearer", `x"`} }, []string{"header_types[1]", "header_types[2]", "header_types[3]", "header_types[4]"}},
		{"a field that users do not have", func(c *tokens.Config) { c.UserIDField = "uuid" }, []string{"user_id_field"}},
		{"claims without names", func(c *tokens.Config) { c.UserIDClaim, c.TokenTypeClaim, c.JTIClaim = "", "", "" }, []string{"user_id_claim", "token_type_claim", "jti_claim"}},
		{"no user", func(c *tokens.Config) { c.UserIDClaim = "none" }, []string{"user_id_claim"}},
		{"claims that mean something else", func(c *tokens.Config) {
			c.UserIDClaim, c.TokenTypeClaim, c.JTIClaim, c.PasswordClaim, c.Sliding.RefreshExpClaim = "iss", "exp", "aud", "nbf", "iat"
		}, []string{"user_id_claim", "token_type_claim", "jti_claim", "password_claim", "sliding.refresh_exp_claim"}},
		{"one claim for two", func(c *tokens.Config) { c.UserIDClaim, c.TokenTypeClaim = "x", "x" }, []string{"token_type_claim"}},
		{"the id in jti and something else there", func(c *tokens.Config) { c.UserIDClaim, c.JTIClaim = "jti", "tid" }, []string{"user_id_claim"}},
		{"the type in sub", func(c *tokens.Config) { c.TokenTypeClaim = "sub" }, []string{"token_type_claim"}},
		{"a claim with a control character", func(c *tokens.Config) { c.UserIDClaim = "a\nb" }, []string{"user_id_claim"}},
		{"nothing opens routes", func(c *tokens.Config) { c.AcceptedTypes = []string{} }, []string{"accepted_types"}},
		{"types that there are not", func(c *tokens.Config) { c.AcceptedTypes = []string{"access", "AccessToken", "access"} }, []string{"accepted_types[1]", "accepted_types[2]"}},
		{"a path of something else", func(c *tokens.Config) { c.Sliding.Path = "/refresh" }, []string{"sliding.path"}},
		{"no path", func(c *tokens.Config) { c.Sliding.Path = "" }, []string{"sliding.path"}},
		{"a path with a slash behind", func(c *tokens.Config) { c.Sliding.Path = "/sliding/" }, []string{"sliding.path"}},
		{"no lifetimes", func(c *tokens.Config) { c.Sliding.Lifetime, c.Sliding.RefreshLifetime = 0, 0 }, []string{"sliding.lifetime", "sliding.refresh_lifetime"}},
		{"a number that is a name", func(c *tokens.Config) { c.UserIDField, c.Legacy.IntegerUserID = "username", true }, []string{"legacy.integer_user_id"}},
		{"a password that nobody has", func(c *tokens.Config) { c.Keys[0].Use, c.User, c.CheckPasswordChange = "verify", "token", true }, []string{"check_password_change"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings()
			c.change(&cfg)
			_, err := tokens.New(cfg, tokens.Parts{Store: store})
			if err == nil {
				t.Fatal("no fault")
			}
			if got := fields(err); !slices.Equal(got, c.want) {
				t.Errorf("got faults at %v, want %v", got, c.want)
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if problem, fix, ok := strings.Cut(line, "; "); !ok || problem == "" || fix == "" {
					t.Errorf("%q does not say what is wrong and what to write", line)
				}
			}
		})
	}
}

func TestWarningsOfTheForm(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*tokens.Config)
		want   []string
	}{
		{"the defaults", func(*tokens.Config) {}, nil},
		{"no type", func(c *tokens.Config) { c.TokenTypeClaim = "none" }, []string{"token_type_claim"}},
		{"long tokens", accepting("access", "refresh", "untyped"), []string{"accepted_types[1]", "accepted_types[2]"}},
		{"sliding tokens that open nothing", func(c *tokens.Config) { c.Sliding.Enabled = true }, []string{"sliding.enabled"}},
		{"sliding tokens that open routes", func(c *tokens.Config) { c.Sliding.Enabled = true; c.AcceptedTypes = []string{"sliding"} }, nil},
		{"disabled users", func(c *tokens.Config) { c.AcceptInactive = true }, []string{"accept_inactive"}},
	} {
		cfg := settings()
		c.change(&cfg)
		var got []string
		for _, w := range cfg.Warnings(time.Now()) {
			got = append(got, w.At)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// What was opened with a token is held against the same settings as the token.
func TestWhatStaysOpen(t *testing.T) {
	form := func(c *tokens.Config) {
		c.AcceptInactive, c.CheckPasswordChange, c.Sliding.Enabled = true, true, true
		c.AcceptedTypes = []string{"access", "sliding"}
	}
	for _, c := range []struct {
		name string
		act  func(s *site, token string)
		want string // the reason; "": it stays
	}{
		{"nothing happens", func(*site, string) {}, ""},
		{"disabled, with the sessions kept", func(s *site, _ string) { s.change(users.Change{Active: new(false), KeepSessions: true}) }, ""},
		{"disabled", func(s *site, _ string) { s.setActive(false) }, "token_blacklisted"},
		{"a new password", func(s *site, _ string) { s.ok(s.store.SetPassword(s.Context(), "testuser", "another one")) }, "password_changed"},
		{"revoked by its id", func(s *site, token string) {
			s.ok(s.store.RevokeToken(s.Context(), users.Token{ID: idIn(s.T, token), Expires: s.now().Add(time.Hour)}))
		}, "token_blacklisted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, form)
			token := s.slide()
			p, err := s.Verifier().Verify(t.Context(), token)
			s.ok(err)
			c.act(s, token)
			_, err = s.Verifier().Still(t.Context(), p)
			reason := ""
			if rejection, ok := err.(*tokens.Rejection); ok { //nolint:errorlint // it is not wrapped
				reason = rejection.Reason
			}
			if reason != c.want || (err == nil) != (c.want == "") {
				t.Errorf("got %v (%s), want %q", err, reason, c.want)
			}
		})
	}
}
