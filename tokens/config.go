package tokens

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"gatehouse/tokens/keys"
)

// Config is the `tokens` section. The defaults (DefaultConfig) are SimpleJWT's.
type Config struct {
	SimpleJWT `mapstructure:",squash"`

	// BasePath is where the token endpoints are; default /api/token. Everything
	// below it is answered here and never by an upstream; where no key signs, only
	// what is at and below its /verify.
	BasePath string `mapstructure:"base_path"`
	// Issuer is put into every token as iss and wanted in every token (RFC 7519
	// section 4.1.1). Empty, the default: neither.
	Issuer string `mapstructure:"issuer"`
	// Audience is put into every token as aud; a token must name one of them (RFC
	// 7519 section 4.1.3). One name is written as a string, a list as a list. Empty,
	// the default: neither.
	Audience Audience `mapstructure:"audience"`
	// AccessLifetime is how long an access token opens routes; default 5m.
	AccessLifetime time.Duration `mapstructure:"access_lifetime"`
	// RefreshLifetime is how long a refresh token gives new access tokens; default 24h.
	RefreshLifetime time.Duration `mapstructure:"refresh_lifetime"`
	// Leeway is by how much clocks may differ when exp, iat and nbf are looked at;
	// default 0s. Danger: tokens live longer by it.
	Leeway time.Duration `mapstructure:"leeway"`
	// Rotation is whether a refresh token is exchanged for a new one when it is used.
	Rotation Rotation `mapstructure:"rotation"`
	// CacheBytes bounds the memory for access tokens whose signature was found good,
	// in bytes; default 33554432 (32 MiB), room for some twenty thousand. A token that
	// comes again then costs no signature check; its times and its user are still
	// looked at for each request. 0 keeps none, else it is at least 1048576.
	CacheBytes int64 `mapstructure:"cache_bytes"`
	// Claims are what tokens say beside what they need: of their user at the login, or the
	// same of everybody. A refresh copies them. Default: none.
	Claims []Claim `mapstructure:"claims"`
	// CORS names a set of `cors`: which scripts of other origins may log in and refresh.
	// Default: none.
	CORS string `mapstructure:"cors"`
	// Keys are what tokens are signed and checked with; at least one, unless there are
	// trusted_issuers. The public keys among them are published at
	// /.well-known/jwks.json, unless no key signs.
	Keys []keys.Config `mapstructure:"keys"`
	// KeyDir is a directory of keys that change while the gateway runs, without a restart
	// and without a logout; "gatehouse keys" makes and changes them. The key that signs
	// is one of them, and those of Keys only verify. Default: none.
	KeyDir string `mapstructure:"key_dir"`
	// User says whose users the tokens of Keys name. "store": an active user of the
	// store, looked up for each request; the only one where a key signs. "token": whom
	// the claims name, who need not be known here, so that no store is needed. Danger:
	// such a token is good until it expires, whatever becomes of its user. Default:
	// store where there is one, that is where a key signs or the section store is
	// written; else token.
	User string `mapstructure:"user"`
	// UsernameClaim, EmailClaim and GroupsClaim are where a token of user: token has the
	// name, the e-mail address and the groups of its user: one name, or a list of steps
	// into nested claims. Defaults: the name is the user's id; no address; no groups.
	UsernameClaim []string `mapstructure:"username_claim"`
	EmailClaim    []string `mapstructure:"email_claim"`
	GroupsClaim   []string `mapstructure:"groups_claim"`
	// TrustedIssuers are others whose tokens are good here. They open routes alone:
	// nobody can refresh them or log out with them here.
	TrustedIssuers []TrustedIssuer `mapstructure:"trusted_issuers"`
}

// DefaultConfig returns SimpleJWT's defaults. It has no key and so is not complete.
func DefaultConfig() Config {
	return Config{
		SimpleJWT: defaultSimpleJWT(),
		BasePath:  "/api/token", AccessLifetime: 5 * time.Minute, RefreshLifetime: 24 * time.Hour, CacheBytes: 32 << 20, Rotation: defaultRotation(),
	}
}

// Fault is one value of the section that cannot be accepted.
type Fault struct {
	At      string // the key inside the section
	Problem string // what is wrong
	Fix     string // what would be right
}

// Error returns problem and remedy in one line.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field returns the key inside the section `tokens`.
func (f *Fault) Field() string { return f.At }

// maxLeeway and maxLifetime are where a mistake in the unit is likelier than a wish.
const (
	maxLeeway   = time.Hour
	maxLifetime = 10 * 365 * 24 * time.Hour
	minCache    = 1 << 20
	maxCache    = 64 << 30
)

// check returns all faults but those of the keys.
func (c Config) check() error {
	var faults []error
	add := func(at, problem, fix string) { faults = append(faults, &Fault{at, problem, fix}) }
	if !isBasePath(c.BasePath) {
		add("base_path", fmt.Sprintf("%q is no path for the endpoints", c.BasePath),
			"write it with a slash at its beginning, none at its end, and only letters, digits, - . _ between: /api/token")
	}
	for _, lifetime := range []struct {
		at    string
		value time.Duration
	}{{"access_lifetime", c.AccessLifetime}, {"refresh_lifetime", c.RefreshLifetime}} {
		if lifetime.value < time.Second || lifetime.value > maxLifetime {
			add(lifetime.at, fmt.Sprintf("a lifetime of %s makes no usable token", lifetime.value), "write one between 1s and ten years, such as 5m or 24h")
		}
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		add("leeway", fmt.Sprintf("%s is no leeway", c.Leeway), "write 0s up to 1h; 30s is plenty for clocks that are kept")
	}
	if c.CacheBytes != 0 && (c.CacheBytes < minCache || c.CacheBytes > maxCache) {
		add("cache_bytes", fmt.Sprintf("%d bytes are no size for the cache", c.CacheBytes), "write 33554432 (32 MiB), another number from 1048576 on, or 0 for none")
	}
	faults = append(faults, c.Audience.check()...)
	faults = append(faults, c.Rotation.check()...)
	faults = append(faults, c.SimpleJWT.check()...)
	faults = append(faults, c.checkUser()...)
	faults = append(faults, c.checkExtra()...)
	return errors.Join(faults...)
}

func isBasePath(path string) bool {
	if len(path) < 2 || path[0] != '/' {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." || strings.Trim(segment, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != "" {
			return false
		}
	}
	return true
}
