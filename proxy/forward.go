package proxy

import (
	"errors"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"gatehouse/proxy/upstream"
)

// exchange is one request on its way through an upstream.
type exchange struct {
	gateway  *Gateway
	decision *Decision
	in       *http.Request
	body     *body // of in; nil: none
	out      *recorder
	stream   *stream  // that the answer is; nil: it is none
	failure  *Refusal // what the client was told instead of the upstream's answer
	call     upstream.Call
	span     trace.Span // nil: nothing is traced
	answered int        // by the upstream
	began    time.Time
	proxy    *httputil.ReverseProxy
	sent     *sent
	whole    bool // all of the answer had come when its head was read, on a connection of the request's goroutine alone
	over     bool // ReverseProxy is done with it, without a panic
}

// forward sends the request to the upstream and the answer back. It returns the
// refusal if there was no answer. Like ReverseProxy it panics with
// http.ErrAbortHandler when an answer breaks off, which closes the connection: a
// client must be able to tell half an answer from a whole one.
func (g *Gateway) forward(t *trip, in *http.Request) *Refusal {
	x, d := &t.exchange, &t.decision
	x.gateway, x.decision, x.in, x.out, x.body, x.began = g, d, in, &t.out, t.out.body, g.now()
	x.call.Line = d.line
	x.call.Key = d.stickyKey()
	if g.tracing != nil {
		x.beginTrace()
	}
	defer x.close() // after a tunnel and a panic too
	x.proxy, x.sent = &t.proxy, &t.sent
	x.proxy.FlushInterval = flushInterval
	bared(&t.bared, in)
	x.proxy.ServeHTTP(x.out, &t.bared)
	x.over = true
	return x.failure
}

// stickyKey is what a sticky upstream goes by.
func (d *Decision) stickyKey() uint64 {
	var user string
	if d.Principal != nil {
		user = d.Principal.UserID
	}
	return upstream.Key(user, d.Client.Addr)
}

// flushInterval bounds how late the parts of an answer of known length arrive.
// ReverseProxy flushes streams and answers of unknown length at once.
const flushInterval = 100 * time.Millisecond

func (x *exchange) rewrite(pr *httputil.ProxyRequest) {
	*pr.Out = *pr.Out.WithContext(x.in.Context())
	x.gateway.rewrite(x.decision, x.in, pr.Out, x.sent)
	if x.span != nil {
		x.inject(pr.Out.Header)
	}
}

// look changes nothing in an answer but what it says about paths, and about CORS where
// the route says something about it. It refuses one that
// would make a tunnel of a connection without having been asked to.
func (x *exchange) look(answer *http.Response) error {
	now := x.gateway.now()
	x.decision.upstreamTook = now.Sub(x.began)
	x.answered = answer.StatusCode
	x.gateway.measured.answered(x.decision.upstream, x.decision.upstreamTook)
	x.decision.publish(answer.Header, answer.Request.URL)
	if x.decision.cors != nil {
		x.decision.cors.Apply(answer.Header, x.in.Header)
	}
	if b, ok := answer.Body.(interface{ Whole(int64) bool }); ok && b.Whole(answer.ContentLength) {
		x.proxy.FlushInterval = 0 // nothing is still to come that what is there would wait for
		x.whole = true
		if x.gateway.realTime {
			x.out.now = now // it is written at once
		}
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		if x.stream = x.watch(answer); x.stream == nil {
			handOver(x.out.Header(), answer)
		}
		return nil
	}
	if !isHandshake(answer.Request.Header, answer.Header) {
		return upstream.ErrSwitched
	}
	x.stream = x.tunnel(answer)
	return nil
}

// handOver does what ReverseProxy would do next with the headers of an answer, without a
// copy of each. By them it only knows event streams, which are not handed over.
func handOver(to http.Header, answer *http.Response) {
	for name, values := range answer.Header {
		if before := to[name]; len(before) > 0 {
			values = append(slices.Clip(before), values...)
		}
		to[name] = slices.Clip(values)
	}
	answer.Header = nil
}

// close ends what belongs to the exchange.
func (x *exchange) close() {
	x.call.Close()
	if x.span != nil {
		x.endTrace()
	}
	if t := x.out.tunnel; t != nil {
		t.finish()
	}
	if x.stream == nil {
		return
	}
	x.gateway.finish(x.stream)
	if e := x.stream.ended.Load(); e != nil {
		x.out.ended = e.word
	}
}

// fail answers in place of an upstream that did not.
func (x *exchange) fail(w http.ResponseWriter, _ *http.Request, err error) {
	gone := x.in.Context().Err() != nil
	if fault := x.body.fault(gone); fault != nil {
		err = fault
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case tooLarge:
		x.failure = refuseBody
	case errors.Is(err, errSlowBody):
		x.failure = refuseSlowBody
	case errors.Is(err, errBrokenBody):
		x.failure = refuseBrokenBody
	default:
		x.failure = refuseFailed(x.decision.upstream.Name(), upstream.Explain(x.in.Context(), err), err)
	}
	x.gateway.answer(w, x.in, x.decision, x.failure)
}

// bufferPool lends the buffers through which bodies are copied.
type bufferPool struct{ pool sync.Pool }

// bufferSize is a compromise: large enough for few system calls, small enough for
// ten thousand slow downloads.
const bufferSize = 32 << 10

func newBufferPool() *bufferPool {
	return &bufferPool{pool: sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

func (p *bufferPool) Get() []byte { return p.pool.Get().(*[bufferSize]byte)[:] }

func (p *bufferPool) Put(b []byte) { p.pool.Put((*[bufferSize]byte)(b)) }
