package remote

import (
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config says where the keys of an issuer are. Exactly one of JWKSURL, Discovery and
// JWKS is set.
type Config struct {
	Issuer     string        // as tokens have it in iss
	JWKSURL    string        // where the JWK Set is
	Discovery  bool          // ask Issuer + /.well-known/openid-configuration where it is
	JWKS       string        // the JWK Set itself, which is then never fetched
	Algorithms []string      // what its keys may be for; no HMAC
	AllowHTTP  bool          // http is good enough
	CA         string        // PEM of the authorities that are believed; "": the system's
	Refresh    time.Duration // from one fetch to the next
	MaxStale   time.Duration // how long keys count while they cannot be fetched
	Timeout    time.Duration // of one fetch, with discovery
}

// Fault is something in a Config that cannot be used.
type Fault struct {
	At      string // the name of the key in the file: jwks_url
	Problem string
	Fix     string
}

// Error returns problem and remedy in one line.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// checkURL returns why an address is none that keys are fetched from.
func checkURL(text string, allowHTTP bool) (problem, fix string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Hostname() == "":
		return "it is no URL", "write https://host/path"
	case u.User != nil:
		return "it has a user or password", "take them out; the keys of an issuer are public"
	case u.Fragment != "":
		return "it has a fragment (#)", "take it out"
	case u.Scheme == "http" && !allowHTTP:
		return "it is http, where anybody on the way can put in keys of their own", "write https, or allow_http: true if the way is yours alone"
	case u.Scheme != "https" && u.Scheme != "http":
		return "it is neither https nor http", "write https://host/path"
	}
	return "", ""
}

// Local tells whether a URL leads to this machine itself.
func Local(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// sameServer tells whether a redirect stays where it was.
func sameServer(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "http" {
		return "80"
	}
	return "443"
}
