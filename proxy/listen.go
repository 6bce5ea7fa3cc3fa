package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// TLS is the `server.tls` section: https. Either the certificates are files, which are
// re-read when they change, or acme obtains them.
type TLS struct {
	// CertFile and KeyFile name the certificate, with its chain, and its private key, as
	// PEM. They are re-read within seconds when they change; a pair that does not
	// belong together, or cannot be read, leaves the old one in place and is logged.
	CertFile string `mapstructure:"cert_file"`
	KeyFile  string `mapstructure:"key_file"`

	// Certificates are more pairs. A client gets the first that is good for the name
	// it asks for, cert_file before these, and cert_file if none is.
	Certificates []Certificate `mapstructure:"certificates"`

	// MinVersion is the least version of TLS that is spoken: "1.2", the default, or
	// "1.3".
	MinVersion string `mapstructure:"min_version"`

	// HTTPListen is where plain http is answered with a redirect to https, and with
	// what an acme authority asks for, as host:port such as ":80". Default: nowhere.
	HTTPListen string `mapstructure:"http_listen"`

	// ACME obtains certificates, and renews them, from an authority such as Let's Encrypt.
	ACME ACME `mapstructure:"acme"`
}

// Certificate is a pair of files.
type Certificate struct {
	// CertFile is the certificate with its chain, as PEM.
	CertFile string `mapstructure:"cert_file"`
	// KeyFile is its private key, as PEM.
	KeyFile string `mapstructure:"key_file"`
}

// ACME is how certificates are obtained (RFC 8555). The authority asks for proof on
// port 443 by TLS-ALPN-01, or on port 80 by HTTP-01 where tls.http_listen is set. To
// use it is to accept the terms of the authority.
type ACME struct {
	// Domains are the names to obtain certificates for, one each. No other name is ever
	// asked for. Wildcards cannot be had in this way.
	Domains []string `mapstructure:"domains"`

	// Email is where the authority may write to about trouble. Default: nowhere.
	Email string `mapstructure:"email"`

	// CacheDir keeps the account's key and the certificates, with mode 0700. Required:
	// without it each start would ask again, and authorities ration. Whoever reads it
	// can be this server. Replicas may share it.
	CacheDir string `mapstructure:"cache_dir"`

	// DirectoryURL is where the authority is found. Default: Let's Encrypt.
	DirectoryURL string `mapstructure:"directory_url"`

	// CAFile names certificates that the authority's own server is checked against, for
	// one inside a company. Default: those of the system.
	CAFile string `mapstructure:"ca_file"`

	// ExternalAccount is what some authorities demand of new accounts.
	ExternalAccount ExternalAccount `mapstructure:"external_account"`
}

// ExternalAccount ties the ACME account to one that exists at the authority (RFC 8555,
// section 7.3.4).
type ExternalAccount struct {
	// KeyID is the name that the authority has given.
	KeyID string `mapstructure:"key_id"`
	// MACKey is the key that goes with it, in base64url as the authority writes it.
	MACKey string `mapstructure:"mac_key"`
	// MACKeyFile names a file that holds the key instead; the loader reads it.
	MACKeyFile string `mapstructure:"mac_key_file"`
}

// Enabled tells whether anything is said about TLS.
func (t TLS) Enabled() bool {
	return t.CertFile != "" || t.KeyFile != "" || len(t.Certificates) > 0 || t.ACME.Enabled()
}

// Enabled tells whether anything is said about ACME.
func (a ACME) Enabled() bool { return len(a.Domains) > 0 || a.CacheDir != "" || a.DirectoryURL != "" }

// Pairs are all pairs of files, the first being the one for clients that ask for no
// name that is known.
func (t TLS) Pairs() []Certificate {
	var pairs []Certificate
	if t.CertFile != "" || t.KeyFile != "" {
		pairs = append(pairs, Certificate{t.CertFile, t.KeyFile})
	}
	return append(pairs, t.Certificates...)
}

// Preamble is the `server.proxy_protocol` section: HAProxy's PROXY protocol,
// version 1 or 2, in which the first bytes of a connection say who the client is.
type Preamble struct {
	// From are the addresses and networks of the load balancers that speak it, and the
	// word unix for those that connect to a socket file. A connection from there must
	// begin with such a header, or it is closed; anybody else's header is no HTTP and is refused
	// as such. Default: nobody speaks it. Danger: whoever connects from there can be any address.
	From []string `mapstructure:"from"`
}

// Address is where connections are accepted.
type Address struct {
	Network string // "tcp", "unix" or "systemd"
	Name    string // host:port, the path of a socket file, or systemd's name for a socket; "" is all of systemd's
	Plain   bool   // never TLS
}

// ParseAddress reads an address as `listen` has it. The error is the problem alone.
func ParseAddress(text string) (Address, error) {
	if path, ok := strings.CutPrefix(text, "unix://"); ok {
		switch {
		case !filepath.IsAbs(path) || path == "/" || strings.HasSuffix(path, "/"):
			return Address{}, fmt.Errorf("%q does not name a socket file by its whole path", text)
		case len(path) > 107: // sun_path
			return Address{}, fmt.Errorf("%q has a path of %d bytes, and the system takes 107", text, len(path))
		}
		return Address{Network: "unix", Name: path, Plain: true}, nil
	}
	if name, ok := strings.CutPrefix(text, "systemd:"); ok {
		return Address{Network: "systemd", Name: name}, nil
	}
	a := Address{Network: "tcp", Name: text}
	a.Name, a.Plain = strings.CutPrefix(text, "http://")
	if a.Name == "" {
		return Address{}, fmt.Errorf("no address to listen on")
	}
	_, port, err := net.SplitHostPort(a.Name)
	if err != nil {
		return Address{}, fmt.Errorf("%q is not host:port", text)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return Address{}, fmt.Errorf("%q is not a port", port)
	}
	return a, nil
}

// HardHeaderBytes is what net/http should read of a head before it hangs up with
// a line of its own. Up to there the gateway answers in its own words.
func (s Server) HardHeaderBytes() int { return 2*int(s.MaxHeaderBytes) + 16<<10 }

// Mode is socket_mode as a number.
func (s Server) Mode() (uint32, error) {
	mode, err := strconv.ParseUint(s.SocketMode, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("%q is not a mode", s.SocketMode)
	}
	return uint32(mode), nil
}

// listenFaults are those of the keys about listening. Files are looked at by whoever
// listens.
func (s Server) listenFaults() []error {
	var faults []error
	fault := func(key, problem, fix string) {
		faults = append(faults, &Fault{At: "server." + key, Problem: problem, Fix: fix})
	}
	at := func(i int) string {
		if len(s.Listen) == 1 {
			return "listen"
		}
		return fmt.Sprintf("listen[%d]", i)
	}
	if len(s.Listen) == 0 {
		fault("listen", "no address to listen on", `write host:port, or ":8080" for every interface`)
	}
	for i, text := range s.Listen {
		if _, err := ParseAddress(text); err != nil {
			fault(at(i), err.Error(), `write host:port, or ":8080" for every interface, or unix:///run/gatehouse.sock`)
		} else if slices.Contains(s.Listen[:i], text) {
			fault(at(i), fmt.Sprintf("%q is there already", text), "delete one of them")
		}
	}
	if s.AdminListen != "" {
		address, err := ParseAddress(s.AdminListen)
		problem := ""
		switch {
		case err != nil:
			problem = err.Error()
		case slices.Contains(s.Listen, s.AdminListen):
			problem = fmt.Sprintf("%q is where clients connect to", s.AdminListen)
		case address.Network == "systemd":
			problem = fmt.Sprintf("%q is for clients", s.AdminListen)
		}
		if problem != "" {
			fault("admin_listen", problem, `write another host:port, such as "127.0.0.1:9090"`)
		}
	}
	if _, err := s.Mode(); err != nil {
		fault("socket_mode", err.Error(), `write it in octal, such as "0660"`)
	}
	if s.HTTP2MaxStreams < 1 {
		fault("http2_max_streams", fmt.Sprintf("%d is too small", s.HTTP2MaxStreams), "write 1 or more, such as 100")
	}
	if s.MaxConnectionsPerNetwork < 0 {
		fault("max_connections_per_network", fmt.Sprintf("%d is negative", s.MaxConnectionsPerNetwork), "write a number, or 0 for no bound")
	}
	if s.MaxConnections < 0 {
		fault("max_connections", fmt.Sprintf("%d is negative", s.MaxConnections), "write a number, or 0 for what the system suffices for")
	}
	_, more := ParsePeers("server.proxy_protocol.from", s.ProxyProtocol.From)
	faults = append(faults, more...)
	return append(faults, s.TLS.faults()...)
}

// faults are those that can be found without looking into files.
func (t TLS) faults() []error {
	var faults []error
	fault := func(key, problem, fix string) {
		faults = append(faults, &Fault{At: "server.tls" + key, Problem: problem, Fix: fix})
	}
	if t.MinVersion != "1.2" && t.MinVersion != "1.3" {
		fault(".min_version", fmt.Sprintf("%q is not spoken", t.MinVersion), `write "1.2" or "1.3"`)
	}
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		fault(".cert_file", "has no key", "name the file of its private key in server.tls.key_file")
	case t.CertFile == "" && t.KeyFile != "":
		fault(".key_file", "has no certificate", "name the file of its certificate in server.tls.cert_file")
	}
	for i, pair := range t.Certificates {
		if pair.CertFile == "" || pair.KeyFile == "" {
			fault(fmt.Sprintf(".certificates[%d]", i), "is half a pair", "write both cert_file and key_file")
		}
	}
	if t.HTTPListen != "" {
		address, err := ParseAddress(t.HTTPListen)
		switch {
		case err != nil:
			fault(".http_listen", err.Error(), `write host:port, such as ":80"`)
		case address.Network != "tcp":
			fault(".http_listen", fmt.Sprintf("%q is no port", t.HTTPListen), `write host:port, such as ":80"`)
		case !t.Enabled():
			fault(".http_listen", "there is no https to send clients to", "set server.tls.cert_file and key_file, or delete the line")
		}
	}
	a := t.ACME
	if !a.Enabled() {
		return faults
	}
	if len(t.Pairs()) > 0 {
		fault(".acme", "certificates are said to be files as well", "keep either acme, or cert_file, key_file and certificates")
	}
	if len(a.Domains) == 0 {
		fault(".acme.domains", "no name to obtain a certificate for", "write the names under which clients come")
	}
	for i, domain := range a.Domains {
		_, isAddress := netip.ParseAddr(domain)
		if !validHost(domain) || strings.Contains(domain, ":") || isAddress == nil || !strings.Contains(domain, ".") {
			fault(fmt.Sprintf(".acme.domains[%d]", i), fmt.Sprintf("%q is no name that an authority certifies", domain), "write a whole name such as app.example.com, without wildcard or port")
		}
	}
	if a.CacheDir == "" {
		fault(".acme.cache_dir", "nowhere to keep what the authority gives", "name a directory that outlives a restart, such as /var/lib/gatehouse/acme")
	}
	if u := a.DirectoryURL; u != "" && !strings.HasPrefix(u, "https://") {
		fault(".acme.directory_url", fmt.Sprintf("%q is not https", u), "write the https:// address of the authority's directory")
	}
	if (a.ExternalAccount.KeyID == "") != (a.ExternalAccount.MACKey == "") {
		fault(".acme.external_account", "is half a pair", "write both key_id and mac_key_file")
	}
	return faults
}
