package proxy

import (
	"net/http"
	"net/http/httputil"
	"reflect"
	"time"

	"gatehouse/tokens/drf"
)

// NewBufferPool lends the benchmark the same buffers.
func NewBufferPool() httputil.BufferPool { return newBufferPool() }

// Forwarded is what the upstream would receive; nil if nothing.
func (g *Gateway) Forwarded(in *http.Request) *http.Request {
	var d Decision
	refusal := g.decide(in, &d)
	if refusal != nil || d.local != nil {
		return nil
	}
	bare := new(http.Request)
	bared(bare, in)
	out := bare.Clone(in.Context())
	g.rewrite(&d, in, out, new(sent))
	return out
}

// Refusal is why a request would not be forwarded; nil if it would.
func (g *Gateway) Refusal(in *http.Request) *Refusal {
	return g.decide(in, new(Decision))
}

// Decide is what is decided about a request.
func (g *Gateway) Decide(in *http.Request) (d Decision, refusal *Refusal) {
	refusal = g.decide(in, &d)
	return d, refusal
}

// Original is what another proxy asks about; ok is false where it does not ask.
func (g *Gateway) Original(in *http.Request) (original *http.Request, ok bool) {
	if !g.checker.asked(in) {
		return nil, false
	}
	return g.checker.original(in), true
}

// Patience is how long the next part of a body is waited for.
func Patience(pause time.Duration, rate, came int64, waited time.Duration) time.Duration {
	return (&body{pause: pause, rate: rate, came: came, waited: waited}).patience()
}

// Pacer is what each refusal of garbage waits for.
func Pacer(n int, now func() time.Time) func() time.Duration { return newPacer(n, now).delay }

// LeaveAnonymous leaves a refusal at a place, and returns what is sent when net/http writes
// text.
func LeaveAnonymous(i *Instead, text string) string {
	answer := drf.Detail(http.StatusUnauthorized, "Authentication credentials were not provided.").Prepared()
	i.left.Store(newWhole(answer))
	if instead := i.Take([]byte(text)); instead != nil {
		return string(instead)
	}
	return text
}

// Kept takes out what is kept for other requests, and returns how many pieces there are and
// what is left in them of the requests before; "" is nothing.
func (g *Gateway) Kept() (n int, left string) {
	for {
		t, ok := g.trips.Get().(*trip)
		if !ok {
			return n, left
		}
		n++
		value := reflect.ValueOf(t).Elem()
		for i := range value.NumField() {
			if name := value.Type().Field(i).Name; name != "proxy" && name != "sent" && !value.Field(i).IsZero() {
				left += " " + name
			}
		}
		for name := range t.sent.header {
			left += " " + name
		}
		t.sent.header = nil
		if !reflect.ValueOf(t.sent).IsZero() {
			left += " sent"
		}
		t.proxy.FlushInterval = 0 // of each request anew
		if empty := g.newTrip(); !sameProxy(&t.proxy, &empty.proxy) {
			left += " proxy"
		}
	}
}

// sameProxy tells whether two are set up alike, each with functions of its own.
func sameProxy(a, b *httputil.ReverseProxy) bool {
	if (a.Rewrite == nil) != (b.Rewrite == nil) || (a.ModifyResponse == nil) != (b.ModifyResponse == nil) ||
		(a.ErrorHandler == nil) != (b.ErrorHandler == nil) {
		return false
	}
	return a.FlushInterval == b.FlushInterval && a.BufferPool == b.BufferPool && a.ErrorLog == b.ErrorLog && (a.Transport == nil) == (b.Transport == nil)
}
