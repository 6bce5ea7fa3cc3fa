package proxy

import (
	"time"

	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

// Config is what an operator may say about forwarding; its fields are sections of the file.
type Config struct {
	Server    Server                     `mapstructure:"server"`
	Identity  identity.Config            `mapstructure:"identity"`
	Upstreams map[string]upstream.Config `mapstructure:"upstreams"`
	Routes    []route.Config             `mapstructure:"routes"`
}

// Server is the `server` section.
type Server struct {
	Listen            string        `mapstructure:"listen"`              // host:port; default ":8080"
	TrustedProxies    []string      `mapstructure:"trusted_proxies"`     // CIDRs or addresses whose X-Forwarded-* is believed; default none
	MaxHeaderBytes    Bytes         `mapstructure:"max_header_bytes"`    // request line and headers; default 32KiB
	MaxBody           Bytes         `mapstructure:"max_body"`            // request body; default 64MiB, 0 none
	ReadHeaderTimeout time.Duration `mapstructure:"read_header_timeout"` // default 10s
	IdleTimeout       time.Duration `mapstructure:"idle_timeout"`        // client keep-alive; default 120s
	Drain             Drain         `mapstructure:"drain"`
}

// Drain is how the server stops.
type Drain struct {
	Delay   time.Duration `mapstructure:"delay"`   // still serving while readiness is off; default 0s
	Timeout time.Duration `mapstructure:"timeout"` // for what is in flight; default 25s
}
