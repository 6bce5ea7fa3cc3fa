package tokens_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
)

func slides(c *tokens.Config) {
	c.Sliding.Enabled = true
	c.AcceptedTypes = []string{"access", "sliding"}
}

// slide logs in for a sliding token.
func (s *site) slide() string {
	s.Helper()
	return s.slid("/api/token/sliding/", map[string]string{"username": "testuser", "password": "testpassword"})
}

// slid posts and returns the one token of the answer.
func (s *site) slid(path string, fields map[string]string) string {
	s.Helper()
	status, _, body := s.post(path, fields)
	var answer map[string]string
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil || len(answer) != 1 || answer["token"] == "" {
		s.Fatalf("POST %s: %d %s", path, status, body)
	}
	return answer["token"]
}

func decoded(segment string) string {
	text, _ := base64.RawURLEncoding.DecodeString(segment)
	return string(text)
}

// idIn is the jti of a token.
func idIn(t *testing.T, token string) string {
	t.Helper()
	var claims struct{ JTI string }
	if err := json.Unmarshal([]byte(payloadOf(t, token)), &claims); err != nil {
		t.Fatal(err)
	}
	return claims.JTI
}

const (
	slider     = `"token_type":"sliding"`
	noAccount2 = `{"detail":"No active account found for the given token."}`
)

func TestSlidingTokens(t *testing.T) {
	s := open(t, slides)
	s.expect("/api/token/sliding/", map[string]string{}, 400, `{"username":["This field is required."],"password":["This field is required."]}`)
	s.expect("/api/token/sliding/", map[string]string{"username": "testuser", "password": "wrong"}, 401, noAccount)
	s.expect("/api/token/sliding/refresh/", map[string]string{}, 400, `{"token":["This field is required."]}`)
	token := s.slide()
	s.shape(token, `{"token_type":"sliding","exp":1700000300,"iat":1700000000,"jti":ID,"refresh_exp":1700086400,"user_id":"1"}`)
	s.pass(time.Minute)
	next := s.slid("/api/token/sliding/refresh/", map[string]string{"token": token})
	s.shape(next, `{"token_type":"sliding","exp":1700000360,"iat":1700000060,"jti":ID,"refresh_exp":1700086400,"user_id":"1"}`)
	if idIn(t, token) != idIn(t, next) {
		t.Error("the id is another one")
	}
	for _, one := range []string{token, next} { // both are good until they expire
		if got := s.bearer(one); got != "" {
			t.Error(got)
		}
		s.slid("/api/token/sliding/refresh/", map[string]string{"token": one})
		s.expect("/api/token/verify/", map[string]string{"token": one}, 200, "{}")
		s.expect("/api/token/blacklist/", map[string]string{"refresh": one}, 401, coded(badType))
		s.expect("/api/token/refresh/", map[string]string{"refresh": one}, 401, coded(badType))
	}
	access, refresh := s.login() // the pair is there as well
	s.expect("/api/token/sliding/refresh/", map[string]string{"token": access}, 401, coded(badType))
	s.expect("/api/token/sliding/refresh/", map[string]string{"token": refresh}, 401, coded(badType))

	// It is one session, of which the list tells.
	list, err := s.store.Sessions(t.Context(), s.alice.ID)
	if err != nil || len(list) != 2 || !list[1].Used.Equal(s.now().Truncate(time.Microsecond)) || !list[1].Created.Before(list[1].Used) {
		t.Errorf("sessions: %+v, %v", list, err)
	}
	// Claims of others are kept.
	theirs := seal(usual, claims(`"x":1.50`, slider, lives, id, user, `"refresh_exp":1700000100`))
	s.shape(s.slid("/api/token/sliding/refresh/", map[string]string{"token": theirs}), `{"x":1.5,"token_type":"sliding","exp":1700000360,"jti":"an id","user_id":"1","refresh_exp":1700000100,"iat":1700000060}`)
}

func TestSlidingTokensAreOffUnlessTheyAreOn(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/api/token/sliding/", "/api/token/sliding/refresh/", "/api/token/sliding"} {
		if status, _, _ := s.post(path, map[string]string{"token": "x"}); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	if got := s.bearer(seal(usual, claims(slider, lives, id, user))); got != badBearer(badType) {
		t.Errorf("opens a route: %s", got)
	}
}

func TestTheEndOfTheRefreshPeriod(t *testing.T) {
	refuse := func(text string) string { return coded(text) }
	for _, c := range []struct {
		name   string
		change func(*tokens.Config)
		claims string
		want   string // "": renewed
	}{
		{"to come", nil, `"refresh_exp":1700000001`, ""},
		{"this second", nil, `"refresh_exp":1700000000`, refuse("Token 'refresh_exp' claim has expired")},
		{"past", nil, `"refresh_exp":1`, refuse("Token 'refresh_exp' claim has expired")},
		{"past, within the leeway", func(c *tokens.Config) { c.Leeway = 30 * time.Second }, `"refresh_exp":1699999971`, ""},
		{"past, beyond the leeway", func(c *tokens.Config) { c.Leeway = 30 * time.Second }, `"refresh_exp":1699999970`, refuse("Token 'refresh_exp' claim has expired")},
		{"missing", nil, `"x":1`, refuse("Token has no 'refresh_exp' claim")},
		{"null", nil, `"refresh_exp":null`, refuse(isInvalid)}, // SimpleJWT crashes, here and below
		{"digits", nil, `"refresh_exp":"1700000100"`, refuse(isInvalid)},
		{"in milliseconds", nil, `"refresh_exp":1700000100000`, refuse(isInvalid)},
		{"with a fraction", nil, `"refresh_exp":1700000100.5`, ""},
		{"under another name", func(c *tokens.Config) { c.Sliding.RefreshExpClaim = "until" }, `"refresh_exp":1700000100`, refuse("Token has no 'until' claim")},
		{"under that name", func(c *tokens.Config) { c.Sliding.RefreshExpClaim = "until" }, `"until":1700000100`, ""},
		{"of nobody", nil, `"refresh_exp":1,"user_id":"9"`, noAccount2}, // the user is looked at first
	} {
		t.Run(c.name, func(t *testing.T) {
			change := []func(*tokens.Config){slides}
			if c.change != nil {
				change = append(change, c.change)
			}
			s := open(t, change...)
			holder := user
			if strings.Contains(c.claims, "user_id") {
				holder = `"y":1`
			}
			token := seal(usual, claims(slider, lives, id, holder, c.claims))
			if c.want != "" {
				s.expect("/api/token/sliding/refresh/", map[string]string{"token": token}, 401, c.want)
				return
			}
			s.slid("/api/token/sliding/refresh/", map[string]string{"token": token})
		})
	}
}

func TestASlidingTokenDiesWithWhatItStandsFor(t *testing.T) {
	both := `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token has wrong type"},{"token_class":"SlidingToken","token_type":"sliding","message":"Token is blacklisted"}]}`
	ended := `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is blacklisted"},{"token_class":"SlidingToken","token_type":"sliding","message":"Token is blacklisted"}]}`
	for _, c := range []struct {
		name            string
		act             func(s *site, token string)
		bearer, refresh string
	}{
		{"logout", func(s *site, token string) {
			s.expect("/api/token/logout/", map[string]string{"token": token}, 200, "{}")
		}, ended, coded(isRevoked)},
		{"logout everywhere", func(s *site, token string) {
			s.expect("/api/token/logout/?all=true", map[string]string{"token": token}, 200, "{}")
		}, ended, coded(isRevoked)},
		{"revoked by its id", func(s *site, token string) {
			s.ok(s.store.RevokeToken(s.Context(), users.Token{ID: idIn(s.T, token), Expires: s.now().Add(time.Hour)}))
		}, both, coded(isRevoked)},
		{"a new password", func(s *site, _ string) { s.ok(s.store.SetPassword(s.Context(), "testuser", "another")) }, ended, coded(isRevoked)},
		{"disabled", func(s *site, _ string) { s.setActive(false) }, `{"detail":"User is inactive","code":"user_inactive"}`, noAccount2},
		{"deleted", func(s *site, _ string) { s.ok(s.store.DeleteUser(s.Context(), "testuser")) }, `{"detail":"User not found","code":"user_not_found"}`, noAccount2},
		{"expired", func(s *site, _ string) { s.pass(5 * time.Minute) }, strings.ReplaceAll(ended, isRevoked, isExpired), coded(isExpired)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, slides)
			token := s.slide()
			s.pass(time.Minute)
			next := s.slid("/api/token/sliding/refresh/", map[string]string{"token": token})
			if got := s.bearer(next); got != "" {
				t.Fatal(got)
			}
			if c.name == "expired" {
				next = token
			}
			c.act(s, next)
			for range 2 {
				if got := s.bearer(next); got != c.bearer {
					t.Errorf("got  %s\nwant %s", got, c.bearer)
				}
				s.expect("/api/token/sliding/refresh/", map[string]string{"token": next}, 401, c.refresh)
			}
		})
	}
}

// What is revoked stays so for as long as a sliding token of that id may be good,
// which is beyond the exp of the one that was shown.
func TestARevokedSlidingTokenIsRememberedForLong(t *testing.T) {
	s := open(t, slides, func(c *tokens.Config) {
		c.Sliding.RefreshLifetime = 30 * 24 * time.Hour
		c.Sliding.Lifetime = 20 * 24 * time.Hour
		c.CheckPasswordChange = true
	})
	token := seal(usual, claims(slider, `"exp":1700000100`, id, user, `"refresh_exp":`+sec(30*24*3600)))
	longer := seal(usual, claims(slider, `"exp":`+sec(45*24*3600), id, user, `"refresh_exp":`+sec(30*24*3600)))
	s.expect("/api/token/sliding/refresh/", map[string]string{"token": token}, 401, `{"detail":"The user's password has been changed."}`)
	s.pass(44 * 24 * time.Hour)
	if _, err := s.store.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.expect("/api/token/sliding/refresh/", map[string]string{"token": longer}, 401, coded(isRevoked))
}

func TestSlidingTokensInPlaceOfThePair(t *testing.T) {
	s := open(t, slides, func(c *tokens.Config) { c.Sliding.Path = "/"; c.AcceptedTypes = []string{"sliding"} })
	token := s.slid("/api/token/", map[string]string{"username": "testuser", "password": "testpassword"})
	token = s.slid("/api/token/refresh/", map[string]string{"token": token})
	if got := s.bearer(token); got != "" {
		t.Error(got)
	}
	s.expect("/api/token/refresh/", map[string]string{"refresh": token}, 400, `{"token":["This field is required."]}`)
	s.expect("/api/token/verify/", map[string]string{"token": token}, 200, "{}")
	s.expect("/api/token/logout/", map[string]string{"token": token}, 200, "{}")
	seen := map[string]int{}
	for _, e := range s.Endpoints() {
		seen[e.Path]++
	}
	if len(seen) != 10 || seen["/api/token/"] != 1 || seen["/api/token/refresh"] != 1 || seen["/api/token/sliding/"] != 0 {
		t.Errorf("the endpoints are %v", seen)
	}

	s = open(t, slides, func(c *tokens.Config) { c.Sliding.Path = "/mobile/v2" })
	s.slid("/api/token/mobile/v2/refresh/", map[string]string{"token": s.slid("/api/token/mobile/v2/", map[string]string{"username": "testuser", "password": "testpassword"})})
}

func TestTheSlidingEndpointsInOptions(t *testing.T) {
	s := open(t, slides)
	for path, want := range map[string]string{
		"/api/token/sliding/":         `{"name":"Token Obtain Sliding",`,
		"/api/token/sliding/refresh/": `{"name":"Token Refresh Sliding",`,
	} {
		in, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.server.URL+path, nil)
		s.ok(err)
		if _, _, body := s.send(in); !strings.HasPrefix(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestASlidingLoginNotesTheLastLogin(t *testing.T) {
	login := tokens.DefaultLogin()
	login.UpdateLastLogin = true
	s := openFor(t, login, slides)
	token := s.slide()
	first := s.now()
	s.pass(time.Minute)
	s.slid("/api/token/sliding/refresh/", map[string]string{"token": token})
	u, err := s.store.UserByName(t.Context(), "testuser")
	if err != nil || !u.LastLogin.Equal(first) {
		t.Errorf("the last login was %v, %v", u.LastLogin, err)
	}
}
