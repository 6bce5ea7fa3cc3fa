package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/proxy"
)

// pollTime is how often the configuration and the files that it names are looked at.
const pollTime = 2 * time.Second

// reloader watches a configuration, and gives the server a new generation when it has
// changed. A configuration that cannot be used changes nothing.
type reloader struct {
	server *server
	load   func() (*config.Loaded, error) // as at the start
	signal chan os.Signal
	poll   time.Duration
	level  *slog.LevelVar // of the log; nil: it is not ours

	// Of the goroutine that watches.
	first    *config.Loaded // for what cannot change
	watched  []string
	inEffect fingerprint
	tried    fingerprint // what was last looked into, good or bad

	complaint atomic.Pointer[complaint] // why what is written is not in effect; nil: it is
	succeeded atomic.Int64              // when, in unix seconds
	reloads   [2]atomic.Int64           // that failed, that succeeded
}

// complaint is why a configuration cannot be used.
type complaint struct {
	text  string
	where string // the places alone: files, lines and keys
}

// whereOf names the place of the first fault, and how many more there are.
func whereOf(err error) string {
	faults, ok := errors.AsType[config.Faults](err)
	if !ok || len(faults) == 0 {
		return "the log says why"
	}
	place := faults[0]
	place.Problem = ""
	where := strings.TrimSuffix(place.Error(), ": ")
	if more := len(faults) - 1; more > 0 {
		where += fmt.Sprintf(" and %d more", more)
	}
	return where
}

// fingerprint is that of the content of files.
type fingerprint [sha256.Size]byte

// newReloader watches what was loaded, from now on. Signals that come before watch are kept.
func newReloader(loaded *config.Loaded, load func() (*config.Loaded, error)) *reloader {
	r := &reloader{load: load, first: loaded, signal: make(chan os.Signal, 1), poll: pollTime}
	signal.Notify(r.signal, syscall.SIGHUP)
	r.succeeded.Store(time.Now().Unix())
	r.watched = watchable(loaded)
	r.inEffect = fingerprintOf(r.watched)
	r.tried = r.inEffect
	return r
}

// watch ends with ctx.
func (r *reloader) watch(ctx context.Context) {
	defer signal.Stop(r.signal)
	ticker := time.NewTicker(r.poll)
	defer ticker.Stop()
	seen := r.tried
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.signal:
			r.server.logger.Info("told to look at the configuration")
			r.server.edge.Reload()
			r.server.audit.Reopen()
			r.reload()
			seen = r.tried
		case <-ticker.C:
			// What is being written is waited for: it must stay the same for a while.
			now := fingerprintOf(r.watched)
			if now == seen && now != r.tried {
				r.reload()
				now = r.tried
			}
			seen = now
		}
	}
}

// reload takes over what is written now, or says why not.
func (r *reloader) reload() {
	loaded, err := r.load()
	if err != nil {
		err = told(loaded, err)
	} else {
		err = r.server.take(loaded, r.first)
	}
	if loaded != nil {
		// Of a bad one too: a file that it lacks may come.
		r.watched = append(slices.Clone(watchable(r.first)), watchable(loaded)...)
		slices.Sort(r.watched)
		r.watched = slices.Compact(r.watched)
	}
	r.tried = fingerprintOf(r.watched)
	if err != nil {
		text := err.Error()
		r.complaint.Store(&complaint{text, whereOf(err)})
		r.reloads[0].Add(1)
		r.server.tellSystem(eventReload, err, nil)
		r.server.logger.Error("the changed configuration cannot be used; the one before it stays", slog.String("error", text))
		return
	}
	if r.level != nil {
		r.level.Set(levelOf(loaded.Log))
	}
	r.complaint.Store(nil)
	r.reloads[1].Add(1)
	r.succeeded.Store(time.Now().Unix())
	if err := lint(context.Background(), loaded, r.server.current.Load(), r.server.store); err != nil {
		r.server.logger.Warn("not all of the configuration could be looked at", slog.Any("error", err))
	}
	for _, warning := range loaded.Warnings {
		r.server.logger.Warn("the configuration can be used, but", slog.String("warning", warning.Error()))
	}
	r.server.tellSystem(eventReload, nil, map[string]any{"config": cmp.Or(loaded.Path, "environment")})
	r.server.logger.Info("took over the configuration", slog.Int("routes", len(loaded.Routes)), slog.Int("upstreams", len(loaded.Upstreams)))
}

// take builds a generation of a configuration and puts it in the place of the current one.
// Requests that run, streams too, stay with the one that let them in; it is closed after the last.
func (s *server) take(loaded, first *config.Loaded) error {
	unchangeable(loaded, first)
	if !opensStore(loaded) {
		withoutStore(loaded)
	}
	next, err := build(loaded, parts{store: s.store, logger: s.logger, metrics: s.metric.proxy, tokens: s.metric.tokens, audit: s.tellAudit, auditReady: s.audit.Ready, room: s.room, before: s.current.Load(), tracing: s.traced})
	if err != nil {
		return err
	}
	s.drain.Store(&loaded.Server.Drain)
	s.edge.Trust(loaded.Server)
	s.generations.add(next)
	s.current.Swap(next).retire()
	return nil
}

// unchangeable blames what a running gateway cannot change.
func unchangeable(loaded, first *config.Loaded) {
	compare := func(section string, now, then any, changeable ...string) {
		a, b := reflect.ValueOf(now), reflect.ValueOf(then)
		for i := range a.NumField() {
			key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("mapstructure"), ",")
			if slices.Contains(changeable, key) || reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				continue
			}
			loaded.Blame(section, &proxy.Fault{At: key, Problem: "cannot change while gatehouse runs", Fix: "restart it, or write what was there"})
		}
	}
	compare("server", loaded.Server, first.Server,
		"trusted_proxies", "max_uri", "max_body", "read_body_timeout", "min_body_rate", "write_timeout", "security_headers", "drain")
	compare("log", loaded.Log, first.Log, "level", "headers")
	compare("tracing", loaded.Tracing, first.Tracing)
	compare("store", loaded.Store, first.Store)
	compare("audit", loaded.Audit, first.Audit)
	compare("login.hashing", loaded.Login.Hashing, first.Login.Hashing)
	if opensStore(loaded) != opensStore(first) {
		loaded.Blame("store", &proxy.Fault{Problem: "whether there is a store cannot change while gatehouse runs", Fix: "restart it"})
	}
}

// watchable are the files that a configuration was read from. Certificates of
// listeners are watched by those.
func watchable(loaded *config.Loaded) []string {
	var files []string
	listeners := loaded.Server.TLS.Pairs()
	for _, name := range loaded.Read {
		if !slices.ContainsFunc(listeners, func(pair proxy.Certificate) bool { return name == pair.CertFile || name == pair.KeyFile }) {
			files = append(files, name)
		}
	}
	return files
}

// fingerprintOf goes by content alone: Kubernetes swaps symbolic links, editors write
// new files, and clocks of files can be anything.
func fingerprintOf(files []string) fingerprint {
	all := sha256.New()
	for _, name := range files {
		sum := sha256.New()
		file, err := os.Open(name)
		if err == nil {
			_, err = io.Copy(sum, io.LimitReader(file, 64<<20))
			_ = file.Close()
		}
		fmt.Fprintf(all, "%q %v %x\n", name, err == nil, sum.Sum(nil))
	}
	return fingerprint(all.Sum(nil))
}

// generations are those that have requests, or may get some.
type generations struct {
	mu   sync.Mutex
	open []*generation
}

func (all *generations) add(g *generation) {
	g.start()
	all.mu.Lock()
	defer all.mu.Unlock()
	all.open = append(slices.DeleteFunc(all.open, func(g *generation) bool { return g.closed.Load() }), g)
}

// endTunnels tells the WebSockets of every generation to end.
func (all *generations) endTunnels() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, g := range all.open {
		if !g.closed.Load() {
			g.gateway.EndTunnels()
		}
	}
}

// endStreams tells the streams of every generation to end, and says how many there are.
func (all *generations) endStreams() int {
	all.mu.Lock()
	defer all.mu.Unlock()
	streams := 0
	for _, g := range all.open {
		if !g.closed.Load() {
			streams += g.gateway.EndStreams()
		}
	}
	return streams
}

// close closes what is not closed.
func (all *generations) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, g := range all.open {
		g.close()
	}
}

// begin counts a request in, end counts it out.
func (g *generation) begin() { g.inFlight.Add(1) }

func (g *generation) end() {
	if g.inFlight.Add(-1) == 0 && g.retired.Load() {
		g.close()
	}
}

// retire closes the generation after its last request. There may come one that loaded
// it a moment ago; that one looks again.
func (g *generation) retire() {
	g.retired.Store(true)
	if g.inFlight.Load() == 0 {
		g.close()
	}
}
