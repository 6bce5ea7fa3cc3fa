package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"time"

	"gatehouse/proxy/socket"
	"gatehouse/proxy/upstream/wire"
)

// Bounds that are not worth a key.
const (
	// maxIdle is how many unused connections are kept for one server: enough that
	// a thousand clients in turn do not each pay for a connection.
	maxIdle = 512

	// maxAnswerHead bounds the head of an answer, informational ones included. No
	// browser takes as much.
	maxAnswerHead = 256 << 10

	// continueWait is how long a body is held back when the client asked to be told
	// whether it is wanted (Expect: 100-continue) and the upstream stays silent.
	continueWait = time.Second
)

// bounds are compiled Timeouts; 0 is none.
type bounds struct{ connect, firstByte, idle time.Duration }

// transport sends requests to one server.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// transport is the way to a server that the configuration chose.
func (u *Upstream) transport(s *server, b bounds) transport {
	standard := newTransport(s, b)
	if !u.direct || standard.DisableKeepAlives || s.endpoint.scheme != "http" && s.endpoint.scheme != "unix" {
		return standard
	}
	connect, address := standard.DialContext, s.endpoint.address()
	return wire.New(wire.Config{
		Dial:      func(ctx context.Context) (net.Conn, error) { return connect(ctx, "tcp", address) },
		Otherwise: standard,
		KeepAlive: s.keepAlive, MaxIdle: maxIdle,
		FirstByte: b.firstByte, MaxHead: maxAnswerHead,
	})
}

// newTransport makes a transport of its own for a server and its bounds, so that one
// with all its connections stuck takes nothing from another.
func newTransport(s *server, b bounds) *http.Transport {
	t := &http.Transport{
		// Proxy stays nil: where requests go is said in the file and nowhere else.
		DialContext:         dial(s.endpoint, b.connect),
		TLSClientConfig:     s.tls.Clone(),
		TLSHandshakeTimeout: b.connect,
		ForceAttemptHTTP2:   s.endpoint.scheme == "https",

		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     s.keepAlive,
		DisableKeepAlives:   s.keepAlive == 0,

		ResponseHeaderTimeout:  b.firstByte,
		ExpectContinueTimeout:  continueWait,
		MaxResponseHeaderBytes: maxAnswerHead,

		// The client and the backend agree on encodings; bodies pass as they are.
		DisableCompression: true,
	}
	if s.endpoint.scheme == "h2c" {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	return t
}

// notConnected is an error of dialing: nothing of a request was sent.
type notConnected struct{ error }

func (e *notConnected) Unwrap() error { return e.error }

func dial(e endpoint, timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if e.scheme == "unix" {
			network, address = "unix", e.socket
		}
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, &notConnected{err}
		}
		return socket.Wrap(conn), nil
	}
}

// tls reads the files of `tls`.
func (c *compiler) tls(cfg TLS, endpoints []endpoint) *tls.Config {
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg == (TLS{}) {
		return out
	}
	for _, e := range endpoints {
		if e.scheme != "https" && e.scheme != "" { // "" is a fault already
			c.fault("tls", "write https://, or take tls out", "tls is for https, and %s is not", e.url)
		}
	}
	if cfg.ServerName != "" && !validHostname(cfg.ServerName) {
		c.fault("tls.server_name", "write it as app.example.com", "%q is not a host name", cfg.ServerName)
	}
	if cfg.CAFile != "" {
		text, err := os.ReadFile(cfg.CAFile)
		out.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			c.fault("tls.ca_file", "name a file that gatehouse can read", "%v", err)
		case !out.RootCAs.AppendCertsFromPEM(text):
			c.fault("tls.ca_file", "name a file with certificates that begin with -----BEGIN CERTIFICATE-----", "%s holds no certificate", cfg.CAFile)
		}
	}
	switch {
	case cfg.CertFile == "" && cfg.KeyFile == "":
	case cfg.KeyFile == "":
		c.fault("tls.cert_file", "write key_file too", "a certificate without its key")
	case cfg.CertFile == "":
		c.fault("tls.key_file", "write cert_file too", "a key without its certificate")
	default:
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			// The error names the file that is missing, or says that the two do not fit.
			c.fault("tls.cert_file", "name a certificate and its key, both in PEM", "%v", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out
}
