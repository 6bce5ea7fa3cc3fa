package tokens

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/tokens/remote"
	"gatehouse/users"
)

// TrustedIssuer is one entry of `tokens.trusted_issuers`: somebody else who makes
// tokens that are good here, such as the identity provider of a company. What is not
// said has the default that is named.
type TrustedIssuer struct {
	// Issuer is what its tokens have as iss, compared exactly, a final slash included.
	// Required. It alone decides by whose keys a token is checked.
	Issuer string `mapstructure:"issuer"`
	// JWKSURL is where its public keys are (RFC 7517).
	JWKSURL string `mapstructure:"jwks_url"`
	// Discovery asks issuer + /.well-known/openid-configuration where they are, in
	// place of jwks_url.
	Discovery bool `mapstructure:"discovery"`
	// JWKS is the set of them itself, in place of jwks_url; it is never fetched.
	JWKS string `mapstructure:"jwks"`
	// JWKSFile names a file that holds the set instead.
	JWKSFile string `mapstructure:"jwks_file"`
	// Audience is who its tokens must be for: aud names one of them. Required, because
	// the issuer makes tokens for others too, which they could use here.
	Audience []string `mapstructure:"audience"`
	// Algorithms are those that its keys may be for: RS256 and its kin, no HMAC.
	// Required.
	Algorithms []string `mapstructure:"algs"`
	// UserIDClaim is where the token says who its user is: one name, or a list of steps
	// into nested claims; default sub.
	UserIDClaim []string `mapstructure:"user_id_claim"`
	// UsernameClaim is where the name of the user is; default that of the id. With user:
	// store it is the name in the store. Danger: take none that users may change
	// themselves, or one can take the name of another.
	UsernameClaim []string `mapstructure:"username_claim"`
	// EmailClaim is where the e-mail address is; default nowhere.
	EmailClaim []string `mapstructure:"email_claim"`
	// GroupsClaim is where the groups are, a list of texts; default nowhere.
	GroupsClaim []string `mapstructure:"groups_claim"`
	// Prefix stands before id and name of the users of user: token, to tell them from
	// those of the store and of other issuers; default nothing. Danger: without it the
	// user 1 of the issuer is the user 1 of the store, to a backend that sees the id alone.
	Prefix string `mapstructure:"user_prefix"`
	// User says who may come: "token" (default), whom the token names; "store", an
	// active user of the store, found by username_claim, or without it by
	// user_id_claim as the number; name, address and groups are then the store's.
	User string `mapstructure:"user"`
	// AllowHTTP takes keys over http. Danger: who is on the way can be anybody.
	AllowHTTP bool `mapstructure:"allow_http"`
	// CA is the certificates (PEM) of the authorities that are believed about the
	// servers of the keys, in place of those of the system.
	CA string `mapstructure:"ca"`
	// CAFile names a file that holds them instead.
	CAFile string `mapstructure:"ca_file"`
	// RefreshInterval is how often the keys are fetched; default 10m. A token with an
	// unknown key makes them be fetched at once, at most every 5s.
	RefreshInterval time.Duration `mapstructure:"refresh_interval"`
	// MaxStale is how long keys count after they were last fetched; default 24h. Then
	// the tokens of the issuer are answered 503.
	MaxStale time.Duration `mapstructure:"max_stale"`
	// Timeout bounds each fetch; default 5s.
	Timeout time.Duration `mapstructure:"timeout"`
}

// What holds where an entry says nothing.
const (
	defaultRefresh  = 10 * time.Minute
	defaultMaxStale = 24 * time.Hour
	defaultTimeout  = 5 * time.Second
)

// trusted is a compiled TrustedIssuer.
type trusted struct {
	issuer    string
	audience  []string
	source    *remote.Source
	names     mapping
	fromStore bool
	byName    bool // with fromStore: the user is found by name
}

// newTrusted compiles the entries. Every fault is told.
func newTrusted(cfg Config, parts Parts) (all map[string]*trusted, faults []error) {
	all = make(map[string]*trusted, len(cfg.TrustedIssuers))
	for i, c := range cfg.TrustedIssuers {
		at := fmt.Sprintf("trusted_issuers[%d].", i)
		add := func(field, problem, fix string) { faults = append(faults, &Fault{at + field, problem, fix}) }
		switch {
		case c.Issuer == "":
			add("issuer", "it is not said who the issuer is", "write what its tokens have as iss")
		case c.Issuer == cfg.Issuer:
			add("issuer", "that is our own issuer, whose tokens are checked by tokens.keys", "write that of the other, or another tokens.issuer")
		case all[c.Issuer] != nil:
			add("issuer", fmt.Sprintf("%q is there already", c.Issuer), "write one entry for each issuer")
		}
		c.check(add)
		source, err := remote.New(remote.Config{
			Issuer: c.Issuer, JWKSURL: c.JWKSURL, Discovery: c.Discovery, JWKS: c.JWKS, Algorithms: c.Algorithms,
			AllowHTTP: c.AllowHTTP, CA: c.CA,
			Refresh: cmp.Or(c.RefreshInterval, defaultRefresh), MaxStale: cmp.Or(c.MaxStale, defaultMaxStale), Timeout: cmp.Or(c.Timeout, defaultTimeout),
		}, remote.Parts{Logger: parts.Logger, Now: parts.Now})
		for _, fault := range faultsOf(err) {
			add(fault.At, fault.Problem, fault.Fix)
		}
		all[c.Issuer] = &trusted{
			issuer: c.Issuer, audience: c.Audience, source: source, names: c.mapping(),
			fromStore: c.User == userFromStore, byName: c.UsernameClaim != nil,
		}
	}
	return all, faults
}

// faultsOf takes what remote.New found apart.
func faultsOf(err error) []*remote.Fault {
	var all []*remote.Fault
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			all = append(all, faultsOf(one)...)
		}
	} else if fault, ok := errors.AsType[*remote.Fault](err); ok {
		all = append(all, fault)
	}
	return all
}

// check finds what is wrong with an entry by itself.
func (c TrustedIssuer) check(add func(field, problem, fix string)) {
	if len(c.Audience) == 0 {
		add("audience", "it is not said who its tokens are for, so that those for any other service would be good here", "write what the issuer puts into aud for this gateway")
	}
	if slices.Contains(c.Audience, "") {
		add("audience", "an empty audience", "write what the issuer puts into aud for this gateway")
	}
	if len(c.Algorithms) == 0 {
		add("algs", "it is not said for which algorithms its keys are", "write the one that it signs with, mostly RS256 or ES256")
	}
	for i, name := range c.Algorithms {
		switch known, symmetric := keys.IsAlgorithm(name); {
		case symmetric:
			add("algs", name+" has a secret, which no issuer publishes", "write the secret as one of tokens.keys with use: verify")
		case !known:
			add("algs", fmt.Sprintf("there is no algorithm %q", name), "write RS256, PS256, ES256, EdDSA or their kin")
		case slices.Contains(c.Algorithms[:i], name):
			add("algs", name+" is there twice", "write it once")
		}
	}
	switch c.User {
	case "", userFromToken:
	case userFromStore:
		if c.EmailClaim != nil || c.GroupsClaim != nil || c.Prefix != "" {
			add("user", "with user: store the address, the groups and the id are the store's", "take email_claim, groups_claim and user_prefix away, or write user: token")
		}
	default:
		add("user", fmt.Sprintf("%q says nothing about users", c.User), "write token or store")
	}
	for _, claim := range []struct {
		field string
		path  []string
	}{{"user_id_claim", c.UserIDClaim}, {"username_claim", c.UsernameClaim}, {"email_claim", c.EmailClaim}, {"groups_claim", c.GroupsClaim}} {
		if slices.Contains(claim.path, "") || claim.path != nil && len(claim.path) == 0 {
			add(claim.field, "a step of the claim is empty", "write its name, or the names on the way to it as a list")
		}
	}
	for _, d := range []struct {
		field       string
		value       time.Duration
		least, most time.Duration
		fix         string
	}{
		{"refresh_interval", c.RefreshInterval, time.Minute, 24 * time.Hour, "write 1m up to 24h, such as 10m"},
		{"max_stale", c.MaxStale, cmp.Or(c.RefreshInterval, defaultRefresh), 30 * 24 * time.Hour, "write refresh_interval or more, up to 30d, such as 24h"},
		{"timeout", c.Timeout, 100 * time.Millisecond, time.Minute, "write 100ms up to 1m, such as 5s"},
	} {
		if d.value != 0 && (d.value < d.least || d.value > d.most) {
			add(d.field, fmt.Sprintf("%v is out of bounds", d.value), d.fix)
		}
	}
}

func (c TrustedIssuer) mapping() mapping {
	m := mapping{id: c.UserIDClaim, username: c.UsernameClaim, email: c.EmailClaim, groups: c.GroupsClaim, prefix: c.Prefix}
	if m.id == nil {
		m.id = []string{"sub"}
	}
	return m
}

// issuerWarnings are what an operator should know of entries that have no fault.
func (c Config) issuerWarnings() []Warning {
	var all []Warning
	for i, t := range c.TrustedIssuers {
		at := fmt.Sprintf("trusted_issuers[%d].", i)
		if t.User != userFromStore && t.Prefix == "" && (len(c.TrustedIssuers) > 1 || len(c.Keys) > 0) {
			all = append(all, Warning{at + "user_prefix", "its users and those of others may have the same id, and a backend cannot tell them apart; write a prefix such as \"corp:\", or user: store"})
		}
		for field, url := range map[string]string{"jwks_url": t.JWKSURL, "issuer": t.Issuer} {
			if t.AllowHTTP && strings.HasPrefix(url, "http://") && !remote.Local(url) && (field == "jwks_url" || t.Discovery) {
				all = append(all, Warning{at + field, "the keys come over http, so that whoever is on the way can put in their own; write https"})
			}
		}
	}
	return all
}

// issuerOf returns the trusted issuer of a token, or nil where it is not of one. That
// is said by the token itself and not yet proved: it only chooses the keys that it
// is checked with, and no other keys will do.
func (v *Verifier) issuerOf(claims drf.Object) *trusted {
	if len(v.trusted) == 0 {
		return nil
	}
	iss, _ := claims.Get("iss")
	name, _ := iss.(string)
	return v.trusted[name]
}

// foreignTypes are the typ of access tokens (RFC 9068, section 2.1; RFC 7519, section
// 5.1), without "application/". Others are for other purposes: ID tokens have none of
// their own, and are told by their audience.
var foreignTypes = []string{"", "jwt", "at+jwt"}

// readForeign checks a token of a trusted issuer: the signature, then the times, the
// audience and the purpose. The error means that it could not be decided.
func (v *Verifier) readForeign(ctx context.Context, t *trusted, p parts, claims drf.Object, now time.Time) (key *keys.Key, fault string, err error) {
	if !slices.Contains(foreignTypes, strings.TrimPrefix(strings.ToLower(p.typ), "application/")) {
		return nil, textInvalid, nil
	}
	key, err = t.source.Signer(ctx, p.algorithm, p.keyID, func(k *keys.Key) bool {
		defer v.strangers.enter().leave() // not around the call, which may fetch keys
		return k.Verify(p.signed, p.signature) == nil
	})
	if err != nil || key == nil {
		return nil, textInvalid, err
	}
	return key, v.checkForeign(t, claims, now), nil
}

// checkForeign looks at the claims of a token of a trusted issuer, and returns the
// text of the first fault, or "".
func (v *Verifier) checkForeign(t *trusted, claims drf.Object, now time.Time) string {
	if fault := v.checkTimes(claims, now); fault != "" {
		return fault
	}
	if !namesOne(claims, t.audience) {
		return textInvalid
	}
	if _, there := claims.Get("exp"); !there {
		return textNoExpiry
	}
	// What other issuers call a token that is no access token: SimpleJWT and we in
	// token_type, Keycloak in typ.
	if kind, there := claims.Get(claimType); there {
		if kind, ok := kind.(string); !ok || kind != typeAccess && !strings.EqualFold(kind, "Bearer") {
			return textWrongType
		}
	}
	if kind := text(claims, "typ"); slices.Contains([]string{"Refresh", "Offline", "ID", "Logout"}, kind) {
		return textWrongType
	}
	return ""
}

// verifyForeign is what Verify does behind the signature for a trusted issuer.
func (v *Verifier) verifyForeign(ctx context.Context, t *trusted, claims drf.Object) (*Principal, error) {
	id, user, ok := t.names.user(claims)
	if !ok {
		return nil, v.reject("no_user_claim", "Token contained no recognizable user identification", codeInvalid)
	}
	p := &Principal{UserID: id, User: user, Claims: claims, TokenID: text(claims, "jti"), Expires: expiry(claims), Issuer: t.issuer}
	if !t.fromStore {
		return p, nil
	}
	user, err := v.stored(ctx, t, id, user.Username)
	switch {
	case errors.Is(err, users.ErrNotFound):
		return nil, v.reject("user_not_found", "User not found", "user_not_found")
	case err != nil:
		return nil, err
	case !user.IsActive:
		return nil, v.reject("user_inactive", "User is inactive", "user_inactive")
	case isBefore(claims, &user):
		return nil, v.rejectToken(textBlacklisted)
	}
	p.UserID, p.User = decimal(user.ID), user
	return p, nil
}

// stored finds the user of the store whom a token of a trusted issuer names.
func (v *Verifier) stored(ctx context.Context, t *trusted, id, name string) (users.User, error) {
	if !t.byName {
		number, ok := integer(id)
		if !ok || decimal(number) != id { // one spelling of each
			return users.User{}, users.ErrNotFound
		}
		return v.store.LiveUser(ctx, number)
	}
	if name == "" {
		return users.User{}, users.ErrNotFound
	}
	return v.store.LiveUserBy(ctx, users.ByName, name)
}
