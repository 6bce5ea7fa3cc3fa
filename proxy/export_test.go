package proxy

import (
	"net/http"
	"net/http/httputil"
)

// NewBufferPool lends the benchmark the same buffers.
func NewBufferPool() httputil.BufferPool { return newBufferPool() }

// Forwarded is what the upstream would receive; nil if nothing.
func (g *Gateway) Forwarded(in *http.Request) *http.Request {
	d, refusal := g.decide(in)
	if refusal != nil || d.local != nil {
		return nil
	}
	out := in.Clone(in.Context())
	g.rewrite(&d, out)
	return out
}
