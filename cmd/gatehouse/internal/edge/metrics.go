package edge

import "github.com/prometheus/client_golang/prometheus"

var (
	insideNow = prometheus.NewDesc("gatehouse_client_connections",
		"Connections of clients that are being served, idle ones too.", nil, nil)
	insideMost = prometheus.NewDesc("gatehouse_client_connections_max",
		"How many there may be.", nil, nil)
	networksNow = prometheus.NewDesc("gatehouse_client_networks",
		"Networks that have connections: IPv4 addresses, and /64 of IPv6.", nil, nil)
	mostOfOne = prometheus.NewDesc("gatehouse_client_connections_largest_network",
		"How many the network has that has most.", nil, nil)
	waitingNow = prometheus.NewDesc("gatehouse_client_connections_waiting",
		"Connections of networks that have too many, accepted and not served.", nil, nil)
	turnedAway = prometheus.NewDesc("gatehouse_client_connections_turned_away_total",
		"Connections for which there was no room: closed while idle to make room for others (pushed_out), or as soon as they came (refused), by the bound that was reached.",
		[]string{"how", "bound"}, nil)
)

// boundNames are the keys of the bounds.
var boundNames = [2]string{ofAll: "max_connections", ofNetwork: "max_connections_per_network"}

// Describe and Collect are of prometheus.Collector. A nil *Edge has nothing to tell.
func (e *Edge) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{insideNow, insideMost, networksNow, mostOfOne, waitingNow, turnedAway} {
		ch <- desc
	}
}

// Collect sends the state of this moment.
func (e *Edge) Collect(ch chan<- prometheus.Metric) {
	if e == nil || e.crowd == nil {
		return
	}
	c := e.crowd
	c.mu.Lock()
	inside, networks, largest, waiting, told := c.inside.all, len(c.inside.of), c.inside.largest, c.waiting.size, c.told
	c.mu.Unlock()
	gauge := func(desc *prometheus.Desc, value int) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value))
	}
	gauge(insideNow, inside)
	gauge(insideMost, c.most)
	gauge(networksNow, networks)
	gauge(mostOfOne, largest)
	gauge(waitingNow, waiting)
	for bound, name := range boundNames {
		ch <- prometheus.MustNewConstMetric(turnedAway, prometheus.CounterValue, float64(told.pushedOut[bound]), "pushed_out", name)
		ch <- prometheus.MustNewConstMetric(turnedAway, prometheus.CounterValue, float64(told.refused[bound]), "refused", name)
	}
}
