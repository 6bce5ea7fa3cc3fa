package tracing_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"gatehouse/cmd/gatehouse/internal/tracing"
)

// receiver is a collector that takes OTLP by HTTP.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*traces.Span
	header  http.Header
	service string
	status  int
	asked   int
}

func receive(t *testing.T) *receiver {
	r := &receiver{status: http.StatusOK}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked++
		r.header = in.Header
		if r.status == http.StatusOK {
			var sent collector.ExportTraceServiceRequest
			if err := proto.Unmarshal(body, &sent); err != nil || in.URL.Path != "/v1/traces" || in.Method != http.MethodPost {
				t.Errorf("%s %s: %v", in.Method, in.URL, err)
			}
			for _, resource := range sent.GetResourceSpans() {
				r.service = resource.GetResource().GetAttributes()[0].GetValue().GetStringValue()
				for _, scope := range resource.GetScopeSpans() {
					r.spans = append(r.spans, scope.GetSpans()...)
				}
			}
		}
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func start(t *testing.T, cfg tracing.Config) (*tracing.Tracing, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	all, err := tracing.New(cfg, tracing.Parts{Registry: registry, Version: "1", Wait: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return all, registry
}

func config(endpoint string) tracing.Config {
	cfg := tracing.DefaultConfig()
	cfg.Endpoint = endpoint
	return cfg
}

func TestSpansArriveWhole(t *testing.T) {
	r := receive(t)
	cfg := config(r.URL)
	cfg.Authorization, cfg.AuthorizationHeader, cfg.Service = "a-key", "x-key", "edge"
	all, registry := start(t, cfg)
	ctx, outer := all.Tracer().Start(t.Context(), "outer", trace.WithSpanKind(trace.SpanKindServer))
	_, inner := all.Tracer().Start(ctx, "inner")
	inner.SetAttributes(attribute.Int("n", 7), attribute.String("s", "x"), attribute.Bool("b", true), attribute.Float64("f", 1.5))
	inner.SetStatus(codes.Error, "why")
	inner.End()
	outer.End()
	if err := all.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.spans) != 2 || r.header.Get("X-Key") != "a-key" || r.header.Get("Content-Type") != "application/x-protobuf" || r.service != "edge" {
		t.Fatalf("got %v with %v of %q", r.spans, r.header, r.service)
	}
	in, out := r.spans[0], r.spans[1]
	if in.GetName() != "inner" || out.GetName() != "outer" || string(in.GetParentSpanId()) != string(out.GetSpanId()) || string(in.GetTraceId()) != string(out.GetTraceId()) {
		t.Errorf("%v is not inside %v", in, out)
	}
	if out.GetKind() != traces.Span_SPAN_KIND_SERVER || in.GetStatus().GetCode() != traces.Status_STATUS_CODE_ERROR || in.GetStatus().GetMessage() != "why" {
		t.Errorf("kind %v, status %v", out.GetKind(), in.GetStatus())
	}
	if a := in.GetAttributes(); a[0].GetValue().GetIntValue() != 7 || a[1].GetValue().GetStringValue() != "x" || !a[2].GetValue().GetBoolValue() || a[3].GetValue().GetDoubleValue() != 1.5 {
		t.Errorf("attributes %v", a)
	}
	if in.GetStartTimeUnixNano() == 0 || in.GetEndTimeUnixNano() < in.GetStartTimeUnixNano() {
		t.Errorf("from %d to %d", in.GetStartTimeUnixNano(), in.GetEndTimeUnixNano())
	}
	want := "# HELP gatehouse_trace_spans_sent_total Spans that the collector has taken.\n# TYPE gatehouse_trace_spans_sent_total counter\ngatehouse_trace_spans_sent_total 2\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "gatehouse_trace_spans_sent_total"); err != nil {
		t.Error(err)
	}
}

// A collector that is away, or that hangs, costs spans and no time.
func TestACollectorThatIsAway(t *testing.T) {
	hang := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); hanging.Close() })
	for name, endpoint := range map[string]string{"nobody listens": "http://127.0.0.1:1", "it hangs": hanging.URL} {
		cfg := config(endpoint)
		cfg.Queue = 10
		all, registry := start(t, cfg)
		const ended = 2000
		for range ended {
			_, span := all.Tracer().Start(t.Context(), "x")
			span.End() // would wait here for ever
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_ = all.Close(ctx)
		cancel()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		dropped := 0.0
		for _, family := range families {
			if family.GetName() == "gatehouse_trace_spans_dropped_total" {
				for _, m := range family.GetMetric() {
					dropped += m.GetCounter().GetValue()
				}
			}
		}
		if dropped < ended-10 || dropped > ended {
			t.Errorf("%s: %v of %d spans are counted as dropped", name, dropped, ended)
		}
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for status, want := range map[int]int{http.StatusBadRequest: 1, http.StatusUnauthorized: 1, http.StatusFound: 1, http.StatusServiceUnavailable: 2} {
		r := receive(t)
		r.status = status
		all, _ := start(t, config(r.URL))
		_, span := all.Tracer().Start(t.Context(), "x")
		span.End()
		for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
			r.mu.Lock()
			asked := r.asked
			r.mu.Unlock()
			if asked >= want {
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_ = all.Close(ctx)
		cancel()
		if r.asked < want || want == 1 && r.asked > 1 {
			t.Errorf("%d: asked %d times, want %d", status, r.asked, want)
		}
	}
}

func TestWhatIsRecorded(t *testing.T) {
	r := receive(t)
	cfg := config(r.URL)
	cfg.Sample = "0%"
	all, _ := start(t, cfg)
	_, span := all.Tracer().Start(t.Context(), "not chosen")
	span.End()
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true})
	_, span = all.Tracer().Start(trace.ContextWithSpanContext(t.Context(), parent), "of a trace that is recorded")
	span.End()
	if err := all.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.spans) != 1 || r.spans[0].GetName() != "of a trace that is recorded" {
		t.Errorf("got %v", r.spans)
	}
}

func TestFaultsOfTheSection(t *testing.T) {
	for _, tc := range []struct {
		change func(*tracing.Config)
		want   string
	}{
		{func(c *tracing.Config) { c.Endpoint = "localhost:4318" }, "URL of a collector"},
		{func(c *tracing.Config) { c.Endpoint = "grpc://a:4317" }, "URL of a collector"},
		{func(c *tracing.Config) { c.Endpoint = "http://u:hunter2@a:4318" }, "URL of a collector"},
		{func(c *tracing.Config) { c.Sample = "110%" }, "part of all traces"},
		{func(c *tracing.Config) { c.Sample = "-1" }, "part of all traces"},
		{func(c *tracing.Config) { c.Sample = "NaN" }, "part of all traces"},
		{func(c *tracing.Config) { c.TrustIncoming = "some" }, "says nothing about clients"},
		{func(c *tracing.Config) { c.Queue = -1 }, "cannot wait"},
		{func(c *tracing.Config) { c.CAFile = "/no/such/file" }, "/no/such/file"},
		{func(c *tracing.Config) { c.Authorization = "hunter2\nX-Evil: 1" }, "more than one line"},
		{func(c *tracing.Config) { c.AuthorizationHeader = "a b" }, "not the name of a header"},
	} {
		cfg := config("http://127.0.0.1:4318")
		tc.change(&cfg)
		_, err := tracing.New(cfg, tracing.Parts{})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
	if off, err := tracing.New(tracing.DefaultConfig(), tracing.Parts{}); off != nil || err != nil || off.Tracer() != nil || off.Close(t.Context()) != nil {
		t.Errorf("without an endpoint: %v, %v", off, err)
	}
}
