package proxy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"gatehouse/proxy"
)

// tracedWorld is a world whose spans are kept.
func tracedWorld(t *testing.T, trust string, ratio float64, handler http.HandlerFunc, change ...func(*proxy.Config)) (*world, *tracetest.InMemoryExporter) {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans), sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(ratio))))
	w := &world{T: t, backend: newBackend(t, handler), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	for _, f := range change {
		f(&cfg)
	}
	p := parts(t, textLogger(w.log))
	p.Tracing = &proxy.Tracing{Tracer: provider.Tracer("gatehouse"), Trust: trust}
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	w.addr = serve(t, gateway, cfg)
	return w, spans
}

const (
	theirTrace  = "0af7651916cd43dd8448eb211c80319c"
	theirParent = "00-" + theirTrace + "-b7ad6b7169203331-01"
)

// One trace leads from the client through the gateway, its look at the token and the store, to
// the upstream.
func TestATraceOfARequest(t *testing.T) {
	w, spans := tracedWorld(t, "always", 0, nil)
	alice := w.bearer("alice")
	w.backend.requests()
	spans.Reset()
	w.get("/x?q=1", alice, "Traceparent: "+theirParent, "Tracestate: vendor=1", "Baggage: tenant=7")
	eventually(t, "the span of the request", func() bool { return len(spans.GetSpans()) >= 4 })
	by := map[string]tracetest.SpanStub{}
	for _, span := range spans.GetSpans() {
		if span.SpanContext.TraceID().String() != theirTrace {
			t.Errorf("%s is of another trace", span.Name)
		}
		by[span.Name] = span
	}
	request, upstream := by["GET site"], by["upstream app"]
	if request.SpanKind != trace.SpanKindServer || request.Parent.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("request: %v below %v; there are %v", request.SpanKind, request.Parent.SpanID(), by)
	}
	for _, name := range []string{"verify", "upstream app"} {
		if by[name].Parent.SpanID() != request.SpanContext.SpanID() {
			t.Errorf("%s is not below the request", name)
		}
	}
	if by["store read"].Parent.SpanID() != by["verify"].SpanContext.SpanID() {
		t.Error("the store is not asked below verify")
	}
	got := w.only().Header
	if want := "00-" + theirTrace + "-" + upstream.SpanContext.SpanID().String() + "-01"; got.Get("Traceparent") != want {
		t.Errorf("the upstream gets %q, want %q", got.Get("Traceparent"), want)
	}
	if got.Get("Tracestate") != "vendor=1" || got.Get("Baggage") != "tenant=7" {
		t.Errorf("the upstream gets %q and %q", got.Get("Tracestate"), got.Get("Baggage"))
	}
	attributes := fmt.Sprint(request.Attributes)
	for _, want := range []string{"{http.request.method {4 0 GET", "app.example.com", "/x", "passed", "site"} {
		if !strings.Contains(attributes, strings.TrimPrefix(want, "{http.request.method {4 0 ")) {
			t.Errorf("no %s in %s", want, attributes)
		}
	}
	eventually(t, "log", func() bool { return strings.Contains(w.log.String(), "trace_id="+theirTrace) })
}

// A client that nobody trusts begins a new trace: it chooses neither what is recorded
// nor whose trace it is.
func TestAttackTraceOfSomebodyElse(t *testing.T) {
	local := func(cfg *proxy.Config) { cfg.Server.TrustedProxies = []string{"127.0.0.1"} }
	for _, tc := range []struct {
		name, trust string
		change      []func(*proxy.Config)
		goesOn      bool
	}{
		{"a client", "proxies", nil, false},
		{"a trusted proxy", "proxies", []func(*proxy.Config){local}, true},
		{"a trusted proxy, with never", "never", []func(*proxy.Config){local}, false},
		{"a client, with always", "always", nil, true},
	} {
		w, spans := tracedWorld(t, tc.trust, 0, nil, tc.change...)
		w.get("/public/x", "Traceparent: "+theirParent, "Tracestate: vendor=1")
		got := w.only().Header
		if goesOn := strings.Contains(got.Get("Traceparent"), theirTrace); goesOn != tc.goesOn || (got.Get("Tracestate") != "") != tc.goesOn {
			t.Errorf("%s: the upstream gets %q and %q", tc.name, got.Get("Traceparent"), got.Get("Tracestate"))
		}
		if tc.goesOn {
			eventually(t, "spans", func() bool { return len(spans.GetSpans()) == 2 })
		} else if n := len(spans.GetSpans()); n != 0 || !strings.HasSuffix(got.Get("Traceparent"), "-00") {
			t.Errorf("%s: %d spans, and the upstream is told %q, although nothing is chosen", tc.name, n, got.Get("Traceparent"))
		}
	}
}

// What must not be in a log must not be in a span.
func TestSecretsAreInNoSpan(t *testing.T) {
	w, spans := tracedWorld(t, "proxies", 1, nil)
	token := w.token("alice") // a login with a password
	w.get("/x?access_token="+token+"&password=hunter2", "Authorization: Bearer "+token, "Cookie: session=hunter2", "User-Agent: hunter2")
	w.get("/x", "Authorization: Bearer "+token+"x")
	w.get("/public/" + token)
	w.raw(token + " /public/ HTTP/1.1\nHost: " + token + "\n\n")
	names := func() (all []string) {
		for _, span := range spans.GetSpans() {
			all = append(all, span.Name)
		}
		return all
	}
	eventually(t, "spans", func() bool {
		return len(slices.DeleteFunc(names(), func(n string) bool { return !strings.Contains(n, "site") })) >= 3
	})
	text := fmt.Sprintf("%+v", spans.GetSpans())
	for _, secret := range []string{token, token[len(token)-20:], "hunter2", password, "Bearer"} {
		if strings.Contains(text, secret) {
			t.Errorf("a span holds %.30q", secret)
		}
	}
}

func TestAnUpstreamThatBreaksIsAnErrorInTheTrace(t *testing.T) {
	w, spans := tracedWorld(t, "proxies", 1, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	w.get("/public/x")
	eventually(t, "spans", func() bool { return len(spans.GetSpans()) == 2 })
	for _, span := range spans.GetSpans() {
		if span.Status.Code != codes.Error || span.Status.Description != "upstream_closed" {
			t.Errorf("%s has the status %v", span.Name, span.Status)
		}
	}
}
