package proxy

import (
	"net/http"
	"net/http/httputil"
	"time"

	"gatehouse/tokens/drf"
)

// NewBufferPool lends the benchmark the same buffers.
func NewBufferPool() httputil.BufferPool { return newBufferPool() }

// Forwarded is what the upstream would receive; nil if nothing.
func (g *Gateway) Forwarded(in *http.Request) *http.Request {
	d, refusal := g.decide(in)
	if refusal != nil || d.local != nil {
		return nil
	}
	out := bared(in).Clone(in.Context())
	g.rewrite(&d, in, out)
	return out
}

// Refusal is why a request would not be forwarded; nil if it would.
func (g *Gateway) Refusal(in *http.Request) *Refusal {
	_, refusal := g.decide(in)
	return refusal
}

// Decide is what is decided about a request.
func (g *Gateway) Decide(in *http.Request) (Decision, *Refusal) { return g.decide(in) }

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
