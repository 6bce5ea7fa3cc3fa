package users

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what is asked of a store. The labels hold words of this program alone. A
// nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	duration *prometheus.HistogramVec
	failed   *prometheus.CounterVec
}

// What is asked of a store, and why it was not done.
const (
	operationRead  = "read"
	operationWrite = "write"
	operationLong  = "maintenance" // migrations, imports, what removes expired rows

	failureUnavailable = "unavailable" // the database is away, or too slow
	failureOther       = "other"
)

// NewMetrics registers the metrics of this room; once for a process.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gatehouse_store_operation_duration_seconds", Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			Help: "Time that something asked of the store took, its repetitions and the wait for a connection included, by read, write and maintenance.",
		}, []string{"operation"}),
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_store_errors_total",
			Help: "What was asked of the store and not done, by operation and by reason: unavailable, or other. Nobody found and a clash of names are no errors.",
		}, []string{"operation", "reason"}),
	}
	for _, operation := range []string{operationRead, operationWrite, operationLong} {
		m.duration.WithLabelValues(operation)
		for _, reason := range []string{failureUnavailable, failureOther} {
			m.failed.WithLabelValues(operation, reason)
		}
	}
	registry.MustRegister(m.duration, m.failed)
	return m
}

// done notes how something ended that began then.
func (m *Metrics) done(ctx context.Context, operation string, began time.Time, err error) {
	if m == nil {
		return
	}
	m.duration.WithLabelValues(operation).Observe(time.Since(began).Seconds())
	switch {
	case err == nil || ctx.Err() != nil || isAnswer(err):
	case errors.Is(err, ErrUnavailable):
		m.failed.WithLabelValues(operation, failureUnavailable).Inc()
	default:
		m.failed.WithLabelValues(operation, failureOther).Inc()
	}
}

// isAnswer tells whether err is what the caller asked for, and not a failure to find out.
func isAnswer(err error) bool {
	for _, answer := range []error{ErrNotFound, ErrExists, ErrCredentials, ErrRevoked, ErrReused, ErrManaged, sql.ErrNoRows} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// What is told of the store at the moment.
var (
	poolMax  = prometheus.NewDesc("gatehouse_store_connections_max", "Connections that a pool of the store may have; 0 is no bound.", []string{"pool"}, nil)
	poolOpen = prometheus.NewDesc("gatehouse_store_connections_open", "Connections that a pool of the store has.", []string{"pool"}, nil)
	poolUsed = prometheus.NewDesc("gatehouse_store_connections_used", "Connections of a pool of the store that are at work.", []string{"pool"}, nil)
	poolWait = prometheus.NewDesc("gatehouse_store_connection_waits_total", "How often a connection of the store was waited for.", []string{"pool"}, nil)
	poolLast = prometheus.NewDesc("gatehouse_store_connection_wait_seconds_total", "How long connections of the store were waited for, together.", []string{"pool"}, nil)
	feedAge  = prometheus.NewDesc("gatehouse_store_feed_age_seconds", "Since when changes that other processes make to users have not been read.", nil, nil)
)

// Describe names what Collect sends.
func (*Store) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{poolMax, poolOpen, poolUsed, poolWait, poolLast, feedAge} {
		ch <- desc
	}
}

// Collect sends the state of this moment. A Store is a prometheus.Collector; a nil one
// has nothing to tell.
func (s *Store) Collect(ch chan<- prometheus.Metric) {
	if s == nil {
		return
	}
	for name, pool := range map[string]*sql.DB{"write": s.writer, "read": s.reader} {
		if pool == nil || name == "read" && s.reader == s.writer {
			continue
		}
		stats := pool.Stats()
		ch <- prometheus.MustNewConstMetric(poolMax, prometheus.GaugeValue, float64(stats.MaxOpenConnections), name)
		ch <- prometheus.MustNewConstMetric(poolOpen, prometheus.GaugeValue, float64(stats.OpenConnections), name)
		ch <- prometheus.MustNewConstMetric(poolUsed, prometheus.GaugeValue, float64(stats.InUse), name)
		ch <- prometheus.MustNewConstMetric(poolWait, prometheus.CounterValue, float64(stats.WaitCount), name)
		ch <- prometheus.MustNewConstMetric(poolLast, prometheus.CounterValue, stats.WaitDuration.Seconds(), name)
	}
	if read := s.ended.readAt(); !read.IsZero() {
		ch <- prometheus.MustNewConstMetric(feedAge, prometheus.GaugeValue, time.Since(read).Seconds())
	}
}
