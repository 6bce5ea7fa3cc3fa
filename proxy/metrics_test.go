package proxy_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gatehouse/proxy"
)

// Every request is counted once, by words of the configuration and of the program.
func TestRequestsAreCounted(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	w := &world{T: t, backend: newBackend(t, func(w http.ResponseWriter, in *http.Request) {
		if in.URL.Path == "/public/broken" {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
	}), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	p := parts(t, slog.New(slog.DiscardHandler))
	p.Metrics = proxy.NewMetrics(registry)
	gateway, err := proxy.New(cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Close)
	registry.MustRegister(gateway)
	w.addr = serve(t, gateway, cfg)

	alice := w.bearer("alice") // one answered here
	for _, ask := range []struct {
		target string
		header []string
	}{
		{"/public/a?token=secret", nil},
		{"/public/b", nil},
		{"/x", []string{alice}},
		{"/x", nil},
		{"/x", []string{"Authorization: Bearer a.b.c"}},
		{"/denied/", []string{alice}},
		{"/../x", nil},
		{"/public/broken", nil},
	} {
		w.get(ask.target, ask.header...)
	}
	want := `
# HELP gatehouse_http_requests_total Requests by route, by what was decided, by why where they were refused or failed, and by the class of the status.
# TYPE gatehouse_http_requests_total counter
gatehouse_http_requests_total{decision="refused",reason="anonymous",route="site",status="4xx"} 1
gatehouse_http_requests_total{decision="answered",reason="",route="",status="2xx"} 1
gatehouse_http_requests_total{decision="refused",reason="bad_path",route="",status="4xx"} 1
gatehouse_http_requests_total{decision="refused",reason="denied",route="site",status="4xx"} 1
gatehouse_http_requests_total{decision="passed",reason="",route="site",status="1xx"} 0
gatehouse_http_requests_total{decision="passed",reason="",route="site",status="2xx"} 0
gatehouse_http_requests_total{decision="passed",reason="",route="site",status="3xx"} 0
gatehouse_http_requests_total{decision="passed",reason="",route="site",status="4xx"} 3
gatehouse_http_requests_total{decision="passed",reason="",route="site",status="5xx"} 0
gatehouse_http_requests_total{decision="refused",reason="token_invalid",route="site",status="4xx"} 1
gatehouse_http_requests_total{decision="failed",reason="upstream_closed",route="site",status="5xx"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "gatehouse_http_requests_total"); err != nil {
		t.Error(err)
	}
	up := `
# HELP gatehouse_upstream_server_up 1 while a server gets requests; 0 while its health checks fail or it is left out because it broke.
# TYPE gatehouse_upstream_server_up gauge
gatehouse_upstream_server_up{server="http://` + w.backend.addr + `",upstream="app"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(up), "gatehouse_upstream_server_up"); err != nil {
		t.Error(err)
	}
	all, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		switch family.GetName() {
		case "gatehouse_http_requests_in_flight":
			if v := family.GetMetric()[0].GetGauge().GetValue(); v != 0 {
				t.Errorf("%v requests are in flight", v)
			}
		case "gatehouse_upstream_response_seconds":
			if n := family.GetMetric()[0].GetHistogram().GetSampleCount(); n != 3 {
				t.Errorf("%d answers of the upstream, want 3", n)
			}
		}
		if strings.Contains(family.String(), "secret") {
			t.Errorf("%s holds what a client sent", family.GetName())
		}
	}
}
