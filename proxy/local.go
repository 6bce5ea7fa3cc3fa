package proxy

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"gatehouse/proxy/cors"
	"gatehouse/proxy/route"
	"gatehouse/tokens"
)

// locals are the endpoints that gatehouse answers itself, the same on every host,
// before any route is looked at.
type locals struct {
	handlers map[string]http.Handler // by decoded path
	corsName string                  // of the endpoints, as configured
	cors     *cors.Set               // nil: none
	bases    []string                // the tops of the trees that hold them: "/api/token"
}

func newLocals(endpoints []tokens.Endpoint) locals {
	l := locals{handlers: make(map[string]http.Handler, len(endpoints))}
	for _, e := range endpoints {
		l.handlers[e.Path] = e.Handler
		l.corsName = e.CORS // the same for all
		l.bases = append(l.bases, strings.TrimSuffix(e.Path, "/"))
	}
	all := l.bases
	l.bases = slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(all))), func(base string) bool {
		return slices.ContainsFunc(all, func(top string) bool { return below(top, base) })
	})
	return l
}

// reserve keeps a path, and all below it, from routes.
func (l *locals) reserve(path string) { l.bases = append(l.bases, path) }

// options tells the route table what it must not be asked to hold. The one top that
// has endpoints below it is the base path; a path alone, such as the JWKS's, is
// reserved by itself.
func (l *locals) options(upstreams []string) route.Options {
	opts := route.Options{Upstreams: upstreams}
	for _, base := range l.bases {
		if opts.BasePath == "" && l.tree(base) {
			opts.BasePath = base
		} else {
			opts.Reserved = append(opts.Reserved, base)
		}
	}
	return opts
}

// tree tells whether an endpoint is at base with its slash, or below.
func (l *locals) tree(base string) bool {
	for path := range l.handlers {
		if below(base, path) {
			return true
		}
	}
	return false
}

// match finds the endpoint for a path. Everything below the top of their tree is
// reserved: what has no handler there is 404 and never an upstream's, so that a
// mistyped token request does not hand a password to a backend.
//
// An endpoint is met by its own spelling only. A path that became one when dot
// segments or slashes were resolved is 404: no client of ours writes it.
func (l *locals) match(path route.Path) (handler http.Handler, reserved bool) {
	for _, base := range l.bases {
		if path.Decoded == base || below(base, path.Decoded) {
			if path.Changed {
				return nil, true
			}
			return l.handlers[path.Decoded], true
		}
	}
	return nil, false
}

func below(base, path string) bool {
	return len(path) > len(base) && path[len(base)] == '/' && path[:len(base)] == base
}

// localRequest is the request as an endpoint sees it: from the client, where a
// trusted proxy stands between, and with the request ID that is logged.
func (d *Decision) localRequest(in *http.Request) *http.Request {
	local := in.WithContext(in.Context()) // a shallow copy
	local.Header = maps.Clone(in.Header)
	local.Header["X-Request-Id"] = []string{d.RequestID}
	peer, err := netip.ParseAddrPort(in.RemoteAddr)
	if err == nil && peer.Addr().Unmap() == d.Client.Addr || err != nil && !d.Client.Addr.IsValid() {
		return local
	}
	local.RemoteAddr = d.Client.remoteAddr()
	return local
}
