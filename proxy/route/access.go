package route

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Access is how the policy of a route or rule is put into effect: keys beside auth.
type Access struct {
	// OnInvalid is what becomes of a bad token where auth is optional: reject (401),
	// or anonymous, as if none had been sent. Default: reject.
	OnInvalid string `mapstructure:"on_invalid" words:"reject anonymous"`
	// Mode is enforce, or report: what auth would refuse is forwarded as before, and
	// logged and counted. deny is enforced all the same. Default: enforce. Danger: with
	// report everybody passes; it is for the weeks in which clients learn to send tokens.
	Mode string `mapstructure:"mode" words:"enforce report"`
	// OnUnauthenticated is what who has no valid token is answered: json (401), or
	// redirect: a browser that opens a page is sent to login_url, all others get the
	// 401. Default: json, or redirect where login_url is said.
	OnUnauthenticated string `mapstructure:"on_unauthenticated" words:"json redirect"`
	// LoginURL is where a person logs in: a path of the same site ("/login"), or a URL.
	// The page that was asked for is added as ?next=, or behind what ends in "=".
	LoginURL string `mapstructure:"login_url"`
	// TokenFrom is where a token is looked for: header (Authorization: Bearer), {cookie:
	// NAME}, {query: NAME}. The cookie and the parameter are not forwarded. Two
	// different tokens in one request are refused. A cookie counts for what changes
	// something, or opens a WebSocket, only if the request is from a page of the same
	// origin. Default: [header]. Danger: URLs end up in logs and histories; use query
	// where a client can do nothing else, such as a WebSocket of a browser.
	TokenFrom []TokenSource `mapstructure:"token_from"`
}

// TokenSource is a place where a token may be: the word header, or a map with
// cookie or query.
type TokenSource struct {
	// Word is header.
	Word string `mapstructure:"-"`
	// Cookie is the name of a cookie. Letter case matters.
	Cookie string `mapstructure:"cookie"`
	// Query is the name of a parameter of the query. Letter case matters.
	Query string `mapstructure:"query"`
}

// Words are those that stand for a whole TokenSource.
func (TokenSource) Words() []string { return []string{"header"} }

// UnmarshalText takes the word. Which words there are is checked by New.
func (s *TokenSource) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("the place is empty; write " + sourceWords)
	}
	*s = TokenSource{Word: string(text)}
	return nil
}

const sourceWords = "header, {cookie: NAME} or {query: NAME}"

// Header is the Authorization header.
var header = TokenSource{Word: "header"}

// String is the source as it would be written.
func (s TokenSource) String() string {
	switch {
	case s.Cookie != "":
		return "cookie " + s.Cookie
	case s.Query != "":
		return "query " + s.Query
	}
	return s.Word
}

// sources are where a token is looked for, also where nothing is said.
func (p Policy) sources() []TokenSource {
	if p.Tokens == nil {
		return []TokenSource{header}
	}
	return p.Tokens
}

// FromHeader reports whether a token is looked for in the Authorization header.
func (p Policy) FromHeader() bool { return p.Tokens == nil || slices.Contains(p.Tokens, header) }

// terms are a compiled Access. Each field is "" where nothing is said.
type terms struct {
	onInvalid, mode, loginURL string
	tokens                    []TokenSource
}

// terms checks an Access, and takes from inherited what it does not say.
func (a Access) terms(at string, inherited terms, f *faults) terms {
	word := func(key, value string, known ...string) string {
		if value != "" && !slices.Contains(known, value) {
			f.add(at+"."+key, fmt.Sprintf("%s cannot be %q", key, value), didYouMean(value, known))
			return ""
		}
		return value
	}
	t := terms{
		onInvalid: cmp.Or(word("on_invalid", a.OnInvalid, "reject", "anonymous"), inherited.onInvalid),
		mode:      cmp.Or(word("mode", a.Mode, "enforce", "report"), inherited.mode),
		loginURL:  inherited.loginURL,
		tokens:    inherited.tokens,
	}
	if a.TokenFrom != nil {
		t.tokens = compileSources(at+".token_from", a.TokenFrom, f)
	}
	answer := word("on_unauthenticated", a.OnUnauthenticated, "json", "redirect")
	if a.LoginURL != "" {
		if problem, fix := loginProblem(a.LoginURL); problem != "" {
			f.add(at+".login_url", problem, fix)
		}
		t.loginURL = a.LoginURL
	}
	switch {
	case answer == "json" && a.LoginURL != "":
		f.add(at+".login_url", "nobody is sent there, because on_unauthenticated is json", "take one of the two out")
	case answer == "json":
		t.loginURL = ""
	case answer == "redirect" && t.loginURL == "":
		f.add(at+".on_unauthenticated", "it is not said where to", "write login_url: with a path of this site, or a URL")
	}
	return t
}

// policy puts the terms into a policy.
func (t terms) policy(p Policy) Policy {
	p.InvalidIsAnonymous = t.onInvalid == "anonymous" && p.Level == Optional
	// Who writes deny wants nobody to pass: it is not one of the rules that clients
	// have to learn.
	p.Report = t.mode == "report" && (p.Level == Required || p.Level == Optional)
	p.Tokens = t.tokens
	return p
}

// idle finds what weakens a route and changes nothing, for it or its rules: whoever
// wrote it thinks that something else is in effect.
func (b *builder) idle(at string, r *Route, cfg *Config) {
	optional := func(p Policy) bool { return p.Level == Optional }
	asks := func(p Policy) bool { return p.Level == Optional || p.Level == Required }
	check := func(at string, said Access, policies ...Policy) {
		if said.OnInvalid == "anonymous" && !slices.ContainsFunc(policies, optional) {
			b.faults.add(at+".on_invalid", "auth is not optional here, and so a bad token is refused", "write auth: optional, or take it out")
		}
		if said.Mode == "report" && !slices.ContainsFunc(policies, asks) {
			b.faults.add(at+".mode", "there is nothing to report: nothing but deny is refused here, and that always is", "take it out")
		}
	}
	all := []Policy{r.Policy}
	for j, rule := range r.Rules {
		all = append(all, rule.Policy)
		check(rule.Field(), cfg.Rules[j].Access, rule.Policy)
	}
	check(at, cfg.Access, all...)
}

func compileSources(at string, sources []TokenSource, f *faults) []TokenSource {
	if len(sources) == 0 {
		f.add(at, "no place is named, so no token would be found", "name one: "+sourceWords)
	}
	var list []TokenSource
	for i, s := range sources {
		here := fmt.Sprintf("%s[%d]", at, i)
		name, key := s.Cookie, "cookie"
		if s.Query != "" {
			name, key = s.Query, "query"
		}
		switch {
		case s.Cookie != "" && s.Query != "" || s.Word != "" && name != "":
			f.add(here, "two places at once", "make two entries of it")
		case s.Word != "" && s.Word != header.Word:
			f.add(here, fmt.Sprintf("there is no place %q", s.Word), "write "+sourceWords)
		case s.Word == "" && name == "":
			f.add(here, "the place has no name", "write "+sourceWords)
		case s.Word == "" && !isToken(name):
			f.add(here+"."+key, fmt.Sprintf("%q is not a name", name), "write letters, digits, - and _")
		case slices.Contains(list, s):
			f.add(here, fmt.Sprintf("%s is named twice", s), "take one out")
		}
		list = append(list, s)
	}
	return list
}

// loginProblem says what is wrong with a login_url.
func loginProblem(text string) (problem, fix string) {
	const form = `write a path of this site such as "/login", or a whole URL such as "https://login.example.com/"`
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' {
			return fmt.Sprintf("%q has a byte that does not stand in a URL", text), form
		}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is not a URL", text), form
	case strings.Contains(text, "#"):
		return fmt.Sprintf("%q has a fragment", text), "leave out what begins with #"
	case u.Scheme == "" && u.Host == "":
		path, err := Canonical(text)
		if err != nil || path.Changed || path.Target() != text {
			return fmt.Sprintf("%q is not a path as browsers write it", text), form
		}
		return "", ""
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Opaque != "":
		return fmt.Sprintf("%q does not lead to a site", text), form
	}
	return "", ""
}

// checkLogins finds login pages that nobody without a token can open: a browser
// would be sent there again and again.
func (t *Table) checkLogins(f *faults) {
	seen := map[string]bool{}
	for _, row := range t.rows {
		to := row.match.LoginURL()
		if !strings.HasPrefix(to, "/") {
			continue
		}
		at := row.match.field() + ".login_url"
		if row.match.Rule != nil && to == row.match.Route.LoginURL {
			at = row.match.Route.Field() + ".login_url"
		}
		path, err := Canonical(to)
		if err != nil || seen[at+" "+row.Host] {
			continue
		}
		seen[at+" "+row.Host] = true
		found, err := t.Match(strings.Replace(row.Host, "*", "any", 1), path, "GET")
		switch fix := fmt.Sprintf("write a rule { path: %s, auth: public }", path.Escaped); {
		case err != nil:
			f.add(at, fmt.Sprintf("no route speaks for %s, so the page is not found", to), fix)
		case !found.Policy().Anonymous() && !found.Policy().Report:
			f.clash(at, found.field(), fmt.Sprintf("%s asks for a token itself, so a browser would be sent there again and again", to), fix)
		}
	}
}

// crossOrigin reads the name of a set of cors.
func (b *builder) crossOrigin(at, text, inherited string) string {
	switch name := strings.ToLower(text); {
	case text == "":
		return inherited
	case name == "none":
		return ""
	case !slices.Contains(b.cors, name):
		b.faults.add(at+".cors", fmt.Sprintf("no set of cors is called %q", text), didYouMean(text, b.cors)+"; sets are made below cors, as cors: { "+text+": { origins: [https://app.example.com] } }, and none is without")
		return ""
	default:
		return name
	}
}
