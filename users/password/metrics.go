package password

import (
	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/users/password/worker"
)

var (
	hashing = prometheus.NewDesc("gatehouse_password_hashes_in_progress",
		"Passwords that are being checked or hashed, or wait for their turn.", nil, nil)
	hashingMax = prometheus.NewDesc("gatehouse_password_hashes_max",
		"How many passwords may be in progress; one more login is answered 503.", nil, nil)
	asideUp = prometheus.NewDesc("gatehouse_password_process_up",
		"Whether the process that hashes passwords runs: 1, or 0 while nobody logs in, or where there is none.", nil, nil)
	asideStarts = prometheus.NewDesc("gatehouse_password_process_starts_total",
		"How often the process that hashes passwords was started.", nil, nil)
	asideDeaths = prometheus.NewDesc("gatehouse_password_process_deaths_total",
		"How often the process that hashes passwords ended without being told to.", nil, nil)
	asideCPU = prometheus.NewDesc("gatehouse_password_process_cpu_seconds_total",
		"Processor time of the process that hashes passwords. It is not in process_cpu_seconds_total.", nil, nil)
	asideMemory = prometheus.NewDesc("gatehouse_password_process_resident_memory_bytes",
		"Memory of the process that hashes passwords; 0 while there is none.", nil, nil)
)

// Describe names what Collect sends.
func (h *Hasher) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{hashing, hashingMax, asideUp, asideStarts, asideDeaths, asideCPU, asideMemory} {
		ch <- d
	}
}

// Collect sends the state of the queue, and of the process that hashes. A Hasher is a prometheus.Collector.
func (h *Hasher) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	counter := func(d *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
	}
	gauge(hashing, float64(len(h.pool.places)))
	gauge(hashingMax, float64(cap(h.pool.places)))
	var u worker.Usage
	if h.aside != nil {
		u = h.aside.Usage()
	}
	up := 0.0
	if u.PID != 0 {
		up = 1
	}
	gauge(asideUp, up)
	counter(asideStarts, float64(u.Starts))
	counter(asideDeaths, float64(u.Deaths))
	counter(asideCPU, u.CPU.Seconds())
	gauge(asideMemory, float64(u.Resident))
}
