package drf

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exchange is a case of testdata/*.txt: a whole request and the whole answer to it, as a site built with the original gave
// it. A file reads:
//
//	== name of the case
//	POST /api/token/
//	Content-Type: application/json
//
//	the body
//	--
//	400
//	Allow: POST, OPTIONS
//
//	the body
//
// A body that cannot stand there as it is, is written as a Go string behind `go:`. Lines that begin with # before the first
// case are remarks.
type exchange struct {
	name   string
	line   string // method and target
	sent   []string
	body   string
	status int
	want   map[string]string
	answer string
}

func readExchanges(t *testing.T, file string) []exchange {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []exchange
	for _, text := range strings.Split("\n"+string(raw), "\n== ")[1:] {
		name, rest, _ := strings.Cut(text, "\n")
		request, answer, found := strings.Cut(rest, "\n--\n")
		if !found {
			t.Fatalf("%s: %q has no answer", file, name)
		}
		e := exchange{name: name, want: map[string]string{}}
		request, e.body = splitBody(t, request)
		lines := strings.Split(request, "\n")
		e.line, e.sent = lines[0], lines[1:]
		answer, e.answer = splitBody(t, strings.TrimSuffix(answer, "\n"))
		lines = strings.Split(answer, "\n")
		if e.status, err = strconv.Atoi(lines[0]); err != nil {
			t.Fatalf("%s: %q: %v", file, name, err)
		}
		for _, l := range lines[1:] {
			k, v, _ := strings.Cut(l, ":")
			e.want[k] = strings.TrimSpace(v)
		}
		all = append(all, e)
	}
	return all
}

func splitBody(t *testing.T, text string) (head, body string) {
	t.Helper()
	head, body, _ = strings.Cut(text, "\n\n")
	if quoted, is := strings.CutPrefix(body, "go:"); is {
		var err error
		if body, err = strconv.Unquote(quoted); err != nil {
			t.Fatalf("%v: %s", err, quoted)
		}
	}
	return strings.TrimSuffix(head, "\n"), body
}

// site serves two views and a redirect, as a site with token endpoints would.
func site() http.Handler {
	obtain := &View{
		Name:         "Token Obtain Pair",
		Description:  "Gives a pair of tokens.",
		Fields:       []Field{{Name: "username", Label: "Username"}, {Name: "password", Label: "Password"}},
		Authenticate: `Bearer realm="api"`,
		Post: func(_ *http.Request, in Input) Answer {
			if in.Text("username") == "nobody" {
				return Detail(http.StatusUnauthorized, "No active account found with the given credentials")
			}
			return Answer{Status: http.StatusOK, Body: Object{
				{"username", in.Text("username")},
				{"password", in.Text("password")},
			}}
		},
	}
	refresh := &View{
		Name:        "Token Refresh",
		Description: "Gives a new access token.",
		Fields:      []Field{{Name: "refresh", Label: "Refresh"}, {Name: "access", Label: "Access", ReadOnly: true}},
	}
	redirect := RedirectSlash("/api/token/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/token/":
			obtain.ServeHTTP(w, r)
		case "/api/token/refresh/":
			refresh.ServeHTTP(w, r)
		case "/api/token":
			redirect.ServeHTTP(w, r)
		default:
			Detail(http.StatusNotFound, "Not found.").Write(w, r)
		}
	})
}

// talk sends text over a connection of its own and returns the answer with its body read.
func talk(t *testing.T, server *httptest.Server, text string) (*http.Response, string) {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestWire(t *testing.T) {
	server := httptest.NewServer(site())
	defer server.Close()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no exchanges found", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			for _, e := range readExchanges(t, file) {
				t.Run(e.name, func(t *testing.T) { e.check(t, server) })
			}
		})
	}
}

func (e exchange) check(t *testing.T, server *httptest.Server) {
	method, target, _ := strings.Cut(e.line, " ")
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n", method, target)
	for _, h := range e.sent {
		request += h + "\r\n"
	}
	if e.body != "" {
		request += fmt.Sprintf("Content-Length: %d\r\n", len(e.body))
	}
	res, body := talk(t, server, request+"\r\n"+e.body)
	if res.StatusCode != e.status {
		t.Errorf("status %d, want %d", res.StatusCode, e.status)
	}
	if diff := cmp.Diff(e.answer, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	// Beside what the file says, these hold for every answer.
	want := map[string]string{
		"Allow": "", "Location": "", "Vary": "", "Set-Cookie": "", "WWW-Authenticate": "",
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
		"X-Frame-Options":        "DENY",
		"Referrer-Policy":        "same-origin",
		"Content-Type":           "application/json",
		"Content-Length":         strconv.Itoa(len(e.answer)),
	}
	if e.status == http.StatusMovedPermanently {
		want["Content-Type"] = "text/html; charset=utf-8"
	}
	for k, v := range e.want {
		want[k] = v
	}
	for k, v := range want {
		if got := strings.Join(res.Header.Values(k), "|"); got != v {
			t.Errorf("%s: %q, want %q", k, got, v)
		}
	}
}
