//go:build unix

package wire

import (
	"errors"
	"syscall"
)

var errSomething = errors.New("something arrived on a connection that nobody uses")

// watchable prepares looking at the connection without waiting.
func (c *conn) watchable() {
	s, ok := c.net.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	c.raw = raw
	var one [1]byte
	c.look = func(fd uintptr) {
		// The socket does not block. An end of the connection is 0 bytes and no error.
		_, _, c.peeked = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if c.peeked == nil {
			c.peeked = errSomething
		}
	}
}

// silent tells whether the connection stands and nothing has arrived on it.
func (c *conn) silent() bool {
	if c.stream != nil {
		return c.stream.Silent()
	}
	if c.raw == nil {
		return false
	}
	// Not Read: that minds the deadline, which the last request may have left.
	if err := c.raw.Control(c.look); err != nil {
		return false
	}
	return c.peeked == syscall.EAGAIN || c.peeked == syscall.EWOULDBLOCK //nolint:errorlint // the system's own
}
