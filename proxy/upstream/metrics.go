package upstream

import "github.com/prometheus/client_golang/prometheus"

// What is told about each server, and about the upstream as a whole. The label
// server is the URL of the configuration, which holds no secret: userinfo is refused.
var (
	serverUp = prometheus.NewDesc("gatehouse_upstream_server_up",
		"1 while a server gets requests; 0 while its health checks fail or it is left out because it broke.", []string{"upstream", "server"}, nil)
	serverRequests = prometheus.NewDesc("gatehouse_upstream_server_requests_in_flight",
		"Requests that a server has at this moment.", []string{"upstream", "server"}, nil)
	pendingRequests = prometheus.NewDesc("gatehouse_upstream_requests_pending",
		"Requests that wait because max_connections is reached.", []string{"upstream"}, nil)
	takenSlots = prometheus.NewDesc("gatehouse_upstream_connections_used",
		"Requests at an upstream that has max_connections.", []string{"upstream"}, nil)
	mostSlots = prometheus.NewDesc("gatehouse_upstream_connections_max",
		"The max_connections of an upstream that has it.", []string{"upstream"}, nil)
)

// Collect sends the state of this moment. It is safe beside requests.
func (u *Upstream) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	now := u.clock()
	for _, s := range u.servers {
		up := 1.0
		if s.down.Load() || s.share(now) == 0 {
			up = 0
		}
		gauge(serverUp, up, u.name, s.endpoint.url)
		gauge(serverRequests, float64(s.inFlight.Load()), u.name, s.endpoint.url)
	}
	if u.slots != nil {
		gauge(pendingRequests, float64(max(u.slots.waiting.Load(), 0)), u.name)
		gauge(takenSlots, float64(len(u.slots.taken)), u.name)
		gauge(mostSlots, float64(cap(u.slots.taken)), u.name)
	}
}

// Describe names what Collect sends.
func Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{serverUp, serverRequests, pendingRequests, takenSlots, mostSlots} {
		ch <- desc
	}
}
