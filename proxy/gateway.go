package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"gatehouse/proxy/cors"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
)

// Gateway is the handler of everything that clients send. It is immutable, but for
// what it knows of the streams that are open, and safe for concurrent use; a changed configuration makes a new one.
type Gateway struct {
	trusted      trusted
	checker      *checker // nil: no other proxy may ask
	local        locals
	cors         map[string]*cors.Set // by name in lower case
	table        *route.Table
	verifier     *tokens.Verifier
	maxHead      int           // of the request line and the headers
	maxURI       int           // of the target
	maxBody      int64         // 0: no bound
	pause        time.Duration // of a client within a body
	bodyRate     int64         // bytes in a second of it, at least; 0: no bound
	patience     time.Duration // with a client that does not read its answer
	upstreams    map[string]*upstream.Upstream
	lines        lines
	limits       limits
	logged       []logged // headers of requests
	tracing      *Tracing // nil: nothing is traced
	identity     *identity.Headers
	identities   map[string]*identity.Headers // of upstreams with a preset
	forwardToken bool
	asserted     map[string]asserted // by the name of the upstream in small letters
	asserter     *tokens.Asserter
	tokenHeader  tokenHeader
	buffers      *bufferPool
	trips        sync.Pool // of *trip
	logger       *slog.Logger
	access       accessLog
	errorLog     *log.Logger
	now          func() time.Time
	realTime     bool // now is that of deadlines
	security     map[*route.Route]*security
	measured     measured
	reports      reports
	streams      streams
	unwatch      func() // the users of streams
	pacer        *pacer // nil: nobody waits
	challenges
}

// Parts are what a Gateway works with.
type Parts struct {
	Verifier  *tokens.Verifier  // whose token is it; required
	Asserter  *tokens.Asserter  // for upstreams with an assertion; nil: there is no key for it
	Endpoints []tokens.Endpoint // answered here instead of by an upstream
	Logger    *slog.Logger      // nil: discards
	Now       func() time.Time  // nil: time.Now
	Metrics   *Metrics          // nil: nothing is counted
	Tracing   *Tracing          // nil: nothing is traced
	Before    *Gateway          // whose place it takes: what is known of servers and budgets stays known; nil: nobody's

	// MaxConnections is how many requests an upstream has at once that has no bound of
	// its own; 0 is no bound.
	MaxConnections int

	// GarbageRate is how many tokens that nobody made are refused at once in a second;
	// those above wait for up to a second. 0 is no bound.
	GarbageRate int
}

// New makes a Gateway of cfg. The error joins every fault found; each has a Field
// method with its place in the file.
func New(cfg Config, parts Parts) (*Gateway, error) {
	g := &Gateway{
		verifier:     parts.Verifier,
		local:        newLocals(parts.Endpoints),
		maxHead:      int(cfg.Server.MaxHeaderBytes),
		maxURI:       int(cfg.Server.MaxURI),
		maxBody:      int64(cfg.Server.MaxBody),
		pause:        cfg.Server.ReadBodyTimeout,
		bodyRate:     int64(cfg.Server.MinBodyRate),
		patience:     cfg.Server.WriteTimeout,
		upstreams:    make(map[string]*upstream.Upstream, len(cfg.Upstreams)),
		identities:   make(map[string]*identity.Headers),
		forwardToken: cfg.Identity.ForwardToken,
		asserter:     parts.Asserter,
		buffers:      newBufferPool(),
		tracing:      parts.Tracing,
		logger:       cmp.Or(parts.Logger, slog.New(slog.DiscardHandler)),
		now:          parts.Now,
	}
	if g.now == nil {
		g.now, g.realTime = time.Now, true
	}
	g.access.lines, _ = g.logger.Handler().(lineTaker)
	g.pacer = newPacer(parts.GarbageRate, g.now)
	g.errorLog = slog.NewLogLogger(g.logger.Handler(), slog.LevelWarn)

	faults := cfg.Server.faults()
	var more []error
	g.checker, more = newChecker(cfg.Server.AuthCheck)
	faults = append(faults, more...)
	if g.checker != nil {
		g.local.reserve(g.checker.path)
	}
	g.trusted, more = newTrusted(cfg.Server.TrustedProxies)
	faults = append(faults, more...)

	names := slices.Sorted(maps.Keys(cfg.Upstreams))
	for _, name := range names {
		settings, headers, err := g.preset(name, cfg)
		faults = append(faults, err)
		up, err := upstream.New(name, settings, upstream.Parts{
			Logger: g.logger, MaxConnections: parts.MaxConnections, Before: parts.Before.upstream(name),
		})
		faults = append(faults, err)
		g.upstreams[strings.ToLower(name)] = up
		if headers != nil {
			g.identities[strings.ToLower(name)] = headers
		}
	}
	var err error
	g.cors, more = newCORS(cfg.CORS)
	faults = append(faults, more...)
	g.local.cors, err = g.endpointCORS()
	faults = append(faults, err)
	opts := g.local.options(names)
	opts.CORS = slices.Sorted(maps.Keys(g.cors))
	g.table, err = route.New(cfg.Routes, opts)
	faults = append(faults, err)
	g.identity, err = identity.New(cfg.Identity)
	faults = append(faults, err)
	headers := slices.Collect(maps.Values(g.identities))
	if g.identity != nil {
		headers = append(headers, g.identity)
	}
	g.asserted, more = newAsserted(cfg.Upstreams, parts.Asserter, parts.Verifier != nil, headers)
	faults = append(faults, more...)

	faults = append(faults, securityFaults("server.security_headers", cfg.Server.SecurityHeaders)...)
	for i := range cfg.Routes {
		faults = append(faults, securityFaults(fmt.Sprintf("routes[%d].security_headers", i), cfg.Routes[i].SecurityHeaders)...)
	}

	if parts.Verifier == nil {
		faults = append(faults, errors.New("a gateway needs a verifier"))
	} else {
		g.challenges = newChallenges(parts.Verifier)
		g.tokenHeader = newTokenHeader(parts.Verifier)
		faults = append(faults, g.tokenHeader.fault(g.identity))
		for _, headers := range g.identities {
			faults = append(faults, g.tokenHeader.fault(headers))
		}
	}
	g.logged, more = newLogged(cfg.Log, g.tokenHeader, g.asserted)
	if err := errors.Join(append(faults, more...)...); err != nil {
		return nil, err
	}
	g.lines = newLines(g.table, g.upstreams)
	g.limits = newLimits(g.table, parts.Before.budgets())
	g.security = securityOf(cfg, g.table)
	g.unwatch = parts.Verifier.Watch(g.changed)
	g.measured = parts.Metrics.measure(g.table, g.upstreams)
	return g, nil
}

// upstream is the one of that name, in any case; nil if there is none.
func (g *Gateway) upstream(name string) *upstream.Upstream {
	if g == nil {
		return nil
	}
	return g.upstreams[strings.ToLower(name)]
}

// budgets are the limits of a gateway; none of nobody's.
func (g *Gateway) budgets() limits {
	if g == nil {
		return nil
	}
	return g.limits
}

// ServeHTTP decides and then acts.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	began := g.now()
	var span trace.Span
	if g.tracing != nil {
		in, span = g.traced(in)
	}
	t := g.newTrip()
	out, d := &t.out, &t.decision
	out.begin(w, in, g.patience)
	var refusal *Refusal
	question := in // of another proxy, about the request that in then is
	if g.checker.asked(in) {
		in, refusal = g.check(in, d)
	} else {
		refusal = g.decide(in, d)
	}
	if !d.Check {
		out.security, out.secure = g.security[d.Match.Route], d.Client.TLS
	}
	g.measured.begin()

	became := outcome{decision: decisionAborted} // stays when forward panics
	defer func() {
		ended := g.now()
		took := ended.Sub(began)
		g.measured.end(d, became, out.answered(), took)
		if g.logger.Enabled(in.Context(), slog.LevelInfo) {
			g.logAccess(in, d, became, out, ended, took)
		}
		if span != nil {
			g.endTrace(span, in, d, became, out)
		}
		g.endTrip(t) // nobody looks at out and d any more
	}()
	if refusal == nil {
		g.pacer.pass(began)
		g.noteReported(d)
	} else {
		g.pacer.hold(in.Context(), refusal, began)
	}

	switch {
	case d.Check:
		leaveBody(w, question)
		g.answerCheck(out, question, in, d, refusal)
	case refusal != nil:
		leaveBody(w, in)
		out.now = time.Now()
		g.answer(out, in, d, refusal)
		t.refused = true
	case d.local != nil:
		if d.cors != nil {
			d.cors.Apply(out.Header(), in.Header)
		}
		d.local.ServeHTTP(out, d.localRequest(g.guardBody(out, in)))
	default:
		refusal = g.forward(t, g.guardBody(out, in))
	}
	became = outcomeOf(d, refusal)
	if refusal != nil && refusal.Answer.Status == statusClientGone {
		panic(http.ErrAbortHandler) // or net/http would say 200 to nobody
	}
}

// answer says no, in place of an upstream.
func (g *Gateway) answer(w http.ResponseWriter, in *http.Request, d *Decision, refusal *Refusal) {
	status := refusal.Answer.Status
	if status == statusClientGone {
		return // nobody reads it
	}
	if status >= 500 {
		attrs := []slog.Attr{slog.String("reason", refusal.Reason), slog.Any("error", refusal.Cause)}
		if d.upstream != nil { // at log.level warn no other line names it
			attrs = append(attrs, slog.String("upstream", d.upstream.Name()))
		}
		g.logger.LogAttrs(in.Context(), slog.LevelWarn, "cannot answer", append(attrs, slog.String("request_id", d.RequestID))...)
	}
	refusal = d.withCORS(in, refusal)
	if isGRPC(in) {
		answerGRPC(w, refusal)
		return
	}
	if out, ok := w.(*recorder); !ok || !refusal.whole.leave(out, in) {
		refusal.Answer.Write(w, in)
	}
}

// Close ends health checks and closes connections that no request is using.
// Requests in flight finish.
func (g *Gateway) Close() {
	g.logReported()
	g.unwatch()
	for _, up := range g.upstreams {
		up.Close()
	}
}
