package tokens_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/drf"
)

// golden is the example of the wire contract, made by SimpleJWT itself.
const golden = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIiwiZXhwIjo0MTAyNDQ0ODAwLCJpYXQiOjE3MDAwMDAwMDAsImp0aSI6IjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmIiwidXNlcl9pZCI6IjEifQ.WvcNDVuin1nLA5n2Q_tDy8REjE-trA1IHwXOFn3cbM0"

func TestTheTokenOfTheContractOpensARoute(t *testing.T) {
	s := open(t)
	p, err := s.Verifier().Verify(t.Context(), golden)
	if err != nil {
		t.Fatal(err)
	}
	if p.UserID != "1" || p.User.Username != "testuser" || p.TokenID != "0123456789abcdef0123456789abcdef" || !p.Expires.Equal(time.Unix(4102444800, 0)) {
		t.Errorf("got %+v", p)
	}
	if iat, _ := p.Claims.Get("iat"); iat != drf.Number("1700000000") {
		t.Errorf("iat is %v", iat)
	}
	if got := s.Verifier().Challenge(); got != `Bearer realm="api"` {
		t.Errorf("the challenge is %s", got)
	}
	s.expect("/api/token/verify/", map[string]string{"token": golden}, http.StatusOK, "{}")
}

func TestTokensAreMadeByteForByteAsSimpleJWTMakesThem(t *testing.T) {
	const id = `"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}"` // a UUID of version 4
	for _, c := range []struct {
		name            string
		change          func(*tokens.Config)
		access, refresh string // the payloads; ID stands for the jti
	}{
		{
			"with the default settings", func(*tokens.Config) {},
			`{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1"}`,
			`{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,"user_id":"1"}`,
		},
		{
			"audience and issuer come last, the audience first",
			func(c *tokens.Config) { c.Issuer = "gatehouse"; c.Audience.Names = []string{"a", "b"} },
			`{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1","aud":["a","b"],"iss":"gatehouse"}`,
			`{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,"user_id":"1","aud":["a","b"],"iss":"gatehouse"}`,
		},
		{
			"one audience is a string, and what is not ASCII is escaped",
			func(c *tokens.Config) {
				c.Issuer = "https://é/<𝒳>&"
				c.Audience = tokens.Audience{Names: []string{"a"}, Plain: true}
			},
			`{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1","aud":"a","iss":"https://\u00e9/<\ud835\udcb3>&"}`,
			`{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,"user_id":"1","aud":"a","iss":"https://\u00e9/<\ud835\udcb3>&"}`,
		},
		{
			"a lifetime with a fraction is added before the seconds are cut", // start is at .25
			func(c *tokens.Config) {
				c.AccessLifetime, c.RefreshLifetime = 1750*time.Millisecond, 1740*time.Millisecond
			},
			`{"token_type":"access","exp":1700000002,"iat":1700000000,"jti":ID,"user_id":"1"}`,
			`{"token_type":"refresh","exp":1700000001,"iat":1700000000,"jti":ID,"user_id":"1"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, c.change)
			access, refresh := s.login()
			for token, want := range map[string]string{access: c.access, refresh: c.refresh} {
				if !strings.HasPrefix(token, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.") {
					t.Errorf("the token begins %.40s", token)
				}
				pattern := strings.Replace(regexp.QuoteMeta(want), "ID", id, 1)
				if got := payloadOf(t, token); !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
				if again := seal(usual, payloadOf(t, token)); again != token {
					t.Errorf("the signature is not HS256's")
				}
			}
			if a, r := payloadOf(t, access), payloadOf(t, refresh); a[strings.Index(a, "jti"):][:40] == r[strings.Index(r, "jti"):][:40] {
				t.Error("both tokens have the same jti")
			}
		})
	}
}

// A refresh copies what an older version or a customized site put into its tokens.
func TestARefreshCopiesClaimsAsTheyAre(t *testing.T) {
	for _, c := range []struct{ name, sent, want string }{
		{
			"other claims, in order and with their types",
			`"z":1.50,"user_id":1,"a":[true,null,{"k":"é"}],"nbf":1,"big":12345678901234567890,"refresh_exp":1e3`,
			`"z":1.5,"user_id":1,"a":[true,null,{"k":"\u00e9"}],"nbf":1,"big":12345678901234567890,"refresh_exp":1000.0`,
		},
		{"half a surrogate pair", `"user_id":"1","x":"\ud800"`, `"user_id":"1","x":"\ud800"`},
		{"no user at all", `"aud":"anyone"`, `"aud":"anyone"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			s.pass(10 * time.Second)
			refresh := seal(usual, claims(`"jti":"old","iat":1`, c.sent, `"exp":`+sec(100), `"token_type":"refresh"`))
			status, _, body := s.post("/api/token/refresh/", map[string]string{"refresh": refresh})
			token, found := strings.CutPrefix(body, `{"access":"`)
			if status != http.StatusOK || !found {
				t.Fatalf("%d %s", status, body)
			}
			got := payloadOf(t, strings.TrimSuffix(token, `"}`))
			prefix := `{"token_type":"access","exp":1700000310,"iat":1700000010,"jti":"`
			if !strings.HasPrefix(got, prefix) || got[len(prefix)+32:] != `",`+c.want+"}" {
				t.Errorf("got %s\nwant %s…,%s}", got, prefix, c.want)
			}
		})
	}
}

func TestARefreshPutsItsOwnAudienceAndIssuerWhereTheOldOnesWere(t *testing.T) {
	s := open(t, func(c *tokens.Config) {
		c.Issuer = "gatehouse"
		c.Audience = tokens.Audience{Names: []string{"a"}, Plain: true}
	})
	refresh := seal(usual, claims(`"token_type":"refresh","aud":["b","a"],"exp":`+sec(100)+`,"iss":"gatehouse","jti":"x","user_id":"1"`))
	_, _, body := s.post("/api/token/refresh/", map[string]string{"refresh": refresh})
	got := payloadOf(t, strings.TrimPrefix(body, `{"access":"`))
	if !strings.HasSuffix(got, `,"aud":"a","iss":"gatehouse","user_id":"1"}`) {
		t.Errorf("got %s", got)
	}
}
