package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

func TestTimeoutsOfRoutesAndRules(t *testing.T) {
	const pause = 200 * time.Millisecond
	brief, long, none := 50*time.Millisecond, 2*time.Minute, time.Duration(0)
	for _, tc := range []struct {
		name                  string
		upstream, route, rule *time.Duration // of first_byte
		status                int
	}{
		{"the upstream's", &brief, nil, nil, 504},
		{"the route's instead", &brief, &long, nil, 200},
		{"the rule's instead", &long, &long, &brief, 504},
		{"the rule's instead of the upstream's", &brief, nil, &long, 200},
		{"a rule's none", &brief, &brief, &none, 200},
		{"a route's none", &brief, &none, nil, 200},
		{"the rule has the route's", &long, &brief, nil, 504},
	} {
		t.Run(tc.name, func(t *testing.T) {
			late := pause
			if tc.status == 504 {
				late = soon
			}
			w := open(t, func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-time.After(late):
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "late")
			}, func(cfg *proxy.Config) {
				up := cfg.Upstreams["app"]
				up.Timeouts.FirstByte = tc.upstream
				cfg.Upstreams["app"] = up
				cfg.Routes[0].Timeouts.FirstByte = tc.route
				cfg.Routes[0].Rules[0].Timeouts.FirstByte = tc.rule
			})
			got := w.get("/public/x")
			if tc.status == 504 {
				w.refused(got, 504, `{"detail":"Upstream app did not answer in time (first_byte timeout)."}`)
			} else if got.StatusCode != 200 || got.Text != "late" {
				t.Errorf("got %d %s", got.StatusCode, got.Text)
			}
		})
	}
}

func TestFaultyTimeoutsOfRoutes(t *testing.T) {
	minus := -time.Second
	cfg := site("127.0.0.1:1")
	cfg.Routes[0].Timeouts.Connect = &minus
	cfg.Routes[0].Rules[1].Timeouts = route.Timeouts{FirstByte: &minus, Idle: &minus}
	_, err := proxy.New(cfg, parts(t, nil))
	var fields []string
	for _, fault := range faultsOf(err) {
		fields = append(fields, fault.Field())
	}
	want := "routes[0].timeouts.connect routes[0].rules[1].timeouts.first_byte routes[0].rules[1].timeouts.idle"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func faultsOf(err error) (faults []*route.Fault) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			faults = append(faults, faultsOf(err)...)
		}
		return faults
	}
	if fault, ok := errors.AsType[*route.Fault](err); ok {
		faults = append(faults, fault)
	}
	return faults
}

func TestABodyThatPausesIsCutOff(t *testing.T) {
	// The head is with the client: only the broken connection can say that this is not all.
	brief := 100 * time.Millisecond
	for _, length := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
		t.Run(length, func(t *testing.T) {
			part := "hello"
			if strings.HasPrefix(length, "T") {
				part = "5\r\nhello\r\n"
			}
			w := open(t, nil, func(cfg *proxy.Config) {
				cfg.Upstreams["app"] = upstream.Config{URL: "http://" + listen(t, func(conn net.Conn, from *bufio.Reader) {
					_, _ = http.ReadRequest(from)
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+length+"\r\n\r\n"+part)
					_, _ = io.Copy(io.Discard, conn)
				})}
				cfg.Routes[0].Rules[0].Timeouts.Idle = &brief
			})
			request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/public/", nil)
			response, err := new(http.Transport).RoundTrip(request)
			if err == nil {
				var got []byte
				got, err = io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err == nil {
					t.Errorf("the client takes %q for a whole answer", got)
				}
			}
			eventually(t, "line in the log", func() bool {
				return strings.Contains(w.log.String(), "idle timeout") && strings.Contains(w.log.String(), "decision=aborted")
			})
		})
	}
}

func TestNothingHealthy(t *testing.T) {
	w := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}, func(cfg *proxy.Config) {
		up := cfg.Upstreams["app"]
		up.Health = upstream.Health{Path: "/healthz", Interval: 5 * time.Millisecond, UnhealthyAfter: 1}
		cfg.Upstreams["app"] = up
	})
	eventually(t, "refusal", func() bool { return w.get("/public/").StatusCode == 503 })
	got := w.get("/public/")
	w.refused(got, 503, `{"detail":"Upstream app is not available."}`)
	if got.Header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
	eventually(t, "lines in the log", func() bool {
		return strings.Contains(w.log.String(), "server is not healthy") && strings.Contains(w.log.String(), "decision=failed reason=upstream_none_healthy status=503")
	})
}

func TestTooManyRequestsAtOnce(t *testing.T) {
	none := 0
	inside, leave := make(chan struct{}, 2), make(chan struct{})
	w := open(t, func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-leave }, func(cfg *proxy.Config) {
		up := cfg.Upstreams["app"]
		up.MaxConnections, up.MaxPending = 1, &none
		cfg.Upstreams["app"] = up
	})
	first := make(chan int)
	go func() {
		request, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/public/", nil)
		answer, err := new(http.Transport).RoundTrip(request)
		if err != nil {
			first <- 0
			return
		}
		_ = answer.Body.Close()
		first <- answer.StatusCode
	}()
	<-inside
	got := w.get("/public/")
	w.refused(got, 503, `{"detail":"Upstream app has too many requests at once."}`)
	if got.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(leave)
	if got := <-first; got != 200 {
		t.Errorf("the first: %d", got)
	}
	eventually(t, "room for the next", func() bool { return w.get("/public/").StatusCode == 200 })
}

func TestATunnelHoldsItsPlaceUntilItEnds(t *testing.T) {
	none := 0
	addr := listen(t, func(conn net.Conn, from *bufio.Reader) {
		if r, err := http.ReadRequest(from); err != nil || r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			return
		}
		_, _ = io.WriteString(conn, shaken)
		_, _ = io.Copy(conn, from)
	})
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Upstreams["app"] = upstream.Config{URL: "http://" + addr, MaxConnections: 1, MaxPending: &none}
	})
	conn := w.dial()
	_, _ = io.WriteString(conn, opening("/public/ws"))
	if got, _ := bufio.NewReader(conn).ReadString('\n'); !strings.Contains(got, "101") {
		t.Fatalf("got %q", got)
	}
	if got := w.get("/public/"); got.StatusCode != 503 {
		t.Errorf("beside the tunnel: %d", got.StatusCode)
	}
	_ = conn.Close()
	eventually(t, "room after the tunnel", func() bool { return w.get("/public/").StatusCode == 204 })
}

func TestStickyByUser(t *testing.T) {
	var urls []string
	for i := range 6 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, i) }))
		t.Cleanup(s.Close)
		urls = append(urls, s.URL)
	}
	w := open(t, nil, func(cfg *proxy.Config) {
		cfg.Server.TrustedProxies = []string{"127.0.0.1"}
		cfg.Upstreams["app"] = upstream.Config{URLs: urls, Balance: "sticky"}
	})
	servers := map[string]bool{}
	for _, who := range []string{w.bearer("alice"), w.bearer("bob")} {
		at := w.get("/optional/", who).Text
		for i := range 20 {
			// Wherever the user comes from.
			if got := w.get("/optional/", who, fmt.Sprint("X-Forwarded-For: 192.0.2.", i)).Text; got != at {
				t.Errorf("went from server %s to %s", at, got)
			}
		}
	}
	for i := range 20 {
		from := fmt.Sprint("X-Forwarded-For: 192.0.2.", i)
		at := w.get("/optional/", from).Text
		servers[at] = true
		if got := w.get("/optional/", from).Text; got != at {
			t.Errorf("an address went from server %s to %s", at, got)
		}
	}
	if len(servers) < 3 {
		t.Errorf("20 addresses use %d of 6 servers", len(servers))
	}
}

func TestOneOfTwoServersIsGone(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) {
		up := cfg.Upstreams["app"]
		cfg.Upstreams["app"] = upstream.Config{URLs: []string{"http://127.0.0.1:1", up.URL}}
	})
	for i := range 20 {
		body := fmt.Sprint("pay ", i)
		if got := w.raw(head("POST", "/public/", "Content-Length: "+fmt.Sprint(len(body))) + body); got.StatusCode != 200 {
			t.Fatalf("request %d: %d %s", i, got.StatusCode, got.Text)
		}
		if got := w.only(); got.Body != body {
			t.Errorf("the backend read %q, want %q", got.Body, body)
		}
	}
	if !strings.Contains(w.log.String(), "server left out for a while") {
		t.Error("nothing in the log about the server that is gone")
	}
}

func BenchmarkForward(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	b.Cleanup(s.Close)
	gateway := newGateway(b, site(strings.TrimPrefix(s.URL, "http://")), slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		in := httptest.NewRequestWithContext(b.Context(), "GET", "/public/x", nil)
		in.Host = "app.example.com"
		out := httptest.NewRecorder()
		gateway.ServeHTTP(out, in)
		if out.Code != 200 {
			b.Fatal(out.Code)
		}
	}
}
