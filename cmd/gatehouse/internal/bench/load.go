package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections are how many a load is sent on, all kept open.
const connections = 64

// client speaks HTTP on one connection and costs next to nothing.
type client struct {
	address string
	as      net.IP // nil: whatever the system takes
	conn    net.Conn
	from    *bufio.Reader
}

var lengthName = []byte("content-length:")

// ask sends a request and returns the status of its answer, read to the end.
func (c *client) ask(request []byte) (status int, err error) {
	if err := c.connect(); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		c.close()
		return 0, err
	}
	status, again, err := c.answer()
	if err != nil || !again {
		c.close()
	}
	return status, err
}

// connect makes a connection where there is none.
func (c *client) connect() (err error) {
	if c.conn != nil {
		return nil
	}
	dialer := net.Dialer{}
	if c.as != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: c.as}
	}
	if c.conn, err = dialer.Dial("tcp", c.address); err != nil {
		return err
	}
	_ = c.conn.SetDeadline(time.Now().Add(time.Minute))
	c.from = bufio.NewReader(c.conn)
	return nil
}

func (c *client) answer() (status int, again bool, err error) {
	status, length, again, err := c.head()
	if err != nil {
		return 0, false, err
	}
	_, err = c.from.Discard(length)
	return status, again, err
}

// head reads the head of an answer. again is whether the connection is to be kept.
func (c *client) head() (status, length int, again bool, err error) {
	line, err := c.from.ReadSlice('\n')
	if err != nil {
		return 0, 0, false, err
	}
	if len(line) < 12 {
		return 0, 0, false, fmt.Errorf("got %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, 0, false, err
	}
	length, again = -1, true
	for {
		line, err = c.from.ReadSlice('\n')
		if err != nil {
			return 0, 0, false, err
		}
		if len(line) <= 2 {
			break
		}
		switch {
		case len(line) > len(lengthName) && bytes.EqualFold(line[:len(lengthName)], lengthName):
			length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(lengthName):])))
			if err != nil {
				return 0, 0, false, err
			}
		case bytes.EqualFold(bytes.TrimSpace(line), []byte("connection: close")):
			again = false
		}
	}
	if length < 0 {
		return 0, 0, false, errors.New("the answer has no Content-Length")
	}
	return status, length, again, nil
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// flood sends requests one after the other on each connection, all that are given
// in turn, one at least, until the time is over. Each answer must have the status. It returns how
// many were answered.
func flood(ctx context.Context, address string, requests [][]byte, status int, length time.Duration) (int64, error) {
	var answered atomic.Int64
	var over atomic.Bool
	stop := time.AfterFunc(length, func() { over.Store(true) })
	defer stop.Stop()
	err := together(func(i int) error {
		c := &client{address: address}
		defer c.close()
		defer func() { over.Store(true) }()
		n := int64(0)
		defer func() { answered.Add(n) }()
		for at := i * (len(requests) / connections); (n == 0 || !over.Load()) && ctx.Err() == nil; at++ {
			got, err := c.ask(requests[at%len(requests)])
			if err != nil {
				return err
			}
			if got != status {
				return fmt.Errorf("got %d where %d is right", got, status)
			}
			n++
		}
		return ctx.Err()
	})
	return answered.Load(), err
}

// together runs work for each connection.
func together(work func(i int) error) error {
	var group sync.WaitGroup
	faults := make([]error, connections)
	for i := range connections {
		group.Go(func() { faults[i] = work(i) })
	}
	group.Wait()
	return errors.Join(faults...)
}

// pace sends requests at a constant rate, whether or not earlier ones have been
// answered, and returns how long each took, sorted. A request that had to wait for a
// connection counts from when it was due (or a stall would hide all that came during
// it); one that was not sent in time because this program was woken late does not.
// entered is how long each connection took until its first answer, sorted; the others
// begin when all are there.
func pace(ctx context.Context, address string, as net.IP, request []byte, rate int, length time.Duration) (took, entered []time.Duration, err error) {
	total := int64(length.Seconds() * float64(rate))
	took, entered = make([]time.Duration, total), make([]time.Duration, connections)
	var next atomic.Int64
	var begin time.Time
	var there sync.WaitGroup
	there.Add(connections)
	first := sync.OnceFunc(func() { begin = time.Now().Add(50 * time.Millisecond) })
	err = together(func(i int) error {
		c := &client{address: address, as: as}
		defer c.close()
		came := time.Now()
		status, err := c.ask(request) // connects
		entered[i] = time.Since(came)
		there.Done()
		if err != nil || status != 200 {
			return fmt.Errorf("the first request on a connection: got %d, %w", status, err)
		}
		there.Wait()
		first()
		for {
			i := next.Add(1) - 1
			if i >= total {
				return nil
			}
			from := begin.Add(time.Duration(i) * time.Second / time.Duration(rate))
			if wait := time.Until(from); wait > 0 {
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return ctx.Err()
				}
				from = time.Now()
			}
			status, err := c.ask(request)
			if err != nil {
				return err
			}
			if status != 200 {
				return fmt.Errorf("got %d", status)
			}
			took[i] = time.Since(from)
		}
	})
	slices.Sort(took)
	slices.Sort(entered)
	return took, entered, err
}
