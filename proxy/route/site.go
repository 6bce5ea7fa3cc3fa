package route

import (
	"iter"
	"maps"
)

func newSite() *site { return &site{nodes: map[string]*node{}} }

// site finds or makes the site of a host.
func (t *Table) site(h hostPattern) *site {
	if h.name == "" {
		return t.any
	}
	hosts := t.exact
	if h.wild {
		hosts = t.wild
	}
	s := hosts[h.name]
	if s == nil {
		s = newSite()
		hosts[h.name] = s
	}
	return s
}

func (t *Table) sites() iter.Seq[*site] {
	return func(yield func(*site) bool) {
		for _, hosts := range []map[string]*site{t.exact, t.wild, {"": t.any}} {
			for s := range maps.Values(hosts) {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// methods finds or makes the methods of a pattern.
func (s *site) methods(p pattern) methods {
	key := string(appendLower(nil, p.base))
	s.longest = max(s.longest, len(key))
	n := s.nodes[key]
	if n == nil {
		n = &node{}
		s.nodes[key] = n
	}
	var here *spelling
	for _, sp := range n.spellings {
		if sp.base == p.base {
			here = sp
		}
	}
	if here == nil {
		here = &spelling{base: p.base, path: methods{}, tree: methods{}}
		n.spellings = append(n.spellings, here)
	}
	if p.tree {
		return here.tree
	}
	return here.path
}

// finish lets HEAD follow GET: a backend runs the same code for both, and a rule
// that forgot HEAD would neither open nor close what its author meant.
func (s *site) finish() {
	for _, n := range s.nodes {
		for _, sp := range n.spellings {
			for _, m := range []methods{sp.path, sp.tree} {
				if get, head := m["GET"], m["HEAD"]; get != nil && head == nil {
					m["HEAD"] = get
				}
			}
		}
	}
}

// appendLower appends s with ASCII letters in lower case, which keeps every byte in
// its place.
func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
