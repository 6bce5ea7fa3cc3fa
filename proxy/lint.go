package proxy

import (
	"errors"
	"fmt"
	"slices"

	"gatehouse/proxy/route"
)

// Lint joins what is allowed in cfg, of which the Gateway was made, and seldom meant; each has
// a Field method with its place in the file.
func (g *Gateway) Lint(cfg Config) error {
	var found []error
	for i, entry := range cfg.Server.TrustedProxies {
		if network, fault := parseNetwork(entry); entry != "unix" && fault == nil && network.Bits() == 0 {
			found = append(found, &Fault{
				At:      fmt.Sprintf("server.trusted_proxies[%d]", i),
				Problem: entry + " is everybody, so that each client chooses the address, the host and the scheme under which it is logged, limited and matched",
				Fix:     "write the networks of your proxies alone",
			})
		}
	}
	asks := func(row route.Row) bool {
		return row.Policy.Level == route.Optional || row.Policy.Level == route.Required
	}
	if rows := g.table.Rows(); len(cfg.Identity.Headers) > 0 && len(rows) > 0 && !slices.ContainsFunc(rows, asks) {
		found = append(found, &Fault{
			At:      "identity.headers",
			Problem: "no route looks at tokens, since all are public or deny, and so no upstream is told of these headers",
			Fix:     "write auth: optional or required where users should be known",
		})
	}
	for _, fault := range g.table.Lint() {
		found = append(found, fault)
	}
	return errors.Join(found...)
}
