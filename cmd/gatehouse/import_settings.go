package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"gatehouse/cmd/gatehouse/internal/config"
)

// printSettings prints the configuration that equals a site's SIMPLE_JWT, which it
// reads as JSON from a file, or from standard input if that is named -.
func (p *program) printSettings(file string) error {
	in := p.stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return failed(fmt.Errorf("%s cannot be read: %w", file, reason(err)), settingsHint)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return failed(fmt.Errorf("%s cannot be read: %w", file, reason(err)), settingsHint)
	}
	s, err := readSimpleJWT(text)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", file, err), settingsHint)
	}
	yaml := s.translate()
	for _, warning := range s.warnings {
		fmt.Fprintln(p.stderr, "warning:", strings.Map(visible, warning))
	}
	if len(s.faults) > 0 {
		lines := make([]string, len(s.faults))
		for i, fault := range s.faults {
			lines[i] = "\n  " + strings.Map(visible, fault)
		}
		return failed(fmt.Errorf("these settings cannot be translated, so nothing was printed:%s", strings.Join(lines, "")), "")
	}
	_, err = io.WriteString(p.stdout, yaml)
	return err
}

const settingsHint = "write it on the site with the line that docs/django.md has: manage.py shell -v 0 -c '…' > simple_jwt.json"

// translate returns the YAML, and notes warnings and faults.
func (s *simpleJWT) translate() string {
	s.known()
	s.keys()
	s.text("ISSUER", "issuer", true)
	s.audience()
	s.duration("ACCESS_TOKEN_LIFETIME", "access_lifetime", time.Second)
	s.duration("REFRESH_TOKEN_LIFETIME", "refresh_lifetime", time.Second)
	s.duration("LEEWAY", "leeway", 0)
	s.rotation()
	s.header()
	s.claims()
	s.kinds()
	s.users()
	s.code()
	out := "# What the site's SIMPLE_JWT says. Upstreams and routes are still to be written.\n"
	for _, section := range []struct {
		name  string
		lines []string
	}{{"tokens", s.tokens}, {"login", s.login}} {
		if len(section.lines) > 0 {
			out += section.name + ":\n  " + strings.Join(section.lines, "\n  ") + "\n"
		}
	}
	return out
}

// simpleJWTSettings are all that a version of SimpleJWT knows.
var simpleJWTSettings = []string{
	"ACCESS_TOKEN_LIFETIME", "REFRESH_TOKEN_LIFETIME", "ROTATE_REFRESH_TOKENS", "BLACKLIST_AFTER_ROTATION", "UPDATE_LAST_LOGIN",
	"ALGORITHM", "SIGNING_KEY", "VERIFYING_KEY", "AUDIENCE", "ISSUER", "JSON_ENCODER", "JWK_URL", "LEEWAY",
	"AUTH_HEADER_TYPES", "AUTH_HEADER_NAME", "USER_ID_FIELD", "USER_ID_CLAIM", "USER_AUTHENTICATION_RULE",
	"ON_LOGIN_SUCCESS", "ON_LOGIN_FAILED", "AUTH_TOKEN_CLASSES", "TOKEN_TYPE_CLAIM", "JTI_CLAIM", "TOKEN_USER_CLASS",
	"SLIDING_TOKEN_REFRESH_EXP_CLAIM", "SLIDING_TOKEN_LIFETIME", "SLIDING_TOKEN_REFRESH_LIFETIME",
	"TOKEN_OBTAIN_SERIALIZER", "TOKEN_REFRESH_SERIALIZER", "TOKEN_VERIFY_SERIALIZER", "TOKEN_BLACKLIST_SERIALIZER",
	"SLIDING_TOKEN_OBTAIN_SERIALIZER", "SLIDING_TOKEN_REFRESH_SERIALIZER",
	"CHECK_REVOKE_TOKEN", "REVOKE_TOKEN_CLAIM", "CHECK_USER_IS_ACTIVE",
}

// removedSettings keep a site from starting; beside each is what it is called now.
var removedSettings = [][2]string{
	{"AUTH_HEADER_TYPE", "AUTH_HEADER_TYPES"}, {"AUTH_TOKEN_CLASS", "AUTH_TOKEN_CLASSES"}, {"SECRET_KEY", "SIGNING_KEY"}, {"TOKEN_BACKEND_CLASS", "nothing"},
}

// known warns of what SimpleJWT does not look at.
func (s *simpleJWT) known() {
	for _, name := range slices.Sorted(maps.Keys(s.given)) {
		if slices.Contains(simpleJWTSettings, name) {
			continue
		}
		if i := slices.IndexFunc(removedSettings, func(pair [2]string) bool { return pair[0] == name }); i >= 0 {
			s.fault(name, "SimpleJWT removed it and does not start with it; it is %s now", removedSettings[i][1])
			continue
		}
		text := "SimpleJWT knows no such setting, so it has no effect there and is left out here"
		if near := config.Nearest(name, simpleJWTSettings); near != "" {
			text += "; " + near + " may be meant"
		}
		s.warn(name, "%s", text)
	}
}

// keys never prints a secret: it says which file to put it into.
func (s *simpleJWT) keys() {
	algorithm, ok := s.string("ALGORITHM")
	if !ok {
		algorithm = "HS256"
	}
	_, hasURL := s.string("JWK_URL")
	verifying, _ := s.string("VERIFYING_KEY")
	signing, signs := s.string("SIGNING_KEY")
	symmetric := strings.HasPrefix(algorithm, "HS")
	switch {
	case !slices.Contains([]string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}, algorithm):
		s.fault("ALGORITHM", "%q is none of HS256, RS256, PS256, ES256 (and their 384 and 512) or EdDSA; sign with one of those on the site first", algorithm)
		return
	case symmetric:
		least := map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}[algorithm]
		if signs && len(signing) < least {
			s.warn("SIGNING_KEY", "it has %d bytes and %s needs %d: gatehouse does not sign with it; put a new key first and give this one use: verify", len(signing), algorithm, least)
		}
		s.line("keys:")
		s.line("  # The file holds SIGNING_KEY, or the site's SECRET_KEY where SIMPLE_JWT has none: its bytes, not as Python writes them.")
		s.line("  - { kid: django, alg: %s, secret_file: django.key }", algorithm)
	case signs && signing == "" && verifying == "" && hasURL:
		// Nothing but the tokens of others.
	case signs && signing == "" && verifying == "":
		s.fault("SIGNING_KEY", "it is empty, and so is VERIFYING_KEY: %s has no key", algorithm)
	case signs && signing == "":
		s.line("keys:")
		s.line("  # The file holds VERIFYING_KEY. The site signs nothing, so gatehouse does not either.")
		s.line("  - { kid: django, alg: %s, public_key_file: django.pub, use: verify }", algorithm)
	default:
		s.line("keys:")
		s.line("  # The file holds SIGNING_KEY, as PEM. The public key is made of it: VERIFYING_KEY is not needed.")
		s.line("  - { kid: django, alg: %s, private_key_file: django.pem }", algorithm)
	}
	if hasURL && !symmetric {
		s.warn("JWK_URL", "tokens that others sign are a matter of trusted_issuers: write who they are from there, with jwks_url")
	}
}

func (s *simpleJWT) audience() {
	raw, ok := s.value("AUDIENCE")
	if !ok {
		return
	}
	var one string
	var many []string
	switch {
	case json.Unmarshal(raw, &one) == nil && one != "":
		s.line("audience: %s", quote(one))
	case json.Unmarshal(raw, &many) == nil && len(many) > 0 && !slices.Contains(many, ""):
		s.line("audience: %s", list(many))
	default:
		s.fault("AUDIENCE", "it is %s; it can be a text or a list of texts", shown(raw))
	}
}

func (s *simpleJWT) rotation() {
	rotate, _ := s.bool("ROTATE_REFRESH_TOKENS", false)
	blacklist, _ := s.bool("BLACKLIST_AFTER_ROTATION", false)
	switch {
	case rotate && blacklist:
		s.line("# on_reuse: revoke_family and grace: 20s are better than what SimpleJWT does; see docs/simplejwt.md.")
		s.line("rotation: { enabled: true, revoke_old: true }")
	case rotate:
		s.line("rotation: { enabled: true, revoke_old: false }")
		s.warn("ROTATE_REFRESH_TOKENS", "without BLACKLIST_AFTER_ROTATION old refresh tokens go on to work, and with revoke_old: false they do here; true is better")
	case blacklist:
		s.warn("BLACKLIST_AFTER_ROTATION", "without ROTATE_REFRESH_TOKENS its only effect is that verify refuses blacklisted tokens, which has no equal")
	}
}

func (s *simpleJWT) header() {
	if raw, ok := s.value("AUTH_HEADER_TYPES"); ok {
		types, ok := texts(raw)
		switch {
		case !ok || len(types) == 0:
			s.fault("AUTH_HEADER_TYPES", "it is %s; it can be a text or a list of texts", shown(raw))
		case !slices.Equal(types, []string{"Bearer"}):
			s.line("header_types: %s", list(types))
		}
	}
	name, ok := s.string("AUTH_HEADER_NAME")
	if !ok {
		return
	}
	field, isHTTP := strings.CutPrefix(name, "HTTP_")
	if !isHTTP || field == "" {
		s.fault("AUTH_HEADER_NAME", "%q is no header of a request: those begin with HTTP_", name)
		return
	}
	words := strings.Split(strings.ToLower(field), "_")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	if header := strings.Join(words, "-"); header != "Authorization" {
		s.line("header_name: %s", quote(header))
	}
}

func (s *simpleJWT) claims() {
	for _, c := range []struct{ name, key, usual string }{
		{"USER_ID_CLAIM", "user_id_claim", "user_id"}, {"TOKEN_TYPE_CLAIM", "token_type_claim", "token_type"}, {"JTI_CLAIM", "jti_claim", "jti"},
	} {
		raw, there := s.given[c.name]
		switch claim, ok := s.string(c.name); {
		case there && isNull(raw) && c.name == "USER_ID_CLAIM":
			s.fault(c.name, "it is None; it can be the name of a claim")
		case there && isNull(raw):
			s.line("%s: none", c.key)
		case ok && claim == "none" && c.name != "USER_ID_CLAIM":
			s.fault(c.name, "a claim called none has no equal, since none is to have no claim")
		case ok && claim != c.usual:
			s.line("%s: %s", c.key, quote(claim))
			if claim == "sub" {
				s.warn(c.name, "versions before 5.5.1 wrote a number into sub; for tokens of theirs that are still out write legacy: { integer_user_id: true }")
			}
		}
	}
	switch field, ok := s.string("USER_ID_FIELD"); {
	case !ok || field == "id" || field == "pk":
	case field == "username" || field == "email":
		s.line("user_id_field: %s", field)
	default:
		s.warn("USER_ID_FIELD", "%q is a column that gatehouse does not have, so tokens name the number of their user (id), and those that the site made name nobody here", field)
	}
}

// tokenClasses are those of SimpleJWT and what they are called here.
var tokenClasses = map[string]string{
	"AccessToken": "access", "RefreshToken": "refresh", "SlidingToken": "sliding", "UntypedToken": "untyped",
}

func (s *simpleJWT) kinds() {
	sliding := false
	if raw, ok := s.value("AUTH_TOKEN_CLASSES"); ok {
		classes, isList := texts(raw)
		var accepted []string
		for _, class := range classes {
			module, name := classOf(class)
			kind, known := tokenClasses[name]
			if !known || module != "rest_framework_simplejwt.tokens" {
				s.warn("AUTH_TOKEN_CLASSES", "%s is a class of the site's own and has no equal; it is left out", class)
				continue
			}
			accepted = append(accepted, kind)
			sliding = sliding || kind == "sliding"
		}
		switch {
		case !isList:
			s.fault("AUTH_TOKEN_CLASSES", "it is %s; it can be a list of classes", shown(raw))
		case len(accepted) > 0 && !slices.Equal(accepted, []string{"access"}):
			s.line("accepted_types: %s", list(accepted))
		}
	}
	before := len(s.tokens)
	if sliding {
		s.line("  enabled: true  # the paths are base_path/sliding/ and base_path/sliding/refresh/, or below sliding.path")
	}
	s.duration("SLIDING_TOKEN_LIFETIME", "  lifetime", time.Second)
	s.duration("SLIDING_TOKEN_REFRESH_LIFETIME", "  refresh_lifetime", time.Second)
	if claim, ok := s.string("SLIDING_TOKEN_REFRESH_EXP_CLAIM"); ok && claim != "refresh_exp" {
		s.line("  refresh_exp_claim: %s", quote(claim))
	}
	if len(s.tokens) > before {
		s.tokens = slices.Insert(s.tokens, before, "sliding:")
	}
}

func (s *simpleJWT) users() {
	if check, _ := s.bool("CHECK_REVOKE_TOKEN", false); check {
		s.line("check_password_change: true")
	}
	if claim, ok := s.string("REVOKE_TOKEN_CLAIM"); ok && claim != "hash_password" {
		s.line("password_claim: %s", quote(claim))
	}
	if active, _ := s.bool("CHECK_USER_IS_ACTIVE", true); !active {
		s.line("accept_inactive: true")
		s.warn("CHECK_USER_IS_ACTIVE", "users who are disabled keep what they have, and with accept_inactive: true they do here; leave it away unless the site wants that")
	}
	if update, _ := s.bool("UPDATE_LAST_LOGIN", false); update {
		s.login = append(s.login, "update_last_login: true")
	}
}

// pythonCode are the settings that name code, and what the default ones begin with.
var pythonCode = []struct{ name, usual, instead string }{
	{"JSON_ENCODER", "", "claims are what JSON knows"},
	{"USER_AUTHENTICATION_RULE", "rest_framework_simplejwt.authentication.", "a user logs in who is active"},
	{"ON_LOGIN_SUCCESS", "rest_framework_simplejwt.", "login.update_last_login is what there is; the log has each login"},
	{"ON_LOGIN_FAILED", "rest_framework_simplejwt.", "the log has each login that failed"},
	{"TOKEN_USER_CLASS", "rest_framework_simplejwt.models.", "backends are told of the user in headers"},
	{"TOKEN_OBTAIN_SERIALIZER", "rest_framework_simplejwt.serializers.TokenObtainPairSerializer", "a login here adds no claims"},
	{"TOKEN_REFRESH_SERIALIZER", "rest_framework_simplejwt.serializers.TokenRefreshSerializer", "what it does is not done here"},
	{"TOKEN_VERIFY_SERIALIZER", "rest_framework_simplejwt.serializers.TokenVerifySerializer", "what it does is not done here"},
	{"TOKEN_BLACKLIST_SERIALIZER", "rest_framework_simplejwt.serializers.TokenBlacklistSerializer", "what it does is not done here"},
	{"SLIDING_TOKEN_OBTAIN_SERIALIZER", "rest_framework_simplejwt.serializers.TokenObtainSlidingSerializer", "a login here adds no claims"},
	{"SLIDING_TOKEN_REFRESH_SERIALIZER", "rest_framework_simplejwt.serializers.TokenRefreshSlidingSerializer", "what it does is not done here"},
}

// code warns of everything that is written in Python, which has no equal.
func (s *simpleJWT) code() {
	for _, c := range pythonCode {
		text, ok := s.string(c.name)
		module, name := classOf(text)
		if ok && (c.usual == "" || !strings.HasPrefix(module+"."+name, c.usual)) {
			s.warn(c.name, "%s is code of the site and has no equal: %s", text, c.instead)
		}
	}
}

// quote writes a text as YAML, whatever is in it.
func quote(text string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out) // JSON's strings are YAML's
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text)
	return strings.TrimSuffix(out.String(), "\n")
}

func list(all []string) string {
	quoted := make([]string, len(all))
	for i, text := range all {
		quoted[i] = quote(text)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
