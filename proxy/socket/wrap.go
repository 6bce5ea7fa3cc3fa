package socket

import "net"

// Wrap returns conn with the Read and Write of its stream, where it has one. It is for who
// wants a net.Conn; what else the connection can do, such as sendfile, is out of reach behind it,
// but for CloseWrite.
func Wrap(conn net.Conn) net.Conn {
	stream := Of(conn)
	half, ok := conn.(halfCloser)
	if stream == nil || !ok {
		return conn
	}
	return &wrapped{halfCloser: half, stream: stream}
}

// halfCloser is a connection of TCP or of a socket file.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

type wrapped struct {
	halfCloser
	stream *Stream
}

func (w *wrapped) Read(p []byte) (int, error)  { return w.stream.Read(p) }
func (w *wrapped) Write(p []byte) (int, error) { return w.stream.Write(p) }
