package upstream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ask begins the health checks of every server, once, unless the upstream is closed.
func (u *Upstream) ask() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.asked.Swap(true) || u.closed.Err() != nil {
		return
	}
	for _, s := range u.servers {
		u.askers.Go(func() { u.askAgain(s) })
	}
}

// askAgain asks one server until the upstream is closed.
func (u *Upstream) askAgain(s *server) {
	transport := newTransport(s, bounds{connect: u.health.Timeout, firstByte: u.health.Timeout})
	// A connection for each question: a server that takes no new ones is not well.
	transport.DisableKeepAlives = true
	defer transport.CloseIdleConnections()

	tick := time.NewTicker(u.health.Interval)
	defer tick.Stop()
	for good, bad := 0, 0; ; {
		err := u.askOnce(transport, s)
		if u.closed.Err() != nil {
			return
		}
		if err == nil {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		switch down := s.down.Load(); {
		case !down && bad >= u.health.UnhealthyAfter:
			s.down.Store(true)
			u.logger.WarnContext(u.closed, "server is not healthy", slog.String("upstream", u.name),
				slog.String("server", s.endpoint.url), slog.Any("error", err))
		case down && good >= u.health.HealthyAfter:
			s.broken.Store(0)
			s.back.Store(u.clock()) // slowly
			s.down.Store(false)
			u.logger.InfoContext(u.closed, "server is healthy again", slog.String("upstream", u.name),
				slog.String("server", s.endpoint.url))
		}
		select {
		case <-tick.C:
		case <-u.closed.Done():
			return
		}
	}
}

// askOnce returns nil if the server says that it is well.
func (u *Upstream) askOnce(transport *http.Transport, s *server) error {
	ctx, cancel := context.WithTimeout(u.closed, u.health.Timeout)
	defer cancel()
	path, query, _ := strings.Cut(u.health.Path, "?")
	question := (&http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: s.endpoint.wire(), Host: s.endpoint.host, Opaque: path, RawQuery: query},
		Host:   s.endpoint.host,
		Header: http.Header{"User-Agent": {"gatehouse-health"}},
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	answer, err := transport.RoundTrip(question)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, maxKept)
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("answered %d", answer.StatusCode)
	}
	return nil
}
