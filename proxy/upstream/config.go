package upstream

import "time"

// Config is one entry of `upstreams`.
type Config struct {
	// URL is where requests go: http:// or https://, a host and, unless it is 80 or
	// 443, a port. No path (strip_prefix on a route changes paths), no query, no
	// user. With https the certificate must be valid for the host.
	URL string `mapstructure:"url"`

	// Timeouts bound what a request may wait for.
	Timeouts Timeouts `mapstructure:"timeouts"`

	// KeepAlive is how long an idle connection to the upstream is kept for the next
	// request; nil is the default of 1.5 s, 0 a new connection for every request.
	// It must be shorter than what the backend allows (gunicorn 2 s, Node 5 s,
	// PHP-FPM behind Apache 5 s), or requests meet connections that just died.
	KeepAlive *time.Duration `mapstructure:"keep_alive"`
}

// Timeouts bound a request to an upstream. nil is the default, 0 is no bound.
type Timeouts struct {
	// Connect is for name lookup, TCP and TLS together; default 5 s.
	Connect *time.Duration `mapstructure:"connect"`

	// FirstByte is from the request sent, body included, to the head of the answer;
	// default 60 s. A body may then take as long as it likes: streams are not cut.
	FirstByte *time.Duration `mapstructure:"first_byte"`
}

// What holds where the configuration says nothing.
const (
	DefaultConnect   = 5 * time.Second
	DefaultFirstByte = 60 * time.Second
	DefaultKeepAlive = 1500 * time.Millisecond
)
