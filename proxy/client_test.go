package proxy

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func TestClientOfAConnection(t *testing.T) {
	proxies, faults := newTrusted([]string{"10.0.0.0/8"})
	if len(faults) != 0 {
		t.Fatal(faults)
	}
	for _, tc := range []struct {
		name, peer string
		tls        *tls.ConnectionState
		addr, port string
		believed   bool
	}{
		{"IPv4", "192.0.2.1:1234", nil, "192.0.2.1", "80", false},
		{"TLS", "192.0.2.1:1234", &tls.ConnectionState{}, "192.0.2.1", "443", false},
		{"a proxy", "10.0.0.1:1234", nil, "9.9.9.9", "80", true},
		{"a proxy, mapped into IPv6", "[::ffff:10.0.0.1]:1234", nil, "9.9.9.9", "80", true},
		{"IPv6", "[2001:db8::1]:1234", nil, "2001:db8::1", "80", false},
		{"IPv6 with a zone", "[fe80::1%eth0]:1234", nil, "fe80::1", "80", false},
		{"a socket file", "@", nil, "", "80", false},
		{"nothing", "", nil, "", "80", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := &http.Request{
				Host: "app.example.com", RemoteAddr: tc.peer, TLS: tc.tls, Header: http.Header{"X-Forwarded-For": {"9.9.9.9"}},
			}
			got, believed := proxies.client(in)
			if got.addrText() != tc.addr || got.Port != tc.port || believed != tc.believed {
				t.Errorf("got %q port %s, believed %v; want %q port %s, %v", got.addrText(), got.Port, believed, tc.addr, tc.port, tc.believed)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"a": true, "a.b": true, "a.b.": true, "a:1": true, "a_b-c.d": true, "1.2.3.4:65535": true, "[::1]": true, "[::1]:80": true, "A.B": true,
		"": false, ".": false, "a..b": false, ".a": false, "a:": false, "a:b": false, "a:0": false, "a:65536": false, "a:123456": false, ":80": false,
		"[::1": false, "[::1]80": false, "[::1]:": false, "[1.2.3.4]": false, "[::1%1]": false, "[]": false, "a/b": false, "a@b": false, "a b": false, "ä": false,
	} {
		if got := validHost(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
