package upstream

import "time"

// Config is one entry of `upstreams`.
type Config struct {
	// URL is where requests go: http:// or https://, a host, a port, no path.
	URL      string   `mapstructure:"url"`
	Timeouts Timeouts `mapstructure:"timeouts"`
	// KeepAlive is how long an idle connection is kept; nil is the default 1.5 s,
	// below what the usual backends allow (gunicorn 2 s, Node 5 s).
	KeepAlive *time.Duration `mapstructure:"keep_alive"`
}

// Timeouts bound a request to an upstream. nil is the default, 0 is none.
type Timeouts struct {
	Connect   *time.Duration `mapstructure:"connect"`    // default 5 s
	FirstByte *time.Duration `mapstructure:"first_byte"` // default 60 s: from the request sent to the head of the answer
}
