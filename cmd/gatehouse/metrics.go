package main

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatehouse/cmd/gatehouse/internal/edge"
	"gatehouse/proxy"
	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/password"
)

// metrics are what Prometheus reads from /metrics. There is one set for the process; a
// new configuration goes on counting in it.
type metrics struct {
	registry *prometheus.Registry
	proxy    *proxy.Metrics
	tokens   *tokens.Metrics
	users    *users.Metrics
}

// newMetrics registers everything that can be told about s. Its generation is asked
// when somebody reads.
func newMetrics(s *server, hasher *password.Hasher) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	m.proxy, m.tokens = proxy.NewMetrics(m.registry), tokens.NewMetrics(m.registry)
	m.users = users.NewMetrics(m.registry)
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
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_config_last_reload_successful", Help: "Whether what is written in the configuration is in effect: 1, or 0 since it changed and cannot be used.",
		}, func() float64 {
			if s.reloader != nil && s.reloader.complaint.Load() != nil {
				return 0
			}
			return 1
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gatehouse_config_last_reload_success_timestamp_seconds", Help: "When the configuration that is in effect was taken over.",
		}, func() float64 {
			if s.reloader == nil {
				return 0
			}
			return float64(s.reloader.succeeded.Load())
		}),
		collectAudit(s),
		reloads(s, 0, "failure"), reloads(s, 1, "success"),
	)
	return m
}

// reloads counts the attempts to take over a changed configuration that ended like this.
func reloads(s *server, of int, outcome string) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "gatehouse_config_reloads_total", Help: "Attempts to take over a changed configuration, by how they ended.",
		ConstLabels: prometheus.Labels{"outcome": outcome},
	}, func() float64 {
		if s.reloader == nil {
			return 0
		}
		return float64(s.reloader.reloads[of].Load())
	})
}

// handler answers a scrape.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// current collects from the generation of the moment.
type current struct{ server *server }

func (c current) Describe(ch chan<- *prometheus.Desc) {
	(*proxy.Gateway)(nil).Describe(ch)
	(*tokens.Authority)(nil).Describe(ch)
	(*users.Store)(nil).Describe(ch)
	(*edge.Edge)(nil).Describe(ch)
}

func (c current) Collect(ch chan<- prometheus.Metric) {
	c.server.edge.Collect(ch)
	if g := c.server.current.Load(); g != nil {
		g.gateway.Collect(ch)
		g.authority.Collect(ch)
		c.server.store.Collect(ch)
	}
}
