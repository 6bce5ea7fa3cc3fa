package main

import (
	"context"
	"io"
	"net"
	"strings"
)

// serveHang accepts connections, reads what comes, and never answers; with "half" before
// its address it sends the head of an answer and nothing more.
func serveHang(ctx context.Context, address string) error {
	address, half := strings.CutPrefix(address, "half:")
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil //nolint:nilerr // it was closed
		}
		go func() {
			defer func() { _ = conn.Close() }()
			if half {
				_, _ = conn.Read(make([]byte, 4<<10))
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			}
			_, _ = io.Copy(io.Discard, conn)
		}()
	}
}
