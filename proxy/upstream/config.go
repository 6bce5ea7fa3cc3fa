package upstream

import "time"

// Config is one entry of `upstreams`: one server, or several that answer alike.
type Config struct {
	// URL is where requests go: http://host:port or https://host:port,
	// unix:///path.sock for a socket file, h2c://host:port for HTTP/2 without TLS
	// (gRPC). No path (strip_prefix on a route changes paths), no query, no user.
	// With https the certificate must be valid for the host, or for tls.server_name.
	URL string `mapstructure:"url"`

	// URLs are several servers, each written like url; in its place. At most 64.
	URLs []string `mapstructure:"urls"`

	// Preset is what a legacy stack expects of the proxy in front of it:
	// django-remote-user, php, rails or spring-preauth. It adds headers that say who the
	// user is (Remote-User, X-Remote-User, SM_USER) to those of identity.headers, which win
	// where they name the same, takes such headers away from clients, and sets keep_alive
	// where that is not said. Default: none.
	Preset string `mapstructure:"preset"`

	// Balance says which of several servers gets a request: round_robin (default),
	// each in turn; least_requests, the one with the fewest in flight; sticky, the
	// same one for the same user, for anonymous requests the same one for the same
	// client address. When a server goes, only its own users move.
	Balance string `mapstructure:"balance"`

	// Health asks each server regularly whether it is well.
	Health Health `mapstructure:"health"`

	// Retry says which requests go to another server when one broke. Default,
	// "unsent": those of which nothing was sent, because no connection came about.
	// "idempotent": also GET, HEAD, OPTIONS, TRACE, PUT and DELETE whose connection
	// broke before the head of an answer, as long as nothing of a body was read.
	// Danger: then such a request may reach two servers.
	Retry string `mapstructure:"retry"`

	// MaxConnections is how many requests all servers together have at once, each
	// on a connection of its own (h2c and HTTP/2 share one), tunnels included. Default
	// 0: what a part of the open files and of the memory suffices for that leaves room for other upstreams
	// when this one hangs; thousands, unless the system allows little.
	MaxConnections int `mapstructure:"max_connections"`

	// MaxPending is how many requests wait when max_connections is reached, each for
	// at most timeouts.connect; those above are answered 503 at once. Default: as
	// many as max_connections; 0 is none.
	MaxPending *int `mapstructure:"max_pending"`

	// Timeouts bound what a request may wait for.
	Timeouts Timeouts `mapstructure:"timeouts"`

	// KeepAlive is how long an idle connection to the upstream is kept for the next
	// request; nil is the default of 1.5 s, 0 a new connection for every request.
	// It must be shorter than what the backend allows (gunicorn 2 s, Node 5 s,
	// PHP-FPM behind Apache 5 s), or requests meet connections that just died.
	KeepAlive *time.Duration `mapstructure:"keep_alive"`

	// Transport is how HTTP/1.1 is spoken with the servers. "direct" (default): each
	// request without a body is sent, and its answer read, by the one who handles it,
	// which costs a sixth less. "standard": all by net/http's own transport, which has
	// two more at work for each connection. That one has requests with a body,
	// upgrades, https and h2c in any case, over connections of its own. Servers see no difference.
	Transport string `mapstructure:"transport"`

	// Assertion sends a short token along, by which the backend can check that
	// gatehouse has let the user in. Default: none.
	Assertion Assertion `mapstructure:"assertion"`

	// TLS is for https.
	TLS TLS `mapstructure:"tls"`
}

// Health is how a server is asked whether it is well: GET path is answered with a
// status of 200 to 399. The first request to the upstream starts the asking; until
// then, and until unhealthy_after, a server counts as well.
type Health struct {
	// Path is what is asked for, such as /healthz. Default: nothing is asked. Servers
	// that break are then left out for a while all the same, where there are several.
	Path string `mapstructure:"path"`

	// Interval is the time between two questions; default 10s.
	Interval time.Duration `mapstructure:"interval"`

	// Timeout is how long an answer may take, connecting included; default 2s.
	Timeout time.Duration `mapstructure:"timeout"`

	// HealthyAfter is how many good answers in a row bring a server back; default 2.
	HealthyAfter int `mapstructure:"healthy_after"`

	// UnhealthyAfter is how many bad answers in a row take a server out; default 3.
	UnhealthyAfter int `mapstructure:"unhealthy_after"`
}

// Timeouts bound a request to an upstream. nil is the default, 0 is no bound.
// Routes and rules may say otherwise for their requests.
type Timeouts struct {
	// Connect is for name lookup, TCP and TLS together; default 5 s. It also bounds
	// how long a request waits when max_connections is reached.
	Connect *time.Duration `mapstructure:"connect"`

	// FirstByte is from the request sent, body included, to the head of the answer;
	// default 60 s.
	FirstByte *time.Duration `mapstructure:"first_byte"`

	// Idle is how long the body of an answer may pause. The head is with the client
	// by then, so the connection is cut off instead of a 504. A WebSocket through which
	// nothing passes in either direction is closed. Default 0: none, because event
	// streams and long polls are silent for as long as nothing happens.
	Idle *time.Duration `mapstructure:"idle"`
}

// Assertion is a token of at most a minute for one backend (typ
// gatehouse-assertion+jwt), signed with the key that signs and checked with
// /.well-known/jwks.json. It is never good as a token here. Say {header:
// X-Gatehouse-Assertion} to have one; anonymous requests have none.
type Assertion struct {
	// Header is what it is sent in; default X-Gatehouse-Assertion. No client can send it.
	Header string `mapstructure:"header"`

	// Audience is its aud; default: the name of the upstream.
	Audience string `mapstructure:"audience"`

	// Lifetime is how long it is good, 5s to 60s; default 30s. One that was made is
	// sent again for half of that time.
	Lifetime time.Duration `mapstructure:"lifetime"`
}

// TLS is how servers with https are spoken to. The files are read at the start.
type TLS struct {
	// CAFile holds the certificates (PEM) of the authorities that are believed about
	// the servers; default: those of the system. With it, only these.
	CAFile string `mapstructure:"ca_file"`

	// CertFile and KeyFile are the certificate (PEM, with its chain) and key by which
	// gatehouse shows who it is. Default: none.
	CertFile string `mapstructure:"cert_file"`
	KeyFile  string `mapstructure:"key_file"`

	// ServerName is the name that the certificate of the servers must be valid for,
	// and that they are asked for. Default: the host of each URL.
	ServerName string `mapstructure:"server_name"`
}

// What holds where the configuration says nothing.
const (
	DefaultConnect   = 5 * time.Second
	DefaultFirstByte = 60 * time.Second
	DefaultKeepAlive = 1500 * time.Millisecond

	DefaultHealthInterval = 10 * time.Second
	DefaultHealthTimeout  = 2 * time.Second
	DefaultHealthyAfter   = 2
	DefaultUnhealthyAfter = 3
)
