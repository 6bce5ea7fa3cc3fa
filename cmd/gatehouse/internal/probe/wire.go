package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Target is the backend, and what is known of it. Timeout must be positive.
type Target struct {
	Network string      // "tcp" or "unix"
	Address string      // host:port, or the path of a socket file
	TLS     *tls.Config // nil: none
	Host    string      // what the Host header says
	Echo    string      // a path that answers with the headers that it received, or ""
	Path    string      // a path that exists, best one that wants to know its user; "" is Echo, or /
	Headers []string    // that name the user
	User    string      // whom they name; best one that the backend knows
	Timeout time.Duration
	Write   bool // POST may be sent too

	// Managed tells whether a gateway in front keeps clients from sending a header of
	// this spelling.
	Managed func(name string) bool
	// Head is the size of the largest head that the gateway lets through, in bytes; 0: unknown.
	Head int
}

// maxAnswer is how much of an answer is looked at.
const maxAnswer = 256 << 10

// answer is what came back, if anything did.
type answer struct {
	status   int
	location string
	body     string
}

// line is a header as it is sent.
type line struct{ name, value string }

// head makes a request without a body.
func (t *Target) head(method, path string, lines ...line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gatehouse-doctor\r\nAccept: */*\r\n", method, path, t.Host)
	closing := true
	for _, l := range lines {
		fmt.Fprintf(&b, "%s: %s\r\n", l.name, l.value)
		closing = closing && l.name != "Connection"
	}
	if closing {
		b.WriteString("Connection: close\r\n")
	}
	return b.String() + "\r\n"
}

func (t *Target) get(ctx context.Context, path string, lines ...line) (answer, error) {
	return t.exchange(ctx, t.head(http.MethodGet, path, lines...))
}

func (t *Target) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: t.Timeout}
	if t.TLS != nil {
		return (&tls.Dialer{NetDialer: &dialer, Config: t.TLS}).DialContext(ctx, t.Network, t.Address)
	}
	return dialer.DialContext(ctx, t.Network, t.Address)
}

// exchange sends bytes and reads one answer.
func (t *Target) exchange(ctx context.Context, raw string) (answer, error) {
	conn, err := t.dial(ctx)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	_ = conn.SetDeadline(time.Now().Add(t.Timeout))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write([]byte(raw)) // a server may answer and close before it has read all of a large head
	}()
	a, err := receive(conn)
	_ = conn.SetDeadline(time.Now())
	<-sent
	return a, err
}

func receive(conn net.Conn) (answer, error) {
	in, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = in.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(in.Body, maxAnswer)) // part of it is enough
	return answer{in.StatusCode, in.Header.Get("Location"), string(bytes.ToValidUTF8(body, []byte("?")))}, nil
}

// outcome says an exchange in a few words.
func outcome(a answer, err error) string {
	switch {
	case err == nil:
		return fmt.Sprintf("answered with %d", a.status)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	default:
		return "the connection was closed"
	}
}
