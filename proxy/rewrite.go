package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gatehouse/proxy/identity"
	"gatehouse/tokens"
	"gatehouse/tokens/drf"
)

// aim finds the upstream of what was matched, the path that it gets and what it is
// told about the user. All is decided here and never looked at again.
func (g *Gateway) aim(d *Decision) *Refusal {
	d.line = g.lines.find(d.Match)
	if d.line == nil {
		return refuseNoRoute // New has checked that it exists
	}
	d.upstream = d.line.Upstream()
	d.headers = g.headersFor(d.Match.Route.To)
	if d.Principal != nil {
		var err error
		if d.Identity, err = told(d.headers, d.Principal); err != nil {
			return refuseIdentity(err)
		}
		if refusal := g.assert(d); refusal != nil {
			return refusal
		}
	}
	path, err := d.Match.Aim().Forward(d.Path)
	if err != nil {
		return refuseUnmatched(err)
	}
	d.target = path
	return nil
}

// rewrite turns out, which ReverseProxy has made of bared(in), into what the upstream
// receives. What is set here stays, whatever the client wrote into Connection. Its headers are
// made in those of s.
func (g *Gateway) rewrite(d *Decision, in, out *http.Request, s *sent) {
	*out.URL = url.URL{
		// Scheme and Host are those of the server that the upstream chooses.
		Path: d.target.Unescaped(), RawPath: d.target.Escaped,
		// Opaque is what goes on the wire: the matched bytes. From Path and RawPath
		// net/url might choose another spelling.
		Opaque: d.target.Escaped,
		// Not what ReverseProxy made of the query: it drops what it cannot parse.
		RawQuery:   d.target.RawQuery,
		ForceQuery: d.target.ForceQuery,
	}
	out.Host = d.Host

	// net/http forwards the names of trailers and not their values, and a backend
	// may merge trailers into headers. None pass.
	out.Trailer = nil

	header := passing(s.header, in.Header, out.Header, func(name string) bool {
		return name == authorization && !g.forwardToken || isRequestID(name) || d.headers.Managed(name)
	}, len(d.Identity)+ofForwarding)
	out.Header, s.header = header, header
	if upgrade := header["Upgrade"]; upgrade != nil && (len(upgrade) != 1 || !strings.EqualFold(upgrade[0], "websocket")) {
		// h2c above all: behind it a connection is a tunnel that nobody looks into.
		delete(header, "Upgrade")
		delete(header, "Connection")
	}
	g.tokenHeader.withhold(header, g.forwardToken)
	d.withhold(header, g.forwardToken, g.tokenHeader)
	if d.bearer.elsewhere && d.headers.Managed(g.tokenHeader.name) {
		delete(header, g.tokenHeader.name) // where it was put by withhold
	}

	// One value each, in one piece of memory; the capacities keep them apart.
	s.values = [...]string{d.Client.Host, d.Client.Scheme(), d.Client.Port, d.RequestID, d.Client.addrText()}
	values := &s.values
	header["X-Forwarded-Host"] = values[0:1:1]
	header["X-Forwarded-Proto"] = values[1:2:2]
	header["X-Forwarded-Port"] = values[2:3:3]
	header["X-Request-Id"] = values[3:4:4]
	if values[4] != "" {
		// The client alone, not the way it came: right for backends that read the
		// first entry and for those that read the last.
		header["X-Forwarded-For"] = values[4:5:5]
	}
	if prefix := d.Match.Aim().Prefix(); prefix != "" {
		header["X-Forwarded-Prefix"] = []string{prefix}
	}
	for i := range d.Identity {
		header[d.Identity[i].Name] = d.Identity[i].Values
	}
}

// ofForwarding is how many headers tell how a request has come, less the one of its token,
// which is not among them.
const ofForwarding = 4

// telling is what is told about an account by headers, remembered with the account.
type telling struct {
	by    *identity.Headers
	lines identity.Lines
}

// told is what an upstream is told about a principal. Where no claim has a part in it, it
// follows from the account and the configuration alone.
func told(by *identity.Headers, p *tokens.Principal) (identity.Lines, error) {
	if p.Derived == nil || !by.OfAccount() {
		return by.Lines(person(p))
	}
	if known, ok := p.Derived.Load().(*telling); ok && known.by == by {
		return known.lines, nil
	}
	lines, err := by.Lines(person(p))
	if err != nil {
		return nil, err
	}
	lines = slices.Clip(lines)
	p.Derived.Store(&telling{by, lines})
	return lines, nil
}

// person is what identity headers may say about a principal.
func person(p *tokens.Principal) identity.Person {
	return identity.Person{
		UserID:   p.UserID,
		Username: p.User.Username,
		Email:    p.User.Email,
		Groups:   p.User.Groups,
		Claims:   func(path []string) (any, bool) { return claim(p.Claims, path) },
	}
}

// claim walks into nested claims. Numbers are given back as the text that Python
// would make of them.
func claim(claims drf.Object, path []string) (any, bool) {
	var value any = claims
	for _, step := range path {
		object, ok := value.(drf.Object)
		if !ok {
			return nil, false
		}
		if value, ok = object.Get(step); !ok {
			return nil, false
		}
	}
	return plain(value), true
}

// plain replaces the types of drf by those of the language.
func plain(value any) any {
	switch value := value.(type) {
	case drf.Number:
		return value.Text()
	case []any:
		list := make([]any, len(value))
		for i, v := range value {
			list[i] = plain(v)
		}
		return list
	}
	return value
}
