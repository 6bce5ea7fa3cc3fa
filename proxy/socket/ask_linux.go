//go:build linux && !386 && !race

package socket

import "io"

// Ask sends a request and reads what comes first in answer to it into p. It is what Silent,
// Write and Read are one after the other, but that it does not try to read before anything has
// come: that there is nothing is nearly certain, and costs a system call to be told.
//
// Where the connection is not silent nothing is sent, and the error is ErrSpoken. Nobody else
// may be reading or writing. The deadline is that of reading alone, unless the system has no
// room for all of the request. Neither slice may be empty.
func (s *Stream) Ask(request, p []byte) (written, n int, err error) {
	in, out := &s.in, &s.out
	out.mu.Lock()
	defer out.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	out.rest, out.n, out.err = request, 0, nil
	in.rest, in.n, in.err = p, 0, nil
	s.state = looking
	// RawConn forgets what has come before it calls turn the first time, and after that
	// wakes up for whatever comes. So an answer is not missed, however soon it is there, and
	// what had come before turn sees.
	err = s.raw.Read(s.turn)
	if err == nil && s.state == crowded {
		if err = s.raw.Write(out.step); err != nil || out.err != nil {
			s.state = failed
		} else {
			err = s.raw.Read(in.step)
		}
	}
	out.rest, in.rest = nil, nil
	switch {
	case s.state == spoken:
		return 0, 0, ErrSpoken
	case s.state == failed:
		return out.n, 0, s.fault("write", err, out.err)
	case err == nil && in.err == nil && in.n == 0:
		return out.n, 0, io.EOF
	}
	return out.n, in.n, s.fault("read", err, in.err)
}

// state is how far Ask is.
type state int

const (
	looking state = iota // at whether the connection is silent
	spoken               // it is not
	failed               // to write
	crowded              // some is written, and there is no room for the rest
	asked                // all is written
)

// ask looks and writes when it is called first, and reads from then on.
func (s *Stream) ask(fd uintptr) bool {
	if s.state == asked {
		return s.read(fd)
	}
	switch {
	case !isSilent(fd):
		s.state = spoken
	case !s.write(fd):
		s.state = crowded
	case s.out.err != nil:
		s.state = failed
	default:
		s.state = asked
		return false
	}
	return true
}
