package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatehouse/cmd/gatehouse/internal/audit"
	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/cmd/gatehouse/internal/edge"
	"gatehouse/cmd/gatehouse/internal/tracing"
	"gatehouse/proxy"
	"gatehouse/users"
	"gatehouse/users/password"
)

// server is a gateway that listens.
type server struct {
	http    *http.Server
	edge    *edge.Edge
	admin   *admin // nil: nobody may ask
	store   *users.Store
	hasher  *password.Hasher
	stdout  io.Writer     // of the audit
	audit   *audit.Stream // nil: there is none
	drain   atomic.Pointer[proxy.Drain]
	logger  *slog.Logger
	metric  *metrics
	room    room
	tracing *tracing.Tracing // nil: nothing is traced
	traced  *proxy.Tracing   // the same, for gateways

	current     atomic.Pointer[generation]
	generations generations // current, and those before it that have requests
	reloader    *reloader   // nil: what was loaded stays

	stopping atomic.Bool // told to; requests are still answered
	inFlight atomic.Int64
	cut      context.CancelFunc // ends the requests that still run
}

// launch is launchTo for who has no stdout to share.
func launch(ctx context.Context, loaded *config.Loaded, logger *slog.Logger) (*server, error) {
	return launchTo(ctx, loaded, logger, io.Discard)
}

// launchTo opens the audit, the store and the listener and builds the first generation. Then
// clients may connect; they are answered once serve is called. The error is
// everything that stands in the way, with the lines of the configuration.
func launchTo(ctx context.Context, loaded *config.Loaded, logger *slog.Logger, stdout io.Writer) (*server, error) {
	if _, err := compile(loaded); err != nil {
		return nil, err
	}
	hasher, err := password.New(loaded.Login.Hashing)
	if err != nil {
		return nil, err
	}
	s := &server{logger: logger, stdout: stdout, hasher: hasher}
	s.drain.Store(&loaded.Server.Drain)
	s.metric = newMetrics(s, hasher)
	s.tracing, err = tracing.New(loaded.Tracing, tracing.Parts{Logger: logger, Registry: s.metric.registry, Version: built().Version})
	if err != nil {
		return nil, err
	}
	if s.tracing != nil {
		s.traced = &proxy.Tracing{Tracer: s.tracing.Tracer(), Trust: loaded.Tracing.TrustIncoming}
	}
	s.openAudit(loaded)
	if opensStore(loaded) {
		loaded.Blame("login.hashing", hasher.Isolate(ctx, hashingArgs(), logger))
		s.store, err = users.Open(ctx, loaded.Store, users.Parts{Hasher: hasher, Logger: logger, Metrics: s.metric.users})
		loaded.Blame("store", err)
	} else {
		logger.Info("there is no user store: users are whom the tokens name, and a token is good until it expires")
	}
	s.room = survey()
	s.edge, err = edge.Open(ctx, loaded.Server, edge.Parts{Logger: logger, MaxConnections: s.room.clients(loaded.Server.HardHeaderBytes())})
	loaded.Blame("server", err)
	if address := loaded.Server.AdminListen; address != "" {
		mode, _ := loaded.Server.Mode()
		listener, err := edge.Listen(ctx, "admin_listen", address, mode)
		loaded.Blame("server", err)
		if err == nil {
			s.admin = newAdmin(listener, &s.stopping, s.condition, s.unwell, s.metric.handler(), loaded.Server.Pprof.Key, logger)
			s.admin.audit = s.audit
		}
	}
	if err := loaded.Err(); err != nil {
		return nil, errors.Join(failed(err, ""), s.release())
	}
	if err := s.bootstrap(ctx, loaded.Bootstrap); err != nil {
		loaded.Blame("bootstrap", err)
		return nil, errors.Join(loaded.Err(), s.release())
	}
	first, err := build(loaded, parts{store: s.store, logger: logger, metrics: s.metric.proxy, tokens: s.metric.tokens, audit: s.tellAudit, auditReady: s.audit.Ready, room: s.room, tracing: s.traced})
	if err != nil {
		return nil, errors.Join(err, s.release())
	}
	s.generations.add(first)
	s.current.Store(first)

	// Requests outlive the signal to stop, which ends ctx.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	s.cut = cut
	s.http = &http.Server{
		Handler: linger(s.ServeHTTP),
		// The gateway has an answer to OPTIONS * of its own, and logs it.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            loaded.Server.ReadHeaderTimeout,
		IdleTimeout:                  loaded.Server.IdleTimeout,
		MaxHeaderBytes:               loaded.Server.HardHeaderBytes(),
		ErrorLog:                     slog.NewLogLogger(logger.Handler(), slog.LevelDebug), // what clients do wrong
		BaseContext:                  func(net.Listener) context.Context { return requests },
	}
	s.edge.Configure(s.http, loaded.Server)
	return s, nil
}

// ServeHTTP answers a request with the generation that is current when it comes.
func (s *server) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	s.inFlight.Add(1)
	defer s.inFlight.Add(-1)
	if s.stopping.Load() && in.Header["Upgrade"] == nil {
		// The client's next request comes on another connection, to somebody who stays. Were
		// the connection closed while it is idle, a request might be on its way.
		w.Header()["Connection"] = []string{"close"}
	}
	g := s.current.Load()
	for g.begin(); g != s.current.Load(); g.begin() { // another took its place meanwhile, and it may be closed
		g.end()
		g = s.current.Load()
	}
	defer g.end()
	g.ServeHTTP(w, in)
}

// follow lets s take over what changes in its configuration while it serves.
func (s *server) follow(r *reloader) {
	s.reloader, r.server = r, s
	if s.admin != nil {
		s.admin.complaint = r.complaint.Load
	}
}

// serve answers until ctx ends, then stops in order: go on for drain.delay, accept
// no more, let what is in flight finish for drain.timeout, close the store.
func (s *server) serve(ctx context.Context) error {
	broken := make(chan error, 1)
	go func() { broken <- s.edge.Serve(s.http) }()
	if s.admin != nil {
		go s.admin.serve(s.logger)
	}
	if s.reloader != nil {
		watching, stop := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() { s.reloader.watch(watching); close(ended) }()
		defer func() { stop(); <-ended }()
	}
	select {
	case err := <-broken:
		return errors.Join(err, s.stop(proxy.Drain{}))
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	drain := s.drain.Load()
	s.logger.Info("stopping", slog.Int64("in_flight", s.inFlight.Load()),
		slog.Int64("delay_ms", drain.Delay.Milliseconds()), slog.Int64("timeout_ms", drain.Timeout.Milliseconds()))
	time.Sleep(drain.Delay)
	err := s.stop(*drain)
	s.logger.Info("stopped")
	return err
}

// Streams do not end by themselves. When they are told to, it takes no longer.
const (
	endEvents  = time.Second     // the end of a body
	endSockets = 3 * time.Second // close frames and their answers
	endTraces  = 3 * time.Second // spans that wait for the collector
)

// stop ends everything within about drain.timeout. WebSockets get their close frame at
// once and event streams end after drain.streams, which is no fault.
func (s *server) stop(drain proxy.Drain) error {
	ctx, cancel := context.WithTimeout(context.Background(), drain.Timeout)
	defer cancel()
	s.generations.endTunnels()
	ending := time.AfterFunc(min(drain.Streams, drain.Timeout), func() { s.generations.endStreams() })
	defer ending.Stop()
	s.edge.Drain(ctx)
	late := s.shutdown(ctx)
	unfinished := s.inFlight.Load() - int64(s.generations.endStreams())
	var err error
	if late {
		s.await(endEvents, unfinished)
		err = s.http.Close()
	}
	if late && unfinished > 0 {
		err = errors.Join(fmt.Errorf("%s did not finish within drain.timeout (%v), and was cut off", count(int(unfinished), "request"), drain.Timeout), err)
		s.cut()
	}
	s.await(endSockets, 0)
	s.cut()
	s.await(2*time.Second, 0) // what was just cut off needs a moment to notice
	s.generations.close()
	s.audit.TellRepeats()
	s.tellSystem(eventStop, err, nil)
	return errors.Join(err, s.release())
}

// shutdown waits for what Drain has left: the requests of HTTP/2. It reports whether some were not done
// when ctx ended.
func (s *server) shutdown(ctx context.Context) (late bool) {
	// Its other error is that of a listener which it finds closed, as stop leaves them.
	return errors.Is(s.http.Shutdown(ctx), context.DeadlineExceeded)
}

// await waits until no more than so many requests are in flight, but not for longer
// than that.
func (s *server) await(patience time.Duration, left int64) {
	for until := time.Now().Add(patience); s.inFlight.Load() > left && time.Now().Before(until); {
		time.Sleep(5 * time.Millisecond)
	}
}

// release lets go of what the operating system gave.
func (s *server) release() error {
	var err error
	if s.edge != nil {
		_ = s.edge.Close()
	}
	if s.admin != nil {
		_ = s.admin.http.Close()
		_ = s.admin.listener.Close()
	}
	if s.store != nil {
		err = s.store.Close()
	}
	s.hasher.Close()
	sending, cancel := context.WithTimeout(context.Background(), endTraces)
	defer cancel()
	_ = s.tracing.Close(sending) // a collector that is away must not fail the exit
	return errors.Join(err, s.audit.Close())
}

// announce is the line that says what is listened on and what stands behind.
func (s *server) announce(loaded *config.Loaded) {
	var behind []string
	for _, name := range slices.Sorted(maps.Keys(loaded.Upstreams)) {
		up := loaded.Upstreams[name]
		behind = append(behind, name+" "+cmp.Or(up.URL, strings.Join(up.URLs, " ")))
	}
	s.logger.Info("listening",
		slog.String("address", strings.Join(s.edge.URLs(), ", ")), slog.String("upstreams", strings.Join(behind, ", ")),
		slog.Int("routes", len(loaded.Routes)), slog.String("tokens", loaded.Tokens.BasePath+"/"),
		slog.String("config", cmp.Or(loaded.Path, "environment")), slog.String("version", built().Version))
	s.tellSystem(eventStart, nil, map[string]any{"version": built().Version, "config": cmp.Or(loaded.Path, "environment")})
	s.room.warn(loaded, s.logger)
}
