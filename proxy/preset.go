package proxy

import (
	"fmt"
	"strings"

	"gatehouse/proxy/identity"
	"gatehouse/proxy/upstream"
)

// preset returns the settings of an upstream with what its preset says where they
// say nothing, and the headers for it, which are nil where it has no preset.
func (g *Gateway) preset(name string, cfg Config) (upstream.Config, *identity.Headers, error) {
	settings := cfg.Upstreams[name]
	if settings.Preset == "" {
		return settings, nil, nil
	}
	preset, ok := identity.PresetOf(settings.Preset)
	if !ok {
		return settings, nil, &Fault{
			At: "upstreams." + name + ".preset", Problem: fmt.Sprintf("no preset is called %q", settings.Preset),
			Fix: "write one of " + strings.Join(identity.PresetNames(), ", "),
		}
	}
	if settings.KeepAlive == nil && preset.KeepAlive > 0 {
		settings.KeepAlive = &preset.KeepAlive
	}
	headers, err := identity.NewWith(cfg.Identity, preset)
	if err != nil {
		return settings, nil, nil //nolint:nilerr // New tells the faults of the section itself
	}
	return settings, headers, nil
}

// headersFor are the identity headers of an upstream, by its name in lower case.
func (g *Gateway) headersFor(upstream string) *identity.Headers {
	if headers := g.identities[upstream]; headers != nil {
		return headers
	}
	return g.identity
}
