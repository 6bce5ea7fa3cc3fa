package tokens_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/password"
	"gatehouse/users/userstest"
)

const noAccount = `{"detail":"No active account found with the given credentials"}`

func TestObtain(t *testing.T) {
	s := open(t)
	userstest.Add(t, s.store, users.NewUser{Username: "locked"})
	userstest.Add(t, s.store, users.NewUser{Username: "gone", Password: "testpassword", Inactive: true})
	for _, c := range []struct{ name, username, password string }{
		{"unknown user", "nobody", "testpassword"},
		{"wrong password", "testuser", "wrong"},
		{"the name in capitals", "TESTUSER", "testpassword"},
		{"inactive user, right password", "gone", "testpassword"},
		{"inactive user, wrong password", "gone", "wrong"},
		{"unusable password", "locked", "!"},
		{"the hash as the password", "testuser", s.alice.Password},
		{"a name that is SQL", "' OR 1=1 --", "testpassword"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.T = t
			s.expect("/api/token/", map[string]string{"username": c.username, "password": c.password}, http.StatusUnauthorized, noAccount)
		})
	}
	access, refresh := s.login()
	s.judge(access, verdict{"", badType, ""})
	s.expect("/api/token/refresh/", map[string]string{"refresh": access}, http.StatusUnauthorized, coded(badType))
	if got := s.bearer(refresh); got != badBearer(badType) {
		t.Errorf("the refresh token as bearer: %s", got)
	}
	s.expect("/api/token/", map[string]string{}, http.StatusBadRequest, `{"username":["This field is required."],"password":["This field is required."]}`)
	status, _, body := s.post("/api/token/", map[string]string{"username": " testuser\n", "password": "\ttestpassword "})
	if status != http.StatusOK || !strings.HasPrefix(body, `{"refresh":"ey`) || !strings.Contains(body, `","access":"ey`) {
		t.Errorf("with blanks around: %d %s", status, body)
	}
}

func TestARefreshTokenYieldsUntilItIsBlacklisted(t *testing.T) {
	s := open(t)
	access, refresh := s.login()
	for range 3 { // without rotation it stays good
		status, _, body := s.post("/api/token/refresh/", map[string]string{"refresh": refresh})
		if status != http.StatusOK || strings.Contains(body, "refresh") {
			t.Fatalf("refresh: %d %s", status, body)
		}
		if got := s.bearer(body[len(`{"access":"`) : len(body)-2]); got != "" {
			t.Errorf("the new access token: %s", got)
		}
	}
	s.expect("/api/token/blacklist/", map[string]string{"refresh": refresh}, http.StatusOK, "{}")
	s.expect("/api/token/blacklist/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, coded(isRevoked))
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, coded(isRevoked))
	s.expect("/api/token/verify/", map[string]string{"token": refresh}, http.StatusOK, "{}") // as with SimpleJWT's defaults
	if got := s.bearer(access); got != "" {
		t.Errorf("the access token: %s", got)
	}
	s.pass(5*time.Minute - time.Second)
	s.expect("/api/token/verify/", map[string]string{"token": access}, http.StatusOK, "{}")
	s.pass(time.Second)
	s.expect("/api/token/verify/", map[string]string{"token": access}, http.StatusUnauthorized, coded(isExpired))
	s.pass(24 * time.Hour)
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, coded(isExpired))
}

// A revocation must be remembered for as long as the token passes, which with a leeway is longer than it says.
func TestABlacklistedTokenDoesNotComeBackWithinTheLeeway(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.Leeway = time.Hour })
	_, refresh := s.login()
	s.expect("/api/token/blacklist/", map[string]string{"refresh": refresh}, http.StatusOK, "{}")
	s.pass(24*time.Hour + 59*time.Minute)
	s.must(s.store.Prune(t.Context()))
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, coded(isRevoked))
}

func TestPathsAndMethods(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.BasePath = "/auth/v1" })
	request := func(method, target string) (int, http.Header, string) {
		in, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+target, nil)
		s.ok(err)
		return s.send(in)
	}
	for path, name := range map[string]string{
		"/auth/v1/": "Token Obtain Pair", "/auth/v1/refresh/": "Token Refresh",
		"/auth/v1/verify/": "Token Verify", "/auth/v1/blacklist/": "Token Blacklist",
	} {
		status, header, body := request(http.MethodGet, path)
		if status != http.StatusMethodNotAllowed || body != `{"detail":"Method \"GET\" not allowed."}` || header.Get("Allow") != "POST, OPTIONS" {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
		status, _, body = request(http.MethodOptions, path)
		if status != http.StatusOK || !strings.HasPrefix(body, `{"name":"`+name+`","description":"`) {
			t.Errorf("OPTIONS %s: %d %s", path, status, body)
		}
		status, header, body = request(http.MethodPost, strings.TrimSuffix(path, "/")+"?a=1")
		if status != http.StatusMovedPermanently || header.Get("Location") != path+"?a=1" || body != "" {
			t.Errorf("without the slash: %d to %q %s", status, header.Get("Location"), body)
		}
	}
	for path, want := range map[string]string{
		"/auth/v1/":           `"username":{"type":"string","required":true,"read_only":false,"label":"Username"},"password":{"type":"string","required":true,"read_only":false,"label":"Password"}`,
		"/auth/v1/refresh/":   `"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"},"access":{"type":"string","required":false,"read_only":true,"label":"Access"}`,
		"/auth/v1/verify/":    `"token":{"type":"string","required":true,"read_only":false,"label":"Token"}`,
		"/auth/v1/blacklist/": `"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"}`,
	} {
		if _, _, body := request(http.MethodOptions, path); !strings.HasSuffix(body, `"actions":{"POST":{`+want+`}}}`) {
			t.Errorf("OPTIONS %s: %s", path, body)
		}
	}
	// Authorization is not looked at.
	in, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/auth/v1/verify/", strings.NewReader("token="+golden))
	s.ok(err)
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	in.Header.Set("Authorization", "Bearer x y z")
	if status, _, body := s.send(in); status != http.StatusOK || body != "{}" {
		t.Errorf("with a bad Authorization header: %d %s", status, body)
	}
}

func TestEndpointsWithoutTheStoreSayTryAgain(t *testing.T) {
	s := open(t)
	_, refresh := s.login()
	s.ok(s.store.Close())
	for _, c := range []struct {
		path   string
		fields map[string]string
	}{
		{"/api/token/", map[string]string{"username": "testuser", "password": "testpassword"}},
		{"/api/token/refresh/", map[string]string{"refresh": refresh}},
		{"/api/token/blacklist/", map[string]string{"refresh": refresh}},
	} {
		s.log.take()
		status, header, body := s.post(c.path, c.fields)
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || header.Get("WWW-Authenticate") != "" ||
			body != `{"detail":"The service is temporarily unavailable. Try again later."}` {
			t.Errorf("%s: %d %v %s", c.path, status, header, body)
		}
		log := s.log.take()
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=ERROR") {
			t.Errorf("%s: logged %q, want one error", c.path, log)
		}
		if !strings.Contains(log, "request_id=") {
			t.Errorf("%s: the request cannot be told from others: %q", c.path, log)
		}
		if strings.Contains(log, "testpassword") || strings.Contains(log, refresh) || strings.Contains(log, secret) {
			t.Errorf("%s: a secret is in the log: %s", c.path, log)
		}
	}
	// A token can be verified all the same.
	s.expect("/api/token/verify/", map[string]string{"token": refresh}, http.StatusOK, "{}")
}

func TestALoginThatFindsTheQueueFullMayComeAgain(t *testing.T) {
	s := open(t)
	cfg := password.DefaultConfig()
	cfg.MaxParallel, cfg.MaxQueue = "1", 1
	store := userstest.Open(t, userstest.Hashing(cfg))
	userstest.Add(t, store, users.NewUser{Username: "testuser", Password: "testpassword"})
	a, err := tokens.New(settings(), tokens.Parts{Store: store})
	s.ok(err)
	s.server.Config.Handler = a.Endpoints()[0].Handler

	var mu sync.Mutex
	seen := map[int]int{}
	var crowd sync.WaitGroup
	for range 12 {
		crowd.Go(func() {
			status, header, body := s.post("/api/token/", map[string]string{"username": "testuser", "password": "testpassword"})
			mu.Lock()
			defer mu.Unlock()
			seen[status]++
			busy := status == http.StatusServiceUnavailable && header.Get("Retry-After") == "1" && strings.HasPrefix(body, `{"detail":"`)
			if status != http.StatusOK && !busy {
				t.Errorf("%d %v %s", status, header, body)
			}
		})
	}
	crowd.Wait()
	if seen[http.StatusOK] == 0 || seen[http.StatusServiceUnavailable] == 0 {
		t.Errorf("got %v, want some of both", seen)
	}
}

func TestAClientThatWentAwayIsNoErrorInTheLog(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	in, err := http.NewRequestWithContext(ctx, http.MethodPost, "/api/token/refresh/", strings.NewReader("refresh="+seal(usual, claims(yields, lives, id, user))))
	s.ok(err)
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	cancel()
	for _, e := range s.Endpoints() {
		if e.Path == "/api/token/refresh/" {
			e.Handler.ServeHTTP(discard{}, in)
		}
	}
	if log := s.log.take(); strings.Contains(log, "ERROR") {
		t.Error(log)
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// What a login, a refresh and a blacklisting leave in the store.
func TestRefreshTokensAreRemembered(t *testing.T) {
	s := open(t)
	_, refresh := s.login()
	revoked := func(jti string) bool {
		yes, err := s.store.Revoked(t.Context(), jti)
		s.ok(err)
		return yes
	}
	payload := payloadOf(t, refresh)
	jti := payload[strings.Index(payload, `"jti":"`)+7:][:32]
	if revoked(jti) {
		t.Error("revoked after login")
	}
	s.expect("/api/token/blacklist/", map[string]string{"refresh": refresh}, http.StatusOK, "{}")
	if !revoked(jti) {
		t.Error("not revoked after blacklisting")
	}
	// Also one that we never handed out, and whose user is nobody.
	made := seal(usual, claims(yields, lives, `"jti":"made elsewhere","user_id":"77"`))
	s.expect("/api/token/blacklist/", map[string]string{"refresh": made}, http.StatusOK, "{}")
	if !revoked("made elsewhere") {
		t.Error("a token that was made elsewhere is not revoked")
	}
}

// A refresh token that nobody blacklisted is remembered from login until long after its end; an access token never is.
func TestALoginRemembersOneTokenAndOneSession(t *testing.T) {
	s := open(t)
	s.login()
	_, refresh := s.login()
	if text := s.asked("/api/token/refresh/", "refresh", refresh); text != "" {
		t.Fatal(text)
	}
	s.pass(30 * 24 * time.Hour)
	removed, err := s.store.Prune(t.Context())
	s.ok(err)
	if removed != 4 {
		t.Errorf("%d tokens and sessions of two logins and a refresh were remembered, want 2 and 2", removed)
	}
}
