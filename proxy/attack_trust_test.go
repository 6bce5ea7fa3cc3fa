package proxy_test

import (
	"strings"
	"testing"

	"gatehouse/proxy"
)

func trusting(networks ...string) func(*proxy.Config) {
	return func(cfg *proxy.Config) { cfg.Server.TrustedProxies = networks }
}

// spoofed is what a client may say about itself.
var spoofed = []string{
	"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.example.com", "X-Forwarded-Proto: https", "X-Forwarded-Port: 444",
	"X-Forwarded-Server: evil", "X-Forwarded-Prefix: /evil", "X-Forwarded-Uri: /public/", "X-Forwarded-Method: HEAD", "X-Forwarded-User: root",
	"X-Forwarded-Scheme: https", "X-Forwarded-Ssl: on", "X-Forwarded: for=6.6.6.6", "X-Forwarded-By: 6.6.6.6", "X-Forwarded-Anything: 1",
	"Forwarded: for=6.6.6.6;host=evil;proto=https", "X-Real-IP: 6.6.6.6", "X-Original-Url: /public/", "X-Original-Host: evil", "X-Original-Forwarded-For: 6.6.6.6",
	"Client-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6", "X_Cluster_Client_IP: 6.6.6.6", "True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "Front-End-Https: on", "X-Url-Scheme: https",
	"X-Rewrite-Url: /public/", "X_Forwarded_For: 6.6.6.6", "X-Forwarded_Host: evil", "x.forwarded.proto: https", "X_Real_IP: 6.6.6.6",
	"X_Original_URL: /public/", "X-Request_Id: 6666666666", "X_REQUEST_ID: 6666666666", "x.request.id: 6666666666", "X-Request-Id: 6666666666",
}

// CVE-2026-40575, CVE-2026-33495, CVE-2023-27487, CVE-2024-45806, CVE-2026-35051,
// CVE-2026-39858, CVE-2022-24112: a client's word about itself was believed, because
// trust was off and on by default, or because the list of headers to clean was short.
func TestAttackForwardedHeadersFromAnybody(t *testing.T) {
	for name, networks := range map[string][]string{"no list of proxies": nil, "a list that the peer is not on": {"10.0.0.0/8", "::1"}} {
		t.Run(name, func(t *testing.T) {
			w := open(t, nil, trusting(networks...))
			w.refused(w.get("/x", spoofed...), 401, notProvided)
			w.refused(w.get("/denied/", spoofed...), 403, noPermission)
			w.untouched()
			for _, path := range []string{"/public/", "/optional/"} {
				w.get(path, spoofed...)
				in := w.only()
				want := map[string]string{
					"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "app.example.com", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "80",
				}
				for name, values := range in.Header {
					text := strings.Join(values, ",")
					if w, ok := want[name]; ok {
						if text != w {
							t.Errorf("%s is %q, want %q", name, text, w)
						}
						delete(want, name)
						continue
					}
					if strings.Contains(text, "666666") || strings.Contains(text, "6.6.6.6") || strings.Contains(text, "evil") || strings.Contains(text, "/public/") || strings.Contains(text, "https") || text == "on" {
						t.Errorf("%s: %s reached the backend", name, text)
					}
				}
				if len(want) != 0 {
					t.Errorf("not sent: %v", want)
				}
			}
			if strings.Contains(w.log.String(), "6.6.6.6") {
				t.Error("the log believes the client's address")
			}
		})
	}
}

// CVE-2024-39321: ::ffff:127.0.0.1 is 127.0.0.1, in the list and in the header.
func TestAttackMappedAddresses(t *testing.T) {
	for _, network := range []string{"127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104"} {
		w := open(t, nil, trusting(network))
		w.get("/public/", "X-Forwarded-For: 6.6.6.6, ::ffff:9.9.9.9, ::ffff:127.0.0.1")
		if got := w.only().Header.Get("X-Forwarded-For"); got != "9.9.9.9" {
			t.Errorf("trusting %s: the client is %s, want 9.9.9.9", network, got)
		}
	}
}

// CVE-2024-21494 and its siblings: what a trusted proxy says about its peer is
// believed; what it repeats from further away is not.
func TestWhoTheClientIsBehindTrustedProxies(t *testing.T) {
	for _, tc := range []struct {
		name                    string
		headers                 []string
		addr, host, proto, port string
	}{
		{"nothing said", nil, "127.0.0.1", "app.example.com", "http", "80"},
		{"one proxy", []string{"X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com"}, "9.9.9.9", "www.example.com", "https", "443"},
		{"the client lies to the proxy", []string{"X-Forwarded-For: 6.6.6.6, 9.9.9.9"}, "9.9.9.9", "app.example.com", "http", "80"},
		{"two trusted proxies", []string{"X-Forwarded-For: 6.6.6.6, 9.9.9.9, 10.0.0.7"}, "9.9.9.9", "app.example.com", "http", "80"},
		{"in two lines", []string{"X-Forwarded-For: 6.6.6.6, 9.9.9.9", "X-Forwarded-For: 10.0.0.7"}, "9.9.9.9", "app.example.com", "http", "80"},
		{"all of them trusted", []string{"X-Forwarded-For: 10.0.0.9, 10.0.0.7"}, "10.0.0.9", "app.example.com", "http", "80"},
		{"garbage", []string{"X-Forwarded-For: 6.6.6.6, garbage"}, "127.0.0.1", "app.example.com", "http", "80"},
		{"garbage further on", []string{"X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.7"}, "10.0.0.7", "app.example.com", "http", "80"},
		{"an empty entry", []string{"X-Forwarded-For: 6.6.6.6,"}, "127.0.0.1", "app.example.com", "http", "80"},
		{"with a port", []string{"X-Forwarded-For: 9.9.9.9:1234"}, "9.9.9.9", "app.example.com", "http", "80"},
		{"IPv6", []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1", "app.example.com", "http", "80"},
		{"IPv6 with a port", []string{"X-Forwarded-For: [2001:db8::1]:1234"}, "2001:db8::1", "app.example.com", "http", "80"},
		{"IPv6 with a zone", []string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1", "app.example.com", "http", "80"},
		{"a port of its own", []string{"X-Forwarded-Proto: https", "X-Forwarded-Port: 8443"}, "127.0.0.1", "app.example.com", "https", "8443"},
		{"a port in the host", []string{"X-Forwarded-Host: www.example.com:8443"}, "127.0.0.1", "www.example.com:8443", "http", "8443"},
		{"another scheme", []string{"X-Forwarded-Proto: javascript"}, "127.0.0.1", "app.example.com", "http", "80"},
		{"the scheme in capitals", []string{"X-Forwarded-Proto: HTTPS"}, "127.0.0.1", "app.example.com", "https", "443"},
		{"two schemes", []string{"X-Forwarded-Proto: https, http"}, "127.0.0.1", "app.example.com", "http", "80"},
		{"a scheme in two lines", []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, "127.0.0.1", "app.example.com", "http", "80"},
		{"a host that is none", []string{"X-Forwarded-Host: evil/..", "X-Forwarded-Port: x"}, "127.0.0.1", "app.example.com", "http", "80"},
		{"two hosts", []string{"X-Forwarded-Host: a.example.com, b.example.com"}, "127.0.0.1", "app.example.com", "http", "80"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := open(t, nil, trusting("127.0.0.1", "10.0.0.0/8"))
			w.get("/public/", tc.headers...)
			in := w.only()
			for name, want := range map[string]string{
				"X-Forwarded-For": tc.addr, "X-Forwarded-Host": tc.host, "X-Forwarded-Proto": tc.proto, "X-Forwarded-Port": tc.port,
			} {
				if got := in.Header.Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if in.Host != "app.example.com" {
				t.Errorf("Host became %s", in.Host)
			}
			eventually(t, "line in the log", func() bool { return strings.Contains(w.log.String(), "client="+tc.addr+" ") })
		})
	}
}

func TestARequestIdFromATrustedProxy(t *testing.T) {
	w := open(t, nil, trusting("127.0.0.1"))
	for sent, kept := range map[string]bool{
		"0af7651916cd43dd": true, "a-b_c.d:e/f+g=": true, "short": false, "with space": false, "<script>alert(1)</script>": false,
		strings.Repeat("x", 129): false, "one, two-and-three": false,
	} {
		w.get("/public/", "X-Request-Id: "+sent)
		if got := w.only().Header.Get("X-Request-Id"); (got == sent) != kept {
			t.Errorf("%q became %q", sent, got)
		}
	}
}

// CVE-2026-34457: a health check was known by its User-Agent.
func TestAttackUserAgentOfAHealthCheck(t *testing.T) {
	w := open(t, nil)
	for _, agent := range []string{"kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "gatehouse", ""} {
		w.refused(w.get("/x", "User-Agent: "+agent), 401, notProvided)
	}
	w.untouched()
}
