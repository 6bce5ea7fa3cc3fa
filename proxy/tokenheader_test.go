package proxy_test

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// openForTokens is open with another section tokens.
func openForTokens(t *testing.T, form func(*tokens.Config), change ...func(*proxy.Config)) *world {
	t.Helper()
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	for _, f := range change {
		f(&cfg)
	}
	gateway, err := proxy.New(cfg, partsForTokens(t, form))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	return w
}

func partsForTokens(t *testing.T, form func(*tokens.Config)) proxy.Parts {
	t.Helper()
	store := userstest.Open(t)
	for _, name := range []string{"alice", "bob"} {
		userstest.Add(t, store, users.NewUser{Username: name, Password: password})
	}
	cfg := tokens.DefaultConfig()
	cfg.Keys = []keys.Config{{ID: "main", Algorithm: "HS256", Secret: "an-example-signing-key-of-32-bytes!!"}}
	form(&cfg)
	authority, err := tokens.New(cfg, tokens.Parts{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Parts{Verifier: authority.Verifier(), Endpoints: authority.Endpoints(), Logger: slog.New(slog.DiscardHandler)}
}

func inAccessToken(c *tokens.Config) { c.HeaderName = "X-Access-Token" }

func handOn(c *proxy.Config) { c.Identity.ForwardToken = true }

func TestWordsBeforeTheToken(t *testing.T) {
	w := openForTokens(t, func(c *tokens.Config) { c.HeaderTypes = []string{"JWT", "Bearer"} })
	token := w.token("alice")
	for _, c := range []struct {
		value  string
		status int
		body   string
	}{
		{"JWT " + token, 200, ""},
		{"Bearer " + token, 200, ""},
		{"  JWT\t" + token + " ", 200, ""},
		{"jwt " + token, 401, notProvided},
		{"BEARER " + token, 401, notProvided},
		{"Token " + token, 401, notProvided},
		{token, 401, notProvided},
		{"JWT", 401, badHeader},
		{"Bearer JWT " + token, 401, badHeader},
		{"JWT,Bearer " + token, 401, notProvided},
	} {
		got := w.get("/x", "Authorization: "+c.value)
		if got.StatusCode != c.status || c.body != "" && got.Text != c.body {
			t.Errorf("%.14q: got %d %s", c.value, got.StatusCode, got.Text)
		}
		want := ""
		if c.status == 401 {
			want = `JWT realm="api"`
		}
		if got := got.Header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%.14q: WWW-Authenticate %q", c.value, got)
		}
	}
}

func TestAnotherHeaderForTheToken(t *testing.T) {
	w := openForTokens(t, inAccessToken)
	bearer := "Bearer " + w.token("alice")
	for name, c := range map[string]struct {
		headers []string
		status  int
		body    string
	}{
		"in it":               {[]string{"X-Access-Token: " + bearer}, 200, ""},
		"in small letters":    {[]string{"x-access-token: " + bearer}, 200, ""},
		"in Authorization":    {[]string{"Authorization: " + bearer}, 401, notProvided},
		"beside another":      {[]string{"X-Access-Token: " + bearer, "Authorization: Basic eA=="}, 200, ""},
		"with an underscore":  {[]string{"X_Access_Token: " + bearer}, 401, notProvided},
		"twice":               {[]string{"X-Access-Token: " + bearer, "X-Access-Token: " + bearer}, 400, ""},
		"without a word":      {[]string{"X-Access-Token: " + bearer[7:]}, 401, notProvided},
		"Authorization twice": {[]string{"X-Access-Token: " + bearer, "Authorization: a b", "Authorization: a b"}, 400, ""},
	} {
		got := w.get("/x", c.headers...)
		if got.StatusCode != c.status || c.body != "" && got.Text != c.body {
			t.Errorf("%s: got %d %s", name, got.StatusCode, got.Text)
		}
	}
	for _, in := range w.backend.requests() {
		if in.Header.Get("X-Access-Token") != "" || in.Header.Get("Authorization") != "" || in.Header.Get("X-User-Name") != "alice" {
			t.Errorf("the backend got %v", in.Header)
		}
	}
}

// Attack: the token is in the header that gatehouse reads, and another one in a spelling
// that a backend folds into the same.
func TestAttackTheTokenInTwoSpellings(t *testing.T) {
	for name, change := range map[string][]func(*proxy.Config){"taken away": nil, "handed on": {handOn}} {
		t.Run(name, func(t *testing.T) {
			w := openForTokens(t, inAccessToken, change...)
			mine, theirs := "Bearer "+w.token("alice"), "Bearer "+w.token("bob")
			for _, path := range []string{"/x", "/public/x", "/optional/x"} {
				for _, spelling := range []string{"X_Access_Token", "X-Access_Token", "x.access.token", "X_ACCESS-TOKEN"} {
					if got := w.get(path, "X-Access-Token: "+mine, spelling+": "+theirs); got.StatusCode != http.StatusOK {
						t.Fatalf("%s: %d %s", path, got.StatusCode, got.Text)
					}
					for header, values := range w.only().Header {
						want := name == "handed on" && header == "X-Access-Token" && slices.Equal(values, []string{mine})
						if strings.EqualFold(identity.Fold(header), "x_access_token") && !want {
							t.Errorf("%s: the backend got %s: %.20q", path, header, values)
						}
					}
				}
			}
		})
	}
}

func TestSlidingTokensOpenRoutes(t *testing.T) {
	w := openForTokens(t, func(c *tokens.Config) {
		c.Sliding.Enabled, c.Sliding.Path, c.AcceptedTypes = true, "/", []string{"access", "sliding"}
	})
	got := w.raw("POST /api/token/ HTTP/1.1\nHost: app.example.com\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 53\n\nusername=alice&password=correct+horse+battery+staple&")
	token := strings.TrimSuffix(strings.TrimPrefix(got.Text, `{"token":"`), `"}`)
	if got := w.get("/x", "Authorization: Bearer "+token); got.StatusCode != http.StatusOK || w.only().Header.Get("X-User-Name") != "alice" {
		t.Errorf("got %d %s", got.StatusCode, got.Text)
	}
	w.refused(w.get("/x", "Authorization: Bearer x"), 401, `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[`+
		`{"token_class":"AccessToken","token_type":"access","message":"Token is invalid"},{"token_class":"SlidingToken","token_type":"sliding","message":"Token is invalid"}]}`)
}

func TestOneHeaderDoesNotBringTheTokenAndNameTheUser(t *testing.T) {
	cfg := site("127.0.0.1:1")
	cfg.Identity.Headers = map[string]identity.Source{"X-Who": {Word: "username"}}
	_, err := proxy.New(cfg, partsForTokens(t, func(c *tokens.Config) { c.HeaderName = "x-who" }))
	if err == nil || !strings.Contains(err.Error(), "identity.headers.X-Who") {
		t.Errorf("got %v", err)
	}
}
