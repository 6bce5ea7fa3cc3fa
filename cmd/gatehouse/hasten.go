package main

import (
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"gatehouse/tokens"
)

// bodyTime is how long a client may take for the whole body of a request to a
// token endpoint. Such a body is a few hundred bytes; the gateway's bound on each
// pause alone would let one letter now and then hold a connection for hours.
const bodyTime = 15 * time.Second

// hasten puts bodyTime before each endpoint.
func hasten(endpoints []tokens.Endpoint) []tokens.Endpoint {
	endpoints = slices.Clone(endpoints)
	for i, endpoint := range endpoints {
		endpoints[i].Handler = http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
			if in.Body != nil && in.Body != http.NoBody {
				in.Body = &hastenedBody{in.Body, time.Now().Add(bodyTime)}
			}
			endpoint.Handler.ServeHTTP(w, in)
		})
	}
	return endpoints
}

type hastenedBody struct {
	io.ReadCloser
	until time.Time
}

// Read fails once the time is over. A read that waits is ended by the gateway's own bound.
func (b *hastenedBody) Read(p []byte) (int, error) {
	if time.Now().After(b.until) {
		return 0, os.ErrDeadlineExceeded
	}
	return b.ReadCloser.Read(p)
}
