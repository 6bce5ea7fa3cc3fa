package proxy_test

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/proxy"
)

// Attack: a client invents hosts, paths, methods, key IDs, versions and headers, each of
// which becomes a time series for ever, until Prometheus or the gateway has no memory left.
func TestAttackSeriesWithoutEnd(t *testing.T) {
	requests := 20_000
	if n, err := strconv.Atoi(os.Getenv("GATEHOUSE_TEST_SERIES")); err == nil {
		requests = n // a million takes half a minute
	}
	registry := prometheus.NewPedanticRegistry()
	p := parts(t, slog.New(slog.DiscardHandler))
	p.Metrics = proxy.NewMetrics(registry)
	backend := newBackend(t, nil)
	gateway, err := proxy.New(site(backend.addr), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	registry.MustRegister(gateway)
	ask := func(i int) {
		kid := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"HS256","typ":"JWT","kid":"k%d"}`, i))
		in := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		switch i % 4 {
		case 0:
			in.Method = fmt.Sprintf("M%d", i)
		case 1:
			in.Host = fmt.Sprintf("h%d.example.com", i)
		case 2:
			in.Header.Set("Authorization", "Bearer "+kid+".e30.c2ln")
		case 3:
			in.Host = fmt.Sprintf("a..%d", i)
			in.Header.Set("X-Request-Id", fmt.Sprint(i))
		}
		in.RequestURI = fmt.Sprintf("/p%d?q=%d", i, i)
		in.Header.Set("User-Agent", fmt.Sprint(i))
		gateway.ServeHTTP(httptest.NewRecorder(), in)
	}
	series := func() (n int) {
		all, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range all {
			n += len(family.GetMetric())
		}
		return n
	}
	for i := range 100 {
		ask(i)
	}
	before := series()
	for i := range requests {
		ask(i)
	}
	if after := series(); after != before {
		t.Errorf("%d series after %d requests, and %d before", after, requests, before)
	}
}
