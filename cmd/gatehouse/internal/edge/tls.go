package edge

import (
	"crypto/tls"
	"log/slog"
	"net/http"

	"golang.org/x/crypto/acme"

	"gatehouse/proxy"
)

// loaded is what the settings of TLS become.
type loaded struct {
	config       *tls.Config
	certificates *certificates // nil: from an authority
	authority    *authority    // nil: from files
}

// load reads the files that the settings name.
func load(cfg proxy.Server, logger *slog.Logger) (*loaded, error) {
	if !cfg.TLS.Enabled() {
		return nil, nil
	}
	l := &loaded{config: &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
	}}
	if cfg.TLS.MinVersion == "1.3" {
		l.config.MinVersion = tls.VersionTLS13
	}
	var err error
	if cfg.TLS.ACME.Enabled() {
		if l.authority, err = newAuthority(cfg.TLS.ACME, logger); err != nil {
			return nil, err
		}
		l.config.GetCertificate = l.authority.certificate
		l.config.NextProtos = append(l.config.NextProtos, acme.ALPNProto)
		return l, nil
	}
	if l.certificates, err = newCertificates(cfg.TLS.Pairs(), cfg.TLS, logger); err != nil {
		return nil, err
	}
	l.config.GetCertificate = l.certificates.choose
	return l, nil
}

// secure makes the listeners of e speak TLS.
func (e *Edge) secure(cfg proxy.TLS) error {
	l, err := load(proxy.Server{TLS: cfg}, e.logger)
	if err != nil {
		return err
	}
	e.tls, e.certificates, e.authority = l.config, l.certificates, l.authority
	if e.authority != nil {
		return e.authority.ready()
	}
	return nil
}

// challenge answers what an authority asks on the plain port, and passes all else on.
func (e *Edge) challenge() func(http.Handler) http.Handler {
	if e.authority == nil {
		return nil
	}
	return e.authority.challenges
}
