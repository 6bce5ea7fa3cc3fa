package proxy

import (
	"context"
	"net"
	"net/http"
	"time"
)

// connectionKey is where a request's context has its connection.
type connectionKey struct{}

// connection is what is known of a client's connection beyond one request. Of HTTP/1
// one request at a time has it.
type connection struct {
	until time.Time // its write deadline; zero: none that is known
}

// ConnContext is for http.Server: with it a deadline that the last answer on a
// connection has left is not set anew while it is near enough. It is not needed.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, new(connection))
}

// writeDeadline is where the write deadline of the request is kept.
func writeDeadline(in *http.Request) *time.Time {
	if in.ProtoMajor == 1 {
		if c, ok := in.Context().Value(connectionKey{}).(*connection); ok {
			return &c.until
		}
	}
	return new(time.Time) // streams of HTTP/2 have one each
}
