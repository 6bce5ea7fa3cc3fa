package drf

import (
	"net/http"
	"slices"
	"strconv"
)

// Answer is what goes back to the client: a status and a JSON object.
type Answer struct {
	Status int
	Body   any         // anything AppendJSON takes; nil is an answer without a body
	Header http.Header // more headers, or nil; they replace those of the same name
}

// Detail is the answer of everything that is refused without a code: {"detail":"…"}.
func Detail(status int, detail string) Answer {
	return Answer{Status: status, Body: Object{{"detail", detail}}}
}

// Coded is the answer of everything that is refused with a code: {"detail":"…","code":"…"}.
func Coded(status int, detail, code string) Answer {
	return Answer{Status: status, Body: Object{{"detail", detail}, {"code", code}}}
}

// NotFound is the answer for a path that leads nowhere.
func NotFound() Answer { return Detail(http.StatusNotFound, "Not found.") }

// Write sends the answer to r, in one piece and with its length. The client may have asked for an indented body in its
// Accept header. To HEAD goes everything but the body.
//
// Nothing may store an answer (Cache-Control: no-store), because it may hold a token; the original does not say so.
func (a Answer) Write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	var body []byte
	if a.Body != nil {
		h.Set("Content-Type", "application/json")
		body = encoder{indent: indentFor(r)}.value(nil, a.Body, 0)
	}
	for name, values := range a.Header {
		h[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone away cannot be told
	}
}
