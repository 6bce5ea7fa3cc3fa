package main

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/proxy"
	"gatehouse/users/password"
)

// metrics are what Prometheus reads from /metrics. There is one set for the process; a
// new configuration goes on counting in it.
type metrics struct {
	registry *prometheus.Registry
	proxy    *proxy.Metrics
}

// newMetrics registers everything that can be told about s. Its generation is asked
// when somebody reads.
func newMetrics(s *server, hasher *password.Hasher) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.proxy = proxy.NewMetrics(m.registry)
	b := built()
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_build_info", Help: "Always 1; the labels say which gatehouse this is.",
			ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": runtime.Version()},
		}, func() float64 { return 1 }),
		hasher,
		current{s},
	)
	return m
}

// handler answers a scrape.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// current collects from the generation of the moment.
type current struct{ server *server }

func (c current) Describe(ch chan<- *prometheus.Desc) { (&proxy.Gateway{}).Describe(ch) }

func (c current) Collect(ch chan<- prometheus.Metric) {
	if g := c.server.current.Load(); g != nil {
		g.gateway.Collect(ch)
	}
}
