package tokens

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what authorities do. One set serves every generation of the
// configuration, so that a reload does not set the counters back. Its labels hold words
// of this program alone. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	throttled *prometheus.CounterVec
}

// NewMetrics registers the metrics of this room; once for a process.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		throttled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_token_requests_throttled_total",
			Help: "Requests to token endpoints that were answered 429, by the budget that was used up.",
		}, []string{"budget"}),
	}
	for _, budget := range budgets() {
		m.throttled.WithLabelValues(budget) // there from the start, so that a first one shows
	}
	registry.MustRegister(m.throttled)
	return m
}

// refused counts a request for which nothing was left of a budget.
func (m *Metrics) refused(budget string) {
	if m != nil {
		m.throttled.WithLabelValues(budget).Inc()
	}
}
