package proxy_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// The memory of a request is used again for another one. Here many kinds of them are under way
// at once, and what the backend is told, what the client gets and what the log says
// is always of the one request.
func TestNoRequestSeesAnother(t *testing.T) {
	w := &world{T: t, log: &lockedBuffer{}}
	w.backend = newBackend(t, func(out http.ResponseWriter, in *http.Request) {
		body, _ := io.ReadAll(in.Body)
		header := out.Header()
		mine := ""
		for name := range in.Header {
			if of, ok := strings.CutPrefix(name, "X-Only-"); ok {
				mine += "|" + of
			}
		}
		header.Set("X-Got", in.Header.Get("X-Mark")+"|"+in.Header.Get("X-User-Name")+"|"+in.Header.Get("X-User-Groups")+"|"+in.RequestURI+"|"+string(body)+mine)
		header.Set("X-Got-Id", in.Header.Get("X-Request-Id"))
		header.Set("X-For-"+in.Header.Get("X-Mark"), "1")
		if in.Header.Get("X-Kind") == "chunks" {
			_, _ = io.WriteString(out, "first of "+in.Header.Get("X-Mark")+"\n")
			_ = http.NewResponseController(out).Flush()
		}
		if in.Header.Get("X-Kind") == "broken" {
			header.Set("Content-Length", "1000")
		}
		_, _ = io.WriteString(out, "answer to "+in.Header.Get("X-Mark"))
	})
	cfg := site(w.backend.addr)
	w.addr = serve(t, newGateway(t, cfg, slog.New(slog.NewJSONHandler(w.log, nil))), cfg)
	bearers := map[string]string{"alice": w.bearer("alice"), "bob": w.bearer("bob"), "": "X-Nobody: 1"}
	w.log.Reset()

	kinds := []struct {
		user, kind, path, body string
		status                 int
	}{
		{user: "alice", path: "/a", status: 200},
		{user: "bob", path: "/b", status: 200},
		{user: "alice", kind: "chunks", path: "/a", status: 200},
		{user: "bob", kind: "upload", path: "/b", body: "from bob", status: 200},
		{user: "", path: "/public", status: 200},
		{user: "", path: "/a", status: 401},
		{user: "alice", path: "/staff", status: 200},
		{user: "bob", path: "/staff", status: 403},
		{user: "bob", path: "/denied", status: 403},
		{user: "alice", kind: "broken", path: "/a", status: 200},
		{user: "alice", kind: "leaves", path: "/a"},
	}
	ask := func(conn net.Conn, from *bufio.Reader, worker, i int) error {
		k := kinds[(i*7+worker)%len(kinds)]
		mark := fmt.Sprintf("%d-%d", worker, i)
		path := k.path + "/" + mark + "?q=" + mark
		method := "GET"
		lines := []string{"X-Mark: " + mark, "X-Kind: " + k.kind, bearers[k.user], "X-Only-" + mark + ": 1"}
		if k.body != "" {
			method = "POST"
			lines = append(lines, fmt.Sprintf("Content-Length: %d", len(k.body)))
		}
		if _, err := io.WriteString(conn, strings.ReplaceAll(head(method, path, lines...), "\n", "\r\n")+k.body); err != nil {
			return err
		}
		if k.kind == "leaves" {
			return io.EOF
		}
		answer, err := http.ReadResponse(from, nil)
		if k.kind == "broken" && err != nil {
			return io.EOF // not even its head
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if k.kind == "broken" {
			if err == nil {
				return fmt.Errorf("%s: half an answer looks like a whole one", mark)
			}
			err = io.EOF
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", mark, err)
		}
		if answer.StatusCode != k.status {
			return fmt.Errorf("%s of %q at %s: got %d, want %d", mark, k.user, k.path, answer.StatusCode, k.status)
		}
		if k.status != 200 {
			if got := answer.Header.Get("X-Got"); got != "" {
				return fmt.Errorf("%s: a refusal says %q", mark, got)
			}
			return err
		}
		groups := ""
		if k.user == "alice" {
			groups = "staff"
		}
		if got, want := answer.Header.Get("X-Got"), mark+"|"+k.user+"|"+groups+"|"+path+"|"+k.body+"|"+mark; got != want {
			return fmt.Errorf("the backend was told %q, want %q", got, want)
		}
		for name := range answer.Header {
			if of, ok := strings.CutPrefix(name, "X-For-"); ok && of != mark {
				return fmt.Errorf("%s has a header of the answer to %s", mark, of)
			}
		}
		if !strings.HasSuffix(string(text), "answer to "+mark) || strings.Count(string(text), "answer") != 1 {
			return fmt.Errorf("%s: got %q", mark, text)
		}
		return err
	}
	const workers, each = 16, 66
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			var conn net.Conn
			var from *bufio.Reader
			for i := range each {
				if conn == nil {
					var err error
					if conn, err = net.Dial("tcp", w.addr); err != nil {
						t.Error(err)
						return
					}
					_ = conn.SetDeadline(time.Now().Add(soon))
					from = bufio.NewReader(conn)
				}
				switch err := ask(conn, from, worker, i); {
				case err == nil:
				case errors.Is(err, io.EOF):
					_ = conn.Close()
					conn = nil
				default:
					t.Error(err)
					_ = conn.Close()
					return
				}
			}
			if conn != nil {
				_ = conn.Close()
			}
		})
	}
	group.Wait()
	w.checkLog(func(worker, i int) (user, path string) {
		k := kinds[(i*7+worker)%len(kinds)]
		return k.user, fmt.Sprintf("%s/%d-%d", k.path, worker, i)
	})
}

// checkLog holds each line of the access log against the request that it names in its path.
func (w *world) checkLog(of func(worker, i int) (user, path string)) {
	w.Helper()
	users, ids, lines := map[any]string{}, map[string]bool{}, 0
	for line := range strings.Lines(w.log.String()) {
		var l struct {
			Msg, Path, Decision string
			ID                  string `json:"request_id"`
			User                any    `json:"user_id"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			w.Fatalf("%q: %v", line, err)
		}
		if l.Msg != "request" {
			continue
		}
		lines++
		if ids[l.ID] {
			w.Errorf("two lines have the id %s", l.ID)
		}
		ids[l.ID] = true
		var worker, i int
		if _, err := fmt.Sscanf(l.Path[strings.LastIndexByte(l.Path, '/')+1:], "%d-%d", &worker, &i); err != nil {
			w.Fatalf("%q: %v", line, err)
		}
		user, path := of(worker, i)
		if path != l.Path || user == "" && l.User != nil || user != "" && users[l.User] != user && users[l.User] != "" {
			w.Errorf("a line of %s: %s", path, line)
		}
		if user != "" && l.User != nil {
			users[l.User] = user
		}
	}
	if lines == 0 || len(users) != 2 {
		w.Errorf("%d lines, of the users %v", lines, users)
	}
}

// What is kept for other requests is empty, and comes only from requests of which nobody can
// have kept a part.
func TestWhatIsUsedAgain(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer string // of the upstream; "" closes the connection
		ask    func(w *world, bearer string)
		kept   bool
	}{
		{"an answer that came whole", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhi", plainly, true},
		{"an answer of chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", plainly, false},
		{"an answer that ends with its connection", "HTTP/1.1 200 OK\r\n\r\nhi", plainly, false},
		{"half an answer", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi", plainly, false},
		{"a stream of events", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\nhi", plainly, false},
		{"a tunnel", shaken, func(w *world, bearer string) { _ = w.all(opening("/x", bearer)) }, false},
		{"a 101 that nobody has asked for", shaken, plainly, false},
		{"no answer", "", plainly, false},
		{"a request with a body", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", func(w *world, bearer string) {
			w.raw(head("POST", "/x", bearer, "Content-Length: 3") + "abc")
		}, false},
		{"a refusal", "", func(w *world, _ string) { w.get("/x") }, true},
		{"an endpoint of our own", "", func(w *world, _ string) { w.get("/api/token/") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{T: t, log: &lockedBuffer{}}
			cfg := site(answering(t, tc.answer))
			gateway := newGateway(t, cfg, slog.New(slog.NewTextHandler(w.log, nil)))
			w.addr = serve(t, gateway, cfg)
			bearer := w.bearer("alice")
			gateway.Kept()
			// A pool may lose what it is given, and under the race detector does so on purpose.
			for until := time.Now().Add(soon); ; {
				for range 10 {
					tc.ask(w, bearer)
				}
				n, left := gateway.Kept()
				if left != "" {
					t.Fatalf("what is kept has something left in it:%s", left)
				}
				if n > 0 && !tc.kept {
					t.Fatal("it is used again")
				}
				if n > 0 || !tc.kept {
					return
				}
				if time.Now().After(until) {
					t.Fatal("it is never used again")
				}
			}
		})
	}
}

func plainly(w *world, bearer string) {
	_ = w.all(crlf(head("GET", "/x", bearer, "Connection: close")))
}
