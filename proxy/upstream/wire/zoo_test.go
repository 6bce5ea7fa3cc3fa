package wire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

// animal is a server of the zoo, which behaves on each connection as its script
// says. It writes down every request that it reads.
type animal struct {
	address string
	mu      sync.Mutex
	heard   [][]string // the heads of each connection
	ended   sync.WaitGroup
	l       net.Listener
}

// peer is one connection as its animal has it.
type peer struct {
	net.Conn
	of    *animal
	n     int // which connection: 0 is the first
	asked int // how many heads were read
	from  *bufio.Reader
}

// free lets an animal loose.
func free(t testing.TB, script func(*peer)) *animal {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &animal{address: l.Addr().String(), l: l}
	a.ended.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			p := &peer{Conn: c, of: a, n: len(a.heard), from: bufio.NewReader(c)}
			a.heard = append(a.heard, nil)
			a.mu.Unlock()
			a.ended.Go(func() {
				defer func() { _ = c.Close() }()
				script(p)
			})
		}
	})
	return a
}

// cage ends an animal and waits until all of it is gone.
func (a *animal) cage() {
	_ = a.l.Close()
	a.ended.Wait()
}

// head reads the head of a request. It is false when there is none.
func (p *peer) head() bool {
	var head strings.Builder
	for {
		line, err := p.from.ReadString('\n')
		if err != nil {
			return false
		}
		if line == "\r\n" {
			break
		}
		head.WriteString(line)
	}
	p.asked++
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.heard[p.n] = append(p.of.heard[p.n], head.String())
	return true
}

func (p *peer) say(text string) { _, _ = io.WriteString(p.Conn, text) }

// gone waits until the other side has closed.
func (p *peer) gone() { _, _ = io.Copy(io.Discard, p.from) }

// reset ends the connection without a farewell.
func (p *peer) reset() {
	_ = p.Conn.(*net.TCPConn).SetLinger(0)
	_ = p.Close()
}

// requests are what was heard on each connection.
func (a *animal) requests() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for i, heads := range a.heard {
		if len(heads) > 0 { // one that was opened and not used says nothing
			fmt.Fprintf(&b, "connection %d: %q\n", i, heads)
		}
	}
	return b.String()
}

// ask is a request, and how its answer is read.
type ask struct {
	method string                          // GET
	header map[string]string               // beside the usual
	body   func(context.Context) io.Reader // the context ends behind the answer
	after  time.Duration                   // since the answer to the one before
	alone  bool                            // sent when every connection has ended, on both sides

	cancelAt string // "before", "sent", "informed", "head", "body", "end": when the caller gives up
	leaveAt  int    // closes the body after so many bytes; 0: reads it all
}

// visitor is one who asks.
type visitor struct {
	up    *upstream.Upstream
	t     testing.TB
	files int // that were open before the first connection
}

func visit(t testing.TB, a *animal, transport string, cfg upstream.Config) *visitor {
	t.Helper()
	cfg.URL, cfg.Transport = "http://"+a.address, transport
	if cfg.KeepAlive == nil {
		long := 20 * time.Second
		cfg.KeepAlive = &long
	}
	up, err := upstream.New("app", cfg, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{up: up, t: t, files: openFiles()}
}

// tell sends a request and says all that can be said of what came back.
func (v *visitor) tell(r ask, heard func() bool) string {
	time.Sleep(r.after)
	if r.alone {
		v.alone()
	}
	ctx, cancel := context.WithCancel(v.t.Context())
	defer cancel()
	var b strings.Builder
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			if b.Len() < 4096 {
				fmt.Fprintf(&b, "informational %d %s\n", code, sorted(http.Header(header)))
			}
			if r.cancelAt == "informed" {
				cancel()
			}
			return nil
		},
	})
	method := r.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if r.body != nil {
		body = r.body(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://placeholder/things?page=2", body)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Host = "app.example.com"
	req.Header.Set("User-Agent", "")
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	switch r.cancelAt {
	case "before":
		cancel()
	case "sent":
		go func() {
			for !heard() {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(20 * time.Millisecond)
			cancel()
		}()
	}
	call := &upstream.Call{Line: v.up.Line(upstream.Timeouts{}), Key: upstream.Key("", netip.Addr{})}
	defer call.Close()
	answer, err := call.RoundTrip(req)
	if err != nil {
		if r.cancelAt != "" && !errors.Is(err, context.Canceled) {
			fmt.Fprintf(&b, "not context.Canceled: %v\n", err)
		}
		fmt.Fprintf(&b, "failed: %s\n", upstream.Explain(ctx, err))
		return b.String()
	}
	if r.cancelAt == "head" {
		cancel()
	}
	fmt.Fprintf(&b, "%s %d %d.%d length %d coding %v close %v uncompressed %v\n%s\nannounced %s\n", answer.Status, answer.StatusCode,
		answer.ProtoMajor, answer.ProtoMinor, answer.ContentLength, answer.TransferEncoding, answer.Close, answer.Uncompressed,
		sorted(answer.Header), sorted(answer.Trailer))
	if answer.Request == nil || answer.Request.Method != method {
		b.WriteString("the answer does not know its request\n")
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		_, writable := answer.Body.(io.Writer)
		fmt.Fprintf(&b, "writable %v\n", writable)
		_ = answer.Body.Close()
		return b.String()
	}
	b.WriteString(v.read(answer, r, cancel))
	return b.String()
}

// alone waits until no connection is open any more: the server has closed its side,
// and the client has noticed that, or something else that ends one.
func (v *visitor) alone() {
	v.t.Helper()
	if v.files == 0 {
		time.Sleep(2 * time.Second) // it cannot be seen on this system
		return
	}
	if !eventually(func() bool { return openFiles() <= v.files }) {
		v.t.Error("a connection stays open")
	}
}

// eventually waits until something holds, for long enough on the slowest machine.
func eventually(holds func() bool) bool {
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// openFiles is how many files and sockets this process has open; 0 is unknown.
func openFiles() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}

func (v *visitor) read(answer *http.Response, r ask, cancel func()) string {
	if r.leaveAt > 0 {
		text := make([]byte, r.leaveAt)
		_, err := io.ReadFull(answer.Body, text)
		closed := answer.Body.Close()
		n, after := answer.Body.Read(text)
		return fmt.Sprintf("began %q %v, closed %v, then %d %v\n", text, bodyFault(err), closed, n, after != nil)
	}
	var text []byte
	var err error
	room := make([]byte, 4096)
	for err == nil {
		var n int
		n, err = answer.Body.Read(room)
		text = append(text, room[:n]...)
		if r.cancelAt == "body" && len(text) > 0 {
			r.cancelAt = ""
			cancel()
		}
	}
	if r.cancelAt == "end" {
		cancel()
	}
	_, again := answer.Body.Read(room)
	if err != io.EOF && again != nil {
		again = err // which error comes again is of no interest
	}
	closed := answer.Body.Close()
	twice := answer.Body.Close()
	if len(text) > 200 {
		text = append(text[:100:100], fmt.Sprintf("… %d bytes", len(text))...)
	}
	return fmt.Sprintf("body %q %s, again %s, closed %v %v, trailer %s\n", text, bodyFault(err), bodyFault(again), closed, twice, sorted(answer.Trailer))
}

// bodyFault is the class of an error of a body.
func bodyFault(err error) string {
	switch {
	case err == nil:
		return "fine"
	case errors.Is(err, io.EOF):
		return "end"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut off"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return "late"
	}
	if strings.Contains(err.Error(), "idle timeout") {
		return "idle"
	}
	return "broken"
}

func sorted(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		value := fmt.Sprintf("%q", h[name])
		if len(value) > 200 {
			value = fmt.Sprintf("%d values, %d bytes", len(h[name]), len(value))
		}
		fmt.Fprintf(&b, "%s: %s; ", name, value)
	}
	return b.String()
}

// leaks notes what there is, and returns a check that there is no more at the end.
func leaks(t testing.TB) func() {
	t.Helper()
	goroutines, open := runtime.NumGoroutine(), openFiles()
	return func() {
		t.Helper()
		var g, f int
		if eventually(func() bool {
			g, f = runtime.NumGoroutine(), openFiles()
			return g <= goroutines && f <= open
		}) {
			return
		}
		stacks := make([]byte, 1<<16)
		stacks = stacks[:runtime.Stack(stacks, true)]
		t.Errorf("%d goroutines, %d before; %d files, %d before\n%s", g, goroutines, f, open, stacks)
	}
}

// TestMain silences what http.Transport says of animals that speak unasked.
func TestMain(m *testing.M) {
	log.SetOutput(io.Discard)
	m.Run()
}
