package proxy

import (
	"bufio"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"

	"gatehouse/tokens/drf"
)

// Explanation is what ServeHTTP would do with a request, and why.
type Explanation struct {
	Decision Decision
	Refusal  *Refusal // nil: it is answered here, or forwarded

	// Outgoing is what the upstream would receive: its Host, its headers, and in
	// Target the bytes of the request target. Nil where nothing is forwarded.
	Outgoing *http.Request
	Target   string // "/old/%C3%A4?q=1"
	Upstream string // name of the upstream, or ""

	// Removed are the headers of the client that the upstream does not get, Added those
	// that it gets and the client did not send so. Sorted by name.
	Removed, Added []HeaderLine
}

// HeaderLine is one value of a header.
type HeaderLine struct{ Name, Value string }

// Outcome is one word for what becomes of the request: "upstream", "gatehouse" (an endpoint of
// its own), or the reason of the refusal.
func (e *Explanation) Outcome() string {
	switch {
	case e.Refusal != nil:
		return e.Refusal.Reason
	case e.Decision.local != nil:
		return "gatehouse"
	}
	return "upstream"
}

// Answer is the body that a refused client reads, or "".
func (e *Explanation) Answer() string {
	if e.Refusal == nil || e.Refusal.Answer.Body == nil {
		return ""
	}
	return string(drf.AppendJSON(nil, e.Refusal.Answer.Body))
}

// Explain decides about a request as ServeHTTP does, by the same code, and does
// nothing: no upstream is asked, nothing is logged or counted. What an upstream
// would answer it cannot know.
func (g *Gateway) Explain(in *http.Request) *Explanation {
	e := &Explanation{}
	refusal := g.consider(in, &e.Decision, false)
	d := &e.Decision
	e.Refusal = refusal
	if refusal != nil || d.local != nil {
		return e
	}
	e.Upstream = d.upstream.Name()
	e.Outgoing = g.outgoing(in, d)
	e.Target = e.Outgoing.URL.RequestURI()
	e.Removed = missing(in.Header, e.Outgoing.Header)
	e.Added = missing(e.Outgoing.Header, in.Header)
	return e
}

// outgoing is what ReverseProxy would hand to the transport.
func (g *Gateway) outgoing(in *http.Request, d *Decision) *http.Request {
	var asked *http.Request
	proxy := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) { g.rewrite(d, in, pr.Out, new(sent)) },
		Transport: roundTripFunc(func(out *http.Request) (*http.Response, error) {
			asked = out
			return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: out}, nil
		}),
		ErrorLog: g.errorLog,
	}
	bare := new(http.Request)
	bared(bare, in)
	proxy.ServeHTTP(nowhere{header: http.Header{}}, bare)
	return asked
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(out *http.Request) (*http.Response, error) { return f(out) }

// nowhere is a ResponseWriter that nobody reads.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// missing are the header lines of a that b does not have.
func missing(a, b http.Header) []HeaderLine {
	var lines []HeaderLine
	for _, name := range slices.Sorted(maps.Keys(a)) {
		for _, value := range a[name] {
			// Empty is how ReverseProxy keeps net/http from naming itself.
			if value != "" && !slices.Contains(b[name], value) {
				lines = append(lines, HeaderLine{name, value})
			}
		}
	}
	return lines
}

// ReadRequest makes a request for Explain by the parser of the server itself, so that
// the bytes of the target count as they would on the wire. lines are "Name: value".
func ReadRequest(method, target, host string, lines []string) (*http.Request, error) {
	var text strings.Builder
	text.WriteString(method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, line := range lines {
		text.WriteString(line + "\r\n")
	}
	text.WriteString("\r\n")
	return http.ReadRequest(bufio.NewReader(strings.NewReader(text.String())))
}
