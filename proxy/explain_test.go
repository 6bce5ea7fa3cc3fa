package proxy_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/route"
)

// FuzzExplainAgrees: what is explained is what happens. Every request is first
// explained and then served, in front of a real backend.
func FuzzExplainAgrees(f *testing.F) {
	for _, target := range []string{
		"/", "/public/x", "/optional/", "/staff/%41", "/denied/", "/read/x?a=%zz;b", "/old/app/", "/public/../staff/", "/x%2fy", "//x", "/api/token/", "/api/token/refresh", "/%", "",
	} {
		f.Add("GET", target, "app.example.com", "X_User_Id", "1", uint8(1))
		f.Add("POST", target, "app.example.com:80", "Connection", "x-user-id, te", uint8(0))
	}
	f.Add("get", "/read/x", "a", "Upgrade", "h2c", uint8(2))
	f.Add("GET", "/optional/", "a", "Authorization", "Bearer x", uint8(0))
	f.Add("GET", "/optional/", "a", "Te", "trailers", uint8(3))

	backend := newBackend(f, nil)
	cfg := site(backend.addr)
	cfg.Routes = append(cfg.Routes, route.Config{Name: "old", Path: "/old/*", To: "app", StripPrefix: "/old"})
	gateway := newGateway(f, cfg, nil)
	addr := serve(f, gateway, cfg)
	var tokens []string
	for _, user := range []string{"", "alice", "bob"} {
		token := ""
		if user != "" {
			var err error
			if token, err = obtain(addr, user); err != nil {
				f.Fatal(err)
			}
		}
		tokens = append(tokens, token)
	}
	tokens = append(tokens, "not.a.token")

	f.Fuzz(func(t *testing.T, method, target, host, name, value string, who uint8) {
		if strings.ContainsAny(name+value, "\r\n") || strings.EqualFold(name, "Expect") {
			return
		}
		lines := []string{name + ": " + value}
		if token := tokens[int(who)%len(tokens)]; token != "" {
			lines = append(lines, "Authorization: Bearer "+token)
		}
		in, err := proxy.ReadRequest(method, target, host, lines)
		if err != nil || in.Body != http.NoBody {
			return
		}
		in.RemoteAddr = "192.0.2.1:1234"
		told := gateway.Explain(in.Clone(t.Context()))
		if got := backend.requests(); len(got) != 0 {
			t.Fatalf("explaining sent a request: %v", got)
		}

		answer := httptest.NewRecorder()
		gateway.ServeHTTP(answer, in)
		got := backend.requests()
		if told.Outgoing == nil {
			if len(got) != 0 {
				t.Fatalf("explained as %s, and was forwarded as %s %s", told.Outcome(), got[0].Method, got[0].Target)
			}
			if told.Refusal != nil && (answer.Code != told.Refusal.Answer.Status || method != http.MethodHead && answer.Body.String() != told.Answer()) {
				t.Errorf("explained as %d %s, and answered %d %s", told.Refusal.Answer.Status, told.Answer(), answer.Code, answer.Body)
			}
			return
		}
		if len(got) == 0 && answer.Code >= 500 {
			return // the transport would not send it, which nothing before could know
		}
		if len(got) != 1 {
			t.Fatalf("explained as forwarded, and %d requests came, answer %d %s", len(got), answer.Code, answer.Body)
		}
		if got := got[0]; got.Method != told.Outgoing.Method || got.Target != told.Target || got.Host != told.Outgoing.Host {
			t.Errorf("explained as %s %s of %s, and came as %s %s of %s", told.Outgoing.Method, told.Target, told.Outgoing.Host, got.Method, got.Target, got.Host)
		}
		same(t, told.Outgoing.Header, got[0].Header)
	})
}

// same compares headers but for those that a connection adds, and the random ID.
func same(t *testing.T, told, got http.Header) {
	t.Helper()
	for _, header := range []http.Header{told, got} {
		for _, name := range []string{"X-Request-Id", "Accept-Encoding", "Content-Length", "User-Agent", "Connection"} {
			header.Del(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if strings.Join(told[name], "\n") != strings.Join(got[name], "\n") {
			t.Errorf("%s: explained as %q, and came as %q", name, told[name], got[name])
		}
	}
	for name := range got {
		if _, known := told[name]; !known {
			t.Errorf("%s: %q came unexplained", name, got[name])
		}
	}
}
