package tokens_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/drf"
	"gatehouse/users"
)

// says are claims of each kind.
func says(list ...tokens.Claim) func(*tokens.Config) {
	return func(c *tokens.Config) { c.Claims = list }
}

func TestTokensSayOfTheirUserWhatTheyAreToldTo(t *testing.T) {
	yes, name := true, `Zoë "Z"`
	for _, c := range []struct {
		name   string
		claims []tokens.Claim
		change users.Change
		config func(*tokens.Config)
		want   string // behind jti
	}{
		{"nothing", nil, users.Change{}, nil, `"user_id":"1"`},
		{"groups, in order", []tokens.Claim{{Name: "groups", From: "user.groups"}}, users.Change{AddGroups: []string{"admin"}}, nil, `"user_id":"1","groups":["admin","staff"]`},
		{"no groups", []tokens.Claim{{Name: "groups", From: "user.groups"}}, users.Change{RemoveGroups: []string{"staff"}}, nil, `"user_id":"1","groups":[]`},
		{
			"everything, in the order of the file, as json.dumps writes it",
			[]tokens.Claim{
				{Name: "tenant", Value: "Málaga"},
				{Name: "super", From: "user.is_superuser"},
				{Name: "staff", From: "user.is_staff"},
				{Name: "n", From: "user.id"},
				{Name: "https://x.test/name", From: "user.username"},
				{Name: "family_name", From: "user.last_name"},
				{Name: "given_name", From: "user.first_name"},
				{Name: "email", From: "user.email"},
			},
			users.Change{Staff: &yes, FirstName: &name},
			nil,
			`"user_id":"1","tenant":"M\u00e1laga","super":false,"staff":true,"n":1,"https://x.test/name":"testuser","family_name":"","given_name":"Zo\u00eb \"Z\"","email":"t@example.com"`,
		},
		{
			"attributes, where there are some",
			[]tokens.Claim{{Name: "dept", From: "user.attributes.department"}, {Name: "desk", From: "user.attributes.desk"}, {Name: "empty", From: "user.attributes.a.b-c_1"}},
			users.Change{SetAttributes: map[string]string{"department": "<Ä>", "a.b-c_1": ""}},
			nil,
			`"user_id":"1","dept":"<\u00c4>","empty":""`,
		},
		{
			"before aud and iss, behind the digest of the password",
			[]tokens.Claim{{Name: "x", Value: "y"}},
			users.Change{},
			func(c *tokens.Config) {
				c.Issuer, c.Audience.Names, c.CheckPasswordChange = "gatehouse", []string{"a"}, true
			},
			`"user_id":"1","hash_password":"DIGEST","x":"y","aud":["a"],"iss":"gatehouse"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, says(c.claims...), func(cfg *tokens.Config) {
				if c.config != nil {
					c.config(cfg)
				}
			})
			s.change(c.change)
			digest := func(token string) string { // of a salted hash
				_, rest, _ := strings.Cut(payloadOf(t, token), `"hash_password":"`)
				return strings.ReplaceAll(c.want, "DIGEST", strings.Split(rest, `"`)[0])
			}
			access, refresh := s.login()
			s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,`+digest(access)+`}`)
			s.shape(refresh, `{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,`+digest(refresh)+`}`)
			if got := s.bearer(access); got != "" {
				t.Error(got)
			}
		})
	}
}

// What SimpleJWT does: the access token of a refresh is a copy, and the user is not
// read again for it.
func TestClaimsAreThoseOfTheLogin(t *testing.T) {
	s := open(t, says(tokens.Claim{Name: "groups", From: "user.groups"}), func(c *tokens.Config) {
		c.Rotation.Enabled = true
	})
	_, refresh := s.login()
	s.change(users.Change{SetGroups: &[]string{"admin"}})
	for range 2 {
		status, _, body := s.post("/api/token/refresh/", map[string]string{"refresh": refresh})
		access, rest, ok := strings.Cut(strings.TrimPrefix(body, `{"access":"`), `","refresh":"`)
		if status != http.StatusOK || !ok {
			t.Fatalf("%d %s", status, body)
		}
		refresh = strings.TrimSuffix(rest, `"}`)
		s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1","groups":["staff"]}`)
		s.shape(refresh, `{"token_type":"refresh","exp":1700086400,"iat":1700000000,"jti":ID,"user_id":"1","groups":["staff"]}`)
		// The groups by which a route decides are those of the user as they are.
		p, err := s.Verifier().Verify(t.Context(), access)
		if err != nil || strings.Join(p.User.Groups, " ") != "admin" {
			t.Fatalf("%+v, %v", p, err)
		}
	}
	access, _ := s.login()
	s.shape(access, `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1","groups":["admin"]}`)
}

func TestSlidingTokensHaveTheClaimsTooAndKeepThem(t *testing.T) {
	s := open(t, slides, says(tokens.Claim{Name: "groups", From: "user.groups"}))
	token := s.slide()
	s.shape(token, `{"token_type":"sliding","exp":1700000300,"iat":1700000000,"jti":ID,"refresh_exp":1700086400,"user_id":"1","groups":["staff"]}`)
	s.change(users.Change{SetGroups: &[]string{"admin"}})
	s.pass(time.Minute)
	next := s.slid("/api/token/sliding/refresh/", map[string]string{"token": token})
	s.shape(next, `{"token_type":"sliding","exp":1700000360,"iat":1700000060,"jti":ID,"refresh_exp":1700086400,"user_id":"1","groups":["staff"]}`)
}

func TestATokenForAQuestionHasTheClaimsOfALogin(t *testing.T) {
	s := open(t, says(tokens.Claim{Name: "tenant", Value: "emea"}, tokens.Claim{Name: "groups", From: "user.groups"}))
	const head = `{"token_type":"access","exp":1700000300,"iat":1700000000,"jti":ID,"user_id":"1",`
	for _, c := range []struct {
		name, want string
		more       drf.Object
	}{
		{"as a login", `"tenant":"emea","groups":["staff"]}`, nil},
		{"with one more", `"tenant":"emea","groups":["staff"],"x":"y"}`, drf.Object{{Name: "x", Value: "y"}}},
		{"with another value", `"tenant":"apac","groups":["staff"]}`, drf.Object{{Name: "tenant", Value: "apac"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := s.Issuer().AccessFor(s.alice, c.more, s.now())
			if err != nil {
				t.Fatal(err)
			}
			s.shape(token, head+c.want)
			if got := s.bearer(token); got != "" {
				t.Error(got)
			}
		})
	}
	// A claim that says whose token it is cannot be put in place of ours.
	token, err := s.Issuer().AccessFor(s.alice, drf.Object{{Name: "user_id", Value: "2"}}, s.now())
	if err != nil || s.bearer(token) == "" {
		t.Errorf("a token with two users is taken: %v", err)
	}
}

// A token that no route takes is worth nothing to its user: better to say so than to
// let each request fail.
func TestATokenThatWouldBeTooLongIsNotHandedOut(t *testing.T) {
	s := open(t, slides, says(tokens.Claim{Name: "groups", From: "user.groups"}))
	var many []string
	for len(many) < 100 {
		many = append(many, strings.Repeat("group ", 24)+string(rune('\u4e00'+len(many))))
	}
	s.change(users.Change{AddGroups: many})
	for _, path := range []string{"/api/token/", "/api/token/sliding/"} {
		s.log.take()
		s.expect(path, map[string]string{"username": "testuser", "password": "testpassword"}, http.StatusServiceUnavailable,
			`{"detail":"The service is temporarily unavailable. Try again later."}`)
		if got := s.log.take(); !strings.Contains(got, "tokens.claims") || !strings.Contains(got, "level=ERROR") {
			t.Errorf("the log says %s", got)
		}
	}
	if list, err := s.store.Sessions(t.Context(), s.alice.ID); err != nil || len(list) != 0 {
		t.Errorf("sessions were begun: %v, %v", list, err)
	}
	s.change(users.Change{RemoveGroups: many})
	s.login()
}

func TestFaultsOfTheClaims(t *testing.T) {
	const every = "user.id, user.username, user.email, user.first_name, user.last_name, user.groups, user.is_staff, user.is_superuser or user.attributes.NAME"
	for _, c := range []struct {
		name  string
		claim tokens.Claim
		at    string
		says  string
	}{
		{"no name", tokens.Claim{From: "user.id"}, "claims[0].name", "the claim has no name"},
		{"a name that does not show", tokens.Claim{Name: "a\x00", From: "user.id"}, "claims[0].name", "cannot be the name"},
		{"exp", tokens.Claim{Name: "exp", Value: "x"}, "claims[0].name", "RFC 7519"},
		{"nbf", tokens.Claim{Name: "nbf", Value: "x"}, "claims[0].name", "RFC 7519"},
		{"iss", tokens.Claim{Name: "iss", Value: "x"}, "claims[0].name", "RFC 7519"},
		{"aud", tokens.Claim{Name: "aud", Value: "x"}, "claims[0].name", "RFC 7519"},
		{"sub", tokens.Claim{Name: "sub", From: "user.id"}, "claims[0].name", "user_id_claim: sub"},
		{"jti", tokens.Claim{Name: "jti", Value: "x"}, "claims[0].name", "RFC 7519"},
		{"the id of the token, of another name", tokens.Claim{Name: "tid", Value: "x"}, "claims[0].name", "jti_claim"},
		{"the user", tokens.Claim{Name: "uid", Value: "x"}, "claims[0].name", "user_id_claim"},
		{"the type", tokens.Claim{Name: "typ", Value: "x"}, "claims[0].name", "token_type_claim"},
		{"the digest of the password", tokens.Claim{Name: "hash_password", Value: "x"}, "claims[0].name", "password_claim"},
		{"the end of the refresh period", tokens.Claim{Name: "refresh_exp", Value: "x"}, "claims[0].name", "sliding.refresh_exp_claim"},
		{"nothing to say", tokens.Claim{Name: "x"}, "claims[0].from", every},
		{"two things to say", tokens.Claim{Name: "x", From: "user.id", Value: "y"}, "claims[0].value", "write one of them"},
		{"a long text", tokens.Claim{Name: "x", Value: strings.Repeat("é", 1001)}, "claims[0].value", "longer than 1000"},
		{"letters that were swapped", tokens.Claim{Name: "x", From: "user.gruops"}, "claims[0].from", "write user.groups"},
		{"without the user", tokens.Claim{Name: "x", From: "email"}, "claims[0].from", "write user.email"},
		{"in the words of another", tokens.Claim{Name: "x", From: "user.firstName"}, "claims[0].from", "write user.first_name"},
		{"without is_", tokens.Claim{Name: "x", From: "user.superuser"}, "claims[0].from", "write user.is_superuser"},
		{"an attribute without a name", tokens.Claim{Name: "x", From: "user.attributes."}, "claims[0].from", "such as user.attributes.department"},
		{"an attribute that nobody can have", tokens.Claim{Name: "x", From: "user.attributes.a b"}, "claims[0].from", "letters, digits"},
		{"an attribute, without the s", tokens.Claim{Name: "x", From: "user.attribute.Cost.Center"}, "claims[0].from", "write user.attributes.Cost.Center"},
		{"an attribute, without the user", tokens.Claim{Name: "x", From: "attributes.desk"}, "claims[0].from", "write user.attributes.desk"},
		{"the password", tokens.Claim{Name: "x", From: "user.password"}, "claims[0].from", every},
		{"something else", tokens.Claim{Name: "x", From: strings.Repeat("z", 5000)}, "claims[0].from", every},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings()
			cfg.Claims = []tokens.Claim{c.claim}
			cfg.UserIDClaim, cfg.TokenTypeClaim, cfg.JTIClaim = "uid", "typ", "tid"
			_, err := tokens.New(cfg, tokens.Parts{})
			var fault *tokens.Fault
			if !errors.As(err, &fault) || len(fields(err)) != 1 || fault.Field() != c.at || !strings.Contains(fault.Error(), c.says) {
				t.Errorf("got %v at %v", err, fields(err))
			}
		})
	}
	cfg := settings()
	cfg.Claims = []tokens.Claim{{Name: "x", Value: "1"}, {Name: "y", From: "user.id"}, {Name: "x", From: "user.ids"}}
	_, err := tokens.New(cfg, tokens.Parts{})
	if got := strings.Join(fields(err), " "); got != "claims[2].name claims[2].from" || !strings.Contains(err.Error(), "claims[0]") {
		t.Errorf("a name twice: %v at %s", err, got)
	}
	cfg.Claims, cfg.Keys[0].Use = cfg.Claims[:2], "verify"
	if _, err := tokens.New(cfg, tokens.Parts{}); strings.Join(fields(err), " ") != "claims" {
		t.Errorf("where no key signs: %v", err)
	}
	cfg = settings() // names that are free where tokens have no such claim
	cfg.TokenTypeClaim, cfg.Claims = "none", []tokens.Claim{{Name: "token_type", Value: "x"}, {Name: "scope", Value: "a b"}}
	s := open(t, func(c *tokens.Config) { *c = cfg })
	if access, _ := s.login(); s.bearer(access) != "" || !strings.HasSuffix(payloadOf(t, access), `"token_type":"x","scope":"a b"}`) {
		t.Errorf("the token says %s", payloadOf(t, access))
	}
}
