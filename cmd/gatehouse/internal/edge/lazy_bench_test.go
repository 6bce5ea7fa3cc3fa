package edge

import (
	"context"
	"net"
	"testing"
	"time"
)

// ready is a connection that never has anybody wait.
type ready struct{ net.Conn }

func (ready) Read(p []byte) (int, error)      { return len(p), nil }
func (ready) Write(p []byte) (int, error)     { return len(p), nil }
func (ready) Close() error                    { return nil }
func (ready) SetReadDeadline(time.Time) error { return nil }

func (ready) SetWriteDeadline(time.Time) error { return nil }

func (ready) SetDeadline(time.Time) error { return nil }

// endless gives such connections.
type endless struct{ net.Listener }

func (endless) Accept() (net.Conn, error) { return ready{}, nil }

func lazy(b *testing.B, w *watch) *lazyConn {
	b.Helper()
	conn, err := w.listen(endless{}).Accept()
	if err != nil {
		b.Fatal(err)
	}
	w.context(context.Background(), conn)
	return conn.(*lazyConn)
}

// What a message of a tunnel costs, and a piece of a long answer.
func BenchmarkLazyConn(b *testing.B) {
	for name, prepare := range map[string]func(*lazyConn){
		"taken over":  func(c *lazyConn) { _ = c.SetDeadline(time.Time{}) },
		"in a body":   func(c *lazyConn) { _ = c.SetWriteDeadline(time.Now().Add(time.Hour)) },
		"no deadline": func(*lazyConn) {},
	} {
		b.Run(name, func(b *testing.B) {
			c := lazy(b, newWatch())
			prepare(c)
			buffer := make([]byte, 64)
			for b.Loop() {
				_, _ = c.Read(buffer)
				_, _ = c.Write(buffer)
			}
		})
	}
}

// What ten thousand idle connections cost those that have a request, ten times a second.
func BenchmarkSweepBesideIdleConnections(b *testing.B) {
	w := newWatch()
	w.timer.Reset(time.Hour)
	for range 10_000 {
		lazy(b, w)
	}
	busy := lazy(b, w)
	one := make([]byte, 1)
	for b.Loop() {
		_ = busy.SetReadDeadline(time.Time{})
		_, _ = busy.Read(one)
		w.sweep()
	}
}
