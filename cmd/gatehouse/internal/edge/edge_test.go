package edge

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/proxy"
)

// settings are the defaults, on ports that the system chooses.
func settings(change func(*proxy.Server)) proxy.Server {
	cfg := proxy.DefaultConfig().Server
	cfg.Listen = []string{"127.0.0.1:0"}
	cfg.ReadHeaderTimeout = time.Minute
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// run serves with these settings until the test ends. The handler answers with who
// the client is and how it came, if the test has none of its own.
func run(t *testing.T, cfg proxy.Server, handler http.Handler) (*Edge, *lines) {
	t.Helper()
	log := new(lines)
	e, err := Open(t.Context(), cfg, Parts{Logger: slog.New(slog.NewTextHandler(log, nil)), Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if handler == nil {
		handler = http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
			fmt.Fprintf(w, "%s %s tls=%v", in.RemoteAddr, in.Proto, in.TLS != nil)
		})
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: cfg.ReadHeaderTimeout, IdleTimeout: cfg.IdleTimeout, MaxHeaderBytes: cfg.HardHeaderBytes(),
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	e.Configure(server, cfg)
	served := make(chan error, 1)
	go func() { served <- e.Serve(server) }()
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		e.Drain(over)
		_ = server.Close()
		<-served
	})
	return e, log
}

// identity is a certificate that signs itself, as PEM.
func identity(t *testing.T, serial int64, names ...string) (cert, key []byte) {
	t.Helper()
	return identityUntil(t, serial, time.Now().Add(90*24*time.Hour), names...)
}

func identityUntil(t *testing.T, serial int64, until time.Time, names ...string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-100 * 24 * time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	// Nobody sees half of it: that would be another fault.
	if err := errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// pairOf writes a certificate and its key into a directory.
func pairOf(t *testing.T, dir string, serial int64, names ...string) proxy.Certificate {
	t.Helper()
	cert, key := identity(t, serial, names...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pair := proxy.Certificate{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	write(t, pair.CertFile, cert)
	write(t, pair.KeyFile, key)
	return pair
}

// shown is the serial number of the certificate that a client is shown.
func shown(t *testing.T, address, name string) int64 {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// until waits for something that happens soon.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func withPair(pair proxy.Certificate) func(*proxy.Server) {
	return func(cfg *proxy.Server) { cfg.TLS.CertFile, cfg.TLS.KeyFile = pair.CertFile, pair.KeyFile }
}

// A Kubernetes secret changes by the swap of a symbolic link: the files of the
// configuration never do. No client notices more than another certificate.
func TestACertificateSwappedUnderLoad(t *testing.T) {
	dir := t.TempDir()
	swap := func(serial int64) {
		version := fmt.Sprintf("..version_%d", serial)
		pairOf(t, filepath.Join(dir, version), serial, "app.example.com")
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap(1)
	pair := proxy.Certificate{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	e, log := run(t, settings(withPair(pair)), nil)
	address := e.Addrs()[0].String()

	ctx, stop := context.WithCancel(t.Context())
	var asked, failed, renewed atomic.Int64
	var clients sync.WaitGroup
	for i := range 4 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: "app.example.com"},
				DisableKeepAlives: i%2 == 0, // half of them shake hands each time
				ForceAttemptHTTP2: true,
			}}
			for ctx.Err() == nil {
				asked.Add(1)
				answer, err := client.Get("https://" + address)
				if err != nil {
					failed.Add(1)
					t.Log(err)
					continue
				}
				text, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK || !strings.Contains(string(text), "tls=true") {
					failed.Add(1)
				}
				if answer.TLS.PeerCertificates[0].SerialNumber.Int64() > 1 {
					renewed.Add(1)
				}
			}
		})
	}
	for serial := int64(2); serial <= 6; serial++ {
		enough := asked.Load() + 20
		until(t, "some requests", func() bool { return asked.Load() >= enough })
		swap(serial)
		until(t, "the new certificate", func() bool { return shown(t, address, "app.example.com") == serial })
	}
	stop()
	clients.Wait()
	if failed.Load() > 0 || renewed.Load() == 0 {
		t.Errorf("of %d requests %d failed, and %d saw a new certificate", asked.Load(), failed.Load(), renewed.Load())
	}
	if got := log.count("took over a changed certificate"); got != 5 {
		t.Errorf("%d changes were logged, want 5", got)
	}
	t.Logf("%d requests over 5 swaps", asked.Load())
}

func TestABrokenCertificateLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	pair := pairOf(t, dir, 1, "app.example.com")
	e, log := run(t, settings(withPair(pair)), nil)
	address := e.Addrs()[0].String()
	const complaint = "the changed certificate cannot be used; the one before it stays"

	_, foreign := identity(t, 2, "app.example.com")
	for i, broken := range []func(){
		func() { write(t, pair.KeyFile, foreign) },
		func() { write(t, pair.CertFile, []byte("nonsense")) },
		func() { _ = os.Remove(pair.CertFile) },
		func() { write(t, pair.CertFile, nil) },
	} {
		broken()
		until(t, "the complaint", func() bool { return log.count(complaint) == i+1 })
		if got := shown(t, address, "app.example.com"); got != 1 {
			t.Errorf("fault %d: certificate %d is shown, want 1", i, got)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if got := log.count(complaint); got != 4 {
		t.Errorf("%d complaints, want one for each of 4 faults", got)
	}
	if log.count("PRIVATE KEY") > 0 {
		t.Error("a key is in the log")
	}
	pairOf(t, dir, 3, "app.example.com")
	until(t, "the mended pair", func() bool { return shown(t, address, "app.example.com") == 3 })

	// Without waiting for the next look.
	pairOf(t, dir, 4, "app.example.com")
	e.Reload()
	if got := shown(t, address, "app.example.com"); got != 4 {
		t.Errorf("certificate %d is shown after Reload, want 4", got)
	}
}

func TestCertificatesByName(t *testing.T) {
	dir := t.TempDir()
	first := pairOf(t, filepath.Join(dir, "1"), 1, "a.example.com")
	cfg := settings(withPair(first))
	cfg.TLS.Certificates = []proxy.Certificate{
		pairOf(t, filepath.Join(dir, "2"), 2, "b.example.com"),
		pairOf(t, filepath.Join(dir, "3"), 3, "*.c.example.com"),
	}
	e, _ := run(t, cfg, nil)
	for name, want := range map[string]int64{"a.example.com": 1, "b.example.com": 2, "B.example.COM": 2, "x.c.example.com": 3, "x.y.c.example.com": 1, "unknown.example.com": 1, "": 1} {
		if got := shown(t, e.Addrs()[0].String(), name); got != want {
			t.Errorf("%q is shown %d, want %d", name, got, want)
		}
	}
}

func TestVersionsOfTLS(t *testing.T) {
	pair := pairOf(t, t.TempDir(), 1, "app.example.com")
	for least, versions := range map[string]map[uint16]bool{
		"1.2": {tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true},
		"1.3": {tls.VersionTLS12: false, tls.VersionTLS13: true},
	} {
		e, _ := run(t, settings(func(cfg *proxy.Server) { withPair(pair)(cfg); cfg.TLS.MinVersion = least }), nil)
		for version, want := range versions {
			conn, err := tls.Dial("tcp", e.Addrs()[0].String(), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
			if (err == nil) != want {
				t.Errorf("min_version %s, client of %s: %v", least, tls.VersionName(version), err)
			}
			if err == nil {
				conn.Close()
			}
		}
	}
}

func TestWhatIsWrongWithCertificates(t *testing.T) {
	dir := t.TempDir()
	good := pairOf(t, filepath.Join(dir, "good"), 1, "a.example.com")
	other := pairOf(t, filepath.Join(dir, "other"), 2, "a.example.com")
	for name, test := range map[string]struct {
		change func(*proxy.TLS)
		at     string
		want   string
	}{
		"no such file":        {func(c *proxy.TLS) { c.CertFile = dir + "/none.crt" }, "tls.cert_file", "no such file"},
		"no such key":         {func(c *proxy.TLS) { c.KeyFile = dir + "/none.key" }, "tls.key_file", "no such file"},
		"a directory":         {func(c *proxy.TLS) { c.CertFile = dir }, "tls.cert_file", "is not a file"},
		"another's key":       {func(c *proxy.TLS) { c.KeyFile = other.KeyFile }, "tls.cert_file", "no pair"},
		"the files exchanged": {func(c *proxy.TLS) { c.CertFile, c.KeyFile = c.KeyFile, c.CertFile }, "tls.key_file", "no pair"},
		"the second pair": {func(c *proxy.TLS) {
			c.Certificates = []proxy.Certificate{other, {CertFile: other.CertFile, KeyFile: good.KeyFile}}
		}, "tls.certificates[1].cert_file", "no pair"},
		"a cache that cannot be": {func(c *proxy.TLS) {
			*c = proxy.TLS{MinVersion: "1.2", ACME: proxy.ACME{Domains: []string{"a.example.com"}, CacheDir: good.CertFile + "/x"}}
		}, "tls.acme.cache_dir", "cannot be written to"},
		"no authorities in the file": {func(c *proxy.TLS) {
			*c = proxy.TLS{MinVersion: "1.2", ACME: proxy.ACME{Domains: []string{"a.example.com"}, CacheDir: dir, CAFile: good.KeyFile}}
		}, "tls.acme.ca_file", "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(withPair(good))
			test.change(&cfg.TLS)
			e, err := Open(t.Context(), cfg, Parts{})
			if err == nil {
				e.Close()
				t.Fatal("it opened")
			}
			if got := faultAt(err); got != test.at || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %s: %v, want %s: %s", got, err, test.at, test.want)
			}
		})
	}
}

// faultAt is the key of the first fault.
func faultAt(err error) string {
	switch err := err.(type) { //nolint:errorlint // this is the walk through the tree
	case interface{ Field() string }:
		return err.Field()
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			if at := faultAt(inner); at != "" {
				return at
			}
		}
	}
	return ""
}

func TestACertificateThatClientsWillNotBelieveIsTold(t *testing.T) {
	for want, end := range map[string]time.Time{
		"the certificate has expired":      time.Now().Add(-time.Hour),
		"the certificate expires soon":     time.Now().Add(24 * time.Hour),
		"level=ERROR msg=\"never logged\"": time.Now().Add(60 * 24 * time.Hour),
	} {
		dir := t.TempDir()
		cert, key := identityUntil(t, 1, end, "a.example.com")
		pair := proxy.Certificate{CertFile: dir + "/c", KeyFile: dir + "/k"}
		write(t, pair.CertFile, cert)
		write(t, pair.KeyFile, key)
		_, log := run(t, settings(withPair(pair)), nil)
		if got := log.count(want) == 1; got == strings.Contains(want, "never") {
			t.Errorf("%q: %v", want, got)
		}
	}
}

func TestPlainAndSecureListenersSideBySide(t *testing.T) {
	dir := t.TempDir()
	pair := pairOf(t, dir, 1, "app.example.com")
	socket := filepath.Join(dir, "gatehouse.sock")
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		withPair(pair)(cfg)
		cfg.Listen = []string{"127.0.0.1:0", "http://127.0.0.1:0", "unix://" + socket}
		cfg.TLS.HTTPListen = "127.0.0.1:0"
	}), nil)
	addrs, urls := e.Addrs(), e.URLs()
	if want := []string{"https://" + addrs[0].String(), addrs[1].String(), "unix://" + socket}; fmt.Sprint(urls) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", urls, want)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasPrefix(address, "socket") {
				network, address = "unix", socket
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for url, want := range map[string]string{
		"https://" + addrs[0].String(): "HTTP/2.0 tls=true", "http://" + addrs[1].String(): "HTTP/1.1 tls=false", "http://socket/": "@ HTTP/1.1 tls=false",
	} {
		answer, err := client.Get(url)
		if err != nil {
			t.Error(err)
			continue
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if !strings.HasSuffix(string(text), want) {
			t.Errorf("%s: got %q, want %q", url, text, want)
		}
	}

	plain := "http://" + e.redirect.listener.Addr().String()
	for _, test := range []struct {
		method, target, host string
		status               int
		location             string
	}{
		{"GET", "/a/../b?x=1", "app.example.com", 308, "https://app.example.com/a/../b?x=1"},
		{"HEAD", "/", "app.example.com:80", 308, "https://app.example.com/"},
		{"GET", "/x//y%2f", "[::1]:80", 308, "https://[::1]/x//y%2f"},
		{"POST", "/api/token/", "app.example.com", 403, ""},
		{"GET", "/", "a@b", 400, ""},
		{"GET", "/", "", 400, ""},
	} {
		in, _ := http.NewRequest(test.method, plain, nil)
		in.Host = test.host
		in.URL.Opaque = test.target
		if test.host == "" {
			in.Host = "."
		}
		answer, err := client.Do(in)
		if err != nil {
			t.Error(err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != test.status || answer.Header.Get("Location") != test.location {
			t.Errorf("%s %s of %q: got %d %q", test.method, test.target, test.host, answer.StatusCode, answer.Header.Get("Location"))
		}
	}
}
