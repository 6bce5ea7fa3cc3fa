package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/proxy/route"
	"gatehouse/tokens"
)

// ending is why a stream was ended by us.
type ending struct {
	word string // for the log
	text string // for the client
	code uint16 // of WebSocket: RFC 6455, section 7.4.1
	grpc int    // status
}

// The reasons. 1008 is policy violation, 1001 going away.
var (
	endedToken    = &ending{"token_expired", "the token has expired", 1008, 16}
	endedSession  = &ending{"session_ended", "the session has ended", 1008, 16}
	endedMax      = &ending{"stream_max", "the stream has lasted long enough", 1008, 16}
	endedIdle     = &ending{"idle", "nothing was said for too long", 1001, 14}
	endedStopping = &ending{"stopping", "the gateway is stopping", 1001, 14}
)

// stream is something that was let in and has no end of its own, so that somebody
// must end it when what let it in no longer holds.
type stream struct {
	principal *tokens.Principal // nil: nobody's
	policy    route.Policy
	tunnel    bool          // a WebSocket
	stop      func(*ending) // called once, by whoever comes first
	once      sync.Once
	ended     atomic.Pointer[ending]
	timer     *time.Timer // nil: it may last for ever
}

func (s *stream) end(e *ending) {
	s.once.Do(func() {
		s.ended.Store(e)
		s.stop(e)
	})
}

// streams are those that are open. Changes of users are looked at by one goroutine
// for all of them, which is there only when there is something to look at.
type streams struct {
	mu       sync.Mutex
	all      map[*stream]struct{}
	stopping map[bool]bool                  // tunnels (true), the rest (false)
	changes  []func(*tokens.Principal) bool // since the goroutine has looked
	looking  bool
}

// recheckAfter is when a stream is looked at again whose user could not be asked for.
const recheckAfter = time.Second

// begin watches a stream from now on.
func (g *Gateway) begin(s *stream, limit route.Stream) {
	var until time.Duration
	why := endedMax
	switch {
	case limit.After > 0:
		until = limit.After
	case limit.Token && s.principal != nil:
		why = endedToken
		until = max(s.principal.Expires.Sub(g.now()), 1) // 0 would be none
	}
	if until > 0 {
		s.timer = time.AfterFunc(until, func() { s.end(why) })
	}
	l := &g.streams
	l.mu.Lock()
	if l.all == nil {
		l.all = map[*stream]struct{}{}
	}
	l.all[s] = struct{}{}
	stopping := l.stopping[s.tunnel]
	l.mu.Unlock()
	if stopping {
		s.end(endedStopping)
	}
	if s.principal != nil {
		// The session may have ended while the upstream was asked.
		g.changed(func(p *tokens.Principal) bool { return p == s.principal })
	}
}

// finish is called when the stream is over, whoever has ended it.
func (g *Gateway) finish(s *stream) {
	if s.timer != nil {
		s.timer.Stop()
	}
	g.streams.mu.Lock()
	defer g.streams.mu.Unlock()
	delete(g.streams.all, s)
}

// changed takes note of something that may end streams. It does not wait.
func (g *Gateway) changed(concerns func(*tokens.Principal) bool) {
	l := &g.streams
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return
	}
	l.changes = append(l.changes, concerns)
	if !l.looking {
		l.looking = true
		go g.look()
	}
}

// look holds the streams against the changes until there are none left.
func (g *Gateway) look() {
	l := &g.streams
	for {
		l.mu.Lock()
		changes := l.changes
		l.changes = nil
		if len(changes) == 0 {
			l.looking = false
			l.mu.Unlock()
			return
		}
		var affected []*stream
		for s := range l.all {
			for _, concerns := range changes {
				if s.principal != nil && concerns(s.principal) {
					affected = append(affected, s)
					break
				}
			}
		}
		l.mu.Unlock()
		for _, s := range affected {
			g.recheck(s)
		}
	}
}

// recheck ends a stream whose user may no longer have it.
func (g *Gateway) recheck(s *stream) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	now, err := g.verifier.Still(ctx, s.principal)
	_, rejected := errors.AsType[*tokens.Rejection](err)
	switch {
	case rejected, err == nil && !s.policy.Admits(bearerOf(now)):
		s.end(endedSession)
	case err != nil:
		time.AfterFunc(recheckAfter, func() { g.changed(func(p *tokens.Principal) bool { return p == s.principal }) })
	}
}

// EndTunnels ends every WebSocket with a close frame, also those that begin later. It
// does not wait for them.
func (g *Gateway) EndTunnels() { g.endStreams(func(s *stream) bool { return s.tunnel }, true) }

// EndStreams ends every WebSocket, with a close frame, every event stream and what
// else has no end of its own, also those that begin later. It does not wait for
// them, and returns how many there were.
func (g *Gateway) EndStreams() int {
	return g.endStreams(func(*stream) bool { return true }, true, false)
}

func (g *Gateway) endStreams(which func(*stream) bool, kinds ...bool) int {
	l := &g.streams
	l.mu.Lock()
	if l.stopping == nil {
		l.stopping = map[bool]bool{}
	}
	for _, tunnels := range kinds {
		l.stopping[tunnels] = true
	}
	var all []*stream
	for s := range l.all {
		if which(s) {
			all = append(all, s)
		}
	}
	l.mu.Unlock()
	for _, s := range all {
		s.end(endedStopping)
	}
	return len(all)
}

// kind is what an answer is when it is cut off.
type kind int

const (
	ordinary kind = iota // ends by itself, soon
	events               // server-sent events: an end anywhere is an end
	grpc                 // has a status behind its messages
	endless              // anything else: half of it must not look like all of it
)

// endlessTypes have no end by what they are.
var endlessTypes = map[string]bool{
	"multipart/x-mixed-replace": true, "application/x-ndjson": true, "application/ndjson": true, "application/jsonl": true,
	"application/stream+json": true, "application/json-seq": true,
}

func kindOf(answer *http.Response, limit route.Stream) kind {
	if answer.Body == nil || answer.Body == http.NoBody {
		return ordinary
	}
	mediaType, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	switch {
	case mediaType == "text/event-stream":
		return events
	case mediaType == "application/grpc", strings.HasPrefix(mediaType, "application/grpc+"):
		return grpc
	case endlessTypes[mediaType], limit.Said:
		return endless
	}
	return ordinary
}

// watch makes a stream of an answer that is one. It returns nil for others.
func (x *exchange) watch(answer *http.Response) *stream {
	limit := x.decision.Match.Stream()
	kind := kindOf(answer, limit)
	if kind == ordinary {
		return nil
	}
	b := &streamed{ReadCloser: answer.Body, answer: answer, kind: kind}
	b.stream = x.newStream(func(*ending) { _ = b.Close() }) // ends the Read
	answer.Body = b
	x.gateway.begin(b.stream, limit)
	return b.stream
}

func (x *exchange) newStream(stop func(*ending)) *stream {
	s := &stream{principal: x.decision.Principal, policy: x.decision.Match.Policy(), stop: stop}
	if s.policy.Report {
		s.principal = nil // nothing is enforced
	}
	return s
}

// streamed is the body of a stream.
type streamed struct {
	io.ReadCloser
	stream *stream
	answer *http.Response
	kind   kind
}

// errEnded breaks an answer off, so that the client notices.
var errEnded = errors.New("the stream was ended")

func (b *streamed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	e := b.stream.ended.Load()
	if e == nil || err == io.EOF {
		return n, err
	}
	switch b.kind {
	case events:
		return n, io.EOF // the client drops half an event, and comes again with another token
	case grpc:
		b.answer.Trailer = http.Header{"Grpc-Status": {strconv.Itoa(e.grpc)}, "Grpc-Message": {grpcMessage(e.text)}}
		return n, io.EOF
	}
	return n, errEnded
}
