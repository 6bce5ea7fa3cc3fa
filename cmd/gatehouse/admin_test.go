package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// What operators see is on the admin listener, and on no other; a look into the process
// needs the key.
func TestTheAdminListenerAndNoOther(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(backend.Close)
	const key = "a-key-to-look-inside"
	for _, with := range []bool{true, false} {
		dir := t.TempDir()
		pprof := ""
		if with {
			writeFile(t, filepath.Join(dir, "key"), key+"\n")
			pprof = ", pprof: { key_file: key }"
		}
		path := filepath.Join(dir, "gatehouse.yaml")
		writeFile(t, path, fmt.Sprintf(`
server: { listen: "127.0.0.1:0", admin_listen: "localhost:0"%s }
store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: a, alg: HS256, secret: "0123456789abcdef0123456789abcdef" }] }
upstreams: { app: { url: %q } }
routes: [{ to: app, auth: public }]
`, pprof, backend.URL))
		w := launchWatched(t, path)
		admin := w.admin.listener.Addr().String()
		ask := func(address, path string, header func(*http.Request)) int {
			in, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if header != nil {
				header(in)
			}
			answer, err := plainClient.Do(in)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			return answer.StatusCode
		}
		good := func(in *http.Request) { in.SetBasicAuth("any", key) }
		for _, path := range []string{"/livez", "/readyz", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
			if got := ask(w.edge.Addrs()[0].String(), path, good); got != http.StatusTeapot {
				t.Errorf("%s on the public listener: %d, and not the backend's answer", path, got)
			}
		}
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			if got := ask(admin, path, nil); got != http.StatusOK {
				t.Errorf("%s: %d", path, got)
			}
		}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
			want := map[string]int{"good": http.StatusOK, "bearer": http.StatusOK, "none": http.StatusUnauthorized, "wrong": http.StatusUnauthorized, "empty": http.StatusUnauthorized}
			for who, header := range map[string]func(*http.Request){
				"good": good, "none": nil,
				"bearer": func(in *http.Request) { in.Header.Set("Authorization", "Bearer "+key) },
				"wrong":  func(in *http.Request) { in.SetBasicAuth("any", key+"x") },
				"empty":  func(in *http.Request) { in.Header.Set("Authorization", "Bearer ") },
			} {
				status := want[who]
				if !with {
					status = http.StatusNotFound
				}
				if got := ask(admin, path, header); got != status {
					t.Errorf("with a key %v: %s by %s: %d, want %d", with, path, who, got, status)
				}
			}
		}
	}
}
