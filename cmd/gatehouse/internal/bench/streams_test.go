package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// Everything that passes is looked at while it is measured; the run fails where a byte is wrong.
func TestStreamsAreMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts the gateway")
	}
	var out strings.Builder
	if err := run(t.Context(), strings.Split("-only streams -rounds 1 -slice 100ms -without haproxy,nginx,caddy", " "), &out); err != nil {
		t.Fatal(err)
	}
	for _, kind := range allStreams("") {
		for _, want := range []string{"| " + kind.name + ": " + kind.of + " | ", "| " + kind.name + ": CPU µs for each " + kind.unit + " | "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is missing in\n%s", want, out.String())
			}
		}
	}
}

func TestWrongLargeBodies(t *testing.T) {
	var whole bytes.Buffer
	if err := sendLarge(&whole, func(int) {}); err != nil {
		t.Fatal(err)
	}
	right := whole.Bytes()
	for name, body := range map[string][]byte{
		"right":             right,
		"a byte changed":    append(append(bytes.Clone(right[:70_000_000]), right[70_000_000]^1), right[70_000_001:]...),
		"a piece left out":  append(bytes.Clone(right[:32<<20]), right[33<<20:]...),
		"a piece sent anew": append(bytes.Clone(right[:64<<20]), right[63<<20:]...),
		"too short":         right[:len(right)-1],
	} {
		err := checkLarge(bytes.NewReader(body), make([]byte, 64<<10), func(int) {})
		if (err == nil) != (name == "right") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongEvents(t *testing.T) {
	for name, numbers := range map[string][]int64{
		"right": {1, 2, 3}, "one left out": {1, 3, 4}, "one twice": {1, 2, 2}, "out of order": {2, 1, 3},
	} {
		here, there := net.Pipe()
		go func() {
			defer func() { _ = there.Close() }()
			_, _ = there.Read(make([]byte, 100))
			_, _ = fmt.Fprint(there, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
			for _, number := range numbers {
				_, _ = there.Write(event(number))
			}
		}()
		var over atomic.Bool
		var count atomic.Int64
		c := &client{conn: here, from: bufio.NewReader(here)}
		err := events(c, []byte("GET / HTTP/1.1\r\n\r\n"), 0, &over, &count)
		c.close()
		// The right ones end too early, but each was right until then.
		if err == nil || strings.HasPrefix(err.Error(), "got ") != (name != "right") {
			t.Errorf("%s: %v after %d", name, err, count.Load())
		}
	}
}
