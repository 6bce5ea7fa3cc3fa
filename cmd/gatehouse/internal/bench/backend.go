package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
)

// answerBytes is the size of the body of each answer of the backend.
const answerBytes = 1024

// serveBackend answers each request with 1 KiB. It is not net/http, so that the
// backend takes as little as it can of the machine that the others are measured on.
// It reads no bodies: nobody sends any.
func serveBackend(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s",
		answerBytes, strings.Repeat("x", answerBytes))
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil //nolint:nilerr // it was closed
		}
		go func() {
			defer func() { _ = conn.Close() }()
			from := bufio.NewReaderSize(conn, 16<<10)
			for {
				line, err := from.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) > 2 {
					continue
				}
				if _, err := conn.Write(answer); err != nil {
					return
				}
			}
		}()
	}
}
