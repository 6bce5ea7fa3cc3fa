package proxy_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/proxy/identity"
	"gatehouse/proxy/route"
	"gatehouse/proxy/upstream"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]struct {
		bytes proxy.Bytes
		text  string
	}{
		"0": {0, "0"}, "1": {1, "1"}, "1000": {1000, "1000"}, "1024": {1024, "1KiB"}, "32KiB": {32 << 10, "32KiB"}, "32 KiB": {32 << 10, "32KiB"},
		" 20MiB ": {20 << 20, "20MiB"}, "1536MiB": {1536 << 20, "1536MiB"}, "2GiB": {2 << 30, "2GiB"},
	} {
		var got proxy.Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want.bytes {
			t.Errorf("%q is %d, %v, want %d", text, got, err, want.bytes)
		}
		if back, _ := got.MarshalText(); string(back) != want.text {
			t.Errorf("%q is written %q, want %q", text, back, want.text)
		}
	}
	for _, text := range []string{"", "x", "-1", "+1", "1.5MiB", "20MB", "20M", "20mib", "KiB", "9223372036854775807KiB", "0x10", "1KiBKiB", "1_000"} {
		var got proxy.Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}

// fields are the key paths of all faults in a tree of joined errors.
func fields(err error) []string {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, err := range joined.Unwrap() {
			all = append(all, fields(err)...)
		}
		return all
	}
	if fault, ok := errors.AsType[interface {
		error
		Field() string
	}](err); ok {
		return []string{fault.Field()}
	}
	return []string{"without field: " + err.Error()}
}

func TestAllFaultsOfAFileAreReportedTogether(t *testing.T) {
	cfg := proxy.DefaultConfig()
	cfg.Server.Listen = []string{"8080"}
	cfg.Server.TrustedProxies = []string{"10.0.0.0/8", "10.0.0.1/8", "proxy.example.com", "::ffff:10.0.0.0/90", "fe80::1%eth0"}
	cfg.Server.MaxHeaderBytes = 10
	cfg.Server.MaxBody = -1
	cfg.Server.ReadHeaderTimeout = 0
	cfg.Server.ReadBodyTimeout = 0
	cfg.Server.IdleTimeout = -time.Second
	cfg.Server.Drain = proxy.Drain{Delay: -1, Timeout: -1}
	cfg.Upstreams = map[string]upstream.Config{"app": {URL: "app:80/x"}}
	cfg.Routes = []route.Config{{To: "ap", Auth: route.Auth{Word: "open"}}}
	cfg.Identity.Headers = map[string]identity.Source{"x_user": {Word: "username"}}
	_, err := proxy.New(cfg, parts(t, nil))
	got := fields(err)
	slices.SortFunc(got, cmp.Compare[string])
	want := []string{
		"identity.headers.x_user", "routes[0].auth", "routes[0].to", "server.drain.delay", "server.drain.timeout", "server.idle_timeout", "server.listen",
		"server.max_body", "server.max_header_bytes", "server.read_body_timeout", "server.read_header_timeout",
		"server.trusted_proxies[1]", "server.trusted_proxies[2]", "server.trusted_proxies[3]", "server.trusted_proxies[4]", "upstreams.app.url",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, " "), strings.Join(want, " "))
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.Contains(line, "; ") {
			t.Errorf("no remedy in %q", line)
		}
	}
}

func TestListenAddresses(t *testing.T) {
	for listen, ok := range map[string]bool{
		":8080": true, "127.0.0.1:0": true, "[::1]:443": true, "localhost:80": true, "": false, "8080": false, "127.0.0.1": false, ":x": false, ":70000": false, "::1:80": false,
		"unix:///run/gatehouse.sock": true, "unix://run/gatehouse.sock": false, "unix:///": false, "unix:///" + strings.Repeat("x", 120): false,
		"http://:8080": true, "https://:8443": false, "systemd:web": true, "systemd:": true,
	} {
		cfg := site("127.0.0.1:1")
		cfg.Server.Listen = []string{listen}
		gateway, err := proxy.New(cfg, parts(t, nil))
		if (err == nil) != ok {
			t.Errorf("%q: %v", listen, err)
		}
		if gateway != nil {
			gateway.Close()
		}
	}
}

func TestAGatewayNeedsAVerifier(t *testing.T) {
	if _, err := proxy.New(site("127.0.0.1:1"), proxy.Parts{}); err == nil {
		t.Error("made without one")
	}
}

// The names of upstreams are keys of the file, whose letter case gets lost.
func TestUpstreamNamesInAnyLetterCase(t *testing.T) {
	b := newBackend(t, nil)
	cfg := site(b.addr)
	cfg.Routes[0].To = "APP"
	w := &world{T: t, backend: b, addr: serve(t, newGateway(t, cfg, nil), cfg)}
	if got := w.get("/public/"); got.StatusCode != 200 {
		t.Errorf("%d %s", got.StatusCode, got.Text)
	}
}
