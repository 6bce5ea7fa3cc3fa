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
	"strings"
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
}

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
	return &authority{manager: manager, domains: cfg.Domains, logger: logger}, errors.Join(faults...)
}

// certificate is tls.Config's GetCertificate. A client that names nobody, such as a
// health check, gets the certificate of the first domain.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = a.domains[0]
		hello = &named
	}
	certificate, err := a.manager.GetCertificate(hello)
	if err != nil && a.asked(hello.ServerName) {
		// Names of others are noise; this one should have worked.
		a.logger.Error("no certificate could be obtained", slog.String("domain", hello.ServerName), slog.Any("error", err))
	}
	return certificate, err
}

func (a *authority) asked(name string) bool {
	return a.manager.HostPolicy(context.Background(), name) == nil
}

// obtain asks for what is not there yet, so that no client waits for it.
func (a *authority) obtain() {
	for _, domain := range a.domains {
		hello := &tls.ClientHelloInfo{
			ServerName: domain,
			// What a client of today offers, for autocert to choose ECDSA.
			SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
			SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
			SupportedCurves:   []tls.CurveID{tls.CurveP256},
			CipherSuites:      []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		}
		if certificate, err := a.certificate(hello); err == nil {
			a.logger.Info("have a certificate", slog.String("domain", domain), slog.Time("until", certificate.Leaf.NotAfter))
		}
	}
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
