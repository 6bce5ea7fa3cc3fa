//go:build linux && !386 && !race

package socket

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Stream is a connection. Its Read and Write do what those of the connection do: the same
// deadlines end them, with the same errors. It is safe for concurrent use.
type Stream struct {
	conn net.Conn
	raw  syscall.RawConn
	in   half
	out  half

	state state                        // of Ask
	turn  func(fd uintptr) (done bool) // likewise, made once

	looking sync.Mutex
	silent  bool
	look    func(fd uintptr) // of Silent, made once
}

// half is one direction. Whoever uses it has mu.
type half struct {
	mu   sync.Mutex
	rest []byte                       // where to read to, or what is still to be written
	n    int                          // bytes that were read or written
	err  error                        // of the system
	step func(fd uintptr) (done bool) // made once
}

// Of returns the stream that a connection of TCP or of a socket file is, or nil where conn
// is anything else, such as something that stands before one.
func Of(conn net.Conn) *Stream {
	var own syscall.Conn
	switch conn := conn.(type) {
	case *wrapped:
		return conn.stream
	case *net.TCPConn:
		own = conn
	case *net.UnixConn:
		if conn.LocalAddr().Network() != "unix" {
			return nil // packets: one of no length is no end
		}
		own = conn
	default:
		return nil
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Stream{conn: conn, raw: raw}
	s.in.step, s.out.step, s.turn, s.look = s.read, s.write, s.ask, s.peek
	return s
}

// Read reads as conn.Read does.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return s.conn.Read(p)
	}
	h := &s.in
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rest, h.n, h.err = p, 0, nil
	err := s.raw.Read(h.step)
	h.rest = nil
	if err == nil && h.err == nil && h.n == 0 {
		return 0, io.EOF
	}
	return h.n, s.fault("read", err, h.err)
}

// Write writes as conn.Write does.
func (s *Stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return s.conn.Write(p)
	}
	h := &s.out
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rest, h.n, h.err = p, 0, nil
	err := s.raw.Write(h.step)
	h.rest = nil
	return h.n, s.fault("write", err, h.err)
}

// Silent tells whether the connection stands and nothing has arrived on it that was not
// read. It does not wait, and minds no deadline.
func (s *Stream) Silent() bool {
	s.looking.Lock()
	defer s.looking.Unlock()
	return s.raw.Control(s.look) == nil && s.silent
}

// peek finds out for Silent.
func (s *Stream) peek(fd uintptr) { s.silent = isSilent(fd) }

// isSilent is false also at the end of the connection, which is 0 bytes and no error.
func isSilent(fd uintptr) bool {
	var one [1]byte
	_, errno := recv(fd, one[:], syscall.MSG_PEEK)
	return errno == syscall.EAGAIN
}

// read takes what is there. It is not done if nothing is.
func (s *Stream) read(fd uintptr) bool {
	n, errno := recv(fd, s.in.rest, 0)
	if errno == syscall.EAGAIN {
		return false
	}
	if errno != 0 {
		s.in.err = errno
	} else {
		s.in.n = n
	}
	return true
}

// write sends what there is room for. It is not done before all is sent.
func (s *Stream) write(fd uintptr) bool {
	h := &s.out
	for len(h.rest) > 0 {
		n, errno := send(fd, h.rest)
		switch errno {
		case 0:
			if n == 0 {
				h.err = io.ErrUnexpectedEOF
				return true
			}
			h.n += n
			h.rest = h.rest[n:]
		case syscall.EAGAIN:
			return false
		default:
			h.err = errno
			return true
		}
	}
	return true
}

// fault is the error that package net would return: of waiting, or of the system.
func (s *Stream) fault(what string, waiting, system error) error {
	switch {
	case waiting != nil:
		if op, ok := waiting.(*net.OpError); ok { //nolint:errorlint // it is RawConn's own
			waiting = op.Err
		}
	case system != nil:
		waiting = os.NewSyscallError(what, system)
	default:
		return nil
	}
	local := s.conn.LocalAddr()
	return &net.OpError{Op: what, Net: local.Network(), Source: local, Addr: s.conn.RemoteAddr(), Err: waiting}
}

// recv and send never block, so that the scheduler need not be told. The memory stays where
// it is: a conversion in the arguments of a system call keeps it (see unsafe.Pointer).

func recv(fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), //nolint:gosec // as above
			flags|syscall.MSG_DONTWAIT, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), //nolint:gosec // as above
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}
