package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
)

// placed is a connection with a place for answers, as those of package edge are.
type placed struct {
	net.Conn
	instead proxy.Instead
}

func (c *placed) Write(p []byte) (int, error) {
	text := c.instead.Take(p)
	if text == nil {
		return c.Conn.Write(p)
	}
	_, err := c.Conn.Write(text)
	return len(p), err
}

type placedListener struct{ net.Listener }

func (l placedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &placed{Conn: conn}, err
}

// openPlaced is open with places at the connections, or without any, and a server that stops
// where a request says so.
func openPlaced(t *testing.T, places bool, change ...func(*proxy.Config)) *world {
	t.Helper()
	w := &world{T: t, backend: newBackend(t, nil), log: &lockedBuffer{}}
	cfg := site(w.backend.addr)
	for _, f := range change {
		f(&cfg)
	}
	gateway := newGateway(t, cfg, slog.New(slog.NewTextHandler(w.log, nil)))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		if in.URL.Query().Has("stopping") {
			out.Header()["Connection"] = []string{"close"}
		}
		gateway.ServeHTTP(out, in)
	}))
	if places {
		server.Listener = placedListener{server.Listener}
		server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
			return conn.(*placed).instead.Context(ctx)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	w.addr = server.Listener.Addr().String()
	return w
}

// What was written before it was asked for is what would be written for each: the same status,
// headers and body, and the same line of the log.
func TestAnAnswerThatWasWrittenBeforeIsTheSame(t *testing.T) {
	headers := func(cfg *proxy.Config) { cfg.Server.SecurityHeaders.Preset = "basic" }
	get := "GET /x HTTP/1.1\r\nHost: app.example\r\n"
	for name, request := range map[string]string{
		"no token":                get + "\r\n",
		"garbage":                 get + "Authorization: Bearer x\r\n\r\n",
		"a forged token":          get + "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.AAAA\r\n\r\n",
		"two values":              get + "Authorization: Bearer x y\r\n\r\n",
		"somebody else's scheme":  get + "Authorization: Basic eDp5\r\n\r\n",
		"a connection to close":   get + "Connection: close\r\n\r\n",
		"a gateway that stops":    "GET /x?stopping HTTP/1.1\r\nHost: app.example\r\n\r\n",
		"HEAD":                    "HEAD /x HTTP/1.1\r\nHost: app.example\r\n\r\n",
		"HTTP/1.0":                "GET /x HTTP/1.0\r\n\r\n",
		"HTTP/1.0 that is kept":   "GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"a body":                  "POST /x HTTP/1.1\r\nHost: app.example\r\nContent-Length: 3\r\n\r\nabc",
		"an empty body":           "POST /x HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n",
		"a body in chunks":        "POST /x HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"a body that is promised": "POST /x HTTP/1.1\r\nHost: app.example\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
		"gRPC":                    "POST /x HTTP/1.1\r\nHost: app.example\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n",
		"an indented body":        get + "Accept: application/json; indent=4\r\n\r\n",
		"a protocol to change to": get + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"who is let in":           "GET /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n",
		"another refusal":         "GET /denied/x HTTP/1.1\r\nHost: app.example\r\n\r\n",
		"what no one understands": "GET /%2e/x HTTP/1.1\r\nHost: app.example\r\n\r\n",
	} {
		for _, change := range [][]func(*proxy.Config){nil, {headers}} {
			usual, before := openPlaced(t, false, change...), openPlaced(t, true, change...)
			want, got := usual.answerTo(request), before.answerTo(request)
			if got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
			}
			for _, field := range []string{"status", "bytes", "decision", "reason"} {
				if got, want := logField(before, field), logField(usual, field); got != want {
					t.Errorf("%s: the log says %s, without a place %s", name, got, want)
				}
			}
		}
	}
}

// answerTo is an answer with its headers in the order of the alphabet, and the date left out.
func (w *world) answerTo(request string) string {
	w.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, request)
	method, _, _ := strings.Cut(request, " ")
	return readAnswer(w, bufio.NewReader(conn), method)
}

func readAnswer(t testing.TB, from *bufio.Reader, method string) string {
	t.Helper()
	answer, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if len(answer.Header["Date"]) != 1 {
		t.Errorf("Date: %q", answer.Header["Date"])
	}
	delete(answer.Header, "Date")
	var text strings.Builder
	fmt.Fprintln(&text, answer.Proto, answer.Status, answer.ContentLength, answer.Close, answer.TransferEncoding)
	for _, name := range slices.Sorted(maps.Keys(answer.Header)) {
		fmt.Fprintln(&text, name, answer.Header[name])
	}
	return text.String() + string(body)
}

func logField(w *world, name string) string {
	w.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(time.Millisecond) {
		for line := range strings.Lines(w.log.String()) {
			if _, rest, ok := strings.Cut(line, " "+name+"="); ok && strings.Contains(line, "msg=request") {
				value, _, _ := strings.Cut(rest, " ")
				return value
			} else if strings.Contains(line, "msg=request") {
				return "nothing"
			}
		}
	}
	w.Fatal("there is no line of the request")
	return ""
}

// Each of the requests that come at once gets its own answer, whatever was left for the one before.
func TestAnswersThatWereWrittenBeforeStayInOrder(t *testing.T) {
	w := openPlaced(t, true)
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	var all strings.Builder
	var want []string
	for i := range 300 {
		path, token, answer := "/x", "", "Authentication credentials were not provided."
		switch i % 4 {
		case 1:
			token, answer = "Authorization: Bearer garbage\r\n", "Token is invalid"
		case 2:
			path, answer = "/public/x", "hello from the backend"
		case 3:
			path, answer = "/denied/x", "You do not have permission"
		}
		fmt.Fprintf(&all, "GET %s HTTP/1.1\r\nHost: app.example\r\n%s\r\n", path, token)
		want = append(want, answer)
	}
	go func() { _, _ = io.WriteString(conn, all.String()) }()
	from := bufio.NewReader(conn)
	for i, answer := range want {
		if got := readAnswer(t, from, "GET"); !strings.Contains(got, answer) {
			t.Fatalf("number %d: got %s, want %s", i, got, answer)
		}
	}
}

// Where net/http writes anything else than an answer without a body, with the status
// that was meant, that is what is sent.
func TestNothingElseIsReplaced(t *testing.T) {
	const head = "HTTP/1.1 401 Unauthorized\r\nDate: now\r\nContent-Length: 0\r\n\r\n"
	answer := proxy.LeaveAnonymous(new(proxy.Instead), head)
	if !strings.HasPrefix(answer, "HTTP/1.1 401 Unauthorized\r\nDate: now\r\nCache-Control: no-store\r\n") || !strings.HasSuffix(answer, "\r\n\r\n"+`{"detail":"Authentication credentials were not provided."}`) {
		t.Fatalf("%q", answer)
	}
	for _, text := range []string{
		"", "\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
		strings.Replace(head, "401 Unauthorized", "200 OK", 1), strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1),
		strings.Replace(head, "Content-Length: 0", "Content-Length: 10", 1), head + "x", head[:len(head)-1],
		"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		place := new(proxy.Instead)
		if got := proxy.LeaveAnonymous(place, text); got != text {
			t.Errorf("%q became %q", text, got)
		}
		// And what was left is gone.
		if got := place.Take([]byte(head)); got != nil {
			t.Errorf("behind %q: %q", text, got)
		}
	}
}
