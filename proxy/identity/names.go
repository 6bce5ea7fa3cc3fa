package identity

import (
	"net/textproto"
	"slices"
	"strings"
)

// taken are headers that mean something else already, to the upstream or on the
// way to it.
var taken = []string{
	"connection", "keep_alive", "proxy_authenticate", "proxy_authorization", "proxy_connection", "proxy", "te", "trailer", "transfer_encoding", "upgrade",
	"host", "authorization", "cookie", "set_cookie", "accept", "accept_charset", "accept_encoding", "accept_language",
	"cache_control", "date", "expect", "from", "if_match", "if_modified_since", "if_none_match", "if_range",
	"if_unmodified_since", "max_forwards", "origin", "pragma", "range", "referer", "user_agent", "via", "www_authenticate",
	"traceparent", "tracestate", "x_request_id",
	"forwarded", "x_real_ip", "x_forwarded", "x_forwarded_for", "x_forwarded_host", "x_forwarded_proto", "x_forwarded_port",
	"x_forwarded_server", "x_forwarded_by", "x_forwarded_prefix", "x_forwarded_uri", "x_forwarded_method", "x_forwarded_ssl", "x_forwarded_scheme",
}

// takenFamilies are folded prefixes of such headers.
var takenFamilies = []string{"content_", "access_control_", "sec_", "x_original", "x_rewrite"}

// CheckName refuses what cannot be a header about the user, and says what to write.
func CheckName(name string) (problem, fix string) { return checkName(name) }

// checkName refuses what cannot be an identity header, and says what to write.
func checkName(name string) (problem, fix string) {
	if problem, fix := checkToken(name); problem != "" {
		return problem, fix
	}
	folded := Fold(name)
	if slices.Contains(taken, folded) || slices.ContainsFunc(takenFamilies, func(f string) bool { return strings.HasPrefix(folded, f) }) {
		return textproto.CanonicalMIMEHeaderKey(name) + " has a meaning of its own", "write a name such as X-User-Id or Remote-User"
	}
	return "", ""
}

// checkFamily does so for a name or family to strip.
func checkFamily(name string) (problem, fix string) {
	family, isFamily := strings.CutSuffix(name, "*")
	if isFamily && !strings.HasSuffix(family, "-") {
		if family = strings.TrimRight(family, "_.-"); family == "" {
			return "this would take every header away", "write a family such as X-Remote-*"
		}
		return "a family ends in -*", "write " + dashed(family) + "-*"
	}
	family = strings.TrimSuffix(family, "-")
	if !isFamily && family != name {
		return "a header does not end in a dash", "write " + dashed(family) + ", or " + dashed(family) + "-* for the family"
	}
	if problem, fix := checkToken(family); problem != "" {
		if isFamily && family != "" {
			fix += "-*"
		}
		return problem, fix
	}
	folded := Fold(family)
	for _, t := range append([]string{"content_length", "content_type", "content_encoding"}, taken...) {
		if t == "forwarded" || strings.HasPrefix(t, "x_") {
			continue // taken from clients anyway, or theirs to lose
		}
		if t == folded || isFamily && strings.HasPrefix(t, folded+"_") {
			return "requests would lose " + dashed(t), "write a name that only identities have"
		}
	}
	return "", ""
}

// checkToken wants letters, digits and dashes. Backends drop other names or fold
// them, and an underscore may not pass the next proxy.
func checkToken(name string) (problem, fix string) {
	usual := dashed(name)
	switch {
	case strings.Trim(usual, "-") == "":
		return "the header has no name", "write one such as X-User-Id"
	case strings.ContainsFunc(name, func(r rune) bool { return r >= 0x7f || r != '-' && fold(byte(r)) == '_' }): //nolint:gosec // below 0x7f by then
		return "the name of a header has letters, digits and dashes; backends drop or change what has others", "write " + usual
	case usual != textproto.CanonicalMIMEHeaderKey(name):
		return "the name of a header begins and ends with a letter or digit", "write " + usual
	case len(name) > 60:
		return "the name of a header has at most 60 bytes", "write a shorter one"
	}
	return "", ""
}

// dashed is the spelling of a name that we accept.
func dashed(name string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.Trim(strings.ReplaceAll(Fold(name), "_", "-"), "-"))
}
