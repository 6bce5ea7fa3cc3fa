package password

import "github.com/prometheus/client_golang/prometheus"

var (
	hashing = prometheus.NewDesc("gatehouse_password_hashes_in_progress",
		"Passwords that are being checked or hashed, or wait for their turn.", nil, nil)
	hashingMax = prometheus.NewDesc("gatehouse_password_hashes_max",
		"How many passwords may be in progress; one more login is answered 503.", nil, nil)
)

// Describe names what Collect sends.
func (h *Hasher) Describe(ch chan<- *prometheus.Desc) { ch <- hashing; ch <- hashingMax }

// Collect sends the state of the queue. A Hasher is a prometheus.Collector.
func (h *Hasher) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(hashing, prometheus.GaugeValue, float64(len(h.pool.places)))
	ch <- prometheus.MustNewConstMetric(hashingMax, prometheus.GaugeValue, float64(cap(h.pool.places)))
}
