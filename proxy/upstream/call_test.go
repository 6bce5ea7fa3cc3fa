package upstream

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestARequestIsInFlightUntilItsCallIsClosed(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(s.Close)
	u, err := New("app", Config{URL: s.URL}, Parts{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	call := Call{Line: u.Line(Timeouts{})}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://app/", nil)
	answer, err := call.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if got := u.servers[0].inFlight.Load(); got != 1 {
		t.Errorf("%d in flight before Close, want 1", got)
	}
	call.Close()
	call.Close() // ends nothing twice
	if got := u.servers[0].inFlight.Load(); got != 0 {
		t.Errorf("%d in flight after Close, want 0", got)
	}
}
