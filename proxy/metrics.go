package proxy

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

// Metrics count what gateways do. One set serves every generation of the
// configuration, so that a reload does not set the counters back. Its labels hold
// words of the configuration and of this program, never of a client, so that their
// number is bounded. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	firstHit *prometheus.HistogramVec
	inFlight prometheus.Gauge
	reported *prometheus.CounterVec
}

// durationBuckets are in seconds: from a refusal out of memory to a report that
// somebody waits for.
var durationBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// NewMetrics registers the metrics of this room; once for a process.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_http_requests_total",
			Help: "Requests by route, by what was decided, by why where they were refused or failed, and by the class of the status.",
		}, []string{"route", "decision", "reason", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_http_request_duration_seconds", Buckets: durationBuckets,
			Help: "Time from the head of a request to the end of its answer, by route. A stream counts when it ends.",
		}, []string{"route"}),
		firstHit: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_upstream_response_seconds", Buckets: durationBuckets,
			Help: "Time from a request handed to an upstream to the head of its answer.",
		}, []string{"upstream"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gatehouse_http_requests_in_flight", Help: "Requests that are being answered at this moment, streams included.",
		}),
		reported: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_http_requests_reported_total",
			Help: "Requests that passed only because of mode: report, by route and by why they would have been refused.",
		}, []string{"route", "reason"}),
	}
	registry.MustRegister(m.requests, m.duration, m.firstHit, m.inFlight, m.reported)
	return m
}

// routeMetrics are those of one route, found without a look into a map.
type routeMetrics struct {
	name     string
	duration prometheus.Observer
	passed   [6]prometheus.Counter // by class of status; 0 is none
	others   atomic.Pointer[[]became]
}

// became is a counter of requests that did not pass. There are as many as words for that.
type became struct {
	outcome
	class   int // of the status
	counter prometheus.Counter
}

// other counts what did not pass. Looking a counter up by its labels takes longer than to
// refuse a request, so each is kept once it was needed.
func (r *routeMetrics) other(m *Metrics, o outcome, class int) prometheus.Counter {
	var known []became
	if all := r.others.Load(); all != nil {
		known = *all
	}
	for i := range known {
		if b := &known[i]; b.class == class && b.outcome == o {
			return b.counter
		}
	}
	counter := m.requests.WithLabelValues(r.name, o.decision, o.reason, statusClass(class*100))
	all := append(slices.Clip(known), became{o, class, counter})
	r.others.Store(&all) // who does the same beside us may win: then it is looked up once more
	return counter
}

func (m *Metrics) of(name string) *routeMetrics {
	if m == nil {
		return nil
	}
	r := &routeMetrics{name: name, duration: m.duration.WithLabelValues(name)}
	for class := range r.passed {
		if class > 0 && name != "" {
			r.passed[class] = m.requests.WithLabelValues(name, decisionPassed, "", statusClass(class*100))
		}
	}
	return r
}

// measured are the metrics of what a gateway knows by name.
type measured struct {
	all       *Metrics
	routes    map[*route.Route]*routeMetrics
	unmatched *routeMetrics // endpoints of gatehouse, and what no route fits
	firstHit  map[*upstream.Upstream]prometheus.Observer
}

func (m *Metrics) measure(table *route.Table, upstreams map[string]*upstream.Upstream) measured {
	all := measured{all: m, unmatched: m.of("")}
	if m != nil {
		all.firstHit = make(map[*upstream.Upstream]prometheus.Observer, len(upstreams))
		for _, up := range upstreams {
			all.firstHit[up] = m.firstHit.WithLabelValues(up.Name())
		}
		all.routes = make(map[*route.Route]*routeMetrics)
		for match := range table.Matches() {
			if r := match.Route; all.routes[r] == nil {
				all.routes[r] = m.of(r.Name)
			}
		}
	}
	return all
}

// begin counts a request that has come.
func (m *measured) begin() {
	if m.all != nil {
		m.all.inFlight.Inc()
	}
}

// end counts one that was answered, or whose client has gone.
func (m *measured) end(d *Decision, became outcome, status int, took time.Duration) {
	if m.all == nil {
		return
	}
	m.all.inFlight.Dec()
	r := m.unmatched
	if d.Match.Route != nil {
		r = m.routes[d.Match.Route]
	}
	r.duration.Observe(took.Seconds())
	if class := status / 100; became.decision == decisionPassed && class < len(r.passed) && r.passed[class] != nil {
		r.passed[class].Inc()
	} else {
		r.other(m.all, became, class).Inc()
	}
	if d.Reported != nil {
		m.all.reported.WithLabelValues(r.name, d.Reported.Reason).Inc()
	}
}

// answered notes how long an upstream took to begin its answer.
func (m *measured) answered(up *upstream.Upstream, took time.Duration) {
	if m.all != nil {
		m.firstHit[up].Observe(took.Seconds())
	}
}

// statusClass is "2xx".
func statusClass(status int) string { return strconv.Itoa(status/100) + "xx" }

// Describe and Collect make a Gateway a prometheus.Collector of the state of its
// upstreams.
func (g *Gateway) Describe(ch chan<- *prometheus.Desc) { upstream.Describe(ch) }

// Collect sends the state of this moment.
func (g *Gateway) Collect(ch chan<- prometheus.Metric) {
	for _, up := range g.upstreams {
		up.Collect(ch)
	}
}
