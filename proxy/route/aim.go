package route

import (
	"fmt"
	"strings"
)

// Aim is how the path that was matched becomes the path that the upstream is asked
// for, and how what the upstream says about paths becomes what a client must ask
// for: a prefix takes the place of another, by whole segments. nil changes nothing.
// Nobody changes it.
type Aim struct {
	from, to prefix
	// exact: from is one path, and fixed takes its place.
	exact bool
	fixed Path
	// outer is the route's, where a rule has its own: what an upstream answers to a
	// request under the rule may speak about the rest of the site.
	outer *Aim
}

// prefix is a path without trailing slash in both forms; "" is the root.
type prefix struct{ decoded, escaped string }

// newPrefix makes one of a decoded path.
func newPrefix(decoded string) prefix {
	escaped := make([]byte, 0, len(decoded))
	for i := range len(decoded) {
		if c := decoded[i]; c == '/' || class[c]&pathByte != 0 {
			escaped = append(escaped, c)
		} else {
			escaped = appendEscape(escaped, c)
		}
	}
	return prefix{decoded, string(escaped)}
}

// Aim is how the path is changed; nil is not at all.
func (m Match) Aim() *Aim {
	switch {
	case m.Rule != nil:
		return m.Rule.aim
	case m.Route != nil:
		return m.Route.aim
	}
	return nil
}

// keepsSlashes reports whether escaped slashes pass.
func (m Match) keepsSlashes() bool {
	if m.Rule != nil {
		return m.Rule.keepSlashes
	}
	return m.Route != nil && m.Route.keepSlashes
}

// Forward is the path that the upstream is asked for: canonical again. An error is
// a *BadPath.
func (a *Aim) Forward(p Path) (Path, error) {
	switch {
	case !p.canonical:
		return Path{}, &BadPath{badUnchecked}
	case a == nil:
		return p, nil
	case !a.exact:
		return p.replace(a.from.decoded, a.to.escaped)
	case strings.TrimSuffix(p.Decoded, "/") != a.from.decoded:
		return Path{}, &BadPath{badPrefix}
	}
	return p.become(a.fixed.Escaped)
}

// Prefix is what was taken off the front of the path, escaped: what an application
// that lies at its own root must put in front of its links. It is "" where nothing
// was taken off, and where something took its place.
func (a *Aim) Prefix() string {
	if a == nil || a.exact || a.to.decoded != "" {
		return ""
	}
	return a.from.escaped
}

// Public is the path, escaped, under which a client reaches what the upstream calls
// path, which must begin with a slash and have no query. A path that a client can
// ask for already, one that no client reaches, and one with dot segments stays as it
// is.
//
// An application that knows its prefix (X-Forwarded-Prefix) writes it itself; so
// where nothing but a prefix is taken off, a path that begins with it is right.
func (a *Aim) Public(path string) string {
	for ; a != nil; a = a.outer {
		if a.exact {
			if unescaped(path) == a.fixed.Decoded {
				return a.from.escaped
			}
			continue
		}
		rest, inTo := under(path, a.to.decoded)
		_, inFrom := under(path, a.from.decoded)
		deeper := a.to.decoded != a.from.decoded && below(a.to.decoded, a.from.decoded)
		switch {
		case inTo && (!inFrom || deeper):
			public := a.from.escaped + rest
			if public == "" {
				return "/"
			}
			if strings.HasPrefix(public, "//") || strings.HasPrefix(public, `/\`) {
				return path // it would be another host
			}
			return public
		case inFrom:
			return path
		}
	}
	return path
}

// PublicScope is Public for the path of a cookie, where /x stands for all below it too:
// that of the root is the prefix without a slash behind it.
func (a *Aim) PublicScope(path string) string {
	public := a.Public(path)
	if path == "/" && len(public) > 1 {
		return strings.TrimSuffix(public, "/")
	}
	return public
}

// under takes base off the front of an escaped path, whatever it escapes. A path
// with dot segments is nowhere.
func under(path, base string) (rest string, ok bool) {
	for segment := range strings.SplitSeq(path, "/") {
		switch unescaped(segment) {
		case ".", "..":
			return "", false
		}
	}
	rest = path
	for base != "" {
		var want, got string
		want, base, _ = strings.Cut(base[1:], "/")
		if base != "" {
			base = "/" + base
		}
		if rest == "" {
			return "", false
		}
		got, _, _ = strings.Cut(rest[1:], "/")
		if unescaped(got) != want {
			return "", false
		}
		rest = rest[1+len(got):]
	}
	return rest, true
}

// unescaped forgives what is no escape.
func unescaped(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		b = append(b, c)
	}
	return string(b)
}

// pattern is what p is called at the upstream, or "" where that is the same.
func (a *Aim) pattern(p pattern) string {
	if a == nil {
		return ""
	}
	if a.exact {
		return a.fixed.Escaped
	}
	q := pattern{a.to.decoded + strings.TrimPrefix(p.base, a.from.decoded), p.tree}
	if q == p {
		return ""
	}
	return q.String()
}

// aim reads what a route says about the path.
func (b *builder) aim(at string, cfg *Config, whole pattern, placed bool) *Aim {
	if cfg.Rewrite != (Rewrite{}) {
		for _, other := range [][2]string{{"strip_prefix", cfg.StripPrefix}, {"add_prefix", cfg.AddPrefix}} {
			if key := other[0]; other[1] != "" {
				b.faults.clash(at+".rewrite", at+"."+key, "rewrite and "+key+" at once", "write both into rewrite")
			}
		}
		return b.rewrite(at, cfg.Rewrite, whole, placed)
	}
	var a Aim
	for _, side := range []struct {
		key, said string
		into      *prefix
	}{{"strip_prefix", cfg.StripPrefix, &a.from}, {"add_prefix", cfg.AddPrefix, &a.to}} {
		if side.said == "" {
			continue
		}
		base, problem, fix := parsePrefix(side.key, side.said)
		if problem != "" {
			b.faults.add(at+"."+side.key, problem, fix)
		}
		*side.into = newPrefix(base)
	}
	if placed && !below(whole.base, a.from.decoded) {
		b.faults.add(at+".strip_prefix", fmt.Sprintf("paths of this route need not begin with %q", a.from.decoded), fmt.Sprintf("write path: %s/*", a.from.decoded))
	}
	if a.from == a.to {
		return nil
	}
	return &a
}

// ruleAim is that of a rule, inherited where it says nothing.
func (b *builder) ruleAim(at string, cfg Rewrite, p pattern, placed bool, inherited *Aim) *Aim {
	if cfg == (Rewrite{}) {
		return inherited
	}
	a := b.rewrite(at, cfg, p, placed)
	if a != nil {
		a.outer = inherited
	}
	return a
}

// rewrite reads `rewrite`. Everything that whole holds must be changed by it: what
// is rewritten is then seen from the rule alone.
func (b *builder) rewrite(at string, cfg Rewrite, whole pattern, placed bool) *Aim {
	ok := true
	side := func(key, text string) (p pattern) {
		var problem, fix string
		if text == "" {
			problem, fix = "rewrite has no "+key, "write it as {from: /a/*, to: /b/*}"
		} else {
			p, problem, fix = parsePattern(text)
		}
		if problem != "" {
			b.faults.add(at+".rewrite."+key, problem, fix)
			ok = false
		}
		return p
	}
	from, to := side("from", cfg.From), side("to", cfg.To)
	switch {
	case !ok:
		return nil
	case from.tree != to.tree:
		b.faults.add(at+".rewrite.to", fmt.Sprintf("%s cannot become %s", cfg.From, cfg.To), "write a /* at the end of both, or of neither")
		return nil
	case placed && !from.holds(whole):
		b.faults.add(at+".rewrite.from", fmt.Sprintf("%s does not hold all of %s", from, whole), fmt.Sprintf("write a rule with path: %s, or from: %s", from, whole))
		return nil
	}
	a := &Aim{from: newPrefix(from.base), to: newPrefix(to.base), exact: !from.tree}
	if a.exact {
		a.fixed, _ = Canonical(cfg.To) // parsePattern has held it against Canonical
		return a
	}
	if a.from == a.to {
		return nil
	}
	return a
}

// encodedSlash reads `encoded_slash`.
func (b *builder) encodedSlash(at, said string, inherited bool) (keep bool) {
	switch said {
	case "":
		return inherited
	case "keep":
		return true
	case "reject":
	default:
		b.faults.add(at+".encoded_slash", fmt.Sprintf("encoded_slash cannot be %q", said), "write reject or keep")
	}
	return false
}
