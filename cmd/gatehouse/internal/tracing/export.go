package tracing

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Parts are what a Tracing works with.
type Parts struct {
	Logger   *slog.Logger          // nil: nothing is logged
	Registry prometheus.Registerer // nil: nothing is counted
	Version  string                // of this program
	Wait     time.Duration         // for more spans before some are sent; 0: 2s
}

// Tracing records spans and sends them. It is safe for concurrent use.
type Tracing struct {
	provider *sdk.TracerProvider
	sender   *sender
}

// New begins to send what is recorded. A configuration without an endpoint gives nil.
func New(cfg Config, parts Parts) (*Tracing, error) {
	c, err := compile(cfg)
	if err != nil || !cfg.Enabled() {
		return nil, err
	}
	s := newSender(cfg, c, parts)
	attributes := resource.NewSchemaless(
		attribute.String("service.name", cmp.Or(cfg.Service, "gatehouse")),
		attribute.String("service.version", parts.Version),
	)
	provider := sdk.NewTracerProvider(
		sdk.WithResource(attributes),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.ratio))),
		sdk.WithSpanProcessor(s),
	)
	return &Tracing{provider: provider, sender: s}, nil
}

// Tracer begins spans; that of a nil Tracing is nil.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("gatehouse")
}

// Close sends what waits, within the time of ctx, and ends.
func (t *Tracing) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// The sending of spans.
const (
	mostBatch = 512
	sendTime  = 10 * time.Second
	tries     = 3
)

// sender is the end of spans: a queue, and one goroutine that sends batches. OnEnd never
// waits.
type sender struct {
	config   compiled
	secret   string
	client   *http.Client
	queue    chan sdk.ReadOnlySpan
	wait     time.Duration
	logger   *slog.Logger
	failing  bool // of the goroutine
	stopping chan struct{}
	stop     sync.Once
	done     chan struct{}
	ctx      context.Context
	cancel   context.CancelFunc

	sent, full, lost atomic.Uint64
}

func newSender(cfg Config, c compiled, parts Parts) *sender {
	s := &sender{
		config: c, secret: cfg.Authorization,
		queue:    make(chan sdk.ReadOnlySpan, cmp.Or(cfg.Queue, DefaultConfig().Queue)),
		wait:     cmp.Or(parts.Wait, 2*time.Second),
		logger:   cmp.Or(parts.Logger, slog.New(slog.DiscardHandler)),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.client = &http.Client{
		Timeout: sendTime,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: c.roots, MinVersion: tls.VersionTLS12},
			MaxIdleConns: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: sendTime,
		},
		// What is sent is for this collector, the authorization above all.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if parts.Registry != nil {
		parts.Registry.MustRegister(s)
	}
	go s.run()
	return s
}

// OnStart does nothing.
func (*sender) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd takes a span, or counts that there was no room for it.
func (s *sender) OnEnd(span sdk.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	select {
	case s.queue <- span:
	default:
		s.full.Add(1)
	}
}

// ForceFlush does nothing: Shutdown sends what waits.
func (*sender) ForceFlush(context.Context) error { return nil }

// Shutdown sends what waits, as long as ctx lasts.
func (s *sender) Shutdown(ctx context.Context) error {
	s.stop.Do(func() { close(s.stopping) })
	defer s.client.CloseIdleConnections()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.cancel()
		<-s.done
		return ctx.Err()
	}
}

// run sends batches until it is told to stop and nothing waits.
func (s *sender) run() {
	defer close(s.done)
	defer s.cancel()
	for {
		batch, last := s.gather()
		if len(batch) > 0 {
			s.send(batch, last)
		}
		if last && len(batch) < mostBatch {
			return
		}
	}
}

// gather waits for the first span, and then a moment for others.
func (s *sender) gather() (batch []sdk.ReadOnlySpan, last bool) {
	select {
	case span := <-s.queue:
		batch = append(batch, span)
	case <-s.stopping:
	}
	timer := time.NewTimer(s.wait)
	defer timer.Stop()
	for len(batch) < mostBatch {
		select {
		case span := <-s.queue:
			batch = append(batch, span)
			continue
		default:
		}
		select {
		case span := <-s.queue:
			batch = append(batch, span)
		case <-timer.C:
			return batch, false
		case <-s.stopping:
			if len(s.queue) == 0 {
				return batch, true
			}
		}
	}
	return batch, false
}

// send tries more than once where that may help.
func (s *sender) send(batch []sdk.ReadOnlySpan, last bool) {
	body, err := encode(batch)
	for try := 0; err == nil; try++ {
		var again bool
		if again, err = s.post(body); err == nil || !again || try+1 >= tries || last {
			break
		}
		err = nil
		select {
		case <-time.After(time.Second << try):
		case <-s.stopping:
		}
	}
	if err != nil {
		s.lost.Add(uint64(len(batch)))
		if !s.failing && s.ctx.Err() == nil {
			s.logger.Warn("spans cannot be sent to the collector", slog.Any("error", err))
		}
		s.failing = true
		return
	}
	s.sent.Add(uint64(len(batch)))
	if s.failing {
		s.logger.Info("spans can be sent to the collector again")
	}
	s.failing = false
}

// post sends once, and tells whether another time might do (OTLP, "Retryable Response
// Codes").
func (s *sender) post(body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, sendTime)
	defer cancel()
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.endpoint, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	out.Header.Set("Content-Type", "application/x-protobuf")
	out.Header.Set("User-Agent", "gatehouse")
	if s.secret != "" {
		out.Header.Set(s.config.header, s.secret)
	}
	answer, err := s.client.Do(out)
	if err != nil {
		return s.ctx.Err() == nil, err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		return false, nil
	case answer.StatusCode == http.StatusTooManyRequests, answer.StatusCode == http.StatusBadGateway,
		answer.StatusCode == http.StatusServiceUnavailable, answer.StatusCode == http.StatusGatewayTimeout:
		again = true
	}
	return again, fmt.Errorf("the collector answered %d", answer.StatusCode)
}

var (
	spansSent    = prometheus.NewDesc("gatehouse_trace_spans_sent_total", "Spans that the collector has taken.", nil, nil)
	spansDropped = prometheus.NewDesc("gatehouse_trace_spans_dropped_total", "Spans that nobody will see, by reason: queue_full, not_sent.", []string{"reason"}, nil)
	spansWaiting = prometheus.NewDesc("gatehouse_trace_spans_waiting", "Spans that wait to be sent.", nil, nil)
)

// Describe names what Collect sends.
func (*sender) Describe(ch chan<- *prometheus.Desc) {
	ch <- spansSent
	ch <- spansDropped
	ch <- spansWaiting
}

// Collect sends the state of this moment.
func (s *sender) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(spansSent, prometheus.CounterValue, float64(s.sent.Load()))
	ch <- prometheus.MustNewConstMetric(spansDropped, prometheus.CounterValue, float64(s.full.Load()), "queue_full")
	ch <- prometheus.MustNewConstMetric(spansDropped, prometheus.CounterValue, float64(s.lost.Load()), "not_sent")
	ch <- prometheus.MustNewConstMetric(spansWaiting, prometheus.GaugeValue, float64(len(s.queue)))
}
