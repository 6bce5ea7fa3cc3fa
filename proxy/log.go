package proxy

import (
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"gatehouse/proxy/identity"
)

// Log is the `log` section: what a running gateway writes to its standard output. It can
// change while gatehouse runs.
type Log struct {
	// Level is the least that is written; default info. At info there is one line for
	// each request. Tokens, passwords and secrets are in no line, at no level.
	Level string `mapstructure:"level" words:"debug info warn error"`

	// Format is json, an object a line; text, for people; or auto, the default: text on a
	// terminal, and json elsewhere. Changing it needs a restart.
	Format string `mapstructure:"format" words:"auto json text"`

	// Headers are those of requests that the access log has, such as User-Agent; default
	// none. Of Referer the query is left out, and of every value what looks like a token.
	// What carries a secret by its name, such as Authorization or Cookie, is refused.
	Headers []string `mapstructure:"headers"`
}

// logged is a header that the access log has.
type logged struct {
	name string // canonical
	cut  bool   // of a URL: without its query
}

// secretive are parts of the names of headers that carry what nobody may read.
var secretive = []string{
	"authoriz", "authent", "x_auth", "cookie", "token", "secret", "passw", "credential", "assertion", "jwt", "session", "csrf", "xsrf", "api_key", "apikey", "signature", "_otp",
}

// newLogged compiles log.headers, and finds what is wrong with the rest.
func newLogged(cfg Log, token tokenHeader, asserted map[string]asserted) ([]logged, []error) {
	var all []logged
	var faults []error
	if !slices.Contains([]string{"", "debug", "info", "warn", "error"}, cfg.Level) {
		faults = append(faults, &Fault{At: "log.level", Problem: fmt.Sprintf("%q is no level", cfg.Level), Fix: "write debug, info, warn or error"})
	}
	if !slices.Contains([]string{"", "auto", "json", "text"}, cfg.Format) {
		faults = append(faults, &Fault{At: "log.format", Problem: fmt.Sprintf("%q is no format", cfg.Format), Fix: "write json, text or auto"})
	}
	seen := map[string]bool{}
	for i, name := range cfg.Headers {
		fault := func(problem, fix string) {
			faults = append(faults, &Fault{At: fmt.Sprintf("log.headers[%d]", i), Problem: problem, Fix: fix})
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		folded := identity.Fold(name)
		if problem := carriesSecret(folded, token, asserted); problem != "" {
			fault(fmt.Sprintf("%q %s, which no log may have", name, problem), "take it away")
			continue
		}
		switch {
		case !isHeaderName(name):
			fault(fmt.Sprintf("%q is not the name of a header", name), "write a name such as User-Agent")
		case canonical == "Host":
			fault("Host is in each line already", "take it away")
		case seen[canonical]:
			fault(fmt.Sprintf("%s is there twice", canonical), "take one away")
		default:
			all = append(all, logged{name: canonical, cut: canonical == "Referer"})
		}
		seen[canonical] = true
	}
	return all, faults
}

// carriesSecret says what a header of this folded name carries; "" is nothing secret.
func carriesSecret(folded string, token tokenHeader, asserted map[string]asserted) string {
	if token.name != "" && folded == identity.Fold(token.name) {
		return "brings the token"
	}
	for _, a := range asserted {
		if folded == identity.Fold(a.header) {
			return "is an assertion for an upstream"
		}
	}
	for _, part := range secretive {
		if strings.Contains(folded, part) {
			return "carries credentials by its name"
		}
	}
	return ""
}

// isHeaderName: a token of RFC 9110, section 5.6.2.
func isHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// mostLogged bounds the value of a header in the log, in bytes.
const mostLogged = 512

// value is what the log has of the header; false where it was not sent.
func (l logged) value(header http.Header) (string, bool) {
	values := header[l.name]
	if len(values) == 0 {
		return "", false
	}
	value := strings.Join(values, ", ")
	if l.cut {
		if end := strings.IndexAny(value, "?#"); end >= 0 {
			value = value[:end]
		}
	}
	if value = redact(value); len(value) > mostLogged {
		value = strings.ToValidUTF8(value[:mostLogged], "") + "…"
	}
	return value, true
}

// redacted stands in the log for what looked like a token.
const redacted = "[token]"

// redact replaces each JSON Web Token in text that a client has sent: people paste them
// into paths and hosts. It costs nothing where there is none.
func redact(text string) string {
	// The first member of its head begins each: {" in base64url.
	at := strings.Index(text, "eyJ")
	if at < 0 {
		return text
	}
	var out strings.Builder
	for at >= 0 {
		end := at
		for end < len(text) && isTokenByte(text[end]) {
			end++
		}
		if token := text[at:end]; strings.Contains(token, ".") {
			out.WriteString(text[:at])
			out.WriteString(redacted)
		} else {
			out.WriteString(text[:end])
		}
		text = text[end:]
		at = strings.Index(text, "eyJ")
	}
	out.WriteString(text)
	return out.String()
}

func isTokenByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
}
