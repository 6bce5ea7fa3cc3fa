package proxy

import (
	"cmp"
	"fmt"
	"time"

	"gatehouse/proxy/cors"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

// Config is what an operator may say about forwarding; its fields are sections of the file.
type Config struct {
	// Server is how clients are listened to.
	Server Server `mapstructure:"server"`

	// Log is what is written to the standard output.
	Log Log `mapstructure:"log"`

	// Identity says which headers tell an upstream who the user is.
	Identity identity.Config `mapstructure:"identity"`

	// CORS are what scripts of other origins may do, by the name that routes use in
	// `cors`. Where a route names none, gatehouse adds and removes nothing about it.
	CORS map[string]cors.Config `mapstructure:"cors"`

	// Upstreams are the backends, by the name that routes use in `to`.
	Upstreams map[string]upstream.Config `mapstructure:"upstreams"`

	// Routes are the sites. Their order never matters. A request that none matches
	// is answered 404.
	Routes []route.Config `mapstructure:"routes"`
}

// Server is the `server` section. Changing it needs a restart, but for trusted_proxies,
// max_uri, max_body, read_body_timeout, min_body_rate, write_timeout, security_headers and
// drain.
type Server struct {
	// Listen is where clients connect to, one address or several: host:port;
	// unix:///run/gatehouse.sock, a socket file; or systemd:NAME, the socket that
	// systemd opened under this FileDescriptorName (systemd: for all that it opened).
	// With tls, host:port speaks TLS and a socket file does not; http://host:port
	// never does. Default ":8080", every interface.
	Listen []string `mapstructure:"listen"`

	// SocketMode is the mode of socket files that listen names, in octal: whoever may
	// write to the file may connect. Default "0660", this user and this group.
	SocketMode string `mapstructure:"socket_mode"`

	// AdminListen is where orchestrators ask whether the gateway is alive and ready
	// (/livez, /readyz), as host:port or unix:///path; empty, the default, is nowhere.
	// It never speaks TLS. Danger: keep it off the network that clients are on.
	AdminListen string `mapstructure:"admin_listen"`

	// Pprof lets developers look into the running process on admin_listen.
	Pprof Pprof `mapstructure:"pprof"`

	// TLS makes listeners speak https. Default: they speak http.
	TLS TLS `mapstructure:"tls"`

	// H2C lets clients speak HTTP/2 without TLS, from the first byte, where a listener
	// speaks no TLS: gRPC and proxies inside a cluster do. Default false.
	H2C bool `mapstructure:"h2c"`

	// HTTP2MaxStreams bounds the requests that one HTTP/2 connection may have under way;
	// default 100.
	HTTP2MaxStreams int `mapstructure:"http2_max_streams"`

	// ProxyProtocol is spoken by load balancers that pass connections on.
	ProxyProtocol Preamble `mapstructure:"proxy_protocol"`

	// MaxConnections bounds the connections of clients, of all listeners together. At the
	// bound a new one takes the place of one without a request under way: of the
	// network that has most (an address of IPv4, a /64 of IPv6), if that has more than the
	// newcomer's, the one that has rested longest. Where there is none the new one waits. A
	// network that has most itself pushes out its own, no more than a 64th of the bound in a
	// second (or 64); those above wait without being served, then are closed at once. 0, the
	// default, is what half of the files that may be open and a quarter of the memory suffice for.
	MaxConnections int `mapstructure:"max_connections"`

	// MaxConnectionsPerNetwork bounds the connections of one network (an address of IPv4, a
	// /64 of IPv6), as the PROXY protocol names it where that is spoken. Those above push out
	// their own idle ones, wait or are closed, as at max_connections. Trusted proxies, load
	// balancers that speak the PROXY protocol themselves, and socket files are exempt, since
	// they come for many. 0, the default, is no bound while there is room for others. Danger:
	// many people may share one address, and a proxy in front that is not in
	// trusted_proxies is one client.
	MaxConnectionsPerNetwork int `mapstructure:"max_connections_per_network"`

	// TrustedProxies are the addresses and networks (10.42.0.0/16) of the proxies in
	// front of gatehouse: their X-Forwarded-For, -Proto, -Host and -Port and their
	// X-Request-Id are believed. The word unix is whoever connects to a socket file.
	// Default none: nobody's. Naming a network from which
	// clients come lets them choose the address under which they are logged and throttled.
	TrustedProxies []string `mapstructure:"trusted_proxies"`

	// AuthCheck answers other proxies that ask whether a request may pass.
	AuthCheck AuthCheck `mapstructure:"auth_check"`

	// MaxHeaderBytes bounds the request line and the headers together; default
	// 32KiB. A larger request is answered 431.
	MaxHeaderBytes Bytes `mapstructure:"max_header_bytes"`

	// MaxURI bounds the target of a request, path and query together; default 32KiB. A
	// longer one is answered 414.
	MaxURI Bytes `mapstructure:"max_uri"`

	// MaxBody bounds the body of a request; default 64MiB, 0 is no bound. A larger
	// one is answered 413.
	MaxBody Bytes `mapstructure:"max_body"`

	// ReadHeaderTimeout is how long a client may take to send the head of a request;
	// default 10s.
	ReadHeaderTimeout time.Duration `mapstructure:"read_header_timeout"`

	// ReadBodyTimeout is how long a client may pause while it sends the body of a
	// request; default 60s. A slower one is answered 408.
	ReadBodyTimeout time.Duration `mapstructure:"read_body_timeout"`

	// MinBodyRate is how many bytes of a body must come in a second at least; default 240.
	// Only the time counts for which the client is waited for, and read_body_timeout of it
	// is given in advance, so that no pause that is allowed counts twice. A slower body
	// is answered 408. gRPC is exempt. 0 is no bound: a client that sends a byte now and
	// then holds a connection, ours and an upstream's, for as long as it likes.
	MinBodyRate Bytes `mapstructure:"min_body_rate"`

	// WriteTimeout is how long a client may pause while it receives an answer; default
	// 60s. Then its connection is closed, and the upstream's with it: a backend that
	// serves one request at a time must not wait for a client that does not read. The
	// answer as a whole may take as long as it likes.
	WriteTimeout time.Duration `mapstructure:"write_timeout"`

	// IdleTimeout is how long a client's connection is kept for its next request;
	// default 120s.
	IdleTimeout time.Duration `mapstructure:"idle_timeout"`

	// SecurityHeaders are sent with every answer, ours and the backends'. Default none.
	SecurityHeaders route.SecurityHeaders `mapstructure:"security_headers"`

	// Drain is how the server stops.
	Drain Drain `mapstructure:"drain"`
}

// Pprof is the way to /debug/pprof/ on admin_listen: profiles of the processor and of
// memory, as `go tool pprof` reads them. Without a key there is none.
type Pprof struct {
	// Key is what is asked for: as the password of Basic authentication
	// (http://any:KEY@127.0.0.1:9090/debug/pprof/heap) or as a bearer token; at least 16
	// bytes. Default none: /debug/pprof/ does not exist. Danger: a profile of memory shows
	// what the process has in it.
	Key string `mapstructure:"key"`

	// KeyFile names a file that holds the key instead; the loader reads it.
	KeyFile string `mapstructure:"key_file"`
}

// Drain is how the server stops.
type Drain struct {
	// Delay is how long it goes on serving while readiness is already off, so that
	// load balancers notice; default 0s. Clients are told with each answer to come back on
	// another connection.
	Delay time.Duration `mapstructure:"delay"`

	// Timeout is how long requests in flight may take to finish, after delay; default 25s,
	// below the 30 s that Kubernetes waits. Those that take longer are cut off, and the
	// exit code is 1.
	Timeout time.Duration `mapstructure:"timeout"`

	// Streams is how long event streams, gRPC and the like may go on after delay, at most
	// timeout; default 5s. Then they are ended, which is no failure: their clients come
	// again, and meet another gatehouse. WebSockets get a close frame (1001) at once.
	Streams time.Duration `mapstructure:"streams"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{Log: Log{Level: "info", Format: "auto"}, Server: Server{
		Listen:            []string{":8080"},
		SocketMode:        "0660",
		TLS:               TLS{MinVersion: "1.2"},
		HTTP2MaxStreams:   100,
		MaxHeaderBytes:    32 * KiB,
		MaxURI:            32 * KiB,
		MaxBody:           64 * MiB,
		ReadHeaderTimeout: 10 * time.Second,
		ReadBodyTimeout:   60 * time.Second,
		MinBodyRate:       240,
		WriteTimeout:      60 * time.Second,
		AuthCheck:         AuthCheck{Path: "/auth/check"},
		IdleTimeout:       120 * time.Second,
		Drain:             Drain{Timeout: 25 * time.Second, Streams: 5 * time.Second},
	}}
}

// Fault is something wrong in the configuration, at a key of the file.
type Fault struct {
	At      string // "server.listen"
	Problem string // what is wrong, with the value at fault
	Fix     string // what to write instead
}

// Error is the problem and its remedy.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the path of the key at fault in the file.
func (f *Fault) Field() string { return f.At }

// faults are those of the section's own keys; trusted_proxies is read elsewhere.
func (s Server) faults() []error {
	var faults []error
	fault := func(key, problem, fix string) {
		faults = append(faults, &Fault{At: "server." + key, Problem: problem, Fix: fix})
	}
	faults = append(faults, s.listenFaults()...)
	switch {
	case s.Pprof.Key == "":
	case s.AdminListen == "":
		fault("pprof.key", "there is no admin_listen, and so nowhere to ask for profiles", "write server.admin_listen too, or take the key away")
	case len(s.Pprof.Key) < 16:
		fault("pprof.key", "the key is shorter than 16 bytes", "write a random one, such as that of: openssl rand -hex 16")
	}
	for _, size := range []struct {
		key   string
		value Bytes
		least Bytes
	}{
		{"max_header_bytes", s.MaxHeaderBytes, 4 * KiB}, // a bearer token and a browser's headers
		{"max_uri", s.MaxURI, 256},
		{"max_body", s.MaxBody, 0},
	} {
		if size.value < size.least {
			fault(size.key, fmt.Sprintf("%v is too small", size.value), "write "+size.least.String()+" or more")
		}
	}
	for _, d := range []struct {
		key   string
		value time.Duration
		least time.Duration
	}{
		// Without a bound a client that never ends its head holds a connection for ever.
		{"read_header_timeout", s.ReadHeaderTimeout, time.Millisecond},
		{"read_body_timeout", s.ReadBodyTimeout, time.Millisecond},
		{"write_timeout", s.WriteTimeout, time.Millisecond},
		{"idle_timeout", s.IdleTimeout, time.Millisecond},
		{"drain.delay", s.Drain.Delay, 0},
		{"drain.timeout", s.Drain.Timeout, 0},
		{"drain.streams", s.Drain.Streams, 0},
	} {
		if cmp.Less(d.value, d.least) {
			fault(d.key, fmt.Sprintf("%v is too short", d.value), "write "+max(d.least, 0).String()+" or more, such as 10s")
		}
	}
	return faults
}
