package upstream_test

import (
	"io"
	"net/http"
	"net/netip"
	"testing"

	"gatehouse/proxy/upstream"
)

// open makes an upstream and closes it at the end.
func open(t testing.TB, cfg upstream.Config) *upstream.Upstream {
	t.Helper()
	up, err := upstream.New("app", cfg, upstream.Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(up.Close)
	return up
}

// closing ends a call with the body of its answer.
type closing struct {
	io.ReadCloser
	call *upstream.Call
}

func (c closing) Close() error {
	defer c.call.Close()
	return c.ReadCloser.Close()
}

// send sends one request with the upstream's own timeouts.
func send(t testing.TB, up *upstream.Upstream, request *http.Request) (*http.Response, error) {
	t.Helper()
	return sendAs(up, request, "")
}

func sendAs(up *upstream.Upstream, request *http.Request, user string) (*http.Response, error) {
	call := &upstream.Call{Line: up.Line(upstream.Timeouts{}), Key: upstream.Key(user, netip.Addr{})}
	answer, err := call.RoundTrip(request)
	if err != nil {
		call.Close()
		return nil, err
	}
	answer.Body = closing{answer.Body, call}
	return answer, nil
}
