// Package tracing sends spans to a collector by OTLP over HTTP (protobuf). It keeps them
// in a bounded queue: a collector that is slow or away costs spans, which are counted,
// and never a request its time.
package tracing

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Config is the `tracing` section. Changing it needs a restart.
type Config struct {
	// Endpoint is where an OTLP collector takes traces by HTTP, such as
	// http://127.0.0.1:4318; without a path it is /v1/traces there. Default none: nothing is
	// traced, and the traceparent of a client passes to the upstream as it is.
	Endpoint string `mapstructure:"endpoint"`

	// Authorization is sent to the collector as it stands, such as "Basic …" or the key of a
	// service; default none. It is a secret.
	Authorization string `mapstructure:"authorization"`

	// AuthorizationFile names a file that holds it instead; the loader reads it.
	AuthorizationFile string `mapstructure:"authorization_file"`

	// AuthorizationHeader is the header in which it is sent; default Authorization.
	AuthorizationHeader string `mapstructure:"authorization_header"`

	// CAFile holds the certificates (PEM) of the authorities that are believed about the
	// collector; default: those of the system.
	CAFile string `mapstructure:"ca_file"`

	// Service is the name under which spans appear; default gatehouse.
	Service string `mapstructure:"service"`

	// Sample is the part of the traces that begin here which is recorded: 10%, or 0.1;
	// default 100%. Of a trace that a trusted client has begun, its own decision holds.
	Sample Share `mapstructure:"sample"`

	// TrustIncoming says whose traceparent is gone on with: "proxies", the default, that
	// of server.trusted_proxies; "always", everybody's; "never", nobody's. For others a new
	// trace begins: a client must not choose what is recorded, nor put its requests
	// into the trace of somebody else.
	TrustIncoming string `mapstructure:"trust_incoming" words:"proxies always never"`

	// Queue is how many spans wait for the collector at most; default 4096. What comes
	// when it is full is dropped and counted.
	Queue int `mapstructure:"queue"`
}

// DefaultConfig is what holds where nothing is said.
func DefaultConfig() Config {
	return Config{AuthorizationHeader: "Authorization", Service: "gatehouse", Sample: "100%", TrustIncoming: "proxies", Queue: 4096}
}

// Enabled tells whether anything is traced.
func (c Config) Enabled() bool { return c.Endpoint != "" }

// Share is a part of a whole: 10%, or 0.1.
type Share string

// ratio is 0 to 1.
func (s Share) ratio() (float64, error) {
	text, percent := strings.CutSuffix(string(s), "%")
	value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		value /= 100
	}
	if err != nil || !(value >= 0 && value <= 1) {
		return 0, fmt.Errorf("%q is not a part of all traces", string(s))
	}
	return value, nil
}

// Fault is something wrong in the section.
type Fault struct {
	At, Problem, Fix string
}

// Error is the problem and its remedy.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the key inside the section.
func (f *Fault) Field() string { return f.At }

// compiled is what follows from a Config.
type compiled struct {
	endpoint string
	header   string
	roots    *x509.CertPool // nil: the system's
	ratio    float64
}

// Check returns every fault, joined.
func Check(cfg Config) error {
	_, err := compile(cfg)
	return err
}

func compile(cfg Config) (compiled, error) {
	var c compiled
	var faults []error
	fault := func(at, problem, fix string) { faults = append(faults, &Fault{at, problem, fix}) }
	u, err := url.Parse(cfg.Endpoint)
	switch {
	case cfg.Endpoint == "":
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		fault("endpoint", "that is not the URL of a collector", "write it as http://host:4318, and what it asks for into authorization")
	default:
		if u.Path == "" || u.Path == "/" {
			u.Path = "/v1/traces"
		}
		c.endpoint = u.String()
	}
	c.header = http.CanonicalHeaderKey(cmp.Or(cfg.AuthorizationHeader, "Authorization"))
	if strings.ContainsFunc(c.header, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
		fault("authorization_header", fmt.Sprintf("%q is not the name of a header", cfg.AuthorizationHeader), "write Authorization, or what the collector asks for")
	}
	if strings.ContainsAny(cfg.Authorization, "\r\n\x00") {
		fault("authorization", "it has more than one line", "write what is sent in one line")
	}
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		c.roots = x509.NewCertPool()
		switch {
		case err != nil:
			fault("ca_file", err.Error(), "name a file that gatehouse can read")
		case !c.roots.AppendCertsFromPEM(text):
			fault("ca_file", cfg.CAFile+" holds no certificate", "name a file with certificates that begin with -----BEGIN CERTIFICATE-----")
		}
	}
	if c.ratio, err = cmp.Or(cfg.Sample, "100%").ratio(); err != nil {
		fault("sample", err.Error(), "write a percentage such as 10%")
	}
	if !slices.Contains([]string{"", "proxies", "always", "never"}, cfg.TrustIncoming) {
		fault("trust_incoming", fmt.Sprintf("%q says nothing about clients", cfg.TrustIncoming), "write proxies, always or never")
	}
	if cfg.Queue < 0 || cfg.Queue > 1<<20 {
		fault("queue", fmt.Sprintf("%d spans cannot wait", cfg.Queue), "write up to 1048576, such as 4096")
	}
	return c, errors.Join(faults...)
}
