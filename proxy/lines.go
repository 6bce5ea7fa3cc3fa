package proxy

import (
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

// lines are the ways to upstreams: the usual one of each, and those of the routes
// and rules with timeouts of their own.
type lines struct {
	usual map[string]*upstream.Line // by the upstream's name, in lower case
	own   map[route.Match]*upstream.Line
}

func newLines(table *route.Table, upstreams map[string]*upstream.Upstream) lines {
	l := lines{make(map[string]*upstream.Line, len(upstreams)), map[route.Match]*upstream.Line{}}
	for name, up := range upstreams {
		l.usual[name] = up.Line(upstream.Timeouts{})
	}
	for match := range table.Matches() {
		if timeouts := match.Timeouts(); timeouts != (route.Timeouts{}) {
			l.own[match] = upstreams[match.Route.To].Line(upstream.Timeouts(timeouts))
		}
	}
	return l
}

// find returns nil if the route's upstream does not exist.
func (l lines) find(match route.Match) *upstream.Line {
	if len(l.own) > 0 {
		if line := l.own[match]; line != nil {
			return line
		}
	}
	return l.usual[match.Route.To]
}
