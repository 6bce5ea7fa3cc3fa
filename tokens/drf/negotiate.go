package drf

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

var jsonType = mediaType{main: "application", sub: "json"}

// refuseAccept looks at what the client wants to receive: `?format=` and the Accept header. It returns nil if that is JSON.
func refuseAccept(r *http.Request) *Answer {
	if format := lastValue(r.URL.RawQuery, "format"); format != "" && format != "json" {
		return refuse(http.StatusNotFound, "Not found.")
	}
	if _, ok := accepted(r); !ok {
		return refuse(http.StatusNotAcceptable, "Could not satisfy the request Accept header.")
	}
	return nil
}

// accepted returns the item of the Accept header that is answered with JSON: the most specific one, and of several the
// first. `q` is ignored, as the framework does.
func accepted(r *http.Request) (mediaType, bool) {
	values, sent := r.Header["Accept"]
	if !sent {
		return mediaType{main: "*", sub: "*"}, true
	}
	var best mediaType
	rank := -1
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if m := parseMediaType(item); m.matches(jsonType) && m.rank() > rank {
			best, rank = m, m.rank()
		}
	}
	return best, rank >= 0
}

// indentFor returns how many spaces per level the client wants: `Accept: application/json; indent=4`. At most 8; 0 is a
// compact body.
func indentFor(r *http.Request) int {
	if !speaksOfIndent(r.Header["Accept"]) {
		return 0 // as nearly all
	}
	if refuseAccept(r) != nil {
		return 0 // the refusal itself is rendered without regard to what was asked for
	}
	m, _ := accepted(r)
	n, err := strconv.Atoi(trim(m.params["indent"]))
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return min(max(n, 0), 8)
}

// WantsIndent tells whether a client wants another body than the compact one.
func WantsIndent(r *http.Request) bool { return indentFor(r) > 0 }

// speaksOfIndent is false only where no value can hold the parameter.
func speaksOfIndent(values []string) bool {
	const word = "indent"
	for _, value := range values {
		for i := range max(0, len(value)-len(word)+1) {
			if strings.EqualFold(value[i:i+len(word)], word) {
				return true
			}
		}
	}
	return false
}
