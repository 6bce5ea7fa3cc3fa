package route

import (
	"cmp"
	"slices"
	"strings"
)

// Row is one line of the flattened table.
type Row struct {
	Host        string // "" is any; "*.x" a wildcard
	Path        string
	Methods     []string // none is all
	Policy      Policy
	To          string
	ForwardedAs string // the path at the upstream, where it is another; written like Path
	Route       string // its name
	RouteIndex  int
	RuleIndex   int // -1: the route itself

	host  hostPattern
	path  pattern
	match Match
}

// With lists what holds for the row beside its policy, as one would write it.
func (r Row) With() []string {
	var list []string
	if r.Policy.Report {
		list = append(list, "mode: report")
	}
	if r.Policy.InvalidIsAnonymous {
		list = append(list, "on_invalid: anonymous")
	}
	if r.Policy.Tokens != nil && r.Policy.Level != Deny {
		texts := make([]string, len(r.Policy.Tokens))
		for i, source := range r.Policy.Tokens {
			texts[i] = source.String()
		}
		list = append(list, "token_from: "+strings.Join(texts, ", "))
	}
	if url := r.match.LoginURL(); url != "" && r.Policy.Level != Deny && r.Policy.Level != Public {
		list = append(list, "login_url: "+url)
	}
	if limit := r.match.Limit(); limit != nil {
		list = append(list, "rate_limit: "+limit.String())
	}
	if name := r.match.CORS(); name != "" {
		list = append(list, "cors: "+name)
	}
	if r.match.keepsSlashes() && r.Policy.Level != Deny {
		list = append(list, "encoded_slash: keep")
	}
	if stream := r.match.Stream(); stream.Said && r.Policy.Level != Deny {
		list = append(list, "stream_max: "+stream.String())
	}
	return list
}

// Rows is the table in the order in which a request is held against it: the first
// row that fits, speaks.
func (t *Table) Rows() []Row { return slices.Clone(t.rows) }

func newRow(h hostPattern, p pattern, m Match) Row {
	row := Row{
		Host: h.String(), Path: p.String(), To: m.Route.To, ForwardedAs: m.Aim().pattern(p),
		Policy: m.Policy(), Route: m.Route.Name, RouteIndex: m.Route.Index, RuleIndex: -1, host: h, path: p, match: m,
	}
	if m.Rule != nil {
		row.Methods, row.RuleIndex = m.Rule.Methods, m.Rule.Index
	}
	return row
}

func compareRows(a, b Row) int {
	return cmp.Or(
		cmp.Compare(hostRank(a.host), hostRank(b.host)),
		cmp.Compare(a.Host, b.Host),
		cmp.Compare(pathRank(a.path), pathRank(b.path)),
		cmp.Compare(a.Path, b.Path),
		-cmp.Compare(min(1, len(a.Methods)), min(1, len(b.Methods))),
		cmp.Compare(strings.Join(a.Methods, " "), strings.Join(b.Methods, " ")),
	)
}

// hostRank: exact hosts, then wildcards, more labels first, then any host.
func hostRank(h hostPattern) int {
	switch {
	case h.name == "":
		return 1 << 20
	case h.wild:
		return 1<<10 - strings.Count(h.name, ".")
	}
	return 0
}

// pathRank: paths, then subtrees, longer ones first.
func pathRank(p pattern) int {
	if p.tree {
		return -strings.Count(p.base, "/")
	}
	return -1 << 20
}
