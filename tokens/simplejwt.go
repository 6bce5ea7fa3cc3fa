package tokens

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/users"
)

// SimpleJWT is the part of the section that says of which form tokens are, how they
// are shown, and what of their users is looked at: what a site may have changed of
// SimpleJWT's settings.
type SimpleJWT struct {
	// HeaderName is the header that brings the token of a request; default
	// Authorization. With another one, Authorization is not looked at.
	HeaderName string `mapstructure:"header_name"`
	// HeaderTypes are the words before the token, each exactly as it is written;
	// default [Bearer]. The first is named in WWW-Authenticate on each 401.
	HeaderTypes []string `mapstructure:"header_types"`
	// UserIDField is what of a user is put into tokens and looked up from them: "id"
	// (default), "username" or "email". Danger: who is given the name or the address of
	// another is then who the old tokens name.
	UserIDField string `mapstructure:"user_id_field"`
	// UserIDClaim is the claim that it stands in; default user_id.
	UserIDClaim string `mapstructure:"user_id_claim"`
	// TokenTypeClaim is the claim that says what a token is for; default token_type.
	// "none" neither writes nor looks at it. Danger: every token is then good for
	// everything, a refresh token as a bearer token and the other way round.
	TokenTypeClaim string `mapstructure:"token_type_claim"`
	// JTIClaim is the claim with the id of a token; default jti. "none" takes tokens of
	// others that have no id; ours have jti.
	JTIClaim string `mapstructure:"jti_claim"`
	// AcceptedTypes are the tokens that open routes: "access" (default), "sliding",
	// "refresh", and "untyped", which is any. In that order they are tried, and named to
	// a client whose token is none of them. Danger: with refresh or untyped a token that
	// lives for a day opens routes.
	AcceptedTypes []string `mapstructure:"accepted_types"`
	// Sliding are tokens that are renewed with themselves.
	Sliding Sliding `mapstructure:"sliding"`
	// CheckPasswordChange writes a digest of the password hash into tokens and refuses
	// those of another hash; default false. All tokens of before have no digest and are
	// refused. A new password here ends the sessions of its user in any case; this is
	// for passwords that are changed elsewhere.
	CheckPasswordChange bool `mapstructure:"check_password_change"`
	// PasswordClaim is the claim with that digest; default hash_password.
	PasswordClaim string `mapstructure:"password_claim"`
	// AcceptInactive takes tokens of users who are disabled; default false. They cannot
	// log in. Danger: to disable a user then shuts nobody out whose sessions were kept.
	AcceptInactive bool `mapstructure:"accept_inactive"`
	// Legacy is what older versions of SimpleJWT did, for clients that depend on it.
	Legacy Legacy `mapstructure:"legacy"`
}

// Sliding is the `tokens.sliding` section: tokens that open routes, and that are
// exchanged for one of a later end until refresh_lifetime is over.
type Sliding struct {
	// Enabled answers below Path; default false. They open routes where accepted_types
	// names them.
	Enabled bool `mapstructure:"enabled"`
	// Path is where below base_path they are obtained, and /refresh/ behind it where
	// they are renewed; default /sliding. "/" is in place of the pair.
	Path string `mapstructure:"path"`
	// Lifetime is how long one opens routes; default 5m.
	Lifetime time.Duration `mapstructure:"lifetime"`
	// RefreshLifetime is how long after the login it can be renewed; default 24h.
	RefreshLifetime time.Duration `mapstructure:"refresh_lifetime"`
	// RefreshExpClaim is the claim with that end; default refresh_exp.
	RefreshExpClaim string `mapstructure:"refresh_exp_claim"`
}

// Legacy is the `tokens.legacy` section.
type Legacy struct {
	// Texts says "Token is invalid or expired" of each token that is one of both, as
	// versions before 5.5.0; default false.
	Texts bool `mapstructure:"texts"`
	// IntegerUserID writes the id of a user as a number, as versions before 5.5.1;
	// default false, a string. Both are read in any case, but for a number in the claim
	// sub, which is no string (RFC 7519, section 4.1.2) and is read with true alone.
	IntegerUserID bool `mapstructure:"integer_user_id"`
}

// none is how a claim is written that there shall not be.
const none = "none"

func defaultSimpleJWT() SimpleJWT {
	return SimpleJWT{
		HeaderName:     "Authorization",
		HeaderTypes:    []string{"Bearer"},
		UserIDField:    string(users.ByID),
		UserIDClaim:    claimUser,
		TokenTypeClaim: claimType,
		JTIClaim:       claimID,
		AcceptedTypes:  []string{typeAccess},
		PasswordClaim:  "hash_password",
		Sliding: Sliding{
			Path: "/sliding", Lifetime: 5 * time.Minute, RefreshLifetime: 24 * time.Hour, RefreshExpClaim: "refresh_exp",
		},
	}
}

// tokenClass is a kind of token, and what SimpleJWT calls it. Of the type none is
// wanted that takes any.
type tokenClass struct {
	word, class, kind string
	revocable         bool // its id is looked up among those that were revoked
}

var tokenClasses = []tokenClass{
	{typeAccess, "AccessToken", typeAccess, false},
	{typeSliding, "SlidingToken", typeSliding, true},
	{typeRefresh, "RefreshToken", typeRefresh, true},
	{"untyped", "UntypedToken", "", false},
}

func classOf(word string) (tokenClass, bool) {
	i := slices.IndexFunc(tokenClasses, func(c tokenClass) bool { return c.word == word })
	if i < 0 {
		return tokenClass{}, false
	}
	return tokenClasses[i], true
}

// typeClaim is the claim that says what a token is for, or "" for none.
func (c SimpleJWT) typeClaim() string {
	if c.TokenTypeClaim == none {
		return ""
	}
	return c.TokenTypeClaim
}

// idClaim is the claim with the id of a token.
func (c SimpleJWT) idClaim() string {
	if c.JTIClaim == none {
		return claimID
	}
	return c.JTIClaim
}

func (c SimpleJWT) check() []error {
	var faults []error
	add := func(at, problem, fix string) { faults = append(faults, &Fault{at, problem, fix}) }
	if problem, fix := checkHeaderName(c.HeaderName); problem != "" {
		add("header_name", problem, fix)
	}
	if len(c.HeaderTypes) == 0 {
		add("header_types", "no word may stand before a token", "write [Bearer]")
	}
	for i, word := range c.HeaderTypes {
		at := fmt.Sprintf("header_types[%d]", i)
		switch {
		case !isHTTPToken(word):
			add(at, fmt.Sprintf("%q cannot stand before a token", word), "write one word such as Bearer or JWT")
		case slices.Contains(c.HeaderTypes[:i], word):
			add(at, fmt.Sprintf("%s is there twice", word), "take one out")
		}
	}
	if !slices.Contains([]string{string(users.ByID), string(users.ByName), string(users.ByEmail)}, c.UserIDField) {
		add("user_id_field", fmt.Sprintf("users are not known by %q", c.UserIDField), "write id, username or email")
	}
	if len(c.AcceptedTypes) == 0 {
		add("accepted_types", "no token would open a route", "write [access]")
	}
	for i, word := range c.AcceptedTypes {
		at := fmt.Sprintf("accepted_types[%d]", i)
		switch _, known := classOf(word); {
		case !known:
			add(at, fmt.Sprintf("there are no tokens of the type %q", word), "write access, sliding, refresh or untyped")
		case slices.Contains(c.AcceptedTypes[:i], word):
			add(at, fmt.Sprintf("%s is there twice", word), "take one out")
		}
	}
	if c.Legacy.IntegerUserID && c.UserIDField != string(users.ByID) {
		add("legacy.integer_user_id", "what user_id_field puts into tokens is no number", "take it away, or write user_id_field: id")
	}
	return slices.Concat(faults, c.Sliding.check(), c.checkClaims())
}

// checkClaims wants names that are names, none of which means two things.
func (c SimpleJWT) checkClaims() []error {
	var faults []error
	meant := map[string]string{}
	for _, registered := range []string{"exp", "iat", "nbf", "iss", "aud"} {
		meant[registered] = "RFC 7519, section 4.1"
	}
	for _, claim := range []struct{ at, name string }{
		{"user_id_claim", c.UserIDClaim},
		{"token_type_claim", c.TokenTypeClaim},
		{"jti_claim", c.JTIClaim},
		{"password_claim", c.PasswordClaim},
		{"sliding.refresh_exp_claim", c.Sliding.RefreshExpClaim},
	} {
		optional := claim.at == "token_type_claim" || claim.at == "jti_claim"
		switch {
		case claim.name == none && optional:
			continue
		case claim.name == "" && optional:
			faults = append(faults, &Fault{claim.at, "the claim has no name", "write one, or none for no such claim"})
			continue
		case !isClaimName(claim.name):
			faults = append(faults, &Fault{claim.at, fmt.Sprintf("%q cannot be the name of this claim", claim.name), "write a word such as user_id"})
			continue
		}
		other, taken := meant[claim.name]
		if !taken && claim.name == "sub" && claim.at != "user_id_claim" || !taken && claim.name == claimID && claim.at != "jti_claim" {
			other, taken = "RFC 7519, section 4.1", true
		}
		if taken {
			faults = append(faults, &Fault{claim.at, fmt.Sprintf("%s means something else (%s)", claim.name, other), "write another name"})
			continue
		}
		meant[claim.name] = claim.at
	}
	return faults
}

func (s Sliding) check() []error {
	var faults []error
	add := func(at, problem, fix string) { faults = append(faults, &Fault{"sliding." + at, problem, fix}) }
	switch {
	case s.Path != "/" && !isBasePath(s.Path):
		add("path", fmt.Sprintf("%q is no path for the endpoints", s.Path), "write one such as /sliding, or / for the place of the pair")
	case slices.Contains([]string{"/refresh", "/verify", "/blacklist", "/logout"}, s.Path):
		add("path", fmt.Sprintf("something else answers at %s", s.Path), "write one such as /sliding, or / for the place of the pair")
	}
	for _, lifetime := range []struct {
		at    string
		value time.Duration
	}{{"lifetime", s.Lifetime}, {"refresh_lifetime", s.RefreshLifetime}} {
		if lifetime.value < time.Second || lifetime.value > maxLifetime {
			add(lifetime.at, fmt.Sprintf("a lifetime of %s makes no usable token", lifetime.value), "write one between 1s and ten years, such as 5m or 24h")
		}
	}
	return faults
}

// isClaimName accepts what can be a member of a JSON object and be read in a file.
func isClaimName(name string) bool {
	return name != "" && name != none && len(name) <= 200 && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// takenHeaders are headers that mean something else, to a server or on the way to it.
var takenHeaders = []string{
	"host", "cookie", "set-cookie", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect",
	"from", "origin", "referer", "user-agent", "date", "range", "via", "forwarded", "x-real-ip", "x-request-id", "traceparent", "tracestate",
	"cache-control", "pragma", "www-authenticate", "proxy", "proxy-connection",
}

func checkHeaderName(name string) (problem, fix string) {
	lower := strings.ToLower(name)
	if cgi, ok := strings.CutPrefix(name, "HTTP_"); ok {
		return name + " is what Django calls the header", "write " + textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(cgi, "_", "-"))
	}
	// Letters, digits and dashes: other names are dropped on the way, or folded.
	if len(name) > 60 || name == "" || strings.Trim(lower, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Trim(name, "-") != name {
		return fmt.Sprintf("%q cannot be the name of the header", name), "write letters, digits and dashes: Authorization, or X-Access-Token"
	}
	for _, family := range []string{"content-", "accept", "if-", "sec-", "access-control-", "x-forwarded", "x-original-", "x-rewrite-", "x-user-"} {
		if strings.HasPrefix(lower, family) {
			return name + " means something else", "write Authorization, or a name such as X-Access-Token"
		}
	}
	if slices.Contains(takenHeaders, lower) {
		return name + " means something else", "write Authorization, or a name such as X-Access-Token"
	}
	return "", ""
}

// isHTTPToken tells whether a text is a token of RFC 9110, section 5.6.2, which a
// scheme is.
func isHTTPToken(text string) bool {
	return text != "" && len(text) <= 60 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~") == ""
}

// warnings are what is allowed and seldom meant.
func (c SimpleJWT) warnings() []Warning {
	var all []Warning
	add := func(at, text string) { all = append(all, Warning{at, text}) }
	if c.TokenTypeClaim == none {
		add("token_type_claim", "every token is good for everything: a refresh token opens routes, and an access token is refreshed for ever; name the claim unless tokens of others have none")
	}
	for i, word := range c.AcceptedTypes {
		if word == typeRefresh || word == "untyped" {
			add(fmt.Sprintf("accepted_types[%d]", i), "refresh tokens, which live long and are not meant to be sent with each request, open routes; take it out unless clients depend on it")
		}
	}
	opens := slices.Contains(c.AcceptedTypes, typeSliding) || slices.Contains(c.AcceptedTypes, "untyped") || c.typeClaim() == ""
	if c.Sliding.Enabled && !opens {
		add("sliding.enabled", "sliding tokens are handed out and open no route; write accepted_types: [access, sliding]")
	}
	if c.AcceptInactive {
		add("accept_inactive", "users who are disabled elsewhere go on until their sessions end; write false unless clients depend on it")
	}
	return all
}
