package proxy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/upstream"
)

// frame is one message of a gRPC stream.
func frame(text string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))
	return append(b, text...)
}

func readFrame(from io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return "", err
	}
	text := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(from, text)
	return string(text), err
}

// h2cServer speaks HTTP/1.1 and HTTP/2 without TLS.
func h2cServer(t *testing.T, handler http.Handler) (addr string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// openGRPC is a gateway with an HTTP/2 listener before a gRPC backend, and what
// a client needs to call it.
func openGRPC(t *testing.T, backend http.HandlerFunc, change func(*proxy.Config)) (addr string, client *http.Transport) {
	t.Helper()
	cfg := site("")
	cfg.Upstreams["app"] = upstream.Config{URL: "h2c://" + h2cServer(t, backend)}
	if change != nil {
		change(&cfg)
	}
	addr = h2cServer(t, newGateway(t, cfg, slog.New(slog.DiscardHandler)))
	client = &http.Transport{Protocols: new(http.Protocols)}
	client.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(client.CloseIdleConnections)
	return addr, client
}

func call(t *testing.T, addr, path string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/grpc+proto")
	request.Header.Set("TE", "trailers")
	return request
}

func TestAGRPCStream(t *testing.T) {
	// Each message is answered before the next one is sent; the status follows as a trailer.
	addr, client := openGRPC(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" || r.Header.Get("X-User-Name") != "" {
			t.Errorf("the backend saw %s %v", r.Proto, r.Header)
		}
		w.Header().Set("Content-Type", "application/grpc+proto")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		for {
			text, err := readFrame(r.Body)
			if err != nil {
				break
			}
			_, _ = w.Write(frame("echo " + text))
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "done")
	}, nil)

	from, to := io.Pipe()
	answer, err := client.RoundTrip(call(t, addr, "/public/Chat", from))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	for i := range 5 {
		text := fmt.Sprint("message ", i)
		if _, err := to.Write(frame(text)); err != nil {
			t.Fatal(err)
		}
		if got, err := readFrame(answer.Body); got != "echo "+text || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	_ = to.Close()
	if rest, err := io.ReadAll(answer.Body); len(rest) != 0 || err != nil {
		t.Errorf("left over %q, %v", rest, err)
	}
	if answer.Trailer.Get("Grpc-Status") != "0" || answer.Trailer.Get("Grpc-Message") != "done" {
		t.Errorf("trailers %v", answer.Trailer)
	}
}

func TestRefusalsToGRPCClients(t *testing.T) {
	brief := 100 * time.Millisecond
	hanging := listenQuietly(t)
	for _, tc := range []struct {
		name, path, upstream string
		status, message      string
	}{
		{"without a token", "/x", "", "16", "Authentication credentials were not provided."},
		{"denied", "/denied/x", "", "7", "You do not have permission to perform this action."},
		{"the backend is gone", "/public/x", "h2c://127.0.0.1:1", "14", "Upstream app refused the connection."},
		{"the backend hangs", "/public/x", "h2c://" + hanging, "4", "Upstream app did not answer in time (first_byte timeout)."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			addr, client := openGRPC(t, func(http.ResponseWriter, *http.Request) { t.Error("reached the backend") }, func(cfg *proxy.Config) {
				if tc.upstream != "" {
					cfg.Upstreams["app"] = upstream.Config{URL: tc.upstream, Timeouts: upstream.Timeouts{FirstByte: &brief}}
				}
			})
			answer, err := client.RoundTrip(call(t, addr, tc.path, bytes.NewReader(frame("x"))))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			body, _ := io.ReadAll(answer.Body)
			got := []string{fmt.Sprint(answer.StatusCode), answer.Header.Get("Content-Type"), answer.Header.Get("Grpc-Status"), answer.Header.Get("Grpc-Message"), string(body)}
			want := []string{"200", "application/grpc", tc.status, tc.message, ""}
			if strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
	t.Run("none healthy or full", func(t *testing.T) {
		none := 0
		inside, leave := make(chan struct{}), make(chan struct{})
		addr, client := openGRPC(t, func(http.ResponseWriter, *http.Request) { close(inside); <-leave }, func(cfg *proxy.Config) {
			up := cfg.Upstreams["app"]
			up.MaxConnections, up.MaxPending = 1, &none
			cfg.Upstreams["app"] = up
		})
		first := make(chan struct{})
		go func() {
			defer close(first)
			if answer, err := client.RoundTrip(call(t, addr, "/public/x", nil)); err == nil {
				_ = answer.Body.Close()
			}
		}()
		<-inside
		answer, err := client.RoundTrip(call(t, addr, "/public/x", nil))
		close(leave)
		<-first
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.Header.Get("Grpc-Status") != "14" || answer.Header.Get("Retry-After") == "" {
			t.Errorf("headers %v", answer.Header)
		}
	})
}

func TestGRPCWebAndOthersGetJSON(t *testing.T) {
	w := open(t, nil)
	for _, contentType := range []string{"application/grpc-web", "application/json", "application/grpcx"} {
		w.refused(w.raw(head("POST", "/x", "Content-Length: 0", "Content-Type: "+contentType)), 401, notProvided)
	}
}

// listenQuietly accepts HTTP/2 connections and never answers a request.
func listenQuietly(t *testing.T) string {
	t.Helper()
	done := make(chan struct{})
	addr := h2cServer(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(done) })
	return addr
}
