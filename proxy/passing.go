package proxy

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"gatehouse/proxy/identity"
)

// What a bared request has; nobody writes to them.
var (
	noHeader = http.Header{}
	noURL    = url.URL{}
)

// bared is a request for ReverseProxy, which copies all that it is given, takes most of
// it out again and reads the query: with the headers alone that it decides by. The others
// join behind it, in rewrite, and so does the URL. It is made in out.
//
// Its context is never done: ReverseProxy asks for no more than whether it ever will be, and
// for that a channel would be made. rewrite gives the request that is sent the context of in.
func bared(out, in *http.Request) {
	*out = *in.WithContext(context.WithoutCancel(in.Context())) // a copy of a copy, neither of them in the heap
	out.URL = &noURL
	out.Header = noHeader
	for _, name := range []string{"Connection", "Upgrade", "Te"} {
		if values := in.Header[name]; values != nil {
			if len(out.Header) == 0 {
				out.Header = http.Header{}
			}
			out.Header[name] = values
		}
	}
}

// passing are the headers of a client that ReverseProxy would pass on: all but those of
// the connection. decided are those that it has made of a bared request. Of both those
// are left out that are ours alone. There is room for so many more: a map that is made for a
// few too many takes twice the memory, and twice the time to look through. It is made in header,
// which is empty; nil is a new one.
func passing(header, sent, decided http.Header, ours func(name string) bool, room int) http.Header {
	if header == nil {
		header = make(http.Header, len(sent)+room)
	}
	named := namedByConnection(sent["Connection"])
	for name, values := range sent {
		if !isOfConnection(name) && !ours(name) && !slices.Contains(named, name) {
			header[name] = slices.Clip(values)
		}
	}
	for name, values := range decided {
		if !ours(name) {
			header[name] = values
		}
	}
	return header
}

// isRequestID tells whether a backend may take a header for the number of a request.
func isRequestID(name string) bool {
	return len(name) == len("X-Request-Id") && identity.Fold(name) == "x_request_id"
}

// isOfConnection tells whether a header never passes (RFC 2616, section 13.5.1), or is
// one of those by which others say how a request has come.
func isOfConnection(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return true
	}
	return false
}

// namedByConnection are the headers that Connection names (RFC 9110, section 7.6.1), in
// canonical form.
func namedByConnection(values []string) (names []string) {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			switch name = textproto.TrimString(name); name {
			case "", "keep-alive": // nearly always, and that is never passed
			default:
				names = append(names, textproto.CanonicalMIMEHeaderKey(name))
			}
		}
	}
	return names
}
