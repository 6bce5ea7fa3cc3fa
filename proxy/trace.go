package proxy

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Tracing is how requests become spans.
type Tracing struct {
	// Tracer begins them.
	Tracer trace.Tracer
	// Trust says whose traceparent is gone on with: proxies, that of server.trusted_proxies;
	// always, everybody's; never, nobody's. Who is not trusted begins a new trace.
	Trust string
}

// traceContext is the form of W3C Trace Context.
var traceContext propagation.TraceContext

// traced begins the span of a request. Spans have words of the configuration and what the
// access log has, and so no header, query or token.
func (g *Gateway) traced(in *http.Request) (*http.Request, trace.Span) {
	ctx := in.Context()
	if g.believesTrace(in) {
		ctx = traceContext.Extract(ctx, propagation.HeaderCarrier(in.Header))
	}
	ctx, span := g.tracing.Tracer.Start(ctx, "request", trace.WithSpanKind(trace.SpanKindServer))
	return in.WithContext(ctx), span
}

func (g *Gateway) believesTrace(in *http.Request) bool {
	switch g.tracing.Trust {
	case "always":
		return true
	case "never":
		return false
	}
	_, believed := g.trusted.client(in)
	return believed
}

// endTrace says what became of the request. HTTP's names are those of OpenTelemetry's semantic
// conventions.
func (g *Gateway) endTrace(span trace.Span, in *http.Request, d *Decision, became outcome, out *recorder) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	name, method := "gatehouse", redact(in.Method)
	attributes := make([]attribute.KeyValue, 0, 16)
	attributes = append(attributes,
		attribute.String("http.request.method", method),
		attribute.String("url.scheme", d.Client.Scheme()),
		attribute.String("server.address", redact(d.Host)),
		attribute.String("url.path", redact(d.Path.Decoded)),
		attribute.Int("http.response.status_code", out.answered()),
		attribute.Int64("http.response.body.size", out.bytes),
		attribute.String("client.address", d.Client.addrText()),
		attribute.String("gatehouse.request_id", d.RequestID),
		attribute.String("gatehouse.decision", became.decision),
	)
	if became.reason != "" {
		attributes = append(attributes, attribute.String("gatehouse.reason", became.reason))
	}
	if r := d.Match.Route; r != nil {
		name = r.Name
		attributes = append(attributes, attribute.String("gatehouse.route", r.Name))
	}
	if r := d.Match.Rule; r != nil {
		attributes = append(attributes, attribute.String("http.route", r.Path))
	}
	if d.Principal != nil {
		attributes = append(attributes, attribute.String("user.id", d.Principal.UserID))
	}
	if out.ended != "" {
		attributes = append(attributes, attribute.String("gatehouse.ended", out.ended))
	}
	span.SetAttributes(attributes...)
	if isMethod(method) && len(method) <= len("PROPPATCH") {
		name = method + " " + name
	}
	span.SetName(name)
	if became.decision == decisionFailed || out.answered() >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, became.reason)
	}
}

// tracedVerify begins the span of a look at a token.
func (g *Gateway) tracedVerify(ctx context.Context) (context.Context, trace.Span) {
	return g.tracing.Tracer.Start(ctx, "verify")
}

// begin begins the span of what an upstream takes.
func (x *exchange) beginTrace() {
	_, x.span = x.gateway.tracing.Tracer.Start(x.in.Context(), "upstream "+x.decision.upstream.Name(), trace.WithSpanKind(trace.SpanKindClient))
}

// inject writes whose request it is for the upstream, over whatever the client said.
func (x *exchange) inject(header http.Header) {
	delete(header, "Traceparent")
	delete(header, "Tracestate")
	traceContext.Inject(trace.ContextWithSpan(x.in.Context(), x.span), propagation.HeaderCarrier(header))
}

// endTrace says what came of it.
func (x *exchange) endTrace() {
	defer x.span.End()
	if !x.span.IsRecording() {
		return
	}
	x.span.SetAttributes(attribute.String("gatehouse.upstream", x.decision.upstream.Name()))
	if x.answered != 0 {
		x.span.SetAttributes(
			attribute.Int("http.response.status_code", x.answered),
			attribute.Float64("gatehouse.upstream_ms", milliseconds(x.decision.upstreamTook)),
		)
	}
	if x.failure != nil {
		x.span.SetStatus(codes.Error, x.failure.Reason)
	}
}

// traceIDOf is the trace that a request belongs to: ours, or where nothing is traced that
// which its traceparent names; "" is none.
func (g *Gateway) traceIDOf(in *http.Request) string {
	if g.tracing == nil {
		return traceID(in.Header["Traceparent"])
	}
	return trace.SpanContextFromContext(in.Context()).TraceID().String()
}

// traceID is the trace that a request belongs to by its traceparent (W3C Trace
// Context, section 3.2); "" where it belongs to none.
func traceID(sent []string) string {
	const version, trace, span, flags = 2, 32, 16, 2
	value := first(sent)
	if len(sent) != 1 || len(value) < version+1+trace+1+span+1+flags || value[version] != '-' || value[version+1+trace] != '-' {
		return ""
	}
	id := value[version+1 : version+1+trace]
	if value[:version] == "ff" || !isLowerHex(id) || strings.Trim(id, "0") == "" {
		return ""
	}
	return id
}

func isLowerHex(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
