package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"gatehouse/cmd/gatehouse/internal/config"
)

// launchEdge makes a server in this process, with a section `server` and an upstream,
// everything public, and serves until the test ends. SERVER may name $DIR, which has
// tls.crt and tls.key. It returns the addresses.
func launchEdge(t *testing.T, section, upstream string) (s *server, dir string) {
	t.Helper()
	dir = t.TempDir()
	certificate, key, err := unbelievable()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "tls.crt"), certificate)
	writeFile(t, filepath.Join(dir, "tls.key"), key)
	path := filepath.Join(dir, "gatehouse.yaml")
	writeFile(t, path, fmt.Sprintf(`
server: { %s }
store: { dsn: gatehouse.db }
tokens: { keys: [{ kid: a, alg: HS256, secret: "0123456789abcdef0123456789abcdef" }] }
upstreams: { app: { url: %q } }
routes: [{ to: app, auth: public }]
`, strings.ReplaceAll(section, "$DIR", dir), upstream))
	loaded, err := config.Load(config.Input{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s, err = launch(t.Context(), loaded, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, dir
}

const (
	secureListener = `listen: "127.0.0.1:0", tls: { cert_file: tls.crt, key_file: tls.key }, drain: { timeout: 60s }`
	h2cListener    = `listen: "127.0.0.1:0", h2c: true, drain: { timeout: 60s }`
)

// clientOf speaks one version of HTTP, over TLS or not.
func clientOf(secure, two bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!two)
	protocols.SetHTTP2(two && secure)
	protocols.SetUnencryptedHTTP2(two && !secure)
	return &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}
}

// echoing answers each part of a body as it comes, and says at the end, in a trailer,
// how much that was.
func echoing(w http.ResponseWriter, in *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("X-Proto", in.Proto)
	w.Header().Set("X-Scheme", in.Header.Get("X-Forwarded-Proto"))
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()
	sum, buffer := 0, make([]byte, 1024)
	for {
		n, err := in.Body.Read(buffer)
		sum += n
		_, _ = w.Write(buffer[:n])
		_ = control.Flush()
		if err != nil {
			break
		}
	}
	w.Header().Set("X-Sum", fmt.Sprint(sum))
}

// A call in both directions at once, as gRPC makes them, through the gateway in every
// version that it speaks in front to a backend of HTTP/2. One connection carries all.
func TestHTTP2ToTheUpstream(t *testing.T) {
	backend := httptest.NewUnstartedServer(http.HandlerFunc(echoing))
	backend.Config.Protocols = new(http.Protocols)
	backend.Config.Protocols.SetUnencryptedHTTP2(true)
	backend.Config.Protocols.SetHTTP1(true)
	backend.Start()
	t.Cleanup(backend.Close)
	upstream := "h2c://" + backend.Listener.Addr().String()
	for _, test := range []struct {
		name, section string
		secure        bool
	}{
		{"over TLS", secureListener, true}, {"without TLS", h2cListener, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := launchEdge(t, test.section, upstream)
			client := clientOf(test.secure, true)
			scheme := map[bool]string{true: "https", false: "http"}[test.secure]
			connections := map[string]bool{}
			for range 3 {
				reader, writer := io.Pipe()
				ctx := traceConnections(t.Context(), connections)
				out, _ := http.NewRequestWithContext(ctx, "POST", scheme+"://"+s.edge.Addrs()[0].String()+"/call", reader)
				answer, err := client.Do(out)
				if err != nil {
					t.Fatal(err)
				}
				if answer.Proto != "HTTP/2.0" || answer.Header.Get("X-Proto") != "HTTP/2.0" || answer.Header.Get("X-Scheme") != scheme {
					t.Errorf("%s in front, %s behind, scheme %s", answer.Proto, answer.Header.Get("X-Proto"), answer.Header.Get("X-Scheme"))
				}
				for _, word := range []string{"to", " and", " fro"} {
					_, _ = io.WriteString(writer, word)
					got := make([]byte, len(word))
					if _, err := io.ReadFull(answer.Body, got); string(got) != word {
						t.Fatalf("got %q, %v, want %q", got, err, word)
					}
				}
				writer.Close()
				rest, err := io.ReadAll(answer.Body)
				if err != nil || len(rest) > 0 || answer.Trailer.Get("X-Sum") != "10" {
					t.Errorf("the end: %q, %v, trailer %v", rest, err, answer.Trailer)
				}
				answer.Body.Close()
			}
			if len(connections) != 1 {
				t.Errorf("%d connections for 3 calls, want 1", len(connections))
			}
		})
	}
}

// Without h2c the first bytes of HTTP/2 are no request.
func TestHTTP2WithoutTLSIsOffUnlessAskedFor(t *testing.T) {
	s, _ := launchEdge(t, `listen: "127.0.0.1:0"`, "http://127.0.0.1:1")
	if answer, err := clientOf(false, true).Get("http://" + s.edge.Addrs()[0].String()); err == nil {
		t.Errorf("got %s", answer.Status)
	}
}

// echo answers each message of a WebSocket with a name before it.
func echo(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, in *http.Request) {
		conn, err := websocket.Accept(w, in, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			kind, text, err := conn.Read(in.Context())
			if err != nil {
				return
			}
			_ = conn.Write(in.Context(), kind, append([]byte(name+" "), text...))
		}
	}
}

func TestAWebSocketOverTLS(t *testing.T) {
	backend := httptest.NewServer(echo("echo"))
	t.Cleanup(backend.Close)
	s, _ := launchEdge(t, secureListener, backend.URL)
	conn := talkOverTLS(t, s)
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

// talkOverTLS opens a WebSocket and has some messages echoed.
func talkOverTLS(t *testing.T, s *server) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client := clientOf(true, false)
	client.Timeout = 0
	conn, _, err := websocket.Dial(ctx, "wss://"+s.edge.Addrs()[0].String()+"/ws", &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, text, err := conn.Read(ctx); string(text) != "echo hello" {
			t.Fatalf("got %q, %v", text, err)
		}
	}
	return conn
}

// closedBefore is a listener that somebody has closed, which net/http does not know yet.
type closedBefore struct {
	net.Listener
	accepting, closed chan struct{}
}

func (l closedBefore) Accept() (net.Conn, error) {
	close(l.accepting)
	<-l.closed
	return nil, net.ErrClosed
}

func (l closedBefore) Close() error {
	close(l.closed)
	return net.ErrClosed
}

// A stop closes the listeners, and so does net/http, which complains of one that it finds
// closed: on a busy machine who accepts has not noticed yet. That does not make anybody late
// whose WebSocket is just ending.
func TestAListenerThatIsFoundClosedMakesNobodyLate(t *testing.T) {
	s := &server{http: new(http.Server)}
	l := closedBefore{nil, make(chan struct{}), make(chan struct{})}
	go func() { _ = s.http.Serve(l) }()
	<-l.accepting
	if s.shutdown(t.Context()) {
		t.Error("somebody is late, without a request")
	}
}

// frames speaks HTTP/2 without TLS by hand.
type frames struct {
	*http2.Framer
	conn net.Conn
}

func dialFrames(t *testing.T, address string) *frames {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	_, _ = io.WriteString(conn, http2.ClientPreface)
	f := &frames{http2.NewFramer(conn, conn), conn}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

func block(fields ...string) []byte {
	var buffer bytes.Buffer
	encoder := hpack.NewEncoder(&buffer)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return buffer.Bytes()
}

// ask sends a request that ends with its head.
func (f *frames) ask(stream uint32, fields ...string) {
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block(fields...), EndStream: true, EndHeaders: true})
}

// outcome is the status of a stream, or how it ended without one.
func (f *frames) outcome(stream uint32) string {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return "connection closed"
		}
		if frame.Header().StreamID != stream && frame.Header().StreamID != 0 {
			continue
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			return frame.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset " + frame.ErrCode.String()
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return "go away " + frame.ErrCode.String()
			}
		}
	}
}

// GHSA-46wh-3698-f2cx, CVE-2026-71324: what HTTP/2 can say and HTTP/1.1 cannot. A path without a slash, CONNECT
// in its old and its extended form, a host in two places, headers of HTTP/1.1.
func TestAttackPseudoHeadersOfHTTP2(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, in.Method+" "+in.Host+in.RequestURI)
	}))
	t.Cleanup(backend.Close)
	s, _ := launchEdge(t, h2cListener, backend.URL)
	address := s.edge.Addrs()[0].String()
	for _, test := range []struct {
		name   string
		fields []string
		want   string
	}{
		{"a request", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x?y"}, "200"},
		{"a path without a slash", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "admin"}, "reset PROTOCOL_ERROR"},
		{"no path", []string{":method", "GET", ":scheme", "http", ":authority", "a"}, "reset PROTOCOL_ERROR"},
		{"an empty path", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", ""}, "reset PROTOCOL_ERROR"},
		{"a whole URL as path", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "http://b/x"}, "400"},
		{"a space in the path", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x HTTP/1.1"}, "400"},
		{"a line feed in the path", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x\r\nX-User-Id: 1"}, "reset PROTOCOL_ERROR"},
		{"a fragment", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x#y"}, "400"},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "a:443"}, "405"},
		{"CONNECT for a WebSocket", []string{":method", "CONNECT", ":scheme", "http", ":authority", "a", ":path", "/ws", ":protocol", "websocket"}, "reset PROTOCOL_ERROR"},
		{"no host", []string{":method", "GET", ":scheme", "http", ":path", "/x"}, "400"},
		{"a user in the host", []string{":method", "GET", ":scheme", "http", ":authority", "u@a", ":path", "/x"}, "reset PROTOCOL_ERROR"},
		{"Connection", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x", "connection", "x-user-id"}, "400"},
		{"Transfer-Encoding", []string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/x", "transfer-encoding", "chunked"}, "400"},
		{"Upgrade", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x", "upgrade", "websocket"}, "400"},
		{"a name in capitals", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x", "X-User-Id", "1"}, "reset PROTOCOL_ERROR"},
		{"a line feed in a value", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x", "x", "a\r\nx-user-id: 1"}, "reset PROTOCOL_ERROR"},
		{"a second path", []string{":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x", ":path", "/y"}, "reset PROTOCOL_ERROR"},
		{"a path behind the headers", []string{":method", "GET", ":scheme", "http", ":authority", "a", "x", "y", ":path", "/x"}, "reset PROTOCOL_ERROR"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := dialFrames(t, address)
			f.ask(1, test.fields...)
			if got := f.outcome(1); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	f := dialFrames(t, address)
	f.ask(1, ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/x", "host", "b")
	if got := f.outcome(1); got != "200" && got != "400" {
		t.Errorf("two hosts: %s", got)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, request := range seen {
		if request != "GET a/x?y" && request != "GET a/x" {
			t.Errorf("%s reached the backend", request)
		}
	}
}

// Extended CONNECT (RFC 8441) is not offered: a tunnel in a stream would need all that
// a WebSocket has. Clients take another connection, of HTTP/1.1, as they did before.
// The other settings are bounds.
func TestWhatHTTP2Offers(t *testing.T) {
	s, _ := launchEdge(t, h2cListener+", http2_max_streams: 7, max_header_bytes: 8KiB", "http://127.0.0.1:1")
	f := dialFrames(t, s.edge.Addrs()[0].String())
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		settings, ok := frame.(*http2.SettingsFrame)
		if !ok || settings.IsAck() {
			continue
		}
		if value, ok := settings.Value(http2.SettingEnableConnectProtocol); ok && value != 0 {
			t.Error("extended CONNECT is offered")
		}
		if value, _ := settings.Value(http2.SettingMaxConcurrentStreams); value != 7 {
			t.Errorf("%d streams are offered, want 7", value)
		}
		if value, _ := settings.Value(http2.SettingMaxHeaderListSize); value == 0 || value > 64<<10 {
			t.Errorf("heads of %d bytes are offered", value)
		}
		return
	}
}

// CVE-2023-44487, CVE-2023-45288: streams that are reset as soon as they are begun, and a head that never
// ends. Neither may cost the backend, or memory, without bound; the connection is given up.
func TestAttackFloodsOfHTTP2(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		<-in.Context().Done()
		mu.Lock()
		running--
		mu.Unlock()
	}))
	t.Cleanup(backend.Close)
	s, _ := launchEdge(t, h2cListener+", http2_max_streams: 10", backend.URL)
	address := s.edge.Addrs()[0].String()

	rapidReset := func() int {
		f := dialFrames(t, address)
		go func() {
			for stream := uint32(1); stream < 20000; stream += 2 {
				f.ask(stream, ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/slow")
				if f.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
					return
				}
			}
		}()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				break
			}
			if away, ok := frame.(*http2.GoAwayFrame); ok {
				if away.ErrCode != http2.ErrCodeEnhanceYourCalm {
					t.Errorf("got %v", away.ErrCode)
				}
				break
			}
		}
		_ = f.conn.Close()
		eventually(t, "end of all requests", func() bool { mu.Lock(); defer mu.Unlock(); return running == 0 })
		mu.Lock()
		defer mu.Unlock()
		defer func() { most = 0 }()
		return most
	}
	t.Run("rapid reset", func(t *testing.T) {
		// A backend that is not run for a moment hears late that requests were given up.
		var all []int
		for range 5 {
			n := rapidReset()
			if n <= 20 {
				return
			}
			all = append(all, n)
		}
		t.Errorf("%v requests ran at once behind one connection of 10", all)
	})

	t.Run("continuation", func(t *testing.T) {
		f := dialFrames(t, address)
		go func() { _, _ = io.Copy(io.Discard, f.conn) }()
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/")})
		sent, large := 0, block("x-large", strings.Repeat("z", 8<<10))
		for ; sent < 16<<20; sent += len(large) {
			if f.WriteContinuation(1, false, large) != nil {
				return
			}
		}
		t.Errorf("%d MiB of a head were taken", sent>>20)
	})
}

// A client that stops in the middle of what it sends does not keep its connection:
// in the handshake, in the head, and in the head of HTTP/2.
func TestSlowlorisOnEveryListener(t *testing.T) {
	const quick = `, read_header_timeout: 400ms, idle_timeout: 400ms`
	secure, _ := launchEdge(t, secureListener+quick, "http://127.0.0.1:1")
	plain, _ := launchEdge(t, h2cListener+quick, "http://127.0.0.1:1")
	tcp := func(s *server) net.Conn {
		conn, err := net.Dial("tcp", s.edge.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	over := func(protocol string) func() net.Conn {
		return func() net.Conn {
			for range 20 { // on a machine that is slow for a moment it may take longer than there is time
				conn := tls.Client(tcp(secure), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
				if conn.Handshake() == nil {
					return conn
				}
				_ = conn.Close()
			}
			t.Fatal("no handshake is done")
			return nil
		}
	}
	halfHead := http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"
	for name, test := range map[string]struct {
		dial func() net.Conn
		sent string
		drip string
	}{
		"a handshake":                       {func() net.Conn { return tcp(secure) }, "\x16\x03\x01\x02", "\x00"},
		"nothing, where TLS is":             {func() net.Conn { return tcp(secure) }, "", ""},
		"a head":                            {func() net.Conn { return tcp(plain) }, "GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"},
		"a head over TLS":                   {over("http/1.1"), "GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n"},
		"half the first words of HTTP/2":    {func() net.Conn { return tcp(plain) }, "PRI * HTTP/2.0\r\n", ""},
		"HTTP/2 and nothing more":           {over("h2"), http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""},
		"half a head of HTTP/2 without TLS": {func() net.Conn { return tcp(plain) }, halfHead, ""},
		"half a head of HTTP/2":             {over("h2"), halfHead, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := test.dial()
			defer conn.Close()
			_, _ = io.WriteString(conn, test.sent)
			done := make(chan struct{})
			defer close(done)
			go func() { // now and then a little, as slowloris does
				for {
					select {
					case <-done:
						return
					case <-time.After(100 * time.Millisecond):
						_, _ = io.WriteString(conn, test.drip)
					}
				}
			}()
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is kept")
			}
		})
	}
}

// A proxy on the same machine comes by a socket file. Its word about the client counts
// if the file is trusted, and only then; the file itself is gone when the gateway is.
func TestASocketFileAndWhoComesThroughIt(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		fmt.Fprintf(w, "%q %q", in.Header["X-Forwarded-For"], in.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(backend.Close)
	for trusted, want := range map[string]string{
		`[]`:                `[] "http"`,
		`["127.0.0.1"]`:     `[] "http"`,
		`[unix]`:            `["9.9.9.9"] "https"`,
		`[unix, 9.0.0.0/8]`: `["6.6.6.6"] "https"`,
	} {
		s, dir := launchEdge(t, `listen: "unix://$DIR/gatehouse.sock", trusted_proxies: `+trusted, backend.URL)
		socket := filepath.Join(dir, "gatehouse.sock")
		if got := s.edge.URLs()[0]; got != "unix://"+socket {
			t.Errorf("listens on %s", got)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}}}
		in, _ := http.NewRequest("GET", "http://app.example.com/", nil)
		in.Header = http.Header{"X-Forwarded-For": {"6.6.6.6, 9.9.9.9"}, "X-Forwarded-Proto": {"https"}}
		answer, err := client.Do(in)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if string(text) != want {
			t.Errorf("trusting %s: got %s, want %s", trusted, text, want)
		}
	}
}

// A real HAProxy in front, which passes connections on with either version of the
// PROXY protocol, TLS untouched, and asks after our health in between.
func TestBehindHAProxy(t *testing.T) {
	haproxy := needProgram(t, "haproxy", "/usr/sbin/haproxy")
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, in *http.Request) {
		fmt.Fprintf(w, "%s %s", in.Header.Get("X-Forwarded-For"), in.Header.Get("X-Forwarded-Proto"))
	}))
	t.Cleanup(backend.Close)
	s, dir := launchEdge(t, `listen: ["127.0.0.1:0", "http://127.0.0.1:0"], tls: { cert_file: tls.crt, key_file: tls.key }, proxy_protocol: { from: [127.0.0.1] }, drain: { timeout: 60s }`, backend.URL)
	secure, plain := s.edge.Addrs()[0].String(), s.edge.Addrs()[1].String()
	fronts := []struct{ name, server, options, url string }{
		{"v1", plain, "send-proxy", "http"}, {"v2", plain, "send-proxy-v2 check-send-proxy check inter 50ms", "http"}, {"tls", secure, "send-proxy-v2", "https"},
	}
	var conf strings.Builder
	conf.WriteString("defaults\n  mode tcp\n  timeout connect 60s\n  timeout client 20s\n  timeout server 20s\n")
	addresses := map[string]string{}
	for _, front := range fronts {
		addresses[front.name] = freeAddress(t)
		fmt.Fprintf(&conf, "listen %s\n  bind %s\n  server gatehouse %s %s\n", front.name, addresses[front.name], front.server, front.options)
	}
	path := filepath.Join(dir, "haproxy.cfg")
	writeFile(t, path, conf.String())
	startProgram(t, exec.Command(haproxy, "-db", "-f", path), addresses["v1"])
	for _, front := range fronts {
		client := clientOf(front.url == "https", front.url == "https")
		// From an address of this machine that is not the load balancer's.
		client.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}}).DialContext
		for range 3 {
			answer, err := client.Get(front.url + "://" + addresses[front.name])
			if err != nil {
				t.Errorf("%s: %v", front.name, err)
				break
			}
			text, _ := io.ReadAll(answer.Body)
			answer.Body.Close()
			if string(text) != "127.9.9.9 "+front.url {
				t.Errorf("%s: the backend was told %q", front.name, text)
			}
		}
	}
	// Past the load balancer.
	conn, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
		t.Errorf("without a header: %s", answer.Status)
	}
}

// traceConnections notes the local addresses from which requests are sent.
func traceConnections(ctx context.Context, seen map[string]bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { seen[info.Conn.LocalAddr().String()] = true }})
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// unbelievable is a certificate that nobody believes, and its key, as PEM.
func unbelievable() (certificate, key string, err error) {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	server.Close()
	der, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	return pemOf("CERTIFICATE", server.Certificate().Raw), pemOf("PRIVATE KEY", der), err
}
