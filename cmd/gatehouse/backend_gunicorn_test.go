package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// startGunicorn runs a small application under gunicorn, with threads: the workers
// that keep connections for the next request, for --keep-alive seconds.
func startGunicorn(t *testing.T, bind, waitFor string) {
	t.Helper()
	gunicorn := needProgram(t, "gunicorn", "gunicorn3")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "echo.py"), `
def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    answer = ("%s %s %s" % (environ["REQUEST_METHOD"], environ["HTTP_HOST"], len(body))).encode()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
`)
	server := exec.Command("/usr/bin/python3", gunicorn, "--bind", bind, "--worker-class", "gthread", "--workers", "1", "--threads", "8", "--keep-alive", "2", "echo:application")
	server.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONDONTWRITEBYTECODE=1")
	server.Dir = dir
	startProgram(t, server, waitFor)
}

// gunicorn closes a connection that was idle for two seconds. Clients that come again
// just about then, with GET and POST, never read a 502; unless this machine does not run the
// gateway for half a second, between its choice of a connection and its use.
func TestGunicornThatKeepsConnectionsForTwoSeconds(t *testing.T) {
	address := freeAddress(t)
	startGunicorn(t, address, address)
	site := startSite(t, address)
	for tries := 1; ; tries++ {
		bad := pressGunicorn(t, site)
		if len(bad) == 0 {
			return
		}
		if tries == 4 {
			t.Fatal(bad)
		}
		t.Logf("once more: %v", bad)
	}
}

// pressGunicorn lets clients come for some seconds, and returns what they were answered but 200.
func pressGunicorn(t *testing.T, site *site) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	enough := func(statuses map[string]int, began time.Time) bool {
		return time.Since(began) > 7*time.Second && statuses["GET 200"] >= 100 && statuses["POST 200"] >= 100
	}
	began := time.Now()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	var mu sync.Mutex
	statuses := map[string]int{}
	var clients sync.WaitGroup
	for i := range 24 {
		clients.Go(func() {
			for n := 0; ; n++ {
				method, body := "GET", ""
				if n%2 == 1 {
					method, body = "POST", strings.Repeat("x", 100*i)
				}
				in, err := http.NewRequestWithContext(ctx, method, "http://"+site.address+"/public/x", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				answer, err := client.Do(in)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				mu.Lock()
				statuses[fmt.Sprint(method, " ", answer.StatusCode)]++
				if enough(statuses, began) {
					cancel()
				}
				mu.Unlock()
				pause := time.Duration(0)
				if n%4 == 3 { // around what we keep, and what gunicorn keeps
					pause = 1400*time.Millisecond + time.Duration(i)*30*time.Millisecond
				}
				select {
				case <-time.After(pause):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	clients.Wait()
	if statuses["GET 200"] < 100 || statuses["POST 200"] < 100 {
		t.Errorf("too few to mean anything: %v", statuses)
	}
	delete(statuses, "GET 200")
	delete(statuses, "POST 200")
	return statuses
}

func TestGunicornOnASocketFile(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "app.sock")
	startGunicorn(t, "unix:"+socket, socket)
	site := startSiteWith(t, strings.Replace(siteConfig, `"http://%s"`, `"unix://%s"`, 1), socket)
	for _, body := range []string{"", "some", strings.Repeat("x", 200_000)} {
		method := "GET"
		if body != "" {
			method = "POST"
		}
		answer := site.do(t, method, "/public/x", body, nil)
		if want := fmt.Sprintf("%s %s %d", method, site.address, len(body)); answer.StatusCode != http.StatusOK || string(answer.body) != want {
			t.Errorf("got %d %q, want %q", answer.StatusCode, answer.body, want)
		}
	}
}
