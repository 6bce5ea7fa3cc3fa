package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A real ACME server (Pebble, that of Let's Encrypt's own tests) gives the built
// program a certificate, once by TLS-ALPN-01 and once by HTTP-01. A restart asks nobody.
func TestCertificatesFromAnAuthority(t *testing.T) {
	t.Parallel()
	pebble, resolver := needProgram(t, "pebble"), needProgram(t, "pebble-challtestsrv")
	binary := mustBuild(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		fmt.Fprint(w, in.Host, " by ", in.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(backend.Close)
	for _, test := range []struct{ name, httpListen string }{{"TLS-ALPN-01", ""}, {"HTTP-01", "yes"}} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			secure, plain, directory, management, dns := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
			tlsPort := portOf(secure)
			if test.httpListen != "" {
				tlsPort = portOf(freeAddress(t)) // where nobody answers, so that the other way must be taken
				test.httpListen = "http_listen: \"" + plain + "\", "
			}
			// The authority's own https is believed by its own certificate.
			certificate, key, err := unbelievable()
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "ca.crt"), certificate)
			writeFile(t, filepath.Join(dir, "ca.key"), key)
			settings, _ := json.Marshal(map[string]any{"pebble": map[string]any{
				"listenAddress": directory, "managementListenAddress": management, "certificate": dir + "/ca.crt", "privateKey": dir + "/ca.key",
				"httpPort": atoi(t, portOf(plain)), "tlsPort": atoi(t, tlsPort), "keyAlgorithm": "ecdsa",
				"profiles": map[string]any{"default": map[string]any{"description": "usual", "validityPeriod": 7776000}},
			}})
			writeFile(t, filepath.Join(dir, "pebble.json"), string(settings))
			startProgram(t, exec.Command(resolver, "-dnsserver", dns, "-management", freeAddress(t), "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""), dns)
			ca := exec.Command(pebble, "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", dns)
			ca.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0")
			startProgram(t, ca, directory)

			config := filepath.Join(dir, "gatehouse.yaml")
			writeFile(t, config, fmt.Sprintf(`
server:
  listen: %q
  tls: { %s acme: { domains: [app.example.com], cache_dir: acme, directory_url: "https://%s/dir", ca_file: ca.crt } }
store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: a, alg: HS256, secret: "0123456789abcdef0123456789abcdef" }] }
upstreams: { app: { url: %q } }
routes: [{ to: app, auth: public }]
`, secure, test.httpListen, directory, backend.URL))
			cmd := exec.Command(binary, "serve", "--config", config)
			cmd.Dir = "/"
			log := startProgram(t, cmd, secure)

			roots := x509.NewCertPool()
			insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			root, err := insecure.Get("https://" + management + "/roots/0")
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(root.Body)
			if root.Body.Close(); !roots.AppendCertsFromPEM(text) {
				t.Fatalf("no root in %q", text)
			}
			client := func(name string) *http.Client {
				return &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{
					DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name},
				}}
			}
			var serial string
			get := func() {
				t.Helper()
				var answer *http.Response
				for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(200 * time.Millisecond) {
					in, _ := http.NewRequest("GET", "https://"+secure, nil)
					in.Host = "app.example.com"
					if answer, err = client("app.example.com").Do(in); err == nil {
						break
					}
					if time.Now().After(deadline) {
						t.Fatal(err)
					}
				}
				body, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				if string(body) != "app.example.com by https" || answer.Proto != "HTTP/2.0" {
					t.Errorf("got %q by %s", body, answer.Proto)
				}
				serial = answer.TLS.PeerCertificates[0].SerialNumber.String()
			}
			get()
			eventually(t, "it was obtained without a client that asks", func() bool {
				return strings.Contains(log.String(), `"have a certificate","domain":"app.example.com"`)
			})
			// Nobody can make us ask for other names.
			if _, err := client("evil.example.com").Get("https://" + secure); err == nil {
				t.Error("another name has a certificate")
			}
			// Health checks name nobody.
			eventually(t, "an answer to a health check, which waits for three seconds", func() bool {
				return exec.Command(binary, "healthcheck", "--config", config).Run() == nil
			})
			if info, err := os.Stat(filepath.Join(dir, "acme")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("the cache: %v, %v", info, err)
			}
			if test.httpListen != "" {
				answer, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get("http://" + plain + "/x")
				if err != nil || answer.StatusCode != http.StatusPermanentRedirect {
					t.Errorf("got %v, %v", answer, err)
				}
			}

			// A second process finds what the first has kept, with the authority gone.
			before := serial
			_ = ca.Process.Kill()
			secure2 := freeAddress(t)
			again := exec.Command(binary, "serve", "--config", config, "--listen", secure2)
			again.Env = append(os.Environ(), "GATEHOUSE_SERVER_TLS_HTTP_LISTEN="+freeAddress(t))
			startProgram(t, again, secure2)
			secure = secure2
			if get(); serial != before {
				t.Errorf("another certificate after a restart: %s, want %s", serial, before)
			}
		})
	}
}
