package main

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // what RFC 6455 asks for
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// What the backend does that has no quick end, by the line of the request.
const (
	echoPath   = "/streams/echo"   // a WebSocket that says what it hears
	eventsPath = "/streams/events" // events, as fast as they are taken
	ticksPath  = "/streams/ticks"  // one event each tickEvery, to all subscribers at once
	largePath  = "/streams/large"  // GET gives largeBytes, PUT takes them
)

const (
	largeBytes = 100_000_000
	tickEvery  = 5 * time.Millisecond
)

// pattern is what large bodies are made of, over and over. Its length is a prime, so
// that a piece that is lost, doubled or moved shows, however long it is.
var pattern = func() []byte {
	p := make([]byte, 1_000_003)
	x := uint32(2463534242) // xorshift, by Marsaglia
	for i := range p {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		p[i] = byte(x >> 24)
	}
	return p
}()

// patternAt is what a large body holds from there on, or a part of it, n bytes at most.
func patternAt(at, n int) []byte {
	at %= len(pattern)
	return pattern[at:min(len(pattern), at+n)]
}

// event is one of a stream of events; its number has always as many digits.
func event(number int64) []byte {
	return fmt.Appendf(nil, "id: %012d\ndata: {\"kind\":\"price\",\"of\":\"something\",\"is\":1234.5,\"note\":\"%s\"}\n\n", number, strings.Repeat("x", 40))
}

// renumber makes the next event of an event.
func renumber(event []byte, number int64) {
	for at := len("id: ") + 11; at >= len("id: "); at-- {
		event[at] = "0123456789"[number%10]
		number /= 10
	}
}

// streamFor is how the backend goes on behind that line of a request; nil if that is not
// by a stream. It reports whether the connection may be used again.
func streamFor(line []byte) func(net.Conn, *bufio.Reader) bool {
	if !bytes.Contains(line, []byte("/streams/")) {
		return nil
	}
	request, _, _ := bytes.Cut(line, []byte(" HTTP/"))
	switch string(request) {
	case "GET " + echoPath:
		return echo
	case "GET " + eventsPath:
		return func(to net.Conn, from *bufio.Reader) bool { return publish(to, from, func() {}) }
	case "GET " + ticksPath:
		return func(to net.Conn, from *bufio.Reader) bool { return publish(to, from, untilTick) }
	case "GET " + largePath:
		return give
	case "PUT " + largePath:
		return take
	}
	return nil
}

// header reads the rest of a request's head and returns one of its fields.
func header(from *bufio.Reader, name string) (value string, err error) {
	for {
		line, err := from.ReadSlice('\n')
		if err != nil || len(line) <= 2 {
			return value, err
		}
		if key, rest, _ := strings.Cut(string(line), ":"); strings.EqualFold(key, name) {
			value = strings.TrimSpace(rest)
		}
	}
}

// echo is a WebSocket (RFC 6455) that sends every message back.
func echo(to net.Conn, from *bufio.Reader) bool {
	key, err := header(from, "Sec-WebSocket-Key")
	if err != nil {
		return false
	}
	if _, err := fmt.Fprintf(to, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptance(key)); err != nil {
		return false
	}
	buffer := make([]byte, 32<<10)
	for {
		kind, payload, err := readFrame(from, buffer[8:])
		if err != nil {
			return false
		}
		head := appendHead(buffer[:0:8], kind, len(payload), false)
		answer := buffer[8-len(head) : 8+len(payload)]
		copy(answer, head)
		if _, err := to.Write(answer); err != nil || kind == opClose {
			return false
		}
	}
}

// acceptance proves that a server has read the key (RFC 6455, section 4.2.2).
func acceptance(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return base64.StdEncoding.EncodeToString(sum[:])
}

const (
	opBinary byte = 2
	opClose  byte = 8
)

// appendHead is the head of a whole message of that kind. A mask of zeros is as good a mask as
// any other, and changes nothing.
func appendHead(b []byte, kind byte, length int, masked bool) []byte {
	b = append(b, 0x80|kind)
	if length < 126 {
		b = append(b, byte(length)) //nolint:gosec // less than 126
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(length)) //nolint:gosec // messages are short
	}
	if masked {
		b[1] |= 0x80
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

// readFrame reads a message of one frame into the buffer.
func readFrame(from *bufio.Reader, buffer []byte) (kind byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(from, head[:2]); err != nil {
		return 0, nil, err
	}
	length := int(head[1] & 0x7f)
	if length == 126 {
		if _, err := io.ReadFull(from, head[2:4]); err != nil {
			return 0, nil, err
		}
		length = int(binary.BigEndian.Uint16(head[2:]))
	}
	if length > len(buffer) || head[0]&0xf0 != 0x80 {
		return 0, nil, fmt.Errorf("a frame begins with %x", head)
	}
	masked := head[1]&0x80 != 0
	var mask [4]byte
	if masked {
		if _, err := io.ReadFull(from, mask[:]); err != nil {
			return 0, nil, err
		}
	}
	payload = buffer[:length]
	if _, err := io.ReadFull(from, payload); err != nil {
		return 0, nil, err
	}
	if mask != [4]byte{} {
		for i := range payload {
			payload[i] ^= mask[i%4]
		}
	}
	return head[0] & 0x0f, payload, nil
}

// publish sends events, each by itself, as chunks of an answer that never ends.
func publish(to net.Conn, from *bufio.Reader, wait func()) bool {
	if _, err := header(from, ""); err != nil {
		return false
	}
	if _, err := io.WriteString(to, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"); err != nil {
		return false
	}
	e := event(0)
	head := fmt.Sprintf("%x\r\n", len(e))
	chunk := append(append([]byte(head), e...), "\r\n"...)
	for number := int64(1); ; number++ {
		renumber(chunk[len(head):], number)
		wait()
		if _, err := to.Write(chunk); err != nil {
			return false
		}
	}
}

// untilTick waits for the next moment that is the same for all.
func untilTick() {
	time.Sleep(time.Until(time.Now().Truncate(tickEvery).Add(tickEvery)))
}

// give sends a large body.
func give(to net.Conn, from *bufio.Reader) bool {
	if _, err := header(from, ""); err != nil {
		return false
	}
	if _, err := fmt.Fprintf(to, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", largeBytes); err != nil {
		return false
	}
	return sendLarge(to, func(int) {}) == nil
}

// sendLarge writes a large body, and says of each part that it was written.
func sendLarge(to io.Writer, sent func(int)) error {
	for at := 0; at < largeBytes; {
		n, err := to.Write(patternAt(at, min(64<<10, largeBytes-at)))
		if err != nil {
			return err
		}
		at += n
		sent(n)
	}
	return nil
}

// checkLarge reads a large body, holds it against what was sent, and says of each part
// that it was right.
func checkLarge(from io.Reader, buffer []byte, right func(int)) error {
	for at := 0; at < largeBytes; {
		n, err := from.Read(buffer[:min(len(buffer), largeBytes-at)])
		for got := buffer[:n]; len(got) > 0; {
			want := patternAt(at, len(got))
			if !bytes.Equal(got[:len(want)], want) {
				return fmt.Errorf("the body is wrong somewhere in the %d bytes from %d on", len(want), at)
			}
			at += len(want)
			got = got[len(want):]
		}
		right(n)
		if err != nil && at < largeBytes {
			return fmt.Errorf("the body ends after %d bytes: %w", at, err)
		}
	}
	return nil
}

// take reads a large body and answers whether it was right.
func take(to net.Conn, from *bufio.Reader) bool {
	length, err := header(from, "Content-Length")
	if err != nil {
		return false
	}
	status, why := "200 OK", ""
	if length != fmt.Sprint(largeBytes) {
		status, why = "400 Bad Request", fmt.Sprintf("a length of %q", length)
	} else if err := checkLarge(from, make([]byte, 64<<10), func(int) {}); err != nil {
		status, why = "400 Bad Request", err.Error()
	}
	_, err = fmt.Fprintf(to, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", status, len(why), why)
	return err == nil && why == ""
}
