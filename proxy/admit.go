package proxy

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"gatehouse/proxy/route"
)

// admit refuses what nobody should try to understand, and gives everything after
// it one reading of the request: one host, one path, one client.
func (g *Gateway) admit(in *http.Request, d *Decision) *Refusal {
	var believed bool
	d.Host = cmp.Or(in.Host, unsaidHost(in))
	d.Client, believed = g.trusted.client(in)
	d.RequestID = requestID(in.Header["X-Request-Id"], believed)

	if len(in.RequestURI) > g.maxURI {
		return refuseURI
	}
	if headSize(in) > g.maxHead {
		return refuseHead
	}
	if in.Method == http.MethodConnect {
		return refuseConnect
	}
	if !isMethod(in.Method) {
		return refuseNoMethod // HTTP/2 lets "GET /" be one
	}
	if !validHost(d.Host) {
		return refuseHost
	}
	if g.tokenHeader.twice(in.Header) {
		return refuseTwoCredentials
	}
	if !validUpgrade(in.Header["Upgrade"]) {
		return refuseUpgrade
	}
	target, refusal := originForm(in)
	if refusal != nil {
		return refusal
	}
	path, err := route.CanonicalWithSlashes(target)
	if err != nil {
		return refuseUnmatched(err)
	}
	d.Path = path
	return nil
}

// headSize is what the request line and the headers took, without what HTTP/2 saves
// on the wire.
func headSize(in *http.Request) int {
	const between = len(": \r\n")
	size := len(in.Method) + len(in.RequestURI) + len("  HTTP/1.1\r\n") + len("Host") + between + len(in.Host)
	for name, values := range in.Header {
		for _, value := range values {
			size += len(name) + between + len(value)
		}
	}
	return size
}

// unsaidHost is the host of an HTTP/1.0 request without one, as old health checks
// send it: the address that it was sent to. Routes of a host never match it.
func unsaidHost(in *http.Request) string {
	if in.ProtoAtLeast(1, 1) {
		return ""
	}
	local, _ := in.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if local == nil {
		return ""
	}
	addr := local.AddrPort()
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port()).String()
}

// originForm is the path and query of the request target as it was sent. Not
// in.URL: it has been parsed and decoded, and what it forgives would be lost.
//
// In absolute form (RFC 9112, section 3.2.2) the authority is the host, and net/http
// has put it into in.Host in place of any Host header. Here it only has to be the same bytes.
func originForm(in *http.Request) (string, *Refusal) {
	target := in.RequestURI
	if strings.HasPrefix(target, "/") {
		return target, nil
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return "", refuseTarget // "*", "host:port", "app/x"
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if rest[:end] != in.Host {
		return "", refuseHost // a user in front, or an encoding that net/http undid
	}
	if path := rest[end:]; strings.HasPrefix(path, "/") {
		return path, nil
	}
	return "/" + rest[end:], nil
}

// validUpgrade accepts what RFC 9110, section 7.8 calls a list of protocols. Other
// bytes have met backends that read them as a header of their own.
func validUpgrade(values []string) bool {
	for _, value := range values {
		for _, c := range []byte(value) {
			if c <= ' ' && c != ' ' || c >= 0x7f {
				return false
			}
		}
	}
	return true
}

// requestID is a new random one, or, from a trusted proxy, the one it chose.
func requestID(sent []string, believed bool) string {
	if id := first(sent); believed && saneID(id) {
		return id
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	var text [32]byte
	hex.Encode(text[:], random[:])
	return string(text[:])
}

func saneID(id string) bool {
	if len(id) < 8 || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.:/+=", c) >= 0:
		default:
			return false
		}
	}
	return true
}
