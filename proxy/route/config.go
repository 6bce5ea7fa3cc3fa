package route

import (
	"fmt"
	"time"
)

// Config is one entry of `routes`: a site, with the rules that are its exceptions.
// Order never matters, neither of routes nor of rules: the most specific one speaks.
type Config struct {
	// Name stands in logs and messages; unique. Default: "routes[0]" and so on.
	Name string `mapstructure:"name"`
	// Host is one name or a list: exact ("crm.example.com"), or a wildcard
	// ("*.shop.example.com": one or more labels in front, not shop.example.com
	// itself). Without port; letter case does not matter; names outside ASCII in
	// their xn-- form. Default: any host, after the routes that name one.
	Host []string `mapstructure:"host"`
	// Path is a path ("/x", the same as "/x/") or a path and all below it ("/x/*",
	// with /x itself). Letter case matters; a request for /X, where /x has another
	// policy than the rest, is refused, because many backends take one for the other.
	// Default: "/*".
	Path string `mapstructure:"path"`
	// To names the upstream. Required.
	To string `mapstructure:"to"`
	// Auth is who may pass: public, optional (anonymous too, but a bad token is
	// refused), required, deny, or conditions that must all hold: {groups: [...],
	// claims: [...], scopes: [...]}. Default: required.
	Auth Auth `mapstructure:"auth"`
	// Access is how auth is put into effect.
	Access `mapstructure:",squash"`
	// StripPrefix is taken off the front of the path before it is forwarded: with
	// "/old", the request /old/x reaches the upstream as /x. It must be the path of
	// the route or a parent of it. Default: nothing.
	StripPrefix string `mapstructure:"strip_prefix"`
	// AddPrefix is put in front of the path, after strip_prefix: with "/app", the
	// request /x reaches the upstream as /app/x. Default: nothing.
	AddPrefix string `mapstructure:"add_prefix"`
	// Rewrite is both in one line, in place of strip_prefix and add_prefix.
	Rewrite Rewrite `mapstructure:"rewrite"`
	// EncodedSlash says what becomes of a path with a slash or backslash that is
	// escaped (%2F, %5C): reject, the default, is 400; keep forwards it as it was sent.
	// Rules are then held against the path with the slash as part of a segment, and
	// against the path with a separator in its place; where that leads to another
	// policy, it is 400 all the same.
	EncodedSlash string `mapstructure:"encoded_slash"`
	// StreamMax is how long a WebSocket or another stream of a user may last: token,
	// until the token ends, by which it was opened; none; or a time, whatever becomes of
	// the token. It ends in any case when its user's session does. Default: token for
	// WebSockets, event streams, gRPC, and what else has no end by its type. Where it is
	// written it holds for every answer, so for downloads too.
	StreamMax StreamMax `mapstructure:"stream_max"`
	// CORS names a set of `cors`: what scripts of other origins may do. Preflights are
	// then answered here, and what the upstream says about CORS is replaced.
	// Default: none, and gatehouse has nothing to do with it.
	CORS string `mapstructure:"cors"`
	// RateLimit bounds how often one user, or one network, may ask; above it the answer
	// is 429. What a rule does not say otherwise counts together with its route.
	// Default: none.
	RateLimit RateLimit `mapstructure:"rate_limit"`
	// Timeouts bound what a request may wait for; what they do not say holds as the
	// upstream says.
	Timeouts Timeouts `mapstructure:"timeouts"`
	// SecurityHeaders are sent with every answer, as server.security_headers says where
	// they say nothing.
	SecurityHeaders SecurityHeaders `mapstructure:"security_headers"`
	// Rules are the exceptions. Default: none.
	Rules []RuleConfig `mapstructure:"rules"`
}

// RuleConfig is one exception below a route; what it does not say it has from the route.
type RuleConfig struct {
	// Path is written like a route's: whole, from the first slash, and inside the
	// path of the route. Default, with methods only: the path of the route.
	Path string `mapstructure:"path"`
	// Methods narrows the rule to these; GET includes HEAD. What is sent with
	// another method is not touched by the rule. Default: all.
	Methods []string `mapstructure:"methods"`
	// Auth is who may pass, as on a route. Default: the route's.
	Auth Auth `mapstructure:"auth"`
	// Access is how auth is put into effect. What it does not say is the route's.
	Access `mapstructure:",squash"`
	// Rewrite takes the place of all that the route says about the path; with the same
	// path in from and to, the path is forwarded as it is.
	Rewrite Rewrite `mapstructure:"rewrite"`
	// EncodedSlash is reject or keep, as on a route. Default: the route's.
	EncodedSlash string `mapstructure:"encoded_slash"`
	// StreamMax is token, none or a time, as on a route. Default: the route's.
	StreamMax StreamMax `mapstructure:"stream_max"`
	// CORS is as on a route; none is what it is without. Default: the route's.
	CORS string `mapstructure:"cors"`
	// RateLimit is as on a route, and is then counted apart from the route's; none is
	// without. Default: the route's.
	RateLimit RateLimit `mapstructure:"rate_limit"`
	// Timeouts bound what a request may wait for; what they do not say holds as the
	// route says.
	Timeouts Timeouts `mapstructure:"timeouts"`
}

// Rewrite replaces the front of the path: {from: /a/*, to: /b/*} makes /b/x of /a/x, and
// {from: /login, to: /accounts/login/} another path of one.
type Rewrite struct {
	// From is a path or a subtree that holds everything that is matched.
	From string `mapstructure:"from"`
	// To is what takes its place: a subtree for a subtree, a path for a path. A slash at
	// the end of a path is sent.
	To string `mapstructure:"to"`
}

// Timeouts bound what a request may wait for at its upstream, which says what each
// means. nil is inherited, 0 is no bound.
type Timeouts struct {
	// Connect is for name lookup, TCP and TLS together.
	Connect *time.Duration `mapstructure:"connect"`
	// FirstByte is from the request sent to the head of the answer.
	FirstByte *time.Duration `mapstructure:"first_byte"`
	// Idle is how long the body of the answer may pause, or a WebSocket.
	Idle *time.Duration `mapstructure:"idle"`
}

// Auth is who may pass, as written: a word (public, optional, required, deny) or
// a map of conditions that must all hold. The zero value is "not said": required
// on a route, the route's own on a rule.
type Auth struct {
	// Word is public, optional, required or deny.
	Word string `mapstructure:"-"`
	// Groups admits a user who is in at least one of them. Exact names, letter case
	// matters. Default: every user with a valid token.
	Groups []string `mapstructure:"groups"`
	// Claims admits a token that meets every one of these conditions. Default: none.
	Claims []ClaimConfig `mapstructure:"claims"`
	// Scopes admits a token that has one of these scopes, in its claim scope or scp.
	// Several in one entry, with a space between, are needed together. Default: none.
	Scopes []string `mapstructure:"scopes"`
}

// Words are those that may stand in place of the map.
func (Auth) Words() []string { return []string{"public", "optional", "required", "deny"} }

// UnmarshalText takes the word. Which words there are is checked by New, which
// knows where it stands; only no word at all is refused here, because the zero
// Auth means something.
func (a *Auth) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return fmt.Errorf("auth is empty; write %s, or leave it out", words)
	}
	*a = Auth{Word: string(text)}
	return nil
}
