package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"gatehouse/proxy/upstream/wire"
)

// Failure says what kept a request from being answered by an upstream: one of the
// words below, fit for logs and metrics.
type Failure string

// The failures that are told apart.
const (
	ClientGone       Failure = "client_gone"        // the client went away first
	ConnectTimeout   Failure = "connect_timeout"    // no connection within timeouts.connect
	FirstByteTimeout Failure = "first_byte_timeout" // no head of an answer within timeouts.first_byte
	Refused          Failure = "refused"            // nothing listens there
	Unreachable      Failure = "unreachable"        // no way to the host
	NameUnknown      Failure = "name_unknown"       // the host cannot be looked up
	TLSFailed        Failure = "tls_failed"         // certificate or protocol
	Closed           Failure = "closed"             // reset or closed before the head was complete
	Malformed        Failure = "malformed"          // what came back is not HTTP
	HeadTooLarge     Failure = "head_too_large"     // above the bound for the head of an answer
	Switched         Failure = "switched_protocol"  // a 101 that nobody asked for
	NoneHealthy      Failure = "none_healthy"       // every server is down by its health checks
	Full             Failure = "full"               // max_connections is reached, and nobody left in time
	Broken           Failure = "broken"             // anything else
)

// Timeout reports whether f is one of the timeouts: 504 for a client.
func (f Failure) Timeout() bool { return f == ConnectTimeout || f == FirstByteTimeout }

// Unavailable reports whether no server was asked: 503 for a client. What is neither
// this nor a timeout is 502.
func (f Failure) Unavailable() bool { return f == NoneHealthy || f == Full }

// ErrSwitched is for the sender to report a 101 that nobody asked for.
var ErrSwitched = errors.New("upstream switched protocol unasked")

// Explain finds the failure behind an error of a Call's RoundTrip. ctx is the
// request's: when it is done the client is gone, whatever else broke because of that.
func Explain(ctx context.Context, err error) Failure {
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return ClientGone
	}
	switch {
	case errors.Is(err, ErrSwitched):
		return Switched
	case errors.Is(err, errNoneHealthy):
		return NoneHealthy
	case errors.Is(err, errFull):
		return Full
	}
	if f, ok := explainConnecting(err); ok {
		return f
	}
	switch text := err.Error(); {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		// net/http gives no type to these.
		strings.Contains(text, "server closed idle connection"):
		return Closed
	case errors.Is(err, wire.ErrHeadTooLarge), strings.Contains(text, "server response headers exceeded"):
		return HeadTooLarge
	case errors.Is(err, wire.ErrMalformed), strings.Contains(text, "transport connection broken"), strings.Contains(text, "malformed HTTP"):
		// Not by the network, as that was above: by what was read.
		return Malformed
	}
	// After the connecting is ruled out, one clock is left.
	if isTimeout(err) {
		return FirstByteTimeout
	}
	return Broken
}

// explainConnecting finds the failures of getting a connection.
func explainConnecting(err error) (Failure, bool) {
	op, dialing := errors.AsType[*net.OpError](err)
	dialing = dialing && op.Op == "dial"
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsTimeout {
			return ConnectTimeout, true
		}
		return NameUnknown, true
	}
	switch {
	case dialing && isTimeout(err), strings.Contains(err.Error(), "TLS handshake timeout"):
		return ConnectTimeout, true
	case errors.Is(err, syscall.ECONNREFUSED), dialing && errors.Is(err, syscall.ENOENT): // no socket file
		return Refused, true
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unreachable, true
	case isTLS(err):
		return TLSFailed, true
	case dialing:
		return Unreachable, true
	}
	return "", false
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

// isTLS finds what crypto/tls and crypto/x509 report while shaking hands.
func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	return verification || record || alert || authority || hostname ||
		strings.Contains(err.Error(), "tls: ") ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
