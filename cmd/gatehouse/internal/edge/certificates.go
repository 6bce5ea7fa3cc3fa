package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/proxy"
)

// certificates are pairs of files that are re-read when what they hold changes. The
// content is asked, not the clock of the file or its directory: Kubernetes swaps
// symbolic links, certbot writes new files, and a copy may keep the old time.
type certificates struct {
	pairs   []*pair
	logger  *slog.Logger
	looking sync.Mutex
}

// pair is a certificate and its key.
type pair struct {
	key     string // "tls" or "tls.certificates[0]"
	files   proxy.Certificate
	current atomic.Pointer[tls.Certificate]

	// For looking only.
	read   fingerprint // of what is current
	broken fingerprint // of what could not be used when it was last looked at
	times  int         // how often broken has been found in a row
}

type fingerprint [sha256.Size]byte

// newCertificates reads every pair. The error joins all faults.
func newCertificates(files []proxy.Certificate, cfg proxy.TLS, logger *slog.Logger) (*certificates, error) {
	c := &certificates{logger: logger}
	var faults []error
	for i, pairOfFiles := range files {
		p := &pair{key: "tls", files: pairOfFiles}
		if first := len(files) - len(cfg.Certificates); i >= first {
			p.key = fmt.Sprintf("tls.certificates[%d]", i-first)
		}
		if pairOfFiles.CertFile == "" || pairOfFiles.KeyFile == "" {
			continue // told by proxy.New
		}
		certificate, read, fault := p.load()
		if fault != nil {
			faults = append(faults, fault)
			continue
		}
		p.read = read
		p.current.Store(certificate)
		c.warn(p, certificate)
		c.pairs = append(c.pairs, p)
	}
	return c, errors.Join(faults...)
}

// load reads the two files as they are now.
func (p *pair) load() (*tls.Certificate, fingerprint, error) {
	cert, err := readFile(p.files.CertFile)
	if err != nil {
		return nil, fingerprint{}, &proxy.Fault{At: p.key + ".cert_file", Problem: err.Error(), Fix: "name a file that gatehouse can read"}
	}
	key, err := readFile(p.files.KeyFile)
	if err != nil {
		return nil, fingerprint{}, &proxy.Fault{At: p.key + ".key_file", Problem: err.Error(), Fix: "name a file that gatehouse can read"}
	}
	certSum, keySum := sha256.Sum256(cert), sha256.Sum256(key)
	read := fingerprint(sha256.Sum256(append(certSum[:], keySum[:]...)))
	certificate, err := tls.X509KeyPair(cert, key)
	if err != nil {
		problem := strings.TrimPrefix(err.Error(), "tls: ")
		at, fix := ".cert_file", "name the PEM file that begins with -----BEGIN CERTIFICATE-----, and the private key that belongs to it"
		if !bytes.Contains(key, []byte("PRIVATE KEY-----")) {
			at = ".key_file"
		}
		return nil, read, &proxy.Fault{At: p.key + at, Problem: fmt.Sprintf("%s and %s are no pair: %s", p.files.CertFile, p.files.KeyFile, problem), Fix: fix}
	}
	return &certificate, read, nil
}

// maxFile bounds what is read; a chain is a few kilobytes.
const maxFile = 1 << 20

func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("%s is not a file of less than 1 MiB", name)
	}
	return os.ReadFile(name)
}

// choose is tls.Config's GetCertificate: the first that is good for the client and
// the name that it asks for, or the first of all.
func (c *certificates) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, p := range c.pairs {
		if certificate := p.current.Load(); hello.SupportsCertificate(certificate) == nil {
			return certificate, nil
		}
	}
	return c.pairs[0].current.Load(), nil
}

// watch looks at the files again and again until ctx ends.
func (c *certificates) watch(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.look()
		}
	}
}

// look takes over what has changed.
func (c *certificates) look() {
	c.looking.Lock()
	defer c.looking.Unlock()
	for _, p := range c.pairs {
		c.lookAt(p)
	}
}

func (c *certificates) lookAt(p *pair) {
	certificate, read, err := p.load()
	switch {
	case err != nil:
		if read != p.broken {
			p.broken, p.times = read, 0
		}
		p.times++
		if p.times == 2 { // the first time may be between the writing of the one file and of the other
			c.logger.Error("the changed certificate cannot be used; the one before it stays",
				slog.String("cert_file", p.files.CertFile), slog.Any("error", err))
		}
	case read != p.read:
		p.read, p.broken, p.times = read, fingerprint{}, 0
		p.current.Store(certificate)
		c.logger.Info("took over a changed certificate", slog.String("cert_file", p.files.CertFile),
			slog.Any("names", certificate.Leaf.DNSNames), slog.Time("until", certificate.Leaf.NotAfter))
		c.warn(p, certificate)
	default:
		p.broken, p.times = fingerprint{}, 0
	}
}

// warn tells of a certificate that clients will not believe, or not for long.
func (c *certificates) warn(p *pair, certificate *tls.Certificate) {
	if c.logger == nil {
		return
	}
	leaf := certificate.Leaf
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		c.logger.Error("the certificate has expired; clients will refuse it",
			slog.String("cert_file", p.files.CertFile), slog.Time("until", leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		c.logger.Error("the certificate is not valid yet; clients will refuse it",
			slog.String("cert_file", p.files.CertFile), slog.Time("from", leaf.NotBefore))
	case leaf.NotAfter.Sub(now) < 7*24*time.Hour && leaf.NotAfter.Sub(leaf.NotBefore) > 30*24*time.Hour:
		c.logger.Warn("the certificate expires soon",
			slog.String("cert_file", p.files.CertFile), slog.Time("until", leaf.NotAfter))
	}
}
