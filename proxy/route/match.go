package route

import (
	"bytes"
	"errors"
	"strings"
)

// Match is what speaks for a request. The zero Match denies.
type Match struct {
	Route *Route
	Rule  *Rule // nil: the route itself
}

// Policy is who may pass.
func (m Match) Policy() Policy {
	switch {
	case m.Rule != nil:
		return m.Rule.Policy
	case m.Route != nil:
		return m.Route.Policy
	}
	return Policy{}
}

// LoginURL is where a browser without a valid token is sent; "" is nowhere.
func (m Match) LoginURL() string {
	switch {
	case m.Rule != nil:
		return m.Rule.LoginURL
	case m.Route != nil:
		return m.Route.LoginURL
	}
	return ""
}

// CORS names the set of cors that holds, in lower case; "" is none.
func (m Match) CORS() string {
	switch {
	case m.Rule != nil:
		return m.Rule.CORS
	case m.Route != nil:
		return m.Route.CORS
	}
	return ""
}

// Field is the key path of what speaks in the file, "" for nothing.
func (m Match) Field() string {
	if m.Route == nil {
		return ""
	}
	return m.field()
}

func (m Match) field() string {
	if m.Rule != nil {
		return m.Rule.Field()
	}
	return m.Route.Field()
}

// Same reports whether a request fares alike under both.
func (m Match) Same(n Match) bool {
	return m.Route == n.Route && m.Limit() == n.Limit() && m.Policy().Equal(n.Policy()) && m.Aim() == n.Aim() && m.keepsSlashes() == n.keepsSlashes()
}

// ErrNoRoute says that no route speaks for the request. A 404.
var ErrNoRoute = errors.New("no route")

// BadMethod is a method that backends take for another one: a 400.
type BadMethod struct{}

func (*BadMethod) Error() string {
	return "bad method: in lower case, where another policy holds for it in capitals"
}

// Match finds what speaks for a request: host as in Host, with or without port,
// path from Canonical or CanonicalWithSlashes, method as sent. It does not allocate for a path that has one
// reading. Errors: ErrNoRoute (404); *BadHost, *BadPath and *BadMethod (400), the
// latter two when a backend may take the request for one with another
// policy: by another reading of the path, or because it takes no notice of letter
// case. Whatever the error, the Match is zero.
func (t *Table) Match(host string, path Path, method string) (Match, error) {
	if !path.canonical {
		return Match{}, &BadPath{badUnchecked}
	}
	var room [256]byte
	name, err := appendHost(room[:0], host)
	if err != nil {
		return Match{}, err
	}
	capitals := strings.ToUpper(method) // the same string, nearly always
	found, near := t.find(name, path.Decoded, capitals)
	if found == nil {
		return Match{}, ErrNoRoute
	}
	if path.slashes && !found.match.keepsSlashes() {
		return Match{}, &BadPath{badSeparator}
	}
	if near != nil && !near.match.Same(found.match) {
		return Match{}, &BadPath{badLetterCase}
	}
	if method != capitals {
		// Django takes "delete" for DELETE; others do not, and may do anything.
		if as, _ := t.find(name, path.Decoded, method); as == nil || !as.match.Same(found.match) {
			return Match{}, &BadMethod{}
		}
	}
	for _, reading := range path.readings {
		other, near := t.find(name, reading, capitals)
		if other == nil || !other.match.Same(found.match) || near != nil && !near.match.Same(found.match) {
			return Match{}, &BadPath{badAmbiguous}
		}
	}
	return found.match, nil
}

// find looks for a path in one reading. near is the most specific target before
// found that a backend without letter case would take instead.
func (t *Table) find(host []byte, path, method string) (found, near *target) {
	path = strings.TrimSuffix(path, "/")
	for _, own := range t.own {
		if own.tree && below(path, own.base) || path == own.base {
			return nil, nil
		}
	}
	var room [256]byte
	lower := appendLower(room[:0], path[:min(len(path), t.longest)])
	if s := t.exact[string(host)]; s != nil {
		if found, near = s.find(path, lower, method, nil); found != nil {
			return found, near
		}
	}
	if len(t.wild) > 0 {
		for rest := host; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			rest = rest[dot+1:]
			if s := t.wild[string(rest)]; s != nil {
				if found, near = s.find(path, lower, method, near); found != nil {
					return found, near
				}
			}
		}
	}
	return t.any.find(path, lower, method, near)
}

// find walks from the whole path up to the root. Prefixes longer than any pattern
// are not looked at, so that no path can make it walk further than the
// configuration reaches.
func (s *site) find(path string, lower []byte, method string, before *target) (found, near *target) {
	near = before
	end := len(path)
	if end > s.longest {
		end = strings.LastIndexByte(path[:s.longest+1], '/')
	}
	for ; end >= 0; end = strings.LastIndexByte(path[:end], '/') {
		n := s.nodes[string(lower[:end])]
		if n == nil {
			continue
		}
		if end == len(path) {
			if found, near = n.pick(path, method, near, (*spelling).atPath); found != nil {
				return found, near
			}
		}
		if found, near = n.pick(path[:end], method, near, (*spelling).atTree); found != nil {
			return found, near
		}
	}
	return nil, near
}

func (sp *spelling) atPath() methods { return sp.path }
func (sp *spelling) atTree() methods { return sp.tree }

// pick takes the target of the base as it is spelled; of another spelling it takes
// note, if nothing more specific was noted before.
func (n *node) pick(base, method string, before *target, methodsOf func(*spelling) methods) (found, near *target) {
	near = before
	for _, sp := range n.spellings {
		switch t := methodsOf(sp).pick(method); {
		case t == nil:
		case sp.base == base:
			return t, before
		case near == nil:
			near = t
		}
	}
	return nil, near
}
