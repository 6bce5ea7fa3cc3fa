package proxy

import (
	"net/http"
	"net/http/httputil"
)

// trip is what a request needs on its way through the gateway, in one piece of memory:
// made one by one that would be a dozen, a third of the bytes that a request takes.
type trip struct {
	decision Decision
	out      recorder
	exchange exchange
	bared    http.Request          // what ReverseProxy is given
	sent     sent                  // what the upstream is
	refused  bool                  // it came no further than the gateway, and was answered
	proxy    httputil.ReverseProxy // the same for every request, but for FlushInterval
}

// sent are the headers of the request that a transport sends.
type sent struct {
	header http.Header
	values [5]string // of some of them
}

// mostSent is how many headers a map may have that is used again: the room for more is
// seldom needed, and would stay.
const mostSent = 64

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
	header := t.sent.header
	if len(header) > mostSent {
		header = nil
	}
	clear(header)
	t.decision = Decision{}
	t.out = recorder{}
	t.exchange = exchange{}
	t.bared = http.Request{}
	t.sent = sent{header: header}
	t.refused = false
	g.trips.Put(t)
}

// alone tells whether the goroutine of the request is the only one that ever had a part in
// it, so that with the end of the handler nobody has it any more: it was forwarded to one server and
// answered, all of the answer had come when its head was read, and nothing is left that
// goes on by itself. Streams, tunnels, bodies of requests, spans, and whatever broke off, have
// others who know of it: their memory is left to the garbage collector.
//
// That all of it had come is known only of connections that are read and written by the
// goroutine of the request (wire): http.Transport has two of its own, which may look at what is sent
// when the handler has returned. A refusal is written by this goroutine too, before it returns.
func (t *trip) alone() bool {
	x := &t.exchange
	return t.refused || x.over && x.whole && x.call.Once() && x.failure == nil && x.stream == nil && x.body == nil && x.span == nil && t.out.tunnel == nil
}
