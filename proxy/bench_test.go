package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/upstream"
)

// The two benchmarks differ in the handler between the client and the backend, and
// in nothing else: same backend, same transport settings, same buffers, same answers of
// 1 KiB, the same request with a token, over loopback connections that are kept.
// What one takes more than the other is what gatehouse costs.

func BenchmarkGatewayHTTP(b *testing.B) {
	for name, level := range map[string]slog.Level{"AccessLog": slog.LevelInfo, "Quiet": slog.LevelWarn} {
		b.Run(name, func(b *testing.B) {
			backend := benchBackend(b)
			cfg := site(backend)
			// The line is written and thrown away; a handler that discards would not write it.
			nowhere := io.Discard
			logger := slog.New(slog.NewTextHandler(nowhere, &slog.HandlerOptions{Level: level}))
			addr := serve(b, newGateway(b, cfg, logger), cfg)
			token, err := obtain(addr, "alice")
			if err != nil {
				b.Fatal(err)
			}
			drive(b, addr, token)
		})
	}
}

func BenchmarkBareReverseProxy(b *testing.B) {
	backend := benchBackend(b)
	bare := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{ // as that of an upstream
			MaxIdleConnsPerHost: 512, IdleConnTimeout: upstream.DefaultKeepAlive,
			ResponseHeaderTimeout: upstream.DefaultFirstByte, DisableCompression: true,
		},
		BufferPool: proxy.NewBufferPool(),
	}
	addr := serve(b, bare, proxy.DefaultConfig())
	drive(b, addr, strings.Repeat("x", 243)) // as long as the other's
}

// benchBackend answers every head of a request with 1 KiB, and next to nothing is
// its own work: what is counted is not the reading of headers that one sends more of.
func benchBackend(b *testing.B) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = listener.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n" +
		strings.Repeat("x", 1024))
	serve := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		from := bufio.NewReader(conn)
		for {
			line, err := from.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) > len("\r\n") {
				continue
			}
			if _, err := conn.Write(answer); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

// drive sends one request after the other on each of some connections, with a client
// that costs next to nothing, so that what is measured is not the client.
func drive(b *testing.B, addr, token string) {
	request := fmt.Appendf(nil, "GET /api/things/?page=2 HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n"+
		"Accept-Encoding: gzip\r\nAuthorization: Bearer %s\r\n\r\n", token)
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		from := bufio.NewReader(conn)
		for pb.Next() {
			_, _ = conn.Write(request)
			if err := skipAnswer(from); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// skipAnswer reads one answer of 200 and 1 KiB.
func skipAnswer(from *bufio.Reader) error {
	line, err := from.ReadSlice('\n')
	if err != nil || string(line) != "HTTP/1.1 200 OK\r\n" {
		return fmt.Errorf("got %q, %w", line, err)
	}
	for len(line) > 2 {
		if line, err = from.ReadSlice('\n'); err != nil {
			return err
		}
	}
	_, err = from.Discard(1024)
	return err
}
