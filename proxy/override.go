package proxy

import (
	"net/http"
	"strings"

	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
)

// overrides are headers, folded, in which frameworks (Rack, Symfony, Spring, Express)
// take another method than the one that was sent.
const overrides = " x_http_method_override x_http_method x_method_override "

// sameForOverride reports whether a request fares alike under the method that a
// header asks for: DELETE in a POST must not pass by the rule for POST. One that
// means nothing else passes as it is, header and all.
func (g *Gateway) sameForOverride(in *http.Request, host string, path route.Path, match route.Match) bool {
	for name, values := range in.Header {
		if len(name) < len("x_http_method") || name[0]|0x20 != 'x' || !strings.Contains(overrides, " "+identity.Fold(name)+" ") {
			continue
		}
		for _, value := range values {
			for method := range strings.SplitSeq(value, ",") {
				other, err := g.table.Match(host, path, strings.ToUpper(strings.TrimSpace(method)))
				if err != nil || !other.Same(match) {
					return false
				}
			}
		}
	}
	return true
}
