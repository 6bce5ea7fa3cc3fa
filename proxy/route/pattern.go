package route

import (
	"errors"
	"strings"
)

// pattern is a path as written on a route or rule: /x is that path, /x/* is that
// path and all below it. No meaning hangs on a trailing slash, neither in the pattern nor in
// the request: /x is /x/, because most backends serve one as the other, and a rule
// that denies /metrics would be dodged by /metrics/.
//
// Letter case matters (see Table.Match for what differs in nothing else), and there is nothing between the two forms: no * inside, no
// parameters, no suffixes. A backend that serves /admin.json as /admin needs a rule for it.
type pattern struct {
	base string // canonical and decoded, without trailing slash: "" is the root
	tree bool
}

func (p pattern) String() string {
	switch {
	case p.tree:
		return p.base + "/*"
	case p.base == "":
		return "/"
	}
	return p.base
}

// holds reports whether every path of q is one of p.
func (p pattern) holds(q pattern) bool {
	if !p.tree {
		return !q.tree && p.base == q.base
	}
	return below(q.base, p.base)
}

// below reports whether path is base or lies below it. Both without trailing slash.
func below(path, base string) bool {
	rest, ok := strings.CutPrefix(path, base)
	return ok && (rest == "" || rest[0] == '/')
}

// parsePattern reads a path of the configuration. Every path has one spelling
// there: its escaped form (/caf%C3%A9) or, where that is the same thing, plain text (/café).
// On a fault it says what to write.
func parsePattern(text string) (p pattern, problem, fix string) {
	if i := strings.Index(text, "://"); i >= 0 {
		return p, "a path has no scheme and no host", "write the host under host, and here what follows it"
	}
	if text == "" || text[0] != '/' {
		return p, "a path begins with a slash", "write " + quote("/"+text)
	}
	body, tree := strings.CutSuffix(text, "/*")
	if star := strings.IndexByte(body, '*'); star >= 0 {
		front := strings.TrimRight(body[:star], "/")
		if strings.Trim(body[star:], "*") == "" && (tree || body[star-1] != '/' || star < len(body)-1) {
			what := quote(front) + " and all below it"
			if front == "" {
				what = "everything"
			}
			return p, "a * stands only behind a slash, for all that is below", "write " + quote(front+"/*") + " for " + what
		}
		return p, "a * stands only at the end of a path, behind a slash", "write " + quote(front+"/*") + ", and narrower rules where they differ"
	}
	switch at := strings.IndexAny(body, "{}?# "); {
	case at < 0:
	case body[at] == '{' || body[at] == '}':
		front := body[:max(1, strings.LastIndexByte(body[:at], '/'))]
		return p, "a path has no parameters", "write " + quote(strings.TrimSuffix(front, "/")+"/*")
	case body[at] == ' ':
		return p, "a raw space in a path", "write " + quote(strings.ReplaceAll(text, " ", "%20"))
	default:
		return p, "a path has no query and no fragment", "write " + quote(body[:at])
	}
	if body == "" {
		return pattern{tree: true}, "", "" // "/*"; a "/" alone is not cut
	}
	c, err := Canonical(body)
	if err != nil {
		var bad *BadPath
		errors.As(err, &bad)
		return p, "no request has this path, it would be refused: " + bad.Reason, "write the path as it is after decoding, without dot segments"
	}
	suffix := ""
	if tree {
		suffix = "/*"
	}
	base := strings.TrimSuffix(c.Decoded, "/")
	if c.Changed || c.Escaped != body && c.Decoded != body || tree && c.Decoded != base {
		return p, "no request has this path, it would be rewritten before", "write " + quote(strings.TrimSuffix(c.Escaped, "/")+suffix)
	}
	if len(c.readings) > 0 {
		// Match would refuse nearly every request for it.
		return p, "backends do not agree on what this path means; some read " + quote(c.readings[0]), "write a subtree above it"
	}
	return pattern{base, tree}, "", ""
}

// parsePrefix reads a prefix to strip or to add.
func parsePrefix(key, text string) (base, problem, fix string) {
	p, problem, fix := parsePattern(text)
	switch {
	case problem != "":
		return "", problem, fix
	case p.tree:
		return "", "a prefix is a path without *", "write " + quote(pattern{base: p.base}.String())
	case p.base == "":
		return "", "this prefix is nothing", "leave " + key + " out"
	}
	return p.base, "", ""
}

func quote(s string) string { return "\"" + s + "\"" }
