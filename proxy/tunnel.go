package proxy

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // what RFC 6455 asks for; nothing is protected by it
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lingering is how long the two ends of a WebSocket may take to say goodbye.
const lingering = 2 * time.Second

// tunnel is a WebSocket between a client and an upstream. Bytes pass as they are;
// between two frames it may put a close frame of its own, to both ends, and then
// nothing more passes.
type tunnel struct {
	stream  *stream
	client  net.Conn
	early   *bufio.Reader // what the client sent before it was answered
	backend io.ReadWriteCloser
	patient patient       // with a client that does not read; it notes what passes to the client
	pause   time.Duration // for which nothing may pass; 0 is any
	born    time.Time
	begin   func() // of the stream
	started sync.Once

	idle    atomic.Pointer[time.Timer] // nil: none
	leaving sync.Once
	cut     *time.Timer

	toClient, toBackend side
}

// side is one direction. The two are not in one line of a processor's cache: each is
// written to by another goroutine, for each piece.
type side struct {
	_      [64]byte
	last   atomic.Int64 // when something came that is to pass, in ns behind born
	mu     sync.Mutex
	frames frames
	masked bool    // frames of ours must be
	ending *ending // to be said at the end of the frame that is passing
	ended  bool    // it was said: nothing more passes
	_      [64]byte
}

// isHandshake reports whether a 101 is the answer to the question (RFC 6455, section
// 4.2.2): a server that was made to say 101 by somebody else's words does not know
// the key.
func isHandshake(asked, answered http.Header) bool {
	if !strings.EqualFold(answered.Get("Upgrade"), "websocket") || len(asked["Sec-Websocket-Key"]) != 1 {
		return false
	}
	sum := sha1.Sum([]byte(asked.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // as above
	return answered.Get("Sec-Websocket-Accept") == base64.StdEncoding.EncodeToString(sum[:])
}

// tunnel makes a tunnel of a 101.
func (x *exchange) tunnel(answer *http.Response) *stream {
	backend, ok := answer.Body.(io.ReadWriteCloser)
	if !ok {
		return nil // ReverseProxy answers
	}
	t := &tunnel{backend: backend, pause: x.decision.line.Idle(), born: time.Now()}
	t.patient = patient{patience: x.gateway.patience, born: t.born, last: &t.toClient.last}
	t.toBackend.masked = true
	t.stream = x.newStream(t.end)
	t.stream.tunnel = true
	t.begin = func() { x.gateway.begin(t.stream, x.decision.Match.Stream()) }
	answer.Body = backendEnd{t}
	x.out.tunnel = t
	return t.stream
}

// opened is called when the client's connection is ours. The head of the answer is yet
// to be sent, so the stream begins later: nothing of ours may come before it.
func (t *tunnel) opened(client net.Conn, early *bufio.Reader) net.Conn {
	t.client, t.early = client, early
	t.patient.Conn = client
	return clientEnd{client, t}
}

// start is called behind the head.
func (t *tunnel) start() {
	t.started.Do(func() {
		if t.pause > 0 {
			t.passed(&t.toClient, 1)
			t.idle.Store(time.AfterFunc(t.pause, t.silent))
		}
		t.begin()
	})
}

// finish stops the clocks.
func (t *tunnel) finish() {
	if idle := t.idle.Swap(nil); idle != nil {
		idle.Stop()
	}
	t.leaving.Do(func() {}) // no clock is begun any more
	if t.cut != nil {
		t.cut.Stop()
	}
}

// end says goodbye to both ends, and waits for their answer, but not for long.
func (t *tunnel) end(e *ending) {
	t.linger()
	// Each may have to wait for an end that does not read; linger ends that.
	go t.toClient.close(e, &t.patient)
	go t.toBackend.close(e, t.backend)
}

// linger gives the ends a moment before both are cut off.
func (t *tunnel) linger() {
	t.leaving.Do(func() {
		t.cut = time.AfterFunc(lingering, func() {
			_ = t.client.Close()
			_ = t.backend.Close()
		})
	})
}

// passed takes note that something has. The clock is not moved for that: it looks when
// it is due.
func (t *tunnel) passed(s *side, n int) {
	if n > 0 && t.pause > 0 {
		s.last.Store(int64(time.Since(t.born)))
	}
}

// silent ends a tunnel in which nothing has passed for too long.
func (t *tunnel) silent() {
	last := max(t.toClient.last.Load(), t.toBackend.last.Load())
	left := t.pause - (time.Since(t.born) - time.Duration(last))
	if left <= 0 {
		t.stream.end(endedIdle)
		return
	}
	if idle := t.idle.Load(); idle != nil {
		idle.Reset(left)
	}
}

// pass writes p, or what of it may still pass.
func (s *side) pass(p []byte, to io.Writer) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		s.frames.all(p)
		return len(p), nil
	case s.ending == nil:
		s.frames.all(p)
		return to.Write(p)
	}
	n := s.frames.next(p)
	if _, err := to.Write(p[:n]); err != nil {
		return 0, err
	}
	if s.frames.between() {
		s.say(to)
		s.frames.all(p[n:])
	}
	return len(p), nil
}

// close says why it is over: now, or when the frame that is passing has ended.
func (s *side) close(e *ending, to io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.ending != nil {
		return
	}
	s.ending = e
	if s.frames.between() {
		s.say(to)
	}
}

// say sends the close frame, unless the other end has sent one itself.
func (s *side) say(to io.Writer) {
	s.ended = true
	if !s.frames.closed {
		_, _ = to.Write(closeFrame(s.ending, s.masked))
	}
}

// leave closes both connections as soon as both ends have said goodbye.
func (t *tunnel) leave() {
	if t.stream.ended.Load() == nil {
		return
	}
	for _, s := range []*side{&t.toClient, &t.toBackend} {
		s.mu.Lock()
		closed := s.frames.closed
		s.mu.Unlock()
		if !closed {
			return
		}
	}
	_ = t.client.Close()
	_ = t.backend.Close()
}

// clientEnd is the client's connection as ReverseProxy sees it.
type clientEnd struct {
	net.Conn
	t *tunnel
}

func (c clientEnd) Read(p []byte) (int, error) {
	c.t.start()
	var n int
	var err error
	if buffered := c.t.early.Buffered(); buffered > 0 {
		n, err = c.t.early.Read(p[:min(len(p), buffered)])
	} else {
		n, err = c.Conn.Read(p)
	}
	c.t.passed(&c.t.toBackend, n)
	if err != nil {
		c.t.linger()
	}
	return n, err
}

// Write takes what the upstream has sent.
func (c clientEnd) Write(p []byte) (int, error) {
	n, err := c.t.toClient.pass(p, &c.t.patient)
	c.t.leave()
	return n, err
}

// CloseWrite tells the client that nothing more comes.
func (c clientEnd) CloseWrite() error { return closeWrite(c.Conn) }

// backendEnd is the upstream's connection as ReverseProxy sees it.
type backendEnd struct{ t *tunnel }

func (b backendEnd) Read(p []byte) (int, error) {
	n, err := b.t.backend.Read(p)
	if err != nil {
		b.t.linger()
	}
	return n, err
}

// Write takes what the client has sent.
func (b backendEnd) Write(p []byte) (int, error) {
	n, err := b.t.toBackend.pass(p, b.t.backend)
	b.t.leave()
	return n, err
}

// Close ends the upstream's connection.
func (b backendEnd) Close() error { return b.t.backend.Close() }

// CloseWrite tells the upstream that nothing more comes.
func (b backendEnd) CloseWrite() error { return closeWrite(b.t.backend) }

func closeWrite(conn any) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// patient bounds how long each part of what is written is waited for, and notes when it
// came: one look at the clock is enough for both. It is used by one goroutine at a time.
type patient struct {
	net.Conn
	patience time.Duration
	born     time.Time
	last     *atomic.Int64 // when something was written, in ns behind born
	until    time.Duration // the deadline that is set, likewise; 0: none
}

func (p *patient) Write(b []byte) (int, error) {
	now := time.Since(p.born)
	p.last.Store(int64(now))
	if until := now + p.patience; p.until == 0 || until-p.until >= p.patience/patienceGrain {
		p.until = until
		_ = p.SetWriteDeadline(p.born.Add(until))
	}
	return p.Conn.Write(b)
}
