package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"gatehouse/tokens/drf"
)

// isGRPC reports whether the client reads its answer from grpc-status. grpc-web is
// another protocol.
func isGRPC(in *http.Request) bool {
	contentType := in.Header.Get("Content-Type")
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && in.Method == http.MethodPost && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// grpcStatus is what a refusal is called in gRPC; what is not here is UNKNOWN.
var grpcStatus = map[int]int{
	http.StatusBadRequest:                  13, // INTERNAL
	http.StatusUnauthorized:                16, // UNAUTHENTICATED
	http.StatusForbidden:                   7,  // PERMISSION_DENIED
	http.StatusNotFound:                    12, // UNIMPLEMENTED
	http.StatusMethodNotAllowed:            12,
	http.StatusRequestTimeout:              1, // the call was given up
	http.StatusRequestEntityTooLarge:       8, // RESOURCE_EXHAUSTED
	http.StatusRequestHeaderFieldsTooLarge: 8,
	http.StatusTooManyRequests:             14, // UNAVAILABLE
	http.StatusBadGateway:                  14,
	http.StatusServiceUnavailable:          14,
	// Not UNAVAILABLE, which clients take for "try again": the backend may be at it.
	http.StatusGatewayTimeout: 4, // DEADLINE_EXCEEDED
}

// answerGRPC says no as a gRPC server does: 200, no body, and the status in headers
// (PROTOCOL-HTTP2 of gRPC, "Trailers-Only"). A client makes little of a 401.
func answerGRPC(w http.ResponseWriter, refusal *Refusal) {
	header := w.Header()
	for name, values := range refusal.Answer.Header {
		header[name] = values // Retry-After, WWW-Authenticate
	}
	status, ok := grpcStatus[refusal.Answer.Status]
	if !ok {
		status = 2 // UNKNOWN
	}
	header["Content-Type"] = []string{"application/grpc"}
	header["Cache-Control"] = []string{"no-store"}
	header["Grpc-Status"] = []string{strconv.Itoa(status)}
	if body, ok := refusal.Answer.Body.(drf.Object); ok {
		if detail, ok := body.Get("detail"); ok {
			header["Grpc-Message"] = []string{grpcMessage(fmt.Sprint(detail))}
		}
	}
	w.WriteHeader(http.StatusOK)
}

// grpcMessage writes what is not printable ASCII, and %, as %XX.
func grpcMessage(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
