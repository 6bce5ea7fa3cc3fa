package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
)

// answerBytes is the size of the body of each answer of the backend, and bulkBytes
// that of one to a request for bulkPath.
const (
	answerBytes = 1 << 10
	bulkBytes   = 100 << 10
	bulkPath    = "/bulk/"
)

// serveBackend answers each request with 1 KiB, or 100. It is not net/http, so that the
// backend takes as little as it can of the machine that the others are measured on.
// It reads no bodies but those of streamserver.go: nobody sends others.
func serveBackend(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	answer := func(size int) []byte {
		return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
	}
	usual, bulk := answer(answerBytes), answer(bulkBytes)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil //nolint:nilerr // it was closed
		}
		go func() {
			defer func() { _ = conn.Close() }()
			from := bufio.NewReaderSize(conn, 16<<10)
			for answer := usual; ; {
				line, err := from.ReadSlice('\n')
				if err != nil {
					return
				}
				if goOn := streamFor(line); goOn != nil {
					if !goOn(conn, from) {
						return
					}
					continue
				}
				if bytes.HasPrefix(line, []byte("GET "+bulkPath)) {
					answer = bulk
				}
				if len(line) > 2 {
					continue
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
				answer = usual
			}
		}()
	}
}
