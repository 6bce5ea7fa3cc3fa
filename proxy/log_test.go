package proxy_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/proxy"
	"gatehouse/proxy/upstream"
)

func TestListedHeadersAreInTheAccessLog(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) { cfg.Log.Headers = []string{"user-agent", "Referer", "X-Absent", "X-Many"} })
	token := w.token("alice")
	w.log.Reset()
	w.get("/public/x", "User-Agent: curl/8 \"x\"", "Referer: https://a.example/p?access_token=hunter2#f", "X-Other: unlisted",
		"X-Many: one", "X-Many: before "+token+" after")
	eventually(t, "log", func() bool { return strings.HasSuffix(w.log.String(), "\n") })
	for _, want := range []string{`headers.User-Agent="curl/8 \"x\""`, `headers.Referer=https://a.example/p `, `headers.X-Many="one, before [token] after"`} {
		if !strings.Contains(strings.TrimSpace(w.log.String())+" ", want) {
			t.Errorf("no %s in %s", want, w.log)
		}
	}
	for _, not := range []string{"unlisted", "X-Absent", "hunter2", token} {
		if strings.Contains(w.log.String(), not) {
			t.Errorf("%.30s is in %s", not, w.log)
		}
	}
}

func TestALongHeaderIsCutInTheLog(t *testing.T) {
	w := open(t, nil, func(cfg *proxy.Config) { cfg.Log.Headers = []string{"X-Long"} })
	w.get("/public/x", "X-Long: "+strings.Repeat("ab", 4000))
	eventually(t, "log", func() bool { return strings.HasSuffix(w.log.String(), "\n") })
	if log := w.log.String(); len(log) > 1200 || !strings.Contains(log, "abab…") {
		t.Errorf("%d bytes: %s", len(log), log)
	}
}

// A token that somebody pastes into a path or a host is not for those who read logs.
func TestTokensInPathsAreNotLogged(t *testing.T) {
	w := open(t, nil)
	token := w.token("alice")
	w.log.Reset()
	w.get("/public/reset/" + token + "/done")
	w.raw("GET /public/ HTTP/1.1\nHost: " + token + "\n\n")
	w.raw(token + " /public/ HTTP/1.1\nHost: app.example.com\n\n")
	w.get("/public/eyJust/a.word")
	eventually(t, "log", func() bool { return strings.Count(w.log.String(), "msg=request") == 4 })
	for _, want := range []string{"path=/public/reset/[token]/done ", "host=[token] ", "method=[token] ", "path=/public/eyJust/a.word "} {
		if !strings.Contains(w.log.String(), want) {
			t.Errorf("no %s in %s", want, w.log)
		}
	}
	if strings.Contains(w.log.String(), token[10:40]) {
		t.Errorf("a token is in %s", w.log)
	}
}

func TestHeadersThatCarrySecretsCannotBeLogged(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"Authorization", "brings the token"},
		{"authorization", "brings the token"},
		{"Proxy-Authorization", "carries credentials"},
		{"Cookie", "carries credentials"},
		{"Set-Cookie", "carries credentials"},
		{"X-Api-Key", "carries credentials"},
		{"X-CSRFToken", "carries credentials"},
		{"X_Auth_Token", "carries credentials"},
		{"X-Signed-User", "is an assertion for an upstream"},
		{"Host", "in each line already"},
		{"X Y", "not the name of a header"},
		{"", "not the name of a header"},
	} {
		cfg := site("127.0.0.1:1")
		cfg.Log.Headers = []string{"User-Agent", tc.name}
		app := cfg.Upstreams["app"]
		app.Assertion = upstream.Assertion{Header: "X-Signed-User"}
		cfg.Upstreams["app"] = app
		_, err := proxy.New(cfg, parts(t, slog.New(slog.DiscardHandler)))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v", tc.name, err)
		}
		fault, ok := errors.AsType[*proxy.Fault](err)
		for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
			if f, is := errors.AsType[*proxy.Fault](err); is && strings.HasPrefix(f.At, "log") {
				fault = f
			}
		}
		if !ok || fault.At != "log.headers[1]" {
			t.Errorf("%q is blamed at %+v", tc.name, fault)
		}
	}
	for _, change := range []func(*proxy.Log){
		func(l *proxy.Log) { l.Level = "trace" },
		func(l *proxy.Log) { l.Format = "logfmt" },
		func(l *proxy.Log) { l.Headers = []string{"Accept", "accept"} },
	} {
		cfg := site("127.0.0.1:1")
		change(&cfg.Log)
		if _, err := proxy.New(cfg, parts(t, slog.New(slog.DiscardHandler))); err == nil {
			t.Errorf("%+v is taken", cfg.Log)
		}
	}
}

func TestTheTraceIsInTheLog(t *testing.T) {
	w := open(t, nil)
	const id = "0af7651916cd43dd8448eb211c80319c"
	for _, tc := range []struct{ sent, want string }{
		{"00-" + id + "-b7ad6b7169203331-01", id},
		{"cc-" + id + "-b7ad6b7169203331-01-more", id},
		{"ff-" + id + "-b7ad6b7169203331-01", ""},
		{"00-" + strings.ToUpper(id) + "-b7ad6b7169203331-01", ""},
		{"00-00000000000000000000000000000000-b7ad6b7169203331-01", ""},
		{"00-" + id, ""},
		{"garbage", ""},
	} {
		w.log.Reset()
		w.get("/public/x", "Traceparent: "+tc.sent)
		eventually(t, "log", func() bool { return strings.HasSuffix(w.log.String(), "\n") })
		_, after, _ := strings.Cut(w.log.String(), "trace_id=")
		got, _, _ := strings.Cut(after, " ")
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.sent, got, tc.want)
		}
	}
}
