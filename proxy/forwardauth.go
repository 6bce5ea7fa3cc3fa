package proxy

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
)

// AuthCheck is the endpoint that other proxies ask whether a request may pass:
// nginx's auth_request, forwardAuth of Traefik, forward_auth of Caddy, ext_authz of
// Envoy over HTTP. The answer is that of the route table, as if the request had come here.
type AuthCheck struct {
	// From are the addresses and networks of the proxies that may ask; the word unix is
	// whoever connects to a socket file. Default none: there is no such endpoint.
	// Danger: they say themselves which request it is about.
	From []string `mapstructure:"from"`

	// Path is where they ask; default /auth/check. No route reaches it.
	Path string `mapstructure:"path"`

	// URLFrom is where they say what the request was, and the one place that is believed:
	// x-forwarded (X-Forwarded-Method, -Proto, -Host and -Uri: Traefik, Caddy),
	// x-original (X-Original-URL, a whole URL, and X-Original-Method: nginx), or path (its
	// own method and host, and what stands behind the path of this endpoint: Envoy).
	// Required where from is said. Danger: the proxy must set all of them itself, and
	// let none of a client's through.
	URLFrom string `mapstructure:"url_from" words:"x-forwarded x-original path"`

	// Redirect answers a browser that is to log in (login_url) with 302, for proxies
	// that hand the answer on. Default false: 401, with the way in Location, because nginx
	// takes a 302 for a failure.
	Redirect bool `mapstructure:"redirect"`
}

// checker is a compiled AuthCheck; nil is no endpoint.
type checker struct {
	from     Peers
	path     string
	urlFrom  string
	redirect bool
}

func newChecker(cfg AuthCheck) (*checker, []error) {
	const at = "server.auth_check"
	c := &checker{path: cfg.Path, urlFrom: cfg.URLFrom, redirect: cfg.Redirect}
	if len(cfg.From) == 0 {
		if cfg.URLFrom != "" || cfg.Redirect {
			return nil, []error{&Fault{At: at + ".from", Problem: "nobody may ask", Fix: "name the proxies that do, such as 10.42.0.0/16, or take auth_check out"}}
		}
		return nil, nil
	}
	var faults []error
	c.from, faults = ParsePeers(at+".from", cfg.From)
	path, err := route.Canonical(cfg.Path)
	if err != nil || path.Changed || path.Target() != cfg.Path || path.RawQuery != "" || len(cfg.Path) < 2 || strings.HasSuffix(cfg.Path, "/") {
		faults = append(faults, &Fault{At: at + ".path", Problem: fmt.Sprintf("%q is no path for the endpoint", cfg.Path), Fix: "write one without a slash at its end, such as /auth/check"})
	}
	switch c.urlFrom {
	case "x-forwarded", "x-original", "path":
	case "":
		faults = append(faults, &Fault{At: at, Problem: "it is not said where the proxies say what the request was", Fix: "write url_from: x-forwarded (Traefik, Caddy), x-original (nginx) or path (Envoy)"})
	default:
		faults = append(faults, &Fault{At: at + ".url_from", Problem: fmt.Sprintf("there is no place %q", c.urlFrom), Fix: "write x-forwarded, x-original or path"})
	}
	return c, faults
}

// asked reports whether a request is a question. It looks at the bytes of the target: behind
// the path may stand the target of somebody else, which no one has looked at yet. Every other
// spelling of the path is answered 404.
func (c *checker) asked(in *http.Request) bool {
	if c == nil {
		return false
	}
	rest, ok := strings.CutPrefix(in.RequestURI, c.path)
	return ok && (rest == "" || rest[0] == '?' || c.urlFrom == "path" && rest[0] == '/')
}

// What stands against a question itself, before any route is looked at.
var (
	refuseCheckPeer     = refusal(http.StatusForbidden, "check_peer", permissionDetail)
	refuseCheckURL      = refusal(http.StatusForbidden, "check_url", "It is not said, or said in two ways, which request this is about.")
	refuseCheckPath     = refusal(http.StatusForbidden, "check_path", "The path has dot segments or doubled slashes, which backends read in different ways.")
	refuseCheckIdentity = refusal(http.StatusForbidden, "check_identity", "The request has a header that only the gateway may set.")
)

// check decides about the request that a proxy asks about, by the same steps as for
// one that came here. original is that request; the question itself where there is none.
func (g *Gateway) check(in *http.Request, d *Decision) (original *http.Request, refusal *Refusal) {
	*d = Decision{Host: in.Host, Check: true, RequestID: requestID(nil, false)}
	d.Client, _ = g.trusted.client(in)
	peer, err := netip.ParseAddrPort(in.RemoteAddr)
	known := err == nil && g.checker.from.holds(peer.Addr().Unmap().WithZone(""))
	if !known && (err == nil || !g.checker.from.unix || ours(in) != "unix") {
		return in, refuseCheckPeer
	}
	original = g.checker.original(in)
	if original == nil {
		return in, refuseCheckURL
	}
	*d = Decision{}
	refusal = g.consider(original, d, true)
	d.Check = true
	switch {
	case refusal != nil:
	case d.local != nil:
		// Whoever would serve the token endpoints in our place would get the passwords.
		refusal = refuseNoRoute
	case d.Path.Changed:
		// It was decided where the path leads, and the proxy forwards it as it was sent.
		refusal = refuseCheckPath
	case g.checker.claimed(in.Header, d.headers):
		refusal = refuseCheckIdentity
	}
	return original, refusal
}

// claimed reports whether a client has sent what we would take out if we forwarded
// the request: here we cannot, and a proxy that copies our headers by their names would
// leave X_User_Id beside X-User-Id, and X-Rewrite-Url where it is. What proxies say
// about where a request comes from is theirs, in the spelling that they use.
func (c *checker) claimed(header http.Header, managed *identity.Headers) bool {
	theirs := func(name string) bool {
		return identity.OfProxies(name) && (name != "X-Original-Url" || c.urlFrom == "x-original")
	}
	for sent := range header {
		if managed.Sets(sent) || managed.Managed(sent) && !theirs(sent) {
			return true
		}
	}
	return false
}

// original is the request that a question is about; nil if that is not said, or not
// clearly. All that speaks about an address is taken out of it, so that nothing but
// the one place counts.
func (c *checker) original(in *http.Request) *http.Request {
	var scheme, method, host, target string
	switch c.urlFrom {
	case "x-forwarded":
		scheme, method = only(in.Header["X-Forwarded-Proto"]), only(in.Header["X-Forwarded-Method"])
		host, target = only(in.Header["X-Forwarded-Host"]), only(in.Header["X-Forwarded-Uri"])
		// How Traefik calls the handshake of a WebSocket.
		scheme = strings.Replace(scheme, "ws", "http", 1)
	case "x-original":
		method = only(in.Header["X-Original-Method"])
		whole := only(in.Header["X-Original-Url"])
		var ok bool
		scheme, whole, ok = strings.Cut(whole, "://")
		slash := strings.IndexByte(whole, '/')
		if !ok || slash < 0 {
			return nil
		}
		host, target = whole[:slash], whole[slash:]
		if also := in.Header["X-Original-Uri"]; also != nil && only(also) != target {
			return nil
		}
	case "path":
		method, host = in.Method, in.Host
		target = strings.TrimPrefix(in.RequestURI, c.path)
		scheme = "http"
		if in.TLS != nil {
			scheme = "https"
		}
		if said := in.Header["X-Forwarded-Proto"]; said != nil {
			scheme = only(said)
		}
	}
	if scheme != "http" && scheme != "https" || !isMethod(method) || !validHost(host) || !strings.HasPrefix(target, "/") {
		return nil
	}
	original := in.WithContext(in.Context())
	original.Method, original.Host, original.RequestURI = method, host, target
	original.URL = &url.URL{Path: "/"} // nothing is decided by it
	original.Body, original.ContentLength, original.TransferEncoding = http.NoBody, 0, nil
	original.TLS = nil
	if scheme == "https" {
		original.TLS = &tls.ConnectionState{}
	}
	original.Header = make(http.Header, len(in.Header))
	for name, values := range in.Header {
		folded := identity.Fold(name)
		switch {
		case name == "X-Forwarded-For", name == "X-Request-Id":
		case strings.HasPrefix(folded, "x_forwarded_"), strings.HasPrefix(folded, "x_original_"):
			continue
		case folded == "access_control_request_method":
			continue // a preflight is the proxy's to answer; here it is an OPTIONS
		}
		original.Header[name] = values
	}
	return original
}

// only is the value of a header that must be there once, and not be a list.
func only(values []string) string {
	if len(values) != 1 || strings.ContainsAny(values[0], " \t") {
		return ""
	}
	return values[0]
}

// isMethod: a token, RFC 9110, section 9.1.
func isMethod(s string) bool {
	switch s {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// answerCheck is 200 with the identity headers, all of them, so that a proxy which
// copies them writes over whatever a client has sent under these names; or 401 or 403.
// Nothing else: proxies take other answers for a failure, and some let a failure pass.
func (g *Gateway) answerCheck(w http.ResponseWriter, in, original *http.Request, d *Decision, refusal *Refusal) {
	if refusal == nil {
		header := w.Header()
		for _, name := range d.headers.Names() {
			header[name] = []string{d.Identity.Get(name)} // or none
		}
		header.Set("X-Request-Id", d.RequestID)
		header.Set("Cache-Control", "no-store")
		header.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return
	}
	refusal = d.withCORS(original, refusal)
	answer := refusal.Answer
	answer.Header = answer.Header.Clone()
	switch {
	case answer.Status == http.StatusUnauthorized:
	case answer.Status == http.StatusFound && g.checker.redirect:
	case answer.Status == http.StatusFound:
		answer.Status = http.StatusUnauthorized
		answer.Header.Set("Www-Authenticate", g.challenge)
	default:
		answer.Status = http.StatusForbidden
	}
	answer.Header.Del("Connection")
	answer.Write(w, in)
}
