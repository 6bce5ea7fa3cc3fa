package tokens_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

func rotating(grace time.Duration, onReuse string) func(*tokens.Config) {
	return func(c *tokens.Config) {
		c.Rotation = tokens.Rotation{Enabled: true, RevokeOld: true, Grace: grace, OnReuse: onReuse}
	}
}

// yield refreshes, and returns the pair and the whole body.
func (s *site) yield(refresh string) (access, next, body string) {
	s.Helper()
	status, _, body := s.post("/api/token/refresh/", map[string]string{"refresh": refresh})
	var pair struct{ Access, Refresh string }
	if err := json.Unmarshal([]byte(body), &pair); status != http.StatusOK || err != nil {
		s.Fatalf("refresh: %d %s", status, body)
	}
	return pair.Access, pair.Refresh, body
}

func (s *site) spent(refresh string) {
	s.Helper()
	s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, coded(isRevoked))
}

func TestRotation(t *testing.T) {
	s := open(t, rotating(0, "refuse"))
	first, old := s.login()
	s.pass(time.Minute)
	access, next, body := s.yield(old)
	if !strings.HasPrefix(body, `{"access":"ey`) || !strings.Contains(body, `","refresh":"ey`) {
		t.Errorf("the members are in another order: %s", body)
	}
	var was, is map[string]any
	s.ok(json.Unmarshal([]byte(payloadOf(t, old)), &was))
	s.ok(json.Unmarshal([]byte(payloadOf(t, next)), &is))
	if was["jti"] == is["jti"] || is["exp"].(float64)-was["exp"].(float64) != 60 || is["iat"].(float64)-was["iat"].(float64) != 60 || was["user_id"] != is["user_id"] {
		t.Errorf("from %v\nto   %v", was, is)
	}
	s.spent(old)
	s.expect("/api/token/blacklist/", map[string]string{"refresh": old}, http.StatusUnauthorized, coded(isRevoked))
	s.expect("/api/token/verify/", map[string]string{"token": old}, http.StatusBadRequest, `{"non_field_errors":["Token is blacklisted"]}`)
	s.expect("/api/token/verify/", map[string]string{"token": next}, http.StatusOK, "{}")
	for name, token := range map[string]string{"first": first, "second": access} {
		if got := s.bearer(token); got != "" {
			t.Errorf("the %s access token: %s", name, got)
		}
	}
	_, third, _ := s.yield(next) // its descendants stay good
	s.expect("/api/token/blacklist/", map[string]string{"refresh": third}, http.StatusOK, "{}")
	s.spent(third)
	// Claims that we did not put in are kept, in their place and type.
	made := seal(usual, claims(`"x":{"a":[1.50]}`, yields, lives, id, `"user_id":1`, `"name":"ä"`))
	_, next, _ = s.yield(made)
	got := payloadOf(t, next)
	if !strings.HasPrefix(got, `{"x":{"a":[1.5]},"token_type":"refresh","exp":`) || !strings.Contains(got, `","user_id":1,"name":"\u00e4","iat":`) {
		t.Errorf("got %s", got)
	}
}

func TestRotationThatRevokesNothing(t *testing.T) {
	s := open(t, func(c *tokens.Config) { c.Rotation = tokens.Rotation{Enabled: true} })
	_, old := s.login()
	_, one, _ := s.yield(old)
	_, two, _ := s.yield(old)
	if one == two {
		t.Error("twice the same")
	}
	s.yield(one)
	s.yield(two)
	s.expect("/api/token/blacklist/", map[string]string{"refresh": old}, http.StatusOK, "{}")
	s.spent(old)
	s.yield(one)
	s.expect("/api/token/verify/", map[string]string{"token": old}, http.StatusOK, "{}")
}

func TestRefreshTwiceWithinTheGrace(t *testing.T) {
	s := open(t, rotating(20*time.Second, "revoke_family"))
	_, old := s.login()
	_, next, body := s.yield(old)
	s.pass(20*time.Second - time.Microsecond)
	if _, _, again := s.yield(old); again != body {
		t.Errorf("got  %s\nwant %s", again, body)
	}
	access, latest, _ := s.yield(next)
	if _, _, again := s.yield(old); again != body {
		t.Errorf("after the next one was used: got %s\nwant %s", again, body)
	}
	s.log.take()
	s.pass(time.Microsecond)
	s.spent(old)
	s.spent(latest)
	if got := s.bearer(access); got != badBearer(isRevoked) {
		t.Errorf("the access token: %s", got)
	}
	log := s.log.take()
	for _, want := range []string{"level=WARN", "event=refresh_reuse", "user_id=1", "family=", "address=127.0.0.1"} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in the log: %s", want, log)
		}
	}
	if strings.Count(log, "\n") != 1 || strings.Contains(log, old) || strings.Contains(log, "ey") {
		t.Errorf("log: %s", log)
	}
	other, _ := s.login()
	if got := s.bearer(other); got != "" {
		t.Errorf("another session: %s", got)
	}
}

func TestLogout(t *testing.T) {
	for _, c := range []struct {
		name   string
		target string
		fields func(access, refresh string) map[string]string
		bearer bool
		all    bool
	}{
		{"the refresh token", "", func(_, r string) map[string]string { return map[string]string{"refresh": r} }, false, false},
		{"the access token", "", func(a, _ string) map[string]string { return map[string]string{"access": a} }, false, false},
		{"either as token", "", func(a, _ string) map[string]string { return map[string]string{"token": a} }, false, false},
		{"both, of which one is bad", "", func(a, _ string) map[string]string { return map[string]string{"refresh": "x", "access": a} }, false, false},
		{"a bearer", "", func(_, _ string) map[string]string { return nil }, true, false},
		{"all, by the refresh token", "?all=true", func(_, r string) map[string]string { return map[string]string{"refresh": r} }, false, true},
		{"all, as Python writes it", "?all=True", func(_, r string) map[string]string { return map[string]string{"refresh": r} }, false, true},
		{"all, by a bearer", "?all=true", func(_, _ string) map[string]string { return nil }, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			access, refresh := s.login()
			otherAccess, otherRefresh := s.login()
			later, _, _ := s.yield(refresh)
			in, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/token/logout/"+c.target, nil)
			if c.bearer {
				s.ok(err)
				in.Header.Set("Authorization", "Bearer "+access)
			} else {
				form := url.Values{}
				for name, value := range c.fields(access, refresh) {
					form.Set(name, value)
				}
				in, err = http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/token/logout/"+c.target, strings.NewReader(form.Encode()))
				s.ok(err)
				in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if status, _, body := s.send(in); status != http.StatusOK || body != "{}" {
				t.Fatalf("%d %s", status, body)
			}
			s.spent(refresh)
			for _, token := range []string{access, later} {
				if got := s.bearer(token); got != badBearer(isRevoked) {
					t.Errorf("an access token: %q", got)
				}
			}
			if got := s.bearer(otherAccess); (got != "") != c.all {
				t.Errorf("the other session: %q", got)
			}
			if c.all {
				s.spent(otherRefresh)
			} else {
				s.yield(otherRefresh)
			}
			s.expect("/api/token/logout/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, coded(isRevoked))
			access, _ = s.login()
			if got := s.bearer(access); got != "" {
				t.Errorf("a login after it: %s", got)
			}
		})
	}
}

func TestLogoutThatIsRefused(t *testing.T) {
	s := open(t, rotating(0, "refuse"))
	access, refresh := s.login()
	_, next, _ := s.yield(refresh)
	for _, c := range []struct {
		name, target string
		fields       map[string]string
		status       int
		body         string
	}{
		{"nothing", "", map[string]string{}, 400, `{"token":["This field is required; or refresh, or access, or a token in the header Authorization."]}`},
		{"blank", "", map[string]string{"refresh": " "}, 400, `{"refresh":["This field may not be blank."]}`},
		{"an all that says nothing", "?all", map[string]string{"refresh": next}, 400, `{"all":["Must be a valid boolean."]}`},
		{"half an all", "?all=perhaps", map[string]string{"refresh": next}, 400, `{"all":["Must be a valid boolean."]}`},
		{"garbage", "", map[string]string{"token": "x"}, 401, coded(isInvalid)},
		{"another type", "", map[string]string{"token": seal(usual, claims(`"token_type":"other"`, lives, id, user))}, 401, coded(badType)},
		{"all, with an old token", "?all=true", map[string]string{"refresh": refresh}, 401, coded(isRevoked)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.T = t
			s.expect("/api/token/logout/"+c.target, c.fields, c.status, c.body)
			if got := s.bearer(access); got != "" {
				t.Errorf("the session: %s", got)
			}
		})
	}
	// The tab that holds an old token may log out all the same.
	s.expect("/api/token/logout/", map[string]string{"refresh": refresh}, http.StatusOK, "{}")
	s.spent(next)
}

func TestWhatEndsSessionsOfAUser(t *testing.T) {
	foreign := seal(usual, claims(opener, lives, `"jti":"made elsewhere"`, user, `"iat":1699999999`))
	for _, c := range []struct {
		name    string
		act     func(s *site) error
		bearer  string
		refresh string
	}{
		{"a new password", func(s *site) error { return s.store.SetPassword(s.Context(), "testuser", "testpassword") }, badBearer(isRevoked), coded(isRevoked)},
		{"all are ended", func(s *site) error { return s.store.EndSessions(s.Context(), s.alice.ID) }, badBearer(isRevoked), coded(isRevoked)},
		{
			"disabled", func(s *site) error { s.setActive(false); return nil },
			`{"detail":"User is inactive","code":"user_inactive"}`, `{"detail":"No active account found for the given token."}`,
		},
		{"disabled for a moment", func(s *site) error { s.setActive(false); s.setActive(true); return nil }, badBearer(isRevoked), coded(isRevoked)},
		{
			"deleted", func(s *site) error { return s.store.DeleteUser(s.Context(), "testuser") },
			`{"detail":"User not found","code":"user_not_found"}`, `{"detail":"No active account found for the given token."}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			access, refresh := s.login()
			if got := s.bearer(foreign); got != "" {
				t.Errorf("a token of Django's, before: %s", got)
			}
			s.ok(c.act(s))
			for name, token := range map[string]string{"ours": access, "Django's": foreign} {
				if got := s.bearer(token); got != c.bearer {
					t.Errorf("%s: got %s\nwant %s", name, got, c.bearer)
				}
			}
			s.expect("/api/token/refresh/", map[string]string{"refresh": refresh}, http.StatusUnauthorized, c.refresh)
			// Whom a token belongs to is not asked for by these two.
			s.expect("/api/token/verify/", map[string]string{"token": access}, http.StatusOK, "{}")
			s.expect("/api/token/blacklist/", map[string]string{"refresh": refresh}, http.StatusOK, "{}")
		})
	}
}

func TestASessionRemembersItsClient(t *testing.T) {
	s := open(t)
	in, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+"/api/token/", strings.NewReader("username=testuser&password=testpassword"))
	s.ok(err)
	in.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	in.Header.Set("User-Agent", "phone/1.0")
	s.send(in)
	list, err := s.store.Sessions(t.Context(), s.alice.ID)
	if err != nil || len(list) != 1 || list[0].Address != "127.0.0.1" || list[0].UserAgent != "phone/1.0" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestVerifyAsksTheStoreWhereItMust(t *testing.T) {
	s := open(t, rotating(0, "refuse"))
	access, _ := s.login()
	s.ok(s.store.Close())
	if status, _, body := s.post("/api/token/verify/", map[string]string{"token": access}); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
	if status, _, body := s.post("/api/token/logout/", map[string]string{"token": access}); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
}

func TestFaultsAndWarningsOfRotation(t *testing.T) {
	store := userstest.Open(t)
	for _, c := range []struct {
		name     string
		rotation tokens.Rotation
		faults   string
		warnings string
	}{
		{"nothing", tokens.Rotation{}, "[]", "[]"},
		{"as recommended", tokens.Rotation{Enabled: true, RevokeOld: true, Grace: 20 * time.Second, OnReuse: "revoke_family"}, "[]", "[]"},
		{"as SimpleJWT with both switches", tokens.Rotation{Enabled: true, RevokeOld: true, OnReuse: "refuse"}, "[]", "[]"},
		{"as SimpleJWT without the second", tokens.Rotation{Enabled: true, OnReuse: "refuse"}, "[]", "[rotation.revoke_old]"},
		{"a family at risk", tokens.Rotation{Enabled: true, RevokeOld: true, OnReuse: "revoke_family"}, "[]", "[rotation.grace]"},
		{"off", tokens.Rotation{RevokeOld: true, Grace: time.Second, OnReuse: "revoke_family"}, "[]", "[]"},
		{"below zero", tokens.Rotation{Grace: -1}, "[rotation.grace]", "[]"},
		{"a day", tokens.Rotation{Grace: 24 * time.Hour}, "[rotation.grace]", "[]"},
		{"a word that is none", tokens.Rotation{OnReuse: "explode"}, "[rotation.on_reuse]", "[]"},
		{"what contradicts itself", tokens.Rotation{Enabled: true, Grace: 1, OnReuse: "revoke_family"}, "[rotation.grace rotation.on_reuse]", "[rotation.revoke_old]"},
	} {
		cfg := settings()
		cfg.Rotation = c.rotation
		_, err := tokens.New(cfg, tokens.Parts{Store: store})
		got := []string{}
		if err != nil {
			got = fields(err)
		}
		if fmt.Sprint(got) != c.faults {
			t.Errorf("%s: faults at %v", c.name, got)
		}
		got = []string{}
		for _, w := range cfg.Warnings(time.Now()) {
			got = append(got, w.At)
		}
		if fmt.Sprint(got) != c.warnings {
			t.Errorf("%s: warnings at %v", c.name, got)
		}
	}
	if got := tokens.DefaultConfig().Rotation; got != (tokens.Rotation{RevokeOld: true, OnReuse: "refuse"}) {
		t.Errorf("by default %+v", got)
	}
}

// One token and many, at once, while another process writes: no chain forks, and
// nobody hears of a lock.
func TestParallelRefreshes(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprint("grace ", grace), func(t *testing.T) {
			path := t.TempDir() + "/gatehouse.db"
			server, command := userstest.Open(t, userstest.At(path)), userstest.Open(t, userstest.At(path))
			userstest.Add(t, server, users.NewUser{Username: "testuser", Password: "testpassword"})
			cfg := settings()
			rotating(grace, "refuse")(&cfg)
			a, err := tokens.New(cfg, tokens.Parts{Store: server})
			if err != nil {
				t.Fatal(err)
			}
			ask := func(path string, form url.Values) (int, map[string]string) { return call(a, path, form) }
			login := func() string {
				status, body := ask("/api/token/", url.Values{"username": {"testuser"}, "password": {"testpassword"}})
				if status != http.StatusOK {
					t.Fatalf("login: %d %v", status, body)
				}
				return body["refresh"]
			}
			one := login()
			many := make([]string, 200)
			for i := range many {
				many[i] = login()
			}
			var mu sync.Mutex
			statuses, pairs := map[int]int{}, map[string]int{}
			var crowd sync.WaitGroup
			for i, own := range many {
				crowd.Go(func() {
					status, body := ask("/api/token/refresh/", url.Values{"refresh": {one}})
					mu.Lock()
					defer mu.Unlock()
					statuses[status]++
					if status == http.StatusOK {
						pairs[body["access"]+body["refresh"]]++
					} else if body["detail"] != isRevoked {
						t.Errorf("%d %v", status, body)
					}
				})
				crowd.Go(func() {
					if status, body := ask("/api/token/refresh/", url.Values{"refresh": {own}}); status != http.StatusOK {
						t.Errorf("its own: %d %v", status, body)
					}
				})
				if i%5 == 0 {
					crowd.Go(func() {
						if _, err := command.UpdateUser(t.Context(), "testuser", users.Change{FirstName: new(fmt.Sprint(i))}); err != nil {
							t.Error(err)
						}
					})
				}
			}
			crowd.Wait()
			want := map[int]int{200: 1, 401: 199}
			if grace > 0 {
				want = map[int]int{200: 200}
			}
			if fmt.Sprint(statuses) != fmt.Sprint(want) || len(pairs) != 1 {
				t.Errorf("got %v with %d pairs, want %v with one", statuses, len(pairs), want)
			}
		})
	}
}

// Of a refresh and a blacklisting of one token, at once, one comes first: who is told
// that the token was blacklisted has nothing out there that goes on.
func TestParallelRefreshAndBlacklist(t *testing.T) {
	path := t.TempDir() + "/gatehouse.db"
	store := userstest.Open(t, userstest.At(path))
	userstest.Add(t, store, users.NewUser{Username: "testuser", Password: "testpassword"})
	cfg := settings()
	rotating(0, "refuse")(&cfg)
	var two [2]*tokens.Authority // as in two processes
	for i := range two {
		a, err := tokens.New(cfg, tokens.Parts{Store: userstest.Open(t, userstest.At(path))})
		if err != nil {
			t.Fatal(err)
		}
		two[i] = a
	}
	for range 100 {
		status, pair := call(two[0], "/api/token/", url.Values{"username": {"testuser"}, "password": {"testpassword"}})
		if status != http.StatusOK {
			t.Fatalf("login: %d %v", status, pair)
		}
		var statuses [2]int
		var both sync.WaitGroup
		for i, path := range []string{"/api/token/refresh/", "/api/token/blacklist/"} {
			both.Go(func() { statuses[i], _ = call(two[i], path, url.Values{"refresh": {pair["refresh"]}}) })
		}
		both.Wait()
		if statuses != [2]int{200, 401} && statuses != [2]int{401, 200} {
			t.Fatalf("refresh %d, blacklist %d: want one of them", statuses[0], statuses[1])
		}
	}
}
