//go:build linux && !386 && !race

package socket

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// kinds are the connections that have a stream.
var kinds = []struct{ name, network string }{{"TCP", "tcp"}, {"a socket file", "unix"}}

// pair returns both ends of a connection.
func pair(t *testing.T, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ours, err = new(net.Dialer).DialContext(t.Context(), network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestAsPackageNet brings the same about on a connection and on the stream of another one,
// and compares what their Read or Write returns.
func TestAsPackageNet(t *testing.T) {
	t.Parallel()
	past := time.Unix(1, 0)
	full := make([]byte, 64<<20) // more than the system takes
	read := func(rw io.ReadWriter) (int, error) { return rw.Read(make([]byte, 16)) }
	write := func(p []byte) func(io.ReadWriter) (int, error) {
		return func(rw io.ReadWriter) (int, error) { return rw.Write(p) }
	}
	soon := func(conn net.Conn, act func()) { time.AfterFunc(20*time.Millisecond, act) }
	for _, c := range []struct {
		name   string
		before func(t *testing.T, ours, theirs net.Conn)
		call   func(io.ReadWriter) (int, error)
		some   bool // how many bytes is by chance
		want   error
	}{
		{"what is there", func(t *testing.T, _, theirs net.Conn) { _, err := theirs.Write([]byte("hello")); must(t, err) }, read, false, nil},
		{"what comes later", func(_ *testing.T, _, theirs net.Conn) {
			soon(theirs, func() { _, _ = theirs.Write([]byte("hello")) })
		}, read, false, nil},
		{"the end", func(t *testing.T, _, theirs net.Conn) { must(t, theirs.Close()) }, read, false, io.EOF},
		{"the end while reading", func(_ *testing.T, _, theirs net.Conn) { soon(theirs, func() { _ = theirs.Close() }) }, read, false, io.EOF},
		{"nothing to read to", func(*testing.T, net.Conn, net.Conn) {}, func(rw io.ReadWriter) (int, error) { return rw.Read(nil) }, false, nil},
		{"nothing to write", func(*testing.T, net.Conn, net.Conn) {}, write(nil), false, nil},
		{"something to write", func(*testing.T, net.Conn, net.Conn) {}, write([]byte("hello")), false, nil},
		{"a deadline that is over, reading", func(t *testing.T, ours, _ net.Conn) { must(t, ours.SetReadDeadline(past)) }, read, false, os.ErrDeadlineExceeded},
		{"a deadline that is over, though something is there", func(t *testing.T, ours, theirs net.Conn) {
			_, err := theirs.Write([]byte("hello"))
			must(t, err)
			must(t, ours.SetReadDeadline(past))
		}, read, false, os.ErrDeadlineExceeded},
		{"a deadline while reading", func(t *testing.T, ours, _ net.Conn) {
			must(t, ours.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		}, read, false, os.ErrDeadlineExceeded},
		{"a deadline set by another while reading", func(_ *testing.T, ours, _ net.Conn) {
			soon(ours, func() { _ = ours.SetReadDeadline(past) })
		}, read, false, os.ErrDeadlineExceeded},
		{"a deadline that is over, writing", func(t *testing.T, ours, _ net.Conn) { must(t, ours.SetWriteDeadline(past)) }, write([]byte("hello")), false, os.ErrDeadlineExceeded},
		{"a deadline while writing", func(t *testing.T, ours, _ net.Conn) {
			must(t, ours.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
		}, write(full), true, os.ErrDeadlineExceeded},
		{"closed by ourselves, reading", func(t *testing.T, ours, _ net.Conn) { must(t, ours.Close()) }, read, false, net.ErrClosed},
		{"closed by ourselves while reading", func(_ *testing.T, ours, _ net.Conn) { soon(ours, func() { _ = ours.Close() }) }, read, false, net.ErrClosed},
		{"closed by ourselves, writing", func(t *testing.T, ours, _ net.Conn) { must(t, ours.Close()) }, write([]byte("hello")), false, net.ErrClosed},
		{"closed by ourselves while writing", func(_ *testing.T, ours, _ net.Conn) { soon(ours, func() { _ = ours.Close() }) }, write(full), true, net.ErrClosed},
		{"gone while writing", func(_ *testing.T, _, theirs net.Conn) { soon(theirs, func() { _ = theirs.Close() }) }, write(full), true, nil},
		{"we have said that we write no more", func(t *testing.T, ours, _ net.Conn) {
			must(t, ours.(interface{ CloseWrite() error }).CloseWrite())
		}, write([]byte("hello")), false, syscall.EPIPE},
	} {
		for _, kind := range kinds {
			t.Run(c.name+", "+kind.name, func(t *testing.T) {
				t.Parallel()
				var ns [2]int
				var errs [2]error
				for i := range ns {
					ours, theirs := pair(t, kind.network)
					var rw io.ReadWriter = ours
					if i == 1 {
						s := Wrap(ours)
						if s == ours || Of(s) == nil {
							t.Fatal("it has no stream")
						}
						ours, rw = s, s
					}
					c.before(t, ours, theirs)
					ns[i], errs[i] = c.call(rw)
				}
				if c.want != nil && !errors.Is(errs[1], c.want) {
					t.Errorf("got %v, want %v", errs[1], c.want)
				}
				if c.some {
					if ns[1] >= len(full) {
						t.Errorf("%d bytes were written", ns[1])
					}
				} else if ns[0] != ns[1] {
					t.Errorf("%d bytes, package net %d", ns[1], ns[0])
				}
				if got, want := shape(errs[1]), shape(errs[0]); got != want && c.name != "gone while writing" { // by a reset or by EPIPE
					t.Errorf("got %s, package net %s", got, want)
				}
			})
		}
	}
}

// shape is an error without its addresses.
func shape(err error) string {
	var b strings.Builder
	for ; err != nil; err = errors.Unwrap(err) {
		b.WriteString(reflect.TypeOf(err).String() + " ")
		if op, ok := err.(*net.OpError); ok { //nolint:errorlint // this layer alone
			b.WriteString(op.Op + " " + op.Net + " ")
			if op.Source != nil && op.Addr != nil {
				b.WriteString("with both addresses ")
			}
		}
		if late, ok := err.(net.Error); ok && late.Timeout() { //nolint:errorlint // likewise
			b.WriteString("late ")
		}
		if errors.Unwrap(err) == nil {
			b.WriteString(err.Error())
		}
	}
	return b.String()
}

// TestReset: who has reset the connection is told from who has ended it.
func TestReset(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t, "tcp")
	must(t, theirs.(*net.TCPConn).SetLinger(0))
	must(t, theirs.Close())
	_, err := Of(ours).Read(make([]byte, 1))
	op, ok := errors.AsType[*net.OpError](err)
	if !errors.Is(err, syscall.ECONNRESET) || !ok || op.Op != "read" {
		t.Errorf("got %v", err)
	}
}

// TestBothDirections sends more than fits, both ways at once, by several writers, and
// expects every byte.
func TestBothDirections(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t, kind.network)
			ends := [2]*Stream{Of(ours), Of(theirs)}
			piece := make([]byte, 100_003)
			_, _ = rand.Read(piece)
			const writers, each = 3, 20
			var group sync.WaitGroup
			for i := range ends {
				for range writers {
					group.Go(func() {
						for range each {
							if n, err := ends[i].Write(piece); n != len(piece) || err != nil {
								t.Errorf("wrote %d, %v", n, err)
							}
						}
					})
				}
				group.Go(func() {
					got := make([]byte, len(piece))
					for range writers * each {
						if _, err := io.ReadFull(ends[i], got); err != nil || !bytes.Equal(got, piece) {
							t.Errorf("read something else, %v", err)
							return
						}
					}
				})
			}
			group.Wait()
		})
	}
}

// TestSilent: a connection is silent as long as it stands and nothing has come that was
// not read; to look takes nothing away.
func TestSilent(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t, kind.network)
			s := Of(ours)
			until := func(what string, silent bool) {
				t.Helper()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for s.Silent() != silent {
					if ctx.Err() != nil {
						t.Fatalf("%s: silent is %t", what, !silent)
					}
					time.Sleep(time.Millisecond)
				}
			}
			until("a new one", true)
			must(t, ours.SetReadDeadline(time.Unix(1, 0)))
			until("with a deadline that is over", true)
			must(t, ours.SetReadDeadline(time.Time{}))
			_, err := theirs.Write([]byte("ab"))
			must(t, err)
			until("something has come", false)
			got := make([]byte, 2)
			_, err = io.ReadFull(s, got)
			must(t, err)
			if string(got) != "ab" {
				t.Errorf("read %q", got)
			}
			until("it was read", true)
			must(t, theirs.Close())
			until("the other one has gone", false)
			must(t, ours.Close())
			until("closed", false)
		})
	}
}

func TestWhatHasNone(t *testing.T) {
	t.Parallel()
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if Of(a) != nil {
		t.Error("a pipe has a stream")
	}
	packets, err := new(net.Dialer).DialContext(t.Context(), "udp", "127.0.0.1:9")
	must(t, err)
	defer func() { _ = packets.Close() }()
	if Of(packets) != nil || Wrap(packets) != packets {
		t.Error("packets have a stream")
	}
	if Of(struct{ net.Conn }{packets}) != nil {
		t.Error("something before a connection has a stream")
	}
}

// BenchmarkEcho is a byte there and one back.
func BenchmarkEcho(b *testing.B) {
	for _, name := range []string{"package net", "stream"} {
		b.Run(name, func(b *testing.B) {
			l, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			go func() {
				conn, err := l.Accept()
				if err == nil {
					_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn})
					_ = conn.Close()
				}
			}()
			conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			var rw io.ReadWriter = conn
			if name == "stream" {
				rw = Of(conn)
			}
			var one [1]byte
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rw.Write(one[:]); err != nil {
					b.Fatal(err)
				}
				if _, err := rw.Read(one[:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
