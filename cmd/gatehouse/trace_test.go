package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"

	otlp "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The program sends what it records, and the rest when it stops.
func TestSpansOfTheProgram(t *testing.T) {
	var spans atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		var sent otlp.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &sent); err != nil || in.Header.Get("Authorization") != "a key" {
			t.Errorf("%q: %v", in.Header.Get("Authorization"), err)
			return
		}
		spans.Add(int64(len(sent.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans())))
	}))
	t.Cleanup(receiver.Close)
	var parent atomic.Pointer[string]
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		got := in.Header.Get("Traceparent")
		parent.Store(&got)
	}))
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "collector_key"), "a key\n")
	path := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, path, fmt.Sprintf(`
server: { listen: "127.0.0.1:0" }
store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: a, alg: HS256, secret: "0123456789abcdef0123456789abcdef" }] }
tracing: { endpoint: %q, authorization_file: collector_key, sample: 100%% }
upstreams: { app: { url: %q } }
routes: [{ to: app, auth: public }]
`, receiver.URL, backend.URL))
	w := launchWatched(t, path)
	for range 3 {
		answer, err := plainClient.Get(w.url("/"))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if got := spans.Load(); got != 6 {
		t.Errorf("%d spans arrived, want 6: of three requests and what the upstream took", got)
	}
	if got := parent.Load(); got == nil || len(*got) != 55 {
		t.Errorf("the upstream is told %v", got)
	}
}
