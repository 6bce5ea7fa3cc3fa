package proxy

import (
	"net/http"
	"strings"

	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
)

// safe reports whether a request changes nothing (RFC 9110, section 9.2.1), so that
// it does not matter who made a browser send it. Opening a WebSocket is not safe: what
// comes behind it has no origin any more.
func safe(in *http.Request) bool {
	for name := range in.Header {
		if strings.Contains(overrides, " "+identity.Fold(name)+" ") {
			return false // a backend may take another method for it
		}
	}
	switch in.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		// Both, because a proxy in front may keep Upgrade to itself.
		return len(in.Header["Upgrade"]) == 0 && len(in.Header["Sec-Websocket-Key"]) == 0
	}
	return false
}

// fromHere reports whether a browser says that a page of this origin made it send
// the request, or one of an origin that may act with the user's cookies (cors). What
// no browser says anything about is refused: a program that is none can send its token in the header.
func (g *Gateway) fromHere(in *http.Request, d *Decision) bool {
	if d.cors != nil && d.cors.Vouches(in.Header["Origin"]) {
		return true
	}
	if site := in.Header["Sec-Fetch-Site"]; len(site) > 0 {
		// "none" is the person: an address typed in, a bookmark.
		return len(site) == 1 && (site[0] == "same-origin" || site[0] == "none")
	}
	sent := in.Header["Origin"]
	return len(sent) == 1 && sent[0] != "" && sent[0] == d.Client.origin()
}

// origin is how a browser spells the origin (RFC 6454, section 6.2) of what the
// client addressed; "" if it has none.
func (c Client) origin() string {
	host, err := route.CanonicalHost(c.Host)
	if err != nil || host == "" {
		return ""
	}
	origin := c.Scheme() + "://" + host
	if usual := map[bool]string{false: "80", true: "443"}[c.TLS]; c.Port != "" && c.Port != usual {
		origin += ":" + c.Port
	}
	return origin
}
