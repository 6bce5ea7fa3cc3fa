package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"gatehouse/proxy"
)

// Parts are what an Edge works with.
type Parts struct {
	Logger *slog.Logger  // nil: discards
	Poll   time.Duration // how often certificates are looked at; 0 is 3s
	// MaxConnections is the bound where the settings have none; 0 is no bound.
	MaxConnections int
}

// Edge is everything that clients can connect to. Its listeners are open from the
// start, so that a client that is early waits instead of being refused.
type Edge struct {
	listeners    []listener
	crowd        *crowd // nil: no bound
	watch        *watch
	guests       guests
	ended        chan struct{} // closed when nobody accepts any more, after Serve
	tls          *tls.Config   // nil: none
	certificates *certificates // nil: none from files
	authority    *authority    // nil: none
	redirect     *redirect     // nil: none
	logger       *slog.Logger
	poll         time.Duration
}

// listener accepts connections.
type listener struct {
	net.Listener
	plain bool // without TLS
}

// Check finds what is wrong with the files that the settings name, without
// listening. The settings themselves are checked by proxy.New.
func Check(cfg proxy.Server) error {
	_, err := load(cfg, nil)
	return err
}

// Open listens on every address. The error joins all that stands in the way, each
// with a Field method with its key inside the section `server`.
func Open(ctx context.Context, cfg proxy.Server, parts Parts) (*Edge, error) {
	e := &Edge{
		logger: cmp.Or(parts.Logger, slog.New(slog.DiscardHandler)),
		poll:   cmp.Or(parts.Poll, 3*time.Second),
		watch:  newWatch(),
		ended:  make(chan struct{}),
	}
	var faults []error
	var err error
	if cfg.TLS.Enabled() {
		faults = append(faults, e.secure(cfg.TLS))
	}
	if most := cmp.Or(cfg.MaxConnections, parts.MaxConnections); most > 0 {
		// Its faults were told by proxy.New.
		trusted, _ := proxy.ParsePeers("", cfg.TrustedProxies)
		e.crowd = newCrowd(most, cfg.MaxConnectionsPerNetwork, trusted)
	}
	speakers, _ := proxy.ParsePeers("", cfg.ProxyProtocol.From)
	mode, _ := cfg.Mode()
	for i, text := range cfg.Listen {
		key := "listen"
		if len(cfg.Listen) > 1 {
			key = fmt.Sprintf("listen[%d]", i)
		}
		address, err := proxy.ParseAddress(text)
		if err != nil {
			faults = append(faults, &listenFault{key, text, err})
			continue
		}
		opened, err := open(ctx, address, mode)
		if err != nil {
			faults = append(faults, &listenFault{key, text, err})
		}
		for _, l := range opened {
			if e.crowd != nil {
				l = e.crowd.bound(l, speakers)
			}
			if !speakers.None() {
				l = proxied(l, speakers, cfg.ReadHeaderTimeout)
			}
			_, file := l.Addr().(*net.UnixAddr)
			e.listeners = append(e.listeners, listener{e.watch.listen(l), address.Plain || file || e.tls == nil})
		}
	}
	if text := cfg.TLS.HTTPListen; text != "" {
		if e.redirect, err = openRedirect(ctx, text, e.challenge(), e.logger); err != nil {
			faults = append(faults, &listenFault{"tls.http_listen", text, err})
		} else if e.crowd != nil {
			e.redirect.listener = e.crowd.bound(e.redirect.listener, proxy.Peers{})
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if e.redirect != nil {
		e.redirect.listener = e.watch.listen(e.redirect.listener)
		e.redirect.http.ConnContext, e.redirect.http.ConnState = e.watch.context, e.changed
	}
	return e, nil
}

// Addrs are the addresses that are listened on, in the order of the settings.
func (e *Edge) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(e.listeners))
	for i, l := range e.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// URLs are the addresses as `listen` would name them, with https:// before those that
// speak TLS: 127.0.0.1:8080, https://0.0.0.0:443, unix:///run/gatehouse.sock.
func (e *Edge) URLs() []string {
	urls := make([]string, len(e.listeners))
	for i, l := range e.listeners {
		urls[i] = l.Addr().String()
		if _, file := l.Addr().(*net.UnixAddr); file {
			urls[i] = "unix://" + urls[i]
		} else if !l.plain {
			urls[i] = "https://" + urls[i]
		}
	}
	return urls
}

// Configure sets what a server must know to be served here. server has a handler,
// its timeouts and its bounds already.
func (e *Edge) Configure(server *http.Server, cfg proxy.Server) {
	server.TLSConfig = e.tls
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(cfg.H2C)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: cfg.HTTP2MaxStreams,
		MaxReadFrameSize:     16 << 10, // the least there is: a frame is buffered whole
		// A client that has vanished, or that stops in the middle of a frame, is found
		// out: nothing else bounds how long a connection with open streams is silent.
		SendPingTimeout:  30 * time.Second,
		PingTimeout:      15 * time.Second,
		WriteByteTimeout: cfg.WriteTimeout,
	}
	server.ConnContext, server.ConnState = e.watch.context, e.changed
}

// changed is http.Server's ConnState.
func (e *Edge) changed(conn net.Conn, state http.ConnState) {
	if e.crowd != nil {
		e.crowd.changed(conn, state)
	}
	e.guests.changed(conn, state)
}

// Serve answers on every listener until one breaks or the server is shut down, and
// returns why. It is called once.
func (e *Edge) Serve(server *http.Server) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if e.certificates != nil {
		go e.certificates.watch(ctx, e.poll)
	}
	broken := make(chan error, len(e.listeners)+1)
	var accepting sync.WaitGroup
	for _, l := range e.listeners {
		accepting.Go(func() {
			serve := func() error { return server.Serve(l) }
			if !l.plain {
				serve = func() error { return server.ServeTLS(l, "", "") }
			}
			err := serve()
			if !errors.Is(err, http.ErrServerClosed) {
				err = fmt.Errorf("listening on %s: %w", l.Addr(), err)
			}
			broken <- err
		})
	}
	if e.authority != nil {
		go e.authority.obtain(ctx)
	}
	if e.redirect != nil {
		accepting.Go(func() { broken <- e.redirect.serve() })
	}
	go func() { accepting.Wait(); close(e.ended) }()
	return <-broken
}

// Close stops listening; connections that are there stay. Socket files are removed.
func (e *Edge) Close() error {
	for _, l := range e.listeners {
		_ = l.Close() // closed already where it has served
	}
	if e.redirect != nil {
		_ = e.redirect.listener.Close()
	}
	return nil
}

// Trust takes over server.trusted_proxies of a changed configuration.
func (e *Edge) Trust(cfg proxy.Server) {
	if e.crowd != nil {
		trusted, _ := proxy.ParsePeers("", cfg.TrustedProxies)
		e.crowd.trusted.Store(&trusted)
	}
}

// Reload looks at the certificates at once.
func (e *Edge) Reload() {
	if e.certificates != nil {
		e.certificates.look()
	}
}
