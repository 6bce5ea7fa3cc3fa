package wire

import (
	"context"
	"errors"
	"io"
	"sync"
)

// body is the body of an answer. Its Close may come from another goroutine, to end
// a Read that waits.
type body struct {
	from  io.ReadCloser // what ReadResponse made
	conn  *conn
	ctx   context.Context //nolint:containedctx // it is the request's, and ends Read
	stop  func() bool     // watching ctx
	again bool            // the connection may be used again behind it

	mu     sync.Mutex
	closed bool
	over   bool  // the connection is no longer of this body
	err    error // what ended it
}

var errReadOnClosed = errors.New("http: read on closed response body")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	closed, err := b.closed, b.err
	b.mu.Unlock()
	switch {
	case closed:
		return 0, errReadOnClosed
	case err != nil:
		return 0, err
	}
	n, err := b.from.Read(p)
	if err != nil {
		err = b.end(err)
	}
	return n, err
}

// end takes note of why there is nothing more, and lets go of the connection.
func (b *body) end(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	whole := err == io.EOF //nolint:errorlint // io.Reader's own
	if !whole && b.ctx.Err() != nil {
		err = context.Cause(b.ctx)
	}
	if b.err == nil {
		b.err = err
	}
	if !b.over {
		b.over = true
		b.conn.leave(b.stop() && whole && b.again)
	}
	return err
}

// Close ends a body that was not read to its end together with its connection: what is
// left of it may be endless.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if !b.over {
		b.over = true
		b.stop()
		b.conn.hang()
	}
	return nil
}

// Whole tells whether all of a body of that length (-1: unknown) has arrived, so that
// reading it waits for nothing.
func (b *body) Whole(length int64) bool {
	return length >= 0 && int64(b.conn.br.Buffered()) >= length
}

// tunnel is what is behind an answer that switches protocols.
type tunnel struct {
	conn *conn
	stop func() bool
}

func (t *tunnel) Read(p []byte) (int, error)  { return t.conn.br.Read(p) }
func (t *tunnel) Write(p []byte) (int, error) { return t.conn.net.Write(p) }

func (t *tunnel) Close() error {
	t.stop()
	return t.conn.net.Close()
}
