package proxy

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gatehouse/proxy/cors"
	"gatehouse/proxy/route"
)

// newCORS compiles the sets, by their names in lower case.
func newCORS(cfg map[string]cors.Config) (map[string]*cors.Set, []error) {
	sets := make(map[string]*cors.Set, len(cfg))
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(cfg)) {
		set, err := cors.New(name, cfg[name])
		if err != nil {
			faults = append(faults, err)
		}
		sets[strings.ToLower(name)] = set
	}
	return sets, faults
}

// endpointCORS is the set that the token endpoints name.
func (g *Gateway) endpointCORS() (*cors.Set, error) {
	name := g.local.corsName
	if name == "" {
		return nil, nil
	}
	set, ok := g.cors[strings.ToLower(name)]
	if !ok {
		return nil, &Fault{At: "tokens.cors", Problem: fmt.Sprintf("no set of cors is called %q", name), Fix: "write the name of one, or make it below cors"}
	}
	return set, nil
}

// corsOf is the set of what was matched; nil is none.
func (g *Gateway) corsOf(match route.Match) *cors.Set {
	if len(g.cors) == 0 {
		return nil
	}
	return g.cors[match.CORS()]
}

// preflight answers a browser that asks whether it may, where a route has something
// to say about it: the one that would speak for the request to come. Otherwise it is an OPTIONS
// like any other, and an upstream may answer it, if its policy lets it pass.
func (g *Gateway) preflight(in *http.Request, d *Decision) *Refusal {
	method, ok := cors.Preflight(in)
	if !ok || len(g.cors) == 0 {
		return nil
	}
	match, err := g.table.Match(d.Host, d.Path, method)
	if err != nil {
		return nil // and so will be the request
	}
	set := g.corsOf(match)
	if set == nil {
		return nil
	}
	d.Match = match
	return d.answerPreflight(in, set)
}

// answerPreflight is no refusal but where it is one; either way nothing is forwarded.
func (d *Decision) answerPreflight(in *http.Request, set *cors.Set) *Refusal {
	d.cors = set
	header := http.Header{}
	switch refused := set.Answer(header, in); refused {
	case cors.Allowed:
		r := &Refusal{Reason: "preflight"}
		r.Answer.Status = http.StatusNoContent
		return r.with(header)
	default:
		return refusal(http.StatusForbidden, "cors_"+string(refused), "CORS: this "+string(refused)+" is not allowed.").with(header)
	}
}

// withCORS is the refusal as scripts of other origins can read it.
func (d *Decision) withCORS(in *http.Request, r *Refusal) *Refusal {
	if d.cors == nil || r.Reason == "preflight" {
		return r
	}
	header := r.Answer.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	d.cors.Apply(header, in.Header)
	answer := r.Answer
	answer.Header = header
	return &Refusal{Reason: r.Reason, Answer: answer, Cause: r.Cause, policy: r.policy}
}
