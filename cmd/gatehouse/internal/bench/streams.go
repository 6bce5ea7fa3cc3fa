package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stream is something that passes through a subject and has no quick end.
type stream struct {
	name    string
	of      string  // what is counted
	each    int64   // of them in one of the unit
	unit    string  // of the processor time
	clients int     // at once
	paced   bool    // it is sent at a rate: how much comes in a second says nothing
	request []byte  // that begins it
	work    traffic // of one client
}

// traffic sends and receives on a connection whose request has been written, until it
// is over, holds all that comes against what must come, and counts it.
type traffic func(c *client, request []byte, i int, over *atomic.Bool, count *atomic.Int64) error

// transfers is how many large bodies are under way at once.
const transfers = 4

func allStreams(token string) []stream {
	request := func(line, more string) []byte {
		return fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: Bearer %s\r\n%s\r\n", line, token, more)
	}
	upgrade := request("GET "+echoPath, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+webSocketKey+"\r\n")
	return []stream{
		{"WebSocket, echo of 64 bytes", "messages", 1, "message", connections, false, upgrade, messages(64)},
		{"WebSocket, echo of 16 KiB", "messages", 1, "message", connections, false, upgrade, messages(16 << 10)},
		{"events, as fast as they are taken", "events", 1, "event", connections, false, request("GET "+eventsPath, "Accept: text/event-stream\r\n"), events},
		{fmt.Sprintf("events, one each %s to all", tickEvery), "events", 1, "event", connections, true, request("GET "+ticksPath, "Accept: text/event-stream\r\n"), events},
		{"download of 100 MB", "MB", 1_000_000, "MB", transfers, false, request("GET "+largePath, ""), downloads},
		{"upload of 100 MB", "MB", 1_000_000, "MB", transfers, false, request("PUT "+largePath, fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", largeBytes)), uploads},
	}
}

const webSocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// messages says something on a WebSocket and hears the same, over and over.
func messages(size int) traffic {
	return func(c *client, request []byte, i int, over *atomic.Bool, count *atomic.Int64) error {
		head, _, _, err := c.begin(request, http.StatusSwitchingProtocols)
		if err != nil {
			return err
		}
		if got := head.Get("Sec-WebSocket-Accept"); got != acceptance(webSocketKey) {
			return fmt.Errorf("the WebSocket is accepted by %q", got)
		}
		message := slices.Concat(appendHead(nil, opBinary, size, true), patternAt(i*97, size))
		payload := message[len(message)-size:]
		buffer := make([]byte, 32<<10)
		ask := func(message, payload []byte, want byte) error {
			if _, err := c.conn.Write(message); err != nil {
				return err
			}
			kind, echoed, err := readFrame(c.from, buffer)
			if err != nil {
				return err
			}
			if kind != want || !bytes.Equal(echoed, payload) {
				return fmt.Errorf("the echo of %d bytes is not what was said", size)
			}
			return nil
		}
		for n := uint64(0); !over.Load(); n++ {
			binary.BigEndian.PutUint64(payload, n)
			if err := ask(message, payload, opBinary); err != nil {
				return err
			}
			count.Add(1)
		}
		goodbye := []byte{3, 232} // 1000: it was done
		return ask(slices.Concat(appendHead(nil, opClose, len(goodbye), true), goodbye), goodbye, opClose)
	}
}

// events reads events: all of them, each once, in order.
func events(c *client, request []byte, _ int, over *atomic.Bool, count *atomic.Int64) error {
	_, _, body, err := c.begin(request, http.StatusOK)
	if err != nil {
		return err
	}
	want := event(0)
	got := make([]byte, len(want))
	for number := int64(1); !over.Load(); number++ {
		renumber(want, number)
		if _, err := io.ReadFull(body, got); err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return fmt.Errorf("got %q where %q is right", got, want)
		}
		count.Add(1)
	}
	return nil
}

// downloads reads whole bodies one after the other.
func downloads(c *client, request []byte, _ int, over *atomic.Bool, count *atomic.Int64) error {
	buffer := make([]byte, 64<<10)
	for !over.Load() {
		_, length, body, err := c.begin(request, http.StatusOK)
		if err != nil {
			return err
		}
		if length != largeBytes {
			return fmt.Errorf("the body is said to have %d bytes", length)
		}
		if err := checkLarge(body, buffer, func(n int) { count.Add(int64(n)) }); err != nil {
			return err
		}
	}
	return nil
}

// uploads sends whole bodies one after the other. The backend looks at what comes.
func uploads(c *client, request []byte, _ int, over *atomic.Bool, count *atomic.Int64) error {
	for !over.Load() {
		if err := c.connect(); err != nil {
			return err
		}
		if _, err := c.conn.Write(request); err != nil {
			return err
		}
		if err := sendLarge(c.conn, func(n int) { count.Add(int64(n)) }); err != nil {
			return err
		}
		answer, err := http.ReadResponse(c.from, nil)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("got %d, %q, %w", answer.StatusCode, text, err)
		}
	}
	return nil
}

// begin sends a request and reads the head of its answer. The body is the caller's to
// read, and ends with the connection.
func (c *client) begin(request []byte, status int) (head http.Header, length int64, body io.Reader, err error) {
	if err := c.connect(); err != nil {
		return nil, 0, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, 0, nil, err
	}
	answer, err := http.ReadResponse(c.from, nil) //nolint:bodyclose // closing would read all of it
	if err != nil {
		return nil, 0, nil, err
	}
	if answer.StatusCode != status {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		return nil, 0, nil, fmt.Errorf("got %d where %d is right: %s", answer.StatusCode, status, text)
	}
	return answer.Header, answer.ContentLength, answer.Body, nil
}

// sample is what came of one stream in one round.
type sample struct {
	rate float64       // what is counted, in a second
	each time.Duration // of the processor, for one of the unit
}

// carry lets a stream run through the subject, and looks at it in the middle: how it
// begins and ends is not counted.
func (s *subject) carry(ctx context.Context, kind stream, length time.Duration) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var over atomic.Bool
	counts := make([]atomic.Int64, kind.clients*8) // not two in one line of the cache
	var group sync.WaitGroup
	for i := range kind.clients {
		group.Go(func() {
			c := &client{address: s.address}
			defer c.close()
			if err := kind.work(c, kind.request, i, &over, &counts[i*8]); err != nil {
				cancel(err)
			}
		})
	}
	sum := func() (n int64) {
		for i := range kind.clients {
			n += counts[i*8].Load()
		}
		return n
	}
	everyone := func() bool {
		for i := range kind.clients {
			if counts[i*8].Load() == 0 {
				return false
			}
		}
		return true
	}
	for !everyone() && ctx.Err() == nil {
		pause(ctx, 10*time.Millisecond)
	}
	pause(ctx, length/10)
	began, worked, before := time.Now(), onProcessors(s.cmd.Process.Pid), sum()
	pause(ctx, length)
	for patience := time.Now().Add(time.Minute); sum() == before && ctx.Err() == nil && time.Now().Before(patience); {
		pause(ctx, length) // something stands still
	}
	took, spent, done := time.Since(began), onProcessors(s.cmd.Process.Pid)-worked, sum()-before
	over.Store(true)
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return sample{}, fmt.Errorf("%s, %s: %w", s.name, kind.name, err)
	}
	if done == 0 {
		return sample{}, fmt.Errorf("%s, %s: %w", s.name, kind.name, errors.New("nothing came"))
	}
	n := float64(done) / float64(kind.each)
	return sample{n / took.Seconds(), time.Duration(float64(spent) / n)}, nil
}

// streams is what passes in a second of what has no quick end, and what it costs: beside
// the bare proxy, which does the same. Peers are left out; they are configured for
// short answers.
func (y *yard) streams(ctx context.Context, s settings, out io.Writer) error {
	token, err := y.signers["HS256"].token(1, time.Now().Add(6*time.Hour))
	if err != nil {
		return err
	}
	var who []*subject
	for _, subject := range y.subjects {
		if !slices.ContainsFunc(peers, func(p peer) bool { return p.name == subject.name }) {
			who = append(who, subject)
		}
	}
	fmt.Fprintf(out, "\n## Streams, rounds: %d\n\n", s.rounds)
	heading, rule := "| in a second; CPU µs for each (ratios to "+who[0].name+") |", "| --- |"
	for _, subject := range who {
		heading += " " + subject.name + " |"
		rule += " --- |"
	}
	fmt.Fprintf(out, "%s\n%s\n", heading, rule)
	for _, kind := range allStreams(token) {
		if s.streams != nil && !slices.ContainsFunc(s.streams, func(word string) bool { return strings.HasPrefix(kind.name, word) }) {
			continue
		}
		rates, costs := map[string][]float64{}, map[string][]time.Duration{}
		for round := range s.rounds {
			turn := slices.Clone(who)
			if round%2 == 1 {
				slices.Reverse(turn)
			}
			for _, subject := range turn {
				got, err := subject.carry(ctx, kind, s.slice)
				if err != nil {
					return err
				}
				rates[subject.name] = append(rates[subject.name], got.rate)
				costs[subject.name] = append(costs[subject.name], got.each)
			}
		}
		many, cost := "| "+kind.name+": "+kind.of+" |", "| "+kind.name+": CPU µs for each "+kind.unit+" |"
		for _, subject := range who {
			many += " " + amount(rates[subject.name], rates[who[0].name], kind.paced) + " |"
			cost += " " + entry(costs[subject.name], costs[who[0].name]) + " |"
		}
		fmt.Fprintf(out, "%s\n%s\n", many, cost)
	}
	fmt.Fprintln(out)
	return nil
}

// amount is as entry.
func amount(values, base []float64, paced bool) string {
	text := fmt.Sprintf("%.0f", median(values))
	if paced {
		return text
	}
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / base[i]
	}
	return text + fmt.Sprintf(" (%.2f, %.2f–%.2f)", median(ratios), least(ratios), most(ratios))
}
