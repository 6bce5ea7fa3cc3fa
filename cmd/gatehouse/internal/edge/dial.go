package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"github.com/pires/go-proxyproto"

	"gatehouse/proxy"
)

// Caller returns a client for a gateway on this machine that listens with these
// settings on this address, and the beginning of its URLs. It proves nothing about
// who answers, and is for a question that anybody may ask: a certificate is for the
// name that clients use, which is not ours here.
func Caller(cfg proxy.Server, listen string) (client *http.Client, base string, err error) {
	address, err := proxy.ParseAddress(listen)
	if err != nil {
		return nil, "", err
	}
	if address.Network == "systemd" {
		return nil, "", errors.New("only systemd knows where that is; set server.admin_listen, and the health check asks there")
	}
	admin := listen == cfg.AdminListen
	base = "http://localhost"
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
	if !admin && !address.Plain && cfg.TLS.Enabled() {
		base = "https://localhost"
		if domains := cfg.TLS.ACME.Domains; len(domains) > 0 {
			config.ServerName = domains[0]
		}
	}
	if address.Network == "tcp" {
		address.Name = dialable(address.Name)
	}
	speakers, _ := proxy.ParsePeers("", cfg.ProxyProtocol.From)
	return &http.Client{
		Transport: &http.Transport{
			// No proxy of the environment: this is about this machine.
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, address.Network, address.Name)
				if err != nil || admin || !speakers.Hold(conn.LocalAddr()) {
					return conn, err
				}
				// "I come for nobody else": what load balancers say in their health checks.
				local := proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
				_, err = local.WriteTo(conn)
				return conn, err
			},
			TLSClientConfig:   config,
			DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, base, nil
}

// dialable turns an address that is listened on into one that can be called:
// every address is this machine's too.
func dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
