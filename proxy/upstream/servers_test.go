package upstream_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

// nobody counts the addresses that dead has given out.
var nobody atomic.Int32

// dead is the address of a server that is gone: one of those ports where nobody has ever
// been. One that was just closed might be somebody else's by now.
func dead(testing.TB) string { return fmt.Sprint("http://127.0.0.1:", 1+nobody.Add(1)%6) }

// server counts its requests.
func server(t testing.TB, seen *atomic.Int32) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		seen.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// want sends one request and checks what becomes of it: a status or a failure.
func want(t *testing.T, up *upstream.Upstream, method, body, want string) {
	t.Helper()
	var from io.Reader
	if body != "" {
		// Not a strings.Reader: of that net/http knows how to read it twice.
		from = io.MultiReader(strings.NewReader(body))
	}
	request, _ := http.NewRequestWithContext(t.Context(), method, "http://app/", from)
	answer, err := send(t, up, request)
	var got string
	if err != nil {
		got = string(upstream.Explain(t.Context(), err))
	} else {
		got = fmt.Sprint(answer.StatusCode)
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
	}
	if got != want {
		t.Errorf("%s: got %s (%v), want %s", method, got, err, want)
	}
}

func TestARequestThatWasNotSentGoesToAnotherServer(t *testing.T) {
	var seen atomic.Int32
	up := open(t, upstream.Config{URLs: []string{dead(t), server(t, &seen), dead(t)}})
	for range 30 {
		want(t, up, "POST", "pay 10", "204")
	}
	if got := seen.Load(); got != 30 {
		t.Errorf("the living server saw %d requests, want 30", got)
	}
	want(t, open(t, upstream.Config{URLs: []string{dead(t), dead(t), dead(t), dead(t)}}), "GET", "", "refused")
}

// crashing reads a request and closes the connection.
func crashing(t *testing.T, seen *atomic.Int32) string {
	return "http://" + listen(t, func(conn net.Conn) { readHead(conn); seen.Add(1) })
}

func TestARequestThatBrokeGoesToAnotherServerOnlyIfAskedAndIdempotent(t *testing.T) {
	for _, tc := range []struct {
		name, retry, method, body string
		again                     bool
	}{
		{"by default not even GET", "", "GET", "", false},
		{"GET", "idempotent", "GET", "", true},
		{"DELETE", "idempotent", "DELETE", "", true},
		{"PUT without a body", "idempotent", "PUT", "", true},
		{"never POST", "idempotent", "POST", "", false},
		{"never POST with a body", "idempotent", "POST", "pay 10", false},
		{"never PATCH", "idempotent", "PATCH", "", false},
		{"never a method that nobody knows", "idempotent", "PAY", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var broken, whole atomic.Int32
			up := open(t, upstream.Config{URLs: []string{crashing(t, &broken), server(t, &whole)}, Retry: tc.retry, Balance: "sticky"})
			failed := 0
			for i := range 12 { // each another user: half of them at the server that crashes
				request, _ := http.NewRequestWithContext(t.Context(), tc.method, "http://app/", io.MultiReader(strings.NewReader(tc.body)))
				if tc.body == "" {
					request.Body = nil
				}
				answer, err := sendAs(up, request, fmt.Sprint(i))
				if err != nil {
					failed++
					continue
				}
				_ = answer.Body.Close()
			}
			if broken.Load() == 0 {
				t.Fatal("no request came to the server that crashes")
			}
			if tc.again {
				if failed != 0 || whole.Load() != 12 {
					t.Errorf("%d failed, and %d were answered, want 0 and 12", failed, whole.Load())
				}
			} else if int(broken.Load()) != failed || broken.Load()+whole.Load() != 12 {
				t.Errorf("of 12 requests %d failed, and the servers saw %d and %d", failed, broken.Load(), whole.Load())
			}
		})
	}
}

func TestAServerThatDiesUnderLoad(t *testing.T) {
	// Every request is numbered: none may be lost without a word, none acted on twice.
	var mu sync.Mutex
	acted := map[string]int{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		acted[string(body)]++
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
	first, second := httptest.NewServer(handler), httptest.NewServer(handler)
	t.Cleanup(second.Close)
	up := open(t, upstream.Config{URLs: []string{first.URL, second.URL}})

	const workers, each = 16, 150
	var failed, answered atomic.Int32
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for i := range each {
				if worker == 0 && i == each/3 {
					first.CloseClientConnections()
					_ = first.Listener.Close()
				}
				name := fmt.Sprintf("%d/%d", worker, i)
				request, _ := http.NewRequestWithContext(t.Context(), "POST", "http://app/", io.MultiReader(strings.NewReader(name)))
				answer, err := send(t, up, request)
				if err != nil {
					failed.Add(1)
					if got := upstream.Explain(t.Context(), err); got != upstream.Closed {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				answered.Add(1)
				_ = answer.Body.Close()
			}
		})
	}
	wait.Wait()
	first.CloseClientConnections()
	first.Close()
	twice := 0
	for name, times := range acted {
		if times > 1 {
			twice++
			t.Errorf("%s was acted on %d times", name, times)
		}
	}
	t.Logf("%d answered, %d failed, %d acted on", answered.Load(), failed.Load(), len(acted))
	if answered.Load()+failed.Load() != workers*each || int(answered.Load()) > len(acted) {
		t.Errorf("%d answered, %d failed, %d acted on, of %d", answered.Load(), failed.Load(), len(acted), workers*each)
	}
	if failed.Load() > workers {
		t.Errorf("%d requests failed; only those in flight may, at most %d", failed.Load(), workers)
	}
}

func TestHealthChecks(t *testing.T) {
	var well, asked atomic.Bool
	var seen, other atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/healthz":
			seen.Add(1)
		case r.URL.RawQuery != "deep=1" || r.UserAgent() != "gatehouse-health":
			t.Errorf("asked for %s by %s", r.URL, r.UserAgent())
		default:
			asked.Store(true)
			if !well.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
	}))
	t.Cleanup(s.Close)
	health := upstream.Health{Path: "/healthz?deep=1", Interval: 10 * time.Millisecond, Timeout: time.Minute, HealthyAfter: 2, UnhealthyAfter: 2}

	t.Run("nothing is asked before the first request", func(t *testing.T) {
		open(t, upstream.Config{URL: s.URL, Health: health})
		time.Sleep(50 * time.Millisecond)
		if asked.Load() {
			t.Error("asked")
		}
	})
	t.Run("the only server", func(t *testing.T) {
		well.Store(true)
		up := open(t, upstream.Config{URL: s.URL, Health: health})
		want(t, up, "GET", "", "200")
		well.Store(false)
		eventually(t, "refusal", func() bool { return outcome(t, up) == "none_healthy" })
		before := seen.Load()
		want(t, up, "GET", "", "none_healthy")
		if got := seen.Load(); got != before {
			t.Error("a request came to the server that is down")
		}
		well.Store(true)
		eventually(t, "answer", func() bool { return outcome(t, up) == "200" })
	})
	t.Run("one of two", func(t *testing.T) {
		well.Store(false)
		healthy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other.Add(1) }))
		t.Cleanup(healthy.Close)
		up := open(t, upstream.Config{URLs: []string{s.URL, healthy.URL}, Health: health})
		want(t, up, "GET", "", "200")
		eventually(t, "twenty requests of which none comes to the server that is down", func() bool {
			before := seen.Load()
			for range 20 {
				want(t, up, "GET", "", "200")
			}
			return seen.Load() == before
		})
	})
	t.Run("one that does not answer in time", func(t *testing.T) {
		hanging := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		slow := health
		slow.Timeout = 10 * time.Millisecond
		// A question that is never answered ends after the time of the check, and not after this.
		up := open(t, upstream.Config{URL: "http://" + hanging, Health: slow, Timeouts: upstream.Timeouts{FirstByte: short()}})
		eventually(t, "refusal", func() bool { return outcome(t, up) == "none_healthy" })
	})
}

func outcome(t *testing.T, up *upstream.Upstream) string {
	request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://app/", nil)
	answer, err := send(t, up, request)
	if err != nil {
		return string(upstream.Explain(t.Context(), err))
	}
	_ = answer.Body.Close()
	return fmt.Sprint(answer.StatusCode)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

func TestCloseEndsTheHealthChecks(t *testing.T) {
	asking := func() int {
		stacks := make([]byte, 1<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "askAgain")
	}
	var seen atomic.Int32
	up := open(t, upstream.Config{
		URLs:     []string{server(t, &seen), dead(t), "http://" + listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })},
		Health:   upstream.Health{Path: "/", Interval: time.Hour, Timeout: time.Hour},
		Timeouts: upstream.Timeouts{FirstByte: short()},
	})
	outcome(t, up)
	eventually(t, "question", func() bool { return asking() >= 3 })
	up.Close()
	if got := asking(); got != 0 {
		t.Errorf("%d goroutines ask on", got)
	}
	late := open(t, upstream.Config{URL: server(t, &seen), Health: upstream.Health{Path: "/"}})
	late.Close()
	outcome(t, late)
	if got := asking(); got != 0 {
		t.Errorf("%d goroutines begin to ask after Close", got)
	}
}

func TestTheBoundForRequestsAtOnce(t *testing.T) {
	inside := make(chan struct{}, 10)
	leave := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		inside <- struct{}{}
		<-leave
	}))
	t.Cleanup(s.Close)
	one, long := 1, time.Minute
	up := open(t, upstream.Config{URL: s.URL, MaxConnections: 2, MaxPending: &one, Timeouts: upstream.Timeouts{Connect: &long}})

	outcomes := make(chan string, 10)
	var wait sync.WaitGroup
	ask := func() { wait.Go(func() { outcomes <- outcome(t, up) }) }
	ask()
	ask()
	<-inside
	<-inside
	ask() // one of these waits, and the other is refused
	ask()
	if got := <-outcomes; got != "full" {
		t.Errorf("the fourth: %s, want full", got)
	}
	close(leave)
	wait.Wait()
	for range 3 {
		if got := <-outcomes; got != "200" {
			t.Errorf("got %s", got)
		}
	}

	t.Run("nobody waits for longer than connecting may take", func(t *testing.T) {
		atSomePace(t, *short(), func(connect time.Duration) error {
			up := open(t, upstream.Config{URL: s.URL, MaxConnections: 1, Timeouts: upstream.Timeouts{Connect: &connect}})
			request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://app/", nil)
			held, err := send(t, up, request)
			if err != nil {
				return err
			}
			if got := outcome(t, up); got != "full" {
				t.Errorf("got %s, want full", got)
			}
			_ = held.Body.Close()
			if got := outcome(t, up); got != "200" {
				return fmt.Errorf("after the first has left: %s", got)
			}
			return nil
		})
	})
}

func TestAnAnswerThatPauses(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause, _ := time.ParseDuration(r.URL.RawQuery)
		for range 4 {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	read := func(idle time.Duration, query string) (string, error) {
		up := open(t, upstream.Config{URL: s.URL, Timeouts: upstream.Timeouts{Idle: &idle}})
		request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://app/?"+query, nil)
		answer, err := send(t, up, request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		return string(body), err
	}
	// In sum longer than the bound, but never silent for so long.
	atSomePace(t, 500*time.Millisecond, func(idle time.Duration) error {
		if got, err := read(idle, (idle * 4 / 10).String()); got != "xxxx" || err != nil {
			return fmt.Errorf("got %q, %w", got, err)
		}
		return nil
	})
	began := time.Now()
	got, err := read(time.Second, "10m")
	if got != "x" || err == nil || !strings.Contains(err.Error(), "idle timeout") || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v, want the idle timeout", got, err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// Where nothing is written, what the system suffices for holds.
func TestTheBoundWhereNothingIsWritten(t *testing.T) {
	atSomePace(t, *short(), func(connect time.Duration) error {
		leave := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-leave }))
		t.Cleanup(s.Close)
		up, err := upstream.New("app", upstream.Config{URL: s.URL, Timeouts: upstream.Timeouts{Connect: &connect}}, upstream.Parts{MaxConnections: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(up.Close)
		outcomes := make(chan string, 12)
		var wait sync.WaitGroup
		for range 12 {
			wait.Go(func() { outcomes <- outcome(t, up) })
		}
		full := 0
		for range 10 { // two are inside until they are let go
			if got := <-outcomes; got == "full" {
				full++
			}
		}
		close(leave)
		wait.Wait()
		if full != 10 {
			return fmt.Errorf("%d of 12 were refused, want 10", full)
		}
		return nil
	})
}
