package wire

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"syscall"
	"time"

	"gatehouse/proxy/socket"
)

// conn is a connection. One request at a time uses it, or the pool has it.
type conn struct {
	net    net.Conn
	io     io.ReadWriter // net, or its stream
	of     *Transport
	br     *bufio.Reader
	head   []byte // room for that of a request
	unsent []byte // the head of a request, which the next Read is to send before
	hang   func() // closes it, from whatever goroutine

	watched watched     // for a request that is canceled
	unwatch func() bool // watch.end

	limit  int64     // bytes that may still be read
	sawEnd bool      // the server has closed its side
	until  time.Time // when a read ends; zero: never
	wrote  bool      // something of this request
	used   bool      // by a request before this one

	stream *socket.Stream  // of net; nil: there is none
	raw    syscall.RawConn // nil, and no stream: it cannot be looked at, and is not used again
	peeked error           // what look has seen
	look   func(fd uintptr)
	since  time.Time // unused
}

// keptHead is how large the room for a head is that a connection keeps, in bytes.
const keptHead = 4 << 10

func (t *Transport) newConn(n net.Conn) *conn {
	c := &conn{net: n, io: n, of: t, stream: socket.Of(n)}
	if c.stream != nil {
		c.io = c.stream
	}
	c.br = bufio.NewReader(c)
	c.hang = func() { _ = n.Close() }
	c.unwatch = func() bool { return t.watch.end(c) }
	c.watchable()
	return c
}

// Read is for br.
func (c *conn) Read(p []byte) (int, error) {
	if c.limit <= 0 {
		return 0, ErrHeadTooLarge
	}
	if int64(len(p)) > c.limit {
		p = p[:c.limit]
	}
	n, err := c.receive(p)
	if err == io.EOF { //nolint:errorlint // io.Reader's own
		c.sawEnd = true
	}
	c.limit -= int64(n)
	return n, err
}

// receive reads, and where a request is to be sent with it, sends that before.
func (c *conn) receive(p []byte) (n int, err error) {
	if len(c.unsent) == 0 {
		return c.io.Read(p)
	}
	var written int
	written, n, err = c.stream.Ask(c.unsent, p)
	c.wrote, c.unsent = written > 0, nil
	return n, err
}

// send writes the head of a request. On a connection that was used before, that is left to the
// first Read, which saves looking for an answer that cannot be there yet. A fresh one
// is read from as it is: a server may have said something before it was asked.
func (c *conn) send(req *http.Request, fields []field) error {
	head := appendHead(c.head[:0], req, fields)
	c.head = nil
	if cap(head) <= keptHead {
		c.head = head
	}
	if c.used && c.stream != nil {
		c.unsent = head
		return nil
	}
	n, err := c.io.Write(head)
	c.wrote = n > 0
	return err
}

// exchange sends a request and reads the head of its answer. After an error the
// connection is closed.
func (c *conn) exchange(ctx context.Context, req *http.Request, fields []field) (*http.Response, error) {
	c.wrote, c.limit = false, c.of.cfg.MaxHead
	// Not a deadline in the past: that could still be set when another request has the connection.
	c.of.watch.begin(ctx, c)
	answer, err := c.ask(ctx, req, fields)
	if err != nil {
		c.unwatch()
		c.hang()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	c.limit = math.MaxInt64
	c.deliver(ctx, req, answer, c.unwatch)
	return answer, nil
}

// ask writes the request and reads heads until one that is not informational.
func (c *conn) ask(ctx context.Context, req *http.Request, fields []field) (*http.Response, error) {
	if err := c.send(req, fields); err != nil {
		return nil, &unansweredError{err}
	}
	if err := c.hurry(c.of.cfg.FirstByte); err != nil {
		return nil, &unansweredError{err}
	}
	if _, err := c.br.Peek(1); err != nil {
		if isTimeout(err) {
			return nil, ErrFirstByte
		}
		return nil, &unansweredError{err}
	}
	for {
		answer, err := http.ReadResponse(c.br, req)
		switch {
		case err == nil:
		case c.limit <= 0:
			return nil, ErrHeadTooLarge
		case isTimeout(err):
			return nil, ErrFirstByte
		default:
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if answer.StatusCode > 199 || answer.StatusCode < 100 || answer.StatusCode == http.StatusSwitchingProtocols {
			return answer, nil
		}
		if trace := httptrace.ContextClientTrace(ctx); trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(answer.StatusCode, textproto.MIMEHeader(answer.Header)); err != nil {
				return nil, err
			}
			// Who is told of each may count them. Else they share the bound of the head.
			c.limit = c.of.cfg.MaxHead
		}
	}
}

// hurry bounds how long the head of an answer may take, to within a sixteenth. What
// is left standing of the request before is often near enough, and moving it would
// cost more than looking at the clock.
func (c *conn) hurry(bound time.Duration) error {
	if bound == 0 {
		return nil
	}
	now := time.Now()
	if c.until.Sub(now) >= bound {
		return nil
	}
	c.until = now.Add(bound + bound/16)
	return c.net.SetReadDeadline(c.until)
}

// relax takes the bound away.
func (c *conn) relax() {
	if !c.until.IsZero() {
		c.until = time.Time{}
		_ = c.net.SetReadDeadline(c.until)
	}
}

func isTimeout(err error) bool {
	late, ok := err.(net.Error) //nolint:errorlint // as the connection gave it; bufio wraps nothing
	return ok && late.Timeout()
}

// deliver gives the answer a body that brings the connection back, or brings it
// back if there is none.
func (c *conn) deliver(ctx context.Context, req *http.Request, answer *http.Response, stop func() bool) {
	again := !answer.Close && answer.StatusCode > 199
	switch {
	case answer.StatusCode == http.StatusSwitchingProtocols && switches(answer.Header):
		// Unasked, as upgrades are not sent here. Whose it is may close it.
		c.relax()
		answer.Body = &tunnel{c, stop}
	case req.Method == http.MethodHead || answer.ContentLength == 0:
		unwatched := stop()
		c.leave(again && unwatched)
	default:
		b := &body{from: answer.Body, conn: c, ctx: ctx, stop: stop, again: again}
		if !b.Whole(answer.ContentLength) {
			// Where nothing is left to be read the bound may stand until the next request.
			c.relax()
		}
		answer.Body = b
	}
}

// leave ends the use of a connection, which is kept if it may be used again and
// nothing lies in it that nobody has asked for.
func (c *conn) leave(again bool) {
	if !again || c.sawEnd || c.br.Buffered() > 0 || c.stream == nil && c.raw == nil {
		c.hang()
		return
	}
	c.of.put(c)
}

// switches is whether a 101 says that it switches protocols.
func switches(header http.Header) bool {
	for _, value := range header["Connection"] {
		for token := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(token, " \t"), "Upgrade") {
				return true
			}
		}
	}
	return false
}
