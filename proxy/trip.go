package proxy

import (
	"net/http"
	"net/http/httputil"
)

// trip is what a request needs on its way through the gateway, in one piece of memory:
// made one by one that would be nine pieces, a sixth of the bytes that a request takes.
type trip struct {
	decision Decision
	out      recorder
	exchange exchange
	bared    http.Request          // what ReverseProxy is given
	proxy    httputil.ReverseProxy // the same for every request, but for FlushInterval
}

// newTrip is empty.
func (g *Gateway) newTrip() *trip {
	if t, ok := g.trips.Get().(*trip); ok {
		return t
	}
	t := new(trip)
	x := &t.exchange
	t.proxy = httputil.ReverseProxy{
		Rewrite:        x.rewrite,
		Transport:      &x.call,
		BufferPool:     g.buffers,
		ErrorLog:       g.errorLog,
		ModifyResponse: x.look,
		ErrorHandler:   x.fail,
	}
	return t
}

// endTrip keeps the memory of a trip for another request, if nobody can have kept anything of it.
func (g *Gateway) endTrip(t *trip) {
	if !t.alone() {
		return
	}
	t.decision = Decision{}
	t.out = recorder{}
	t.exchange = exchange{}
	t.bared = http.Request{}
	g.trips.Put(t)
}

// alone tells whether the goroutine of the request is the only one that ever had a part in
// it, so that with the end of the handler nobody has it any more: it was forwarded and
// answered, all of the answer had come when its head was read, and nothing is left that
// goes on by itself. Streams, tunnels, bodies of requests, spans, and whatever broke off, have
// others who know of it: their memory is left to the garbage collector.
//
// What outlives even those that are alone is made for each request anew: the request that
// ReverseProxy makes of bared and hands to a transport, its headers and their values, and its context.
func (t *trip) alone() bool {
	x := &t.exchange
	return x.over && x.whole && x.failure == nil && x.stream == nil && x.body == nil && x.span == nil && t.out.tunnel == nil
}
