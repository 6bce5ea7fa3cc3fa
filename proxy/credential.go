package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/proxy/route"
)

// credential is the token that a request carries; the zero value is none.
type credential struct {
	token string
	// byBrowser: from a cookie alone, which a browser also sends when a page of
	// somebody else's makes it ask.
	byBrowser bool
	// elsewhere: not in the header that brings tokens.
	elsewhere bool
}

// credential looks for the token in the places that the policy names. What it finds
// in the query is taken out of the path that is forwarded, whatever becomes of the
// request; cookies go in withhold.
func (g *Gateway) credential(in *http.Request, d *Decision, policy *route.Policy) (credential, *Refusal) {
	if policy.Tokens == nil { // nearly always
		token, refusal := g.bearer(in.Header[g.tokenHeader.name])
		return credential{token: token}, refusal
	}
	d.withheld = policy.Tokens
	var found credential
	var header string
	var refusal *Refusal
	if policy.FromHeader() {
		header, refusal = g.bearer(in.Header[g.tokenHeader.name])
	}
	other := map[bool]string{} // by whether it is a cookie
	contradiction := false
	for _, source := range policy.Tokens {
		var values []string
		switch {
		case source.Query != "":
			rest, taken, ok := takeParameter(d.Path.RawQuery, source.Query)
			if !ok {
				return credential{}, refuseQuery
			}
			if values = taken; taken != nil {
				d.Path.RawQuery, d.Path.ForceQuery = rest, false
			}
		case source.Cookie != "":
			values = cookies(in.Header["Cookie"], source.Cookie)
		}
		for _, value := range values {
			if value == "" {
				continue // how a cookie is taken back
			}
			for _, before := range []string{header, found.token} {
				contradiction = contradiction || before != "" && before != value
			}
			found.token = value
			other[source.Cookie != ""] = value
		}
	}
	switch {
	case contradiction || refusal != nil && found.token != "":
		return credential{}, refuseTwoTokens
	case refusal != nil:
		return credential{}, refusal
	case header != "":
		return credential{token: header}, nil
	}
	found.byBrowser = other[true] != "" && other[false] == ""
	found.elsewhere = found.token != ""
	return found, nil
}

// withhold takes the tokens of a route out of the headers that are forwarded. Where
// tokens are handed on, one that came otherwise is put into the header that brings them.
func (d *Decision) withhold(header http.Header, handOn bool, token tokenHeader) {
	if handOn && d.bearer.elsewhere {
		header[token.name] = []string{token.scheme + " " + d.bearer.token}
	}
	for _, source := range d.withheld {
		switch {
		case source.Cookie != "":
			dropCookie(header, source.Cookie)
		case source.Query != "":
			dropFromReferer(header, source.Query)
		}
	}
}

// bearer reads the header of the token as SimpleJWT does: split at white space, two
// parts of which the first is exactly "Bearer", or another that is configured. Any
// other scheme is somebody else's and makes the request anonymous; a third part is a
// mistake.
func (g *Gateway) bearer(values []string) (token string, _ *Refusal) {
	if len(values) == 0 {
		return "", nil
	}
	scheme, rest := field(values[0])
	if !g.verifier.TakesScheme(scheme) {
		return "", nil
	}
	token, rest = field(rest)
	if third, _ := field(rest); token == "" || third != "" {
		return "", g.refuseTwoValues
	}
	return token, nil
}

// field cuts the first word off s. White space is ASCII's alone: a no-break space
// is part of a word.
func field(s string) (word, rest string) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	end := i + unspaced(s[i:])
	for end < len(s) && !isSpace(s[end]) {
		end++
	}
	return s[i:end], s[end:]
}

// unspaced is how many bytes at the beginning of s are no white space at the least: eight
// at a time, as long as none of them is a control character or a space. A token has hundreds.
func unspaced(s string) int {
	n := 0
	for len(s)-n >= 8 {
		x := eight(s[n:])
		if (x-(' '+1)*every)&^x&high != 0 {
			break
		}
		n += 8
	}
	return n
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// takeParameter takes every parameter of that name out of a query, which otherwise
// stays as it was sent. It is not ok if the parameter hides behind a semicolon, which
// some backends take for a separator: then they would read one that stayed.
func takeParameter(query, name string) (rest string, values []string, ok bool) {
	if query == "" || !mayHold(query, name) {
		return query, nil, true
	}
	var kept []string
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		if strings.Contains(part, ";") {
			for piece := range strings.SplitSeq(part, ";") {
				if key, _, _ := strings.Cut(piece, "="); lenient(key) == name {
					return "", nil, false
				}
			}
		}
		if lenient(key) == name {
			values = append(values, lenient(value))
			continue
		}
		kept = append(kept, part)
	}
	return strings.Join(kept, "&"), values, true
}

// mayHold is false for nearly every query without the parameter.
func mayHold(query, name string) bool {
	return strings.Contains(query, name) || strings.Contains(query, "%")
}

// lenient decodes what can be decoded and leaves the rest as it is.
func lenient(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	if text, err := url.QueryUnescape(s); err == nil {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := url.QueryUnescape(s[i : i+3]); err == nil {
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cookies are the values of all cookies of that name (RFC 6265, section 5.4), in
// the spelling in which they were sent.
func cookies(lines []string, name string) (values []string) {
	for _, line := range lines {
		for pair := range strings.SplitSeq(line, ";") {
			if key, value, ok := strings.Cut(pair, "="); ok && trim(key) == name {
				values = append(values, trim(value))
			}
		}
	}
	return values
}

func trim(s string) string { return strings.Trim(s, " \t") }

// dropCookie takes all cookies of that name out of a header, a name without value too.
func dropCookie(header http.Header, name string) {
	lines := header["Cookie"]
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, name) }) {
		return
	}
	var kept []string
	for _, line := range lines {
		var pairs []string
		for pair := range strings.SplitSeq(line, ";") {
			if key, _, _ := strings.Cut(pair, "="); trim(key) != name {
				pairs = append(pairs, pair)
			}
		}
		if line := trim(strings.Join(pairs, ";")); line != "" {
			kept = append(kept, line)
		}
	}
	if kept == nil {
		delete(header, "Cookie")
		return
	}
	header["Cookie"] = kept
}

// dropFromReferer takes the query off a Referer in which the token may stand: the
// page before had the same kind of address.
func dropFromReferer(header http.Header, name string) {
	for i, value := range header["Referer"] {
		if page, query, ok := strings.Cut(value, "?"); ok && strings.Contains(lenient(query), name) {
			header["Referer"] = slices.Clone(header["Referer"])
			header["Referer"][i] = page
		}
	}
}
