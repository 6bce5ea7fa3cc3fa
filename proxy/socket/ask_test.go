//go:build linux && !386 && !race

package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAskAsPackageNet brings the same about for Ask, and for a Write and a Read of package
// net, and compares what comes of it.
func TestAskAsPackageNet(t *testing.T) {
	t.Parallel()
	past := time.Unix(1, 0)
	little := []byte("ping")
	much := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // more than the system takes
	answer := func(length int, text string) func(net.Conn) {
		return func(theirs net.Conn) {
			if _, err := io.CopyN(io.Discard, theirs, int64(length)); err == nil {
				_, _ = io.WriteString(theirs, text)
			}
		}
	}
	soon := func(act func()) { time.AfterFunc(20*time.Millisecond, act) }
	for _, c := range []struct {
		name    string
		request []byte
		before  func(t *testing.T, ours net.Conn)
		peer    func(theirs net.Conn)
		want    error
	}{
		{"an answer", little, nil, answer(4, "pong"), nil},
		{"an answer that is longer than the room for it", little, nil, answer(4, "pong and more"), nil},
		{"an answer to more than there is room for", much, nil, answer(len(much), "pong"), nil},
		{"an answer before all is sent", much, nil, func(theirs net.Conn) {
			_, _ = io.WriteString(theirs, "pong")
			answer(len(much), "")(theirs)
		}, nil},
		{"an end", little, nil, func(theirs net.Conn) { answer(4, "")(theirs); _ = theirs.Close() }, io.EOF},
		{"a deadline that is over", little, func(t *testing.T, ours net.Conn) { must(t, ours.SetDeadline(past)) }, nil, os.ErrDeadlineExceeded},
		{"a deadline while waiting", little, func(t *testing.T, ours net.Conn) {
			must(t, ours.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		}, answer(4, ""), os.ErrDeadlineExceeded},
		{"a deadline set by another while waiting", little, func(_ *testing.T, ours net.Conn) {
			soon(func() { _ = ours.SetReadDeadline(past) })
		}, answer(4, ""), os.ErrDeadlineExceeded},
		{"a deadline while there is no room", much, func(t *testing.T, ours net.Conn) {
			must(t, ours.SetDeadline(time.Now().Add(50*time.Millisecond)))
		}, nil, os.ErrDeadlineExceeded},
		{"closed by ourselves", little, func(t *testing.T, ours net.Conn) { must(t, ours.Close()) }, nil, net.ErrClosed},
		{"closed by ourselves while waiting", little, func(_ *testing.T, ours net.Conn) { soon(func() { _ = ours.Close() }) }, answer(4, ""), net.ErrClosed},
		{"closed by ourselves while there is no room", much, func(_ *testing.T, ours net.Conn) { soon(func() { _ = ours.Close() }) }, nil, net.ErrClosed},
	} {
		for _, kind := range kinds {
			t.Run(c.name+", "+kind.name, func(t *testing.T) {
				t.Parallel()
				var got [2]string
				var errs [2]error
				for i := range got {
					ours, theirs := pair(t, kind.network)
					var peer sync.WaitGroup
					if c.before != nil {
						c.before(t, ours)
					}
					if c.peer != nil {
						peer.Go(func() { c.peer(theirs) })
					}
					room := make([]byte, 5)
					var n int
					if i == 0 {
						if _, errs[i] = ours.Write(c.request); errs[i] == nil {
							n, errs[i] = ours.Read(room)
						}
					} else {
						// What comes too soon is another case.
						if n, errs[i] = ask(Of(ours), c.request, room); errors.Is(errs[i], ErrSpoken) && strings.Contains(c.name, "before") {
							errs[i], n = nil, copy(room, "pong")
						}
					}
					got[i] = string(room[:n])
					_ = ours.Close()
					peer.Wait()
				}
				if c.want != nil && !errors.Is(errs[1], c.want) {
					t.Errorf("got %v, want %v", errs[1], c.want)
				}
				if got[0] != got[1] {
					t.Errorf("read %q, package net %q", got[1], got[0])
				}
				// A deadline that is over is met by the first of the two.
				if one, other := shape(errs[1]), shape(errs[0]); one != other && strings.ReplaceAll(other, "write", "read") != one {
					t.Errorf("got %s, package net %s", one, other)
				}
			})
		}
	}
}

func ask(s *Stream, request, room []byte) (int, error) {
	written, n, err := s.Ask(request, room)
	if err == nil && written != len(request) {
		err = errors.New("something was not written")
	}
	return n, err
}

// TestAskSaysNothingToWhoHasSpoken: of what came unasked nothing is taken for an answer, and the
// other side, which may have given up already, is not asked.
func TestAskSaysNothingToWhoHasSpoken(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		for _, c := range []struct {
			name  string
			speak func(t *testing.T, theirs net.Conn)
		}{
			{"bytes", func(t *testing.T, theirs net.Conn) { _, err := io.WriteString(theirs, "evil"); must(t, err) }},
			{"no more to say", func(t *testing.T, theirs net.Conn) {
				must(t, theirs.(interface{ CloseWrite() error }).CloseWrite())
			}},
		} {
			t.Run(c.name+", "+kind.name, func(t *testing.T) {
				t.Parallel()
				ours, theirs := pair(t, kind.network)
				s := Of(ours)
				c.speak(t, theirs)
				for s.Silent() { // until it has come
					time.Sleep(time.Millisecond)
				}
				if written, n, err := s.Ask([]byte("ping"), make([]byte, 8)); written != 0 || n != 0 || !errors.Is(err, ErrSpoken) {
					t.Errorf("wrote %d, read %d: %v", written, n, err)
				}
				must(t, ours.Close())
				if heard, _ := io.ReadAll(theirs); len(heard) > 0 {
					t.Errorf("they were asked %q", heard)
				}
			})
		}
	}
}

// TestAskMissesNoAnswer has answers come at once, and a little later, for each of many
// requests: one that is not noticed would never be.
func TestAskMissesNoAnswer(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			var group sync.WaitGroup
			for who := range 8 {
				ours, theirs := pair(t, kind.network)
				must(t, ours.SetDeadline(time.Now().Add(2*time.Minute)))
				group.Go(func() {
					room := make([]byte, 8)
					for i := 0; ; i++ {
						n, err := theirs.Read(room)
						if err != nil {
							return
						}
						for range (i * who) % 50 {
							_ = time.Now()
						}
						if _, err := theirs.Write(room[:n]); err != nil {
							return
						}
					}
				})
				group.Go(func() {
					defer func() { _ = ours.Close() }()
					s, room := Of(ours), make([]byte, 8)
					for i := range 3000 {
						request := []byte{byte(i), byte(i >> 8), byte(who)}
						n, err := ask(s, request, room)
						if err != nil || !bytes.Equal(room[:n], request) {
							t.Errorf("request %d: %q, %v", i, room[:n], err)
							return
						}
					}
				})
			}
			group.Wait()
		})
	}
}
