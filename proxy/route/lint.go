package route

import (
	"fmt"
	"slices"
	"strings"
)

// Lint finds what is allowed and seldom meant: a rule that holds on some hosts and not on
// another with the same upstream, because a route of that host speaks there, and a path that
// is protected and can be had without a token by another path or host. It asks the
// table itself who speaks, so that it can neither warn of what does not happen nor
// miss a rule of precedence.
//
// Within one site no rule hides another: two for the same requests are a fault, and of a
// subtree something is always left.
func (t *Table) Lint() []*Fault {
	l := linter{table: t, label: "other", told: map[[2]string]bool{}}
	for _, row := range t.rows {
		for strings.Contains(row.host.name, l.label) || strings.Contains(strings.ToLower(row.path.base), l.label) {
			l.label += "x"
		}
	}
	byUpstream := map[string][]Row{}
	for _, row := range t.rows {
		byUpstream[row.match.Route.To] = append(byUpstream[row.match.Route.To], row)
	}
	// Routes before their rules, of which nothing is said that holds of the whole.
	for _, rules := range []bool{false, true} {
		for _, row := range t.rows {
			if (row.match.Rule != nil) == rules && !row.Policy.Anonymous() && !row.Policy.Report {
				l.exposed(row, byUpstream[row.match.Route.To])
			}
		}
	}
	for _, row := range t.rows {
		if row.match.Rule != nil {
			l.hidden(row, byUpstream[row.match.Route.To])
		}
	}
	return l.found
}

// linter is the state of Lint.
type linter struct {
	table *Table
	label string // that stands in no host and no path
	told  map[[2]string]bool
	found []*Fault
}

// exposed looks for rows by which what one protects can be had as a whole, by nobody.
func (l *linter) exposed(protected Row, rows []Row) {
	wanted := protected.atUpstream()
	for _, open := range rows {
		if !open.Policy.Anonymous() || open.match == protected.match {
			continue
		}
		as, ok := open.comes(wanted)
		if !ok {
			continue
		}
		moved := as != protected.path
		if !moved && (protected.match.Rule == nil || open.path == protected.path) {
			continue // one site beside another, or what is said on purpose
		}
		if l.tells(protected, open) || protected.match.Rule != nil && l.told[[2]string{protected.match.Route.Field(), open.match.field()}] {
			continue // that of its route says it
		}
		host, ok := l.reached(protected, open, as, moved)
		if !ok {
			continue
		}
		at := as.String()
		if host != "" {
			at = host + at
		}
		l.add(open, protected, ".auth",
			fmt.Sprintf("%s lets everybody have, as %s, what is protected elsewhere (%s, auth: %s)", open.Policy, at, protected.where(), protected.Policy),
			fmt.Sprintf("write a rule for %s here, or close this one", as))
	}
}

// reached tells whether the open row speaks where it would bring what the other
// protects, and on which host if it must be a certain one.
func (l *linter) reached(protected, open Row, as pattern, moved bool) (host string, ok bool) {
	var hosts []hostPattern
	switch {
	case protected.host.holds(open.host):
		hosts = []hostPattern{open.host}
	case open.host.holds(protected.host):
		hosts = []hostPattern{protected.host}
		if moved { // it comes under another name of a host, which few backends look at
			hosts = append(hosts, open.host)
		}
	}
	for _, host := range hosts {
		for _, method := range l.methods(protected, open) {
			if l.speaks(protected.host, protected.path, method) == protected.match && l.speaks(host, as, method) == open.match {
				return host.String(), true
			}
		}
	}
	return "", false
}

// hidden looks for hosts with a route to the same upstream of their own, where a rule
// for all hosts, or for more of them, does not hold.
func (l *linter) hidden(rule Row, rows []Row) {
	for _, other := range rows {
		if other.match.Route == rule.match.Route || other.host == rule.host || !rule.host.holds(other.host) ||
			other.path == rule.path || other.atUpstream() != other.path || rule.atUpstream() != rule.path || !other.path.holds(rule.path) ||
			other.Policy.Equal(rule.Policy) || other.Policy.Level == Deny || other.Policy.Anonymous() && !rule.Policy.Anonymous() || l.tells(rule, other) {
			continue
		}
		if !slices.ContainsFunc(l.methods(rule, other), func(method string) bool {
			return l.speaks(rule.host, rule.path, method) == rule.match && l.speaks(other.host, rule.path, method) == other.match
		}) {
			continue
		}
		l.add(rule, other, "",
			fmt.Sprintf("this rule does not hold on %s, where another route speaks for %s (auth: %s)", other.Host, rule.path, other.Policy),
			"write it below that route too, or there what else shall hold")
	}
}

// tells reports whether a pair was told already.
func (l *linter) tells(a, b Row) bool { return l.told[[2]string{a.match.field(), b.match.field()}] }

func (l *linter) add(at, other Row, key, problem, fix string) {
	l.told[[2]string{at.match.field(), other.match.field()}] = true
	l.told[[2]string{other.match.field(), at.match.field()}] = true
	l.found = append(l.found, &Fault{At: at.match.field() + key, Other: other.match.field(), Problem: problem, Fix: fix})
}

// speaks asks the table about one request out of those of a pattern: one that no narrower
// pattern has.
func (l *linter) speaks(h hostPattern, p pattern, method string) Match {
	host, path := h.name, p.base
	switch {
	case host == "":
		host = l.label
	case h.wild:
		host = l.label + "." + host
	}
	if p.tree {
		path += "/" + l.label
	}
	found, _ := l.table.find([]byte(host), path, method)
	if found == nil {
		return Match{}
	}
	return found.match
}

// methods are those by which two rows may differ: what they name, and one that nobody does.
func (l *linter) methods(a, b Row) []string {
	all := slices.Concat(a.Methods, b.Methods)
	if len(a.Methods) == 0 {
		all = append(all, strings.ToUpper(l.label))
	}
	return all
}

// where is the row as an operator thinks of it.
func (r Row) where() string { return r.Host + r.Path }

// atUpstream is what the paths of the row are called at the upstream.
func (r Row) atUpstream() pattern {
	a := r.match.Aim()
	switch {
	case a == nil:
		return r.path
	case a.exact:
		return pattern{base: strings.TrimSuffix(a.fixed.Decoded, "/")}
	}
	return pattern{a.to.decoded + strings.TrimPrefix(r.path.base, a.from.decoded), r.path.tree}
}

// comes is the pattern that reaches the upstream as p by way of the row, if all of it does.
func (r Row) comes(p pattern) (as pattern, ok bool) {
	switch a := r.match.Aim(); {
	case a == nil:
		as = p
	case a.exact:
		as = pattern{base: a.from.decoded}
		ok = !p.tree && p.base == strings.TrimSuffix(a.fixed.Decoded, "/")
		return as, ok && r.path.holds(as)
	case !below(p.base, a.to.decoded):
		return as, false
	default:
		as = pattern{a.from.decoded + strings.TrimPrefix(p.base, a.to.decoded), p.tree}
	}
	return as, r.path.holds(as)
}

// holds reports whether every host of other is one of h.
func (h hostPattern) holds(other hostPattern) bool {
	switch {
	case h.name == "":
		return true
	case h.wild:
		return strings.HasSuffix(other.name, "."+h.name) || other.wild && other.name == h.name
	}
	return h == other
}
