package proxy_test

import (
	"log/slog"
	"strings"
	"testing"

	"gatehouse/proxy/upstream"
)

func TestTheAccessLogSaysWhatBecameOfARequest(t *testing.T) {
	w := open(t, nil)
	alice := w.bearer("alice")
	for _, tc := range []struct {
		name, request string
		want          []string
	}{
		{"passed", head("GET", "/x?q=1", alice), []string{
			"level=INFO", "msg=request", "method=GET", "host=app.example.com", "path=/x", "decision=passed", "status=200", "bytes=22", "duration_ms=",
			"client=127.0.0.1", "request_id=", "route=site", "upstream=app", "upstream_ms=", "user_id=1",
		}},
		{"passed by a rule", head("GET", "/public/y"), []string{"path=/public/y", "decision=passed", "rule=/public/*"}},
		{"anonymous", head("POST", "/x"), []string{"method=POST", "decision=refused", "reason=anonymous", "status=401", "bytes=58", "route=site"}},
		{"a bad header", head("GET", "/x", "Authorization: Bearer"), []string{"decision=refused", "reason=bad_authorization_header", "status=401"}},
		{"forbidden", head("GET", "/denied/", alice), []string{"decision=refused", "reason=denied", "status=403", "rule=/denied/*"}},
		{"a bad path", head("GET", "/a%00"), []string{"decision=refused", "reason=bad_path", "status=400"}},
		{"two credentials", head("GET", "/", alice, alice), []string{"decision=refused", "reason=two_credentials", "status=400"}},
		{"a bad host", "GET / HTTP/1.1\nHost: a..b\n\n", []string{"decision=refused", "reason=bad_host", "status=400"}},
		{"below the endpoints", head("GET", "/api/token/x"), []string{"decision=refused", "reason=no_route", "status=404"}},
		{"an endpoint", head("GET", "/api/token/"), []string{"decision=answered", "status=405", "path=/api/token/"}},
	} {
		w.log.Reset()
		w.raw(tc.request)
		eventually(t, tc.name, func() bool { return strings.HasSuffix(w.log.String(), "\n") })
		for _, want := range tc.want {
			if !strings.Contains(w.log.String(), want) {
				t.Errorf("%s: no %s in %s", tc.name, want, w.log)
			}
		}
	}
}

// CVE-2022-23469, CVE-2025-62232, CVE-2024-45808: what is secret, or not text, ended
// up in logs.
func TestAttackSecretsAndRawBytesInLogs(t *testing.T) {
	w := open(t, nil)
	token := w.token("alice")
	w.get("/x?access_token="+token+"&password=hunter2", "Authorization: Bearer "+token, "Cookie: session=hunter2")
	w.get("/x", "Authorization: Bearer "+token+"x")
	w.get("/x", "Authorization: Basic hunter2", "X-Request-Id: forged\" decision=passed")
	w.get("/public/a%20decision=passed%22b%C3%A9", "User-Agent: \"forged\"")
	w.raw("G\"ET /public/ HTTP/1.1\nHost: app.example.com\n\n")
	eventually(t, "log", func() bool { return strings.Count(w.log.String(), "msg=request") >= 5 })
	log := w.log.String()
	for _, secret := range []string{token, token[len(token)-20:], "hunter2", password, "Bearer", "forged"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.30q:\n%s", secret, log)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(log), "\n") {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("a line was forged: %q", line)
		}
		if strings.Contains(line, "/public/a decision=passed") && !strings.Contains(line, `path="/public/a decision=passed\"b`) {
			t.Errorf("the path is not quoted: %s", line)
		}
	}
}

func TestNoAccessLogAboveInfo(t *testing.T) {
	var log lockedBuffer
	b := newBackend(t, nil)
	cfg := site(b.addr)
	gateway := newGateway(t, cfg, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	w := &world{T: t, backend: b, addr: serve(t, gateway, cfg), log: &log}
	w.get("/public/")
	if log.String() != "" {
		t.Errorf("logged %s", &log)
	}
}

// With log.level warn there is no access line to look the request up in.
func TestAWarningOfAFailedUpstreamNamesIt(t *testing.T) {
	w := before(t, "127.0.0.1:1", upstream.Timeouts{})
	w.get("/public/")
	eventually(t, "warning that names the upstream", func() bool {
		for line := range strings.SplitSeq(w.log.String(), "\n") {
			if strings.Contains(line, "cannot answer") {
				return strings.Contains(line, "upstream=app ") && strings.Contains(line, "request_id=")
			}
		}
		return false
	})
}

func TestAFailedUpstreamIsAWarningWithItsCause(t *testing.T) {
	w := before(t, "127.0.0.1:1", upstream.Timeouts{})
	w.get("/public/")
	eventually(t, "warning", func() bool {
		log := w.log.String()
		return strings.Contains(log, "level=WARN") && strings.Contains(log, "reason=upstream_refused") && strings.Contains(log, "127.0.0.1:1") &&
			strings.Count(log, "request_id=") == 2
	})
}
