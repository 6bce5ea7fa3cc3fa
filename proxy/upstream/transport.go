package upstream

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Bounds that are not worth a key.
const (
	// maxIdle is how many unused connections are kept for one upstream: enough that
	// a thousand clients in turn do not each pay for a connection.
	maxIdle = 512

	// maxAnswerHead bounds the head of an answer, informational ones included. No
	// browser takes as much.
	maxAnswerHead = 256 << 10

	// continueWait is how long a body is held back when the client asked to be told
	// whether it is wanted (Expect: 100-continue) and the upstream stays silent.
	continueWait = time.Second
)

type limits struct {
	connect, firstByte, keepAlive time.Duration // 0: none
}

// newTransport makes a transport of its own for an upstream, so that one with all
// its connections stuck takes nothing from another.
func newTransport(scheme string, limits limits) *http.Transport {
	dialer := &net.Dialer{Timeout: limits.connect, KeepAlive: 15 * time.Second}
	return &http.Transport{
		// Proxy stays nil: where requests go is said in the file and nowhere else.
		DialContext:         dialer.DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: limits.connect,
		ForceAttemptHTTP2:   scheme == "https",

		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     limits.keepAlive,
		DisableKeepAlives:   limits.keepAlive == 0,

		ResponseHeaderTimeout:  limits.firstByte,
		ExpectContinueTimeout:  continueWait,
		MaxResponseHeaderBytes: maxAnswerHead,

		// The client and the backend agree on encodings; bodies pass as they are.
		DisableCompression: true,
	}
}
