package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The bounds of a fetch.
const (
	maxAnswer    = 1 << 20 // bytes, unpacked
	maxRedirects = 3
)

// newClient asks one issuer for its keys.
func newClient(cfg Config) (*http.Client, error) {
	secured := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CA != "" {
		secured.RootCAs = x509.NewCertPool()
		if !secured.RootCAs.AppendCertsFromPEM([]byte(cfg.CA)) {
			return nil, &Fault{"ca", "it holds no certificate in PEM", "name a file with the authorities of the issuer's certificate"}
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
			TLSClientConfig:        secured,
			TLSHandshakeTimeout:    cfg.Timeout,
			ResponseHeaderTimeout:  cfg.Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        30 * time.Second,
			MaxIdleConns:           1,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			switch {
			case !sameServer(next.URL, via[0].URL):
				return errors.New("it redirects to another server, which is not followed")
			case len(via) > maxRedirects:
				return errors.New("it redirects again and again")
			}
			return nil
		},
	}, nil
}

// get returns the body of an answer 200.
func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	in, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	in.Header.Set("Accept", "application/jwk-set+json, application/json")
	in.Header.Set("User-Agent", "gatehouse")
	out, err := client.Do(in)
	if err != nil {
		return nil, shorter(err)
	}
	defer func() { _ = out.Body.Close() }()
	if out.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers with status %d", out.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(out.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("its answer broke off: %w", shorter(err))
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return body, nil
}

// shorter leaves out of an error what the sentence around it says: method and URL.
func shorter(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		if wrapped.Timeout() {
			return errors.New("it did not answer in time")
		}
		return wrapped.Err
	}
	return err
}

// discoveryURL is where an issuer says where its keys are (OpenID Connect Discovery,
// section 4).
func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// discover asks the issuer where its keys are.
func discover(ctx context.Context, client *http.Client, cfg Config) (string, error) {
	body, err := get(ctx, client, discoveryURL(cfg.Issuer))
	if err != nil {
		return "", err
	}
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	switch err := json.Unmarshal(body, &document); {
	case err != nil:
		return "", errors.New("its discovery document is no JSON object")
	case document.Issuer != cfg.Issuer: // section 4.3: exactly
		return "", fmt.Errorf("its discovery document is that of %.200q", document.Issuer)
	}
	if problem, _ := checkURL(document.JWKS, cfg.AllowHTTP); problem != "" {
		return "", fmt.Errorf("the jwks_uri of its discovery document, %.200q, cannot be used: %s", document.JWKS, problem)
	}
	return document.JWKS, nil
}
