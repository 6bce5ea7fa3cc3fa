package tokens

import (
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
)

// Metrics count what authorities do. One set serves every generation of the
// configuration, so that a reload does not set the counters back. Its labels hold words
// of this program alone. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	throttled *prometheus.CounterVec
	results   *prometheus.CounterVec
	cache     cacheCounts
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
	m.results = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_token_requests_total",
		Help: "Well-formed requests to token endpoints (login, refresh, verify, blacklist, logout, sliding), by result: ok, invalid, refused, throttled, unavailable.",
	}, []string{"endpoint", "result"})
	for _, endpoint := range []string{"login", "refresh", "verify", "blacklist", "logout"} {
		for _, result := range []string{resultOK, resultRefused, resultUnavailable} {
			m.results.WithLabelValues(endpoint, result)
		}
	}
	registry.MustRegister(m.throttled, m.results,
		m.cache.counter("hits", "Tokens whose signature was remembered as good."),
		m.cache.counter("misses", "Tokens whose signature was checked, or that were no good. What has not the shape of a token does not count."),
		m.cache.counter("evictions", "Tokens that were forgotten for others before they had expired."))
	return m
}

// refused counts a request for which nothing was left of a budget.
func (m *Metrics) refused(budget string) {
	if m != nil {
		m.throttled.WithLabelValues(budget).Inc()
	}
}

// The results of requests to token endpoints.
const (
	resultOK          = "ok"
	resultInvalid     = "invalid" // what was sent is not what the endpoint takes
	resultRefused     = "refused" // a wrong password, a token that is no good
	resultThrottled   = "throttled"
	resultUnavailable = "unavailable" // nobody could decide
)

// counted is post, with its result counted.
func (m *Metrics) counted(path string, post func(*http.Request, drf.Input) drf.Answer) func(*http.Request, drf.Input) drf.Answer {
	if m == nil {
		return post
	}
	endpoint := strings.Trim(path, "/")
	switch endpoint {
	case "":
		endpoint = "login"
	case "refresh", "verify", "blacklist", "logout":
	default:
		endpoint = "sliding" // wherever it is
	}
	return func(r *http.Request, in drf.Input) drf.Answer {
		answer := post(r, in)
		m.results.WithLabelValues(endpoint, resultOf(answer.Status)).Inc()
		return answer
	}
}

func resultOf(status int) string {
	switch {
	case status < http.StatusBadRequest:
		return resultOK
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return resultRefused
	case status == http.StatusTooManyRequests:
		return resultThrottled
	case status >= http.StatusInternalServerError:
		return resultUnavailable
	}
	return resultInvalid
}

// cacheCounts are those of the verified tokens, of each shard apart, so that requests do
// not wait for one another to count.
type cacheCounts [verifiedShards]struct {
	hits, misses, evictions atomic.Uint64
	_                       [40]byte // a line of the processor's cache each
}

func (c *cacheCounts) counter(what, help string) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "gatehouse_verified_tokens_" + what + "_total", Help: help}, func() float64 {
		var sum uint64
		for i := range c {
			switch what {
			case "hits":
				sum += c[i].hits.Load()
			case "misses":
				sum += c[i].misses.Load()
			default:
				sum += c[i].evictions.Load()
			}
		}
		return float64(sum)
	})
}

// What is told of an authority at the moment. The labels are words of the configuration,
// and the thumbprints of keys in the key directory.
var (
	cacheBytes   = prometheus.NewDesc("gatehouse_verified_tokens_bytes", "What the remembered tokens take, about.", nil, nil)
	cacheMax     = prometheus.NewDesc("gatehouse_verified_tokens_bytes_max", "What they may take (tokens.cache_bytes).", nil, nil)
	cacheEntries = prometheus.NewDesc("gatehouse_verified_tokens", "Tokens that are remembered.", nil, nil)

	keyState   = prometheus.NewDesc("gatehouse_token_key", "Always 1, for each of our keys, with its state: signing, verifying, next, or expired.", []string{"kid", "alg", "state"}, nil)
	keyCreated = prometheus.NewDesc("gatehouse_token_key_created_timestamp_seconds", "When a key of the key directory was made.", []string{"kid"}, nil)
	keyUntil   = prometheus.NewDesc("gatehouse_token_key_until_timestamp_seconds", "Until when a key verifies, where it has an end.", []string{"kid"}, nil)
	keyTrouble = prometheus.NewDesc("gatehouse_token_key_dir_readable", "0 while the key directory cannot be read, so that keys stay as they were, else 1.", nil, nil)

	issuerUsable = prometheus.NewDesc("gatehouse_trusted_issuer_usable", "1 while there are keys of a trusted issuer; 0 while its tokens are answered 503.", []string{"issuer"}, nil)
	issuerKeys   = prometheus.NewDesc("gatehouse_trusted_issuer_keys", "Keys of a trusted issuer that count.", []string{"issuer"}, nil)
	issuerAge    = prometheus.NewDesc("gatehouse_trusted_issuer_keys_age_seconds", "Since when they have not been fetched.", []string{"issuer"}, nil)
	issuerAsked  = prometheus.NewDesc("gatehouse_trusted_issuer_fetches_total", "Fetches of the keys of a trusted issuer, by outcome: success, failure.", []string{"issuer", "outcome"}, nil)
)

// Describe names what Collect sends.
func (*Authority) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{cacheBytes, cacheMax, cacheEntries, keyState, keyCreated, keyUntil, keyTrouble, issuerUsable, issuerKeys, issuerAge, issuerAsked} {
		ch <- desc
	}
}

// Collect sends the state of this moment. An Authority is a prometheus.Collector.
func (a *Authority) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	entries, bytes, most := a.verifier.seen.sizes()
	gauge(cacheEntries, float64(entries))
	gauge(cacheBytes, float64(bytes))
	gauge(cacheMax, float64(most))
	a.collectKeys(gauge)
	for issuer, t := range a.verifier.trusted {
		state := t.source.State()
		gauge(issuerUsable, oneIf(state.Usable), issuer)
		gauge(issuerKeys, float64(state.Keys), issuer)
		gauge(issuerAge, state.Age.Seconds(), issuer)
		for i, outcome := range []string{"failure", "success"} {
			ch <- prometheus.MustNewConstMetric(issuerAsked, prometheus.CounterValue, float64(state.Fetches[i]), issuer, outcome)
		}
	}
}

func (a *Authority) collectKeys(gauge func(desc *prometheus.Desc, value float64, labels ...string)) {
	now, r := a.now(), a.verifier.ring
	told := map[string]bool{}
	tell := func(id, algorithm, state string) {
		if !told[id+" "+algorithm] { // two keys may have no kid
			gauge(keyState, 1, id, algorithm, state)
		}
		told[id+" "+algorithm] = true
	}
	if r.dir != nil {
		r.mu.Lock()
		book := r.book
		r.mu.Unlock()
		for _, e := range book.Keys {
			state := e.State(book, now)
			if state == keys.StateRetired {
				continue
			}
			tell(e.ID, e.Algorithm, string(state))
			gauge(keyCreated, float64(e.Created.Unix()), e.ID)
			if !e.Until.IsZero() {
				gauge(keyUntil, float64(e.Until.Unix()), e.ID)
			}
		}
		gauge(keyTrouble, oneIf(a.KeyTrouble() == ""))
	}
	all, signing := a.Keys().All()
	for _, key := range all {
		if told[key.ID()+" "+key.Algorithm()] {
			continue
		}
		state := "verifying"
		switch {
		case key == signing:
			state = "signing"
		case !key.Valid(now):
			state = "expired"
		}
		tell(key.ID(), key.Algorithm(), state)
		if !key.Until().IsZero() && key.ID() != "" {
			gauge(keyUntil, float64(key.Until().Unix()), key.ID())
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
