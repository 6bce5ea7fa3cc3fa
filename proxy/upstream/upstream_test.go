package upstream_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy/upstream"
)

func TestURLs(t *testing.T) {
	for _, tc := range []struct{ name, url string }{
		{"http with a port", "http://127.0.0.1:8000"},
		{"http without a port", "http://app"},
		{"https", "https://app.example.com"},
		{"a closing slash is no path", "http://app:8000/"},
		{"IPv6", "http://[::1]:8000"},
		{"a container's name with an underscore", "http://my_app:8000"},
		{"the scheme in capitals", "HTTP://app:80"},
		{"HTTP/2 without TLS", "h2c://inventory:50051"},
		{"a socket file", "unix:///run/shop/shop.sock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, cfg := range []upstream.Config{{URL: tc.url}, {URLs: []string{tc.url, "http://other:1"}}} {
				if up := open(t, cfg); up.Name() != "app" {
					t.Errorf("name %q, want app", up.Name())
				}
			}
		})
	}
}

func TestFaultyURLsSayWhatToWrite(t *testing.T) {
	for _, tc := range []struct{ name, url, problem, fix string }{
		{"missing", "", "no url", "http://127.0.0.1:8000"},
		{"no scheme", "127.0.0.1:8000", "no scheme", "write http://127.0.0.1:8000"},
		{"no scheme, a name", "app:8000", "no scheme", "write http://app:8000"},
		{"no scheme, a bare name", "app", "no scheme", "write http://app"},
		{"another scheme", "ftp://app", `scheme "ftp"`, "http://, https://, h2c:// and unix://"},
		{"a path", "http://app:8000/api", "path", "write http://app:8000; paths are changed by strip_prefix"},
		{"a query", "http://app:8000?a=1", "query", "write http://app:8000"},
		{"an empty query", "http://app:8000?", "query", "write http://app:8000"},
		{"a fragment", "http://app:8000#a", "fragment", "write http://app:8000"},
		{"no host", "http://:8000", "no host", "http://host:port"},
		{"no host at all", "http:///", "no host", "http://host:port"},
		{"a colon without a port", "http://app:", "without a port", "http://host:port"},
		{"port 0", "http://app:0", "not a port", "1 to 65535"},
		{"a port above the last", "http://app:70000", "not a port", "1 to 65535"},
		{"a port that is a word", "http://app:http", "not a URL", "http://host:port"},
		{"a space in the host", "http://a b", "not a URL", "http://host:port"},
		{"a socket without its full path", "unix://run/app.sock", "full path", "unix:///run/app.sock"},
		{"a socket through another directory", "unix:///run/../app.sock", "full path", "unix:///run/app.sock"},
		{"a list", "http://a,b", "not a host name", "http://host:port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := upstream.New("app", upstream.Config{URL: tc.url}, upstream.Parts{})
			fault, ok := errors.AsType[*upstream.Fault](err)
			if !ok {
				t.Fatalf("got %v, want a fault", err)
			}
			if fault.Field() != "upstreams.app.url" {
				t.Errorf("field %q", fault.Field())
			}
			if !strings.Contains(fault.Problem, tc.problem) || !strings.Contains(fault.Fix, tc.fix) {
				t.Errorf("got %q, want %q and %q", fault, tc.problem, tc.fix)
			}
		})
	}
}

func TestAPasswordInAURLIsRefusedAndNotRepeated(t *testing.T) {
	for _, url := range []string{"http://bob:hunter2@app:8000", "http://bob:hunter2@app:x", "bob:hunter2@app:8000"} {
		_, err := upstream.New("app", upstream.Config{URL: url}, upstream.Parts{})
		if err == nil {
			t.Fatalf("%s was accepted", url)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the message holds the password: %v", err)
		}
	}
}

func TestAllFaultsAreReportedTogether(t *testing.T) {
	negative := -time.Second
	_, err := upstream.New("app", upstream.Config{
		URL:       "app",
		KeepAlive: &negative,
		Timeouts:  upstream.Timeouts{Connect: &negative, FirstByte: &negative},
	}, upstream.Parts{})
	var fields []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			fault, _ := errors.AsType[*upstream.Fault](err)
			fields = append(fields, fault.Field())
		}
	}
	want := "upstreams.app.url upstreams.app.timeouts.connect upstreams.app.timeouts.first_byte upstreams.app.keep_alive"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
