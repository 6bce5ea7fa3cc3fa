package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

// serveBare is what gatehouse is measured by: a ReverseProxy with what makes it
// fast, enough idle connections and buffers that are used again, and with nothing
// else: no authentication, no log, no bounds on what clients may do.
func serveBare(ctx context.Context, address string) error {
	backend := &url.URL{Scheme: "http", Host: os.Getenv("BENCH_BACKEND")}
	server := &http.Server{Handler: &httputil.ReverseProxy{ //nolint:gosec // without timeouts, as its comment says
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backend)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 512, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	}}
	return serveUntil(ctx, server, address)
}

// serveUntil serves until ctx ends.
func serveUntil(ctx context.Context, server *http.Server, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	_ = server.Serve(listener)
	return nil
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte  { return b.pool.Get().(*[32 << 10]byte)[:] }
func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }
