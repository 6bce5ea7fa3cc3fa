package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"gatehouse/proxy"
)

// authority obtains certificates by ACME.
type authority struct {
	manager *autocert.Manager
	domains []string
	logger  *slog.Logger

	mu     sync.Mutex
	failed map[string]failure // by domain
}

// failure is an attempt that did not yield a certificate. Authorities ration attempts
// that fail, and each handshake would be one.
type failure struct {
	err   error
	wait  time.Duration
	until time.Time
}

// The first pause after a failure, and the longest: each is four times the one before.
const (
	firstPause   = time.Minute
	longestPause = 30 * time.Minute
)

func newAuthority(cfg proxy.ACME, logger *slog.Logger) (*authority, error) {
	var faults []error
	fault := func(key, problem, fix string) {
		faults = append(faults, &proxy.Fault{At: "tls.acme." + key, Problem: problem, Fix: fix})
	}
	client := &acme.Client{
		DirectoryURL: cmp.Or(cfg.DirectoryURL, autocert.DefaultACMEDirectory),
		UserAgent:    "gatehouse",
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		ForceAttemptHTTP2:     true,
	}
	client.HTTPClient = &http.Client{Transport: transport, Timeout: time.Minute}
	if cfg.CAFile != "" {
		roots := x509.NewCertPool()
		text, err := readFile(cfg.CAFile)
		switch {
		case err != nil:
			fault("ca_file", err.Error(), "name a file that gatehouse can read")
		case !roots.AppendCertsFromPEM(text):
			fault("ca_file", cfg.CAFile+" holds no certificate", "name a file with certificates that begin with -----BEGIN CERTIFICATE-----")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	manager := &autocert.Manager{
		Prompt:     autocert.AcceptTOS,
		HostPolicy: autocert.HostWhitelist(cfg.Domains...),
		Client:     client,
		Email:      cfg.Email,
	}
	if cfg.CacheDir != "" {
		manager.Cache = cache{autocert.DirCache(cfg.CacheDir)}
	}
	if account := cfg.ExternalAccount; account.KeyID != "" {
		key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(account.MACKey, "="))
		if err != nil {
			fault("external_account.mac_key", "is not base64url", "write it as the authority gave it")
		}
		manager.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: account.KeyID, Key: key}
	}
	return &authority{manager: manager, domains: cfg.Domains, logger: logger, failed: map[string]failure{}}, errors.Join(faults...)
}

// certificate is tls.Config's GetCertificate. A client that names nobody, such as a
// health check, gets the certificate of the first domain.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = a.domains[0]
		hello = &named
	}
	if slices.Contains(hello.SupportedProtos, acme.ALPNProto) {
		return a.manager.GetCertificate(hello) // the authority asks
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if err := a.pausing(name); err != nil {
		return nil, err
	}
	certificate, err := a.manager.GetCertificate(hello)
	if a.manager.HostPolicy(context.Background(), name) == nil { // names of others are noise
		a.note(name, err)
	}
	return certificate, err
}

// pausing returns the last failure while it is too early for another attempt.
func (a *authority) pausing(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if failed, ok := a.failed[name]; ok && time.Now().Before(failed.until) {
		return failed.err
	}
	return nil
}

func (a *authority) note(name string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		delete(a.failed, name)
		return
	}
	if now := time.Now(); now.After(a.failed[name].until) { // not by one of several who asked together
		wait := min(cmp.Or(4*a.failed[name].wait, firstPause), longestPause)
		a.failed[name] = failure{err, wait, now.Add(wait)}
		a.logger.Error("no certificate could be obtained", slog.String("domain", name), slog.Any("error", err), slog.Int64("next_attempt_ms", wait.Milliseconds()))
	}
}

// obtain asks for what is not there yet, so that no client waits for it, again and
// again until all is there or ctx ends.
func (a *authority) obtain(ctx context.Context) {
	for missing := a.domains; len(missing) > 0; {
		var still []string
		for _, domain := range missing {
			certificate, err := a.certificate(&tls.ClientHelloInfo{
				ServerName: domain,
				// What a client of today offers, for autocert to choose ECDSA.
				SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
				SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
				SupportedCurves:   []tls.CurveID{tls.CurveP256},
				CipherSuites:      []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
			})
			if err != nil {
				still = append(still, domain)
				continue
			}
			a.logger.Info("have a certificate", slog.String("domain", domain), slog.Time("until", certificate.Leaf.NotAfter))
		}
		missing = still
		select {
		case <-ctx.Done():
			return
		case <-time.After(firstPause):
		}
	}
}

// challenges answers what the authority asks on the plain port, and passes all else on.
// autocert wants the name alone, which it is on port 80.
func (a *authority) challenges(next http.Handler) http.Handler {
	answer := a.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		if strings.HasPrefix(in.URL.Path, "/.well-known/acme-challenge/") {
			named := in.WithContext(in.Context())
			named.Host = proxy.HostName(in.Host)
			in = named
		}
		answer.ServeHTTP(w, in)
	})
}

// cache is autocert's, made so that a directory which cannot be written to is told
// at the start, and not when the first certificate has been obtained and is lost.
type cache struct{ autocert.DirCache }

// writable makes the directory, and a file in it that is gone again.
func (c cache) writable() error {
	if err := os.MkdirAll(string(c.DirCache), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(string(c.DirCache), ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// ready tells what would keep certificates from being kept.
func (a *authority) ready() error {
	c, ok := a.manager.Cache.(cache)
	if !ok {
		return nil // told by proxy.New
	}
	if err := c.writable(); err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return &proxy.Fault{At: "tls.acme.cache_dir", Problem: filepath.Clean(string(c.DirCache)) + " cannot be written to: " + err.Error(), Fix: "name a directory of this user's"}
	}
	return nil
}
