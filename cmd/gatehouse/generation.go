package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/cmd/gatehouse/internal/edge"
	"gatehouse/cmd/gatehouse/internal/tracing"
	"gatehouse/proxy"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/password"
)

// generation is everything that one configuration makes. It does not change; a
// changed configuration makes another one beside it, on the same store.
type generation struct {
	gateway   *proxy.Gateway
	authority *tokens.Authority
	endpoints []tokens.Endpoint
	issuer    *tokens.Issuer // nil: no key signs

	inFlight atomic.Int64
	retired  atomic.Bool // another has taken its place
	closing  sync.Once
	closed   atomic.Bool
}

// parts are what outlives a generation.
type parts struct {
	store   *users.Store
	logger  *slog.Logger
	metrics *proxy.Metrics // nil: nothing is counted
	room    room           // zero: no bounds but those that are written
	tokens  *tokens.Metrics
	before  *generation // whose place it takes; nil: nobody's
	audit   func(context.Context, tokens.Event) error
	// auditReady tells whether it will take what endpoints are about to do.
	auditReady func() error
	tracing    *proxy.Tracing // nil: nothing is traced

	endpoints []tokens.Endpoint // in place of its own; nil: its own
}

// build compiles a configuration. Its error is everything wrong with it.
func build(loaded *config.Loaded, with parts) (*generation, error) {
	g := &generation{}
	outside := proxy.Parts{Logger: with.logger, Metrics: with.metrics, Tracing: with.tracing}
	if with.room.files > 0 {
		outside.MaxConnections = with.room.requests(len(loaded.Upstreams))
		outside.GarbageRate = garbagePerProcessor * runtime.GOMAXPROCS(0)
	}
	var authorityBefore *tokens.Authority
	if with.before != nil {
		outside.Before, authorityBefore = with.before.gateway, with.before.authority
	}
	loaded.Blame("login", loaded.Login.Check())
	loaded.Blame("audit", errors.Join(loaded.Audit.Check()...))
	blameEmptyAssertions(loaded)
	authority, err := tokens.New(loaded.Tokens, tokens.Parts{Store: with.store, Login: loaded.Login.Login, Logger: with.logger, Metrics: with.tokens, Before: authorityBefore, Audit: with.audit, AuditReady: with.auditReady})
	loaded.Blame("tokens", err)
	if err == nil {
		g.authority = authority
		g.endpoints, g.issuer = with.endpoints, authority.Issuer()
		if g.endpoints == nil {
			g.endpoints = hasten(authority.Endpoints())
		}
		outside.Verifier, outside.Endpoints, outside.Asserter = authority.Verifier(), g.endpoints, authority.Asserter()
	}
	// Without a verifier too, since its faults should be told together with those of the tokens.
	g.gateway, err = proxy.New(loaded.Config, outside)
	loaded.Blame("", err)
	if err := loaded.Err(); err != nil {
		if g.gateway != nil {
			g.gateway.Close()
		}
		return nil, err
	}
	return g, nil
}

// compile finds everything wrong with a configuration without touching anything:
// the generation that it returns has a store that is not open.
func compile(loaded *config.Loaded) (*generation, error) {
	loaded.Blame("store", users.Check(loaded.Store))
	_, err := password.New(loaded.Login.Hashing)
	loaded.Blame("login.hashing", err)
	loaded.Blame("server", edge.Check(loaded.Server))
	loaded.Blame("tracing", tracing.Check(loaded.Tracing))
	with := parts{logger: slog.New(slog.DiscardHandler)}
	if opensStore(loaded) {
		with.store = new(users.Store)
	} else {
		withoutStore(loaded)
	}
	return build(loaded, with)
}

// blameEmptyAssertions refuses `assertion: {}`: who writes it wants one, and the rooms
// cannot tell it from one that is not written.
func blameEmptyAssertions(loaded *config.Loaded) {
	for name, u := range loaded.Upstreams {
		if key := "upstreams." + name + ".assertion"; u.Assertion == (upstream.Assertion{}) && loaded.Says(key) {
			loaded.Blame("", &proxy.Fault{At: key, Problem: "it is said that there is an assertion, but not which", Fix: "write { header: X-Gatehouse-Assertion }, or take it away"})
		}
	}
}

// ServeHTTP answers a request.
func (g *generation) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	g.gateway.ServeHTTP(w, in)
}

// start begins what goes on without requests. A generation that only shows what is
// wrong with a configuration is never started.
func (g *generation) start() { g.authority.Start() }

// close ends what no request is using any more.
func (g *generation) close() {
	g.closing.Do(func() {
		g.closed.Store(true)
		g.gateway.Close()
		g.authority.Close()
	})
}
