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
	Reason string      // why it is a refusal, one word, for those who run the server; it is not sent

	prepared []byte // Body as it is sent to who wants no indent; nil: not yet encoded
}

// Prepared is the same answer with its body encoded once for all, for one that is
// given many times. Body must not change any more.
func (a Answer) Prepared() Answer {
	if a.Body != nil {
		a.prepared = encoder{}.value(nil, a.Body, 0)
	}
	return a
}

// Detail is the answer of everything that is refused without a code: {"detail":"…"}.
func Detail(status int, detail string) Answer {
	return Answer{Status: status, Body: Object{{"detail", detail}}}
}

// Coded is the answer of everything that is refused with a code: {"detail":"…","code":"…"}.
func Coded(status int, detail, code string) Answer {
	return Answer{Status: status, Body: Object{{"detail", detail}, {"code", code}}}
}

// Write sends the answer to r, in one piece and with its length. The client may have asked for an indented body in its
// Accept header. To HEAD goes everything but the body.
//
// Nothing may store an answer (Cache-Control: no-store), because it may hold a token; the original does not say so.
func (a Answer) Write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// One value each, in one piece of memory; the capacities keep them apart.
	all := []string{"no-store", "nosniff", "DENY", "same-origin", "application/json", ""}
	h["Cache-Control"] = all[0:1:1]
	h["X-Content-Type-Options"] = all[1:2:2]
	h["X-Frame-Options"] = all[2:3:3]
	h["Referrer-Policy"] = all[3:4:4]
	var body []byte
	if a.Body != nil {
		h["Content-Type"] = all[4:5:5]
		if indent := indentFor(r); indent == 0 && a.prepared != nil {
			body = a.prepared
		} else {
			body = encoder{indent: indent}.value(nil, a.Body, 0)
		}
	}
	for name, values := range a.Header {
		h[http.CanonicalHeaderKey(name)] = slices.Clone(values)
	}
	all[5] = strconv.Itoa(len(body))
	h["Content-Length"] = all[5:]
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that has gone away cannot be told
	}
}
