package proxy

import (
	"bufio"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What passes is what ReverseProxy itself passes, whatever clients write into Connection.
func TestHeadersPassAsInReverseProxy(t *testing.T) {
	names := []string{
		"Accept", "accept-language", "Cookie", "Host", "X-User-Id", "x_user_id", "Content-Type", "User-Agent", "Authorization", "X-Forwarded-For", "x-forwarded-proto",
		"X-Forwarded-Port", "Forwarded", "Te", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Close", "Connection",
		"Referer", "Range", "Via", "X-Request-Id", "DNT", "x.dotted", "Te-st",
	}
	values := []string{"", "a", "websocket", "trailers", "trailers, deflate", "close", "keep-alive", "Upgrade", "upgrade, x-user-id", " TE ,\tX-USER-ID", "accept,,cookie", "h2c", "x y, z"}
	state := uint64(1)
	below := func(n int) int { // any will do, and the same each time
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % n
	}
	pick := func(from []string) string { return from[below(len(from))] }
	for range 20_000 {
		var text strings.Builder
		text.WriteString("GET /x HTTP/1.1\r\nHost: a\r\n")
		for range below(8) {
			text.WriteString(pick(names) + ": " + pick(values) + "\r\n")
		}
		if below(2) == 0 {
			text.WriteString("Connection: " + pick(names) + "," + pick(names) + ", " + pick(values) + "\r\n")
		}
		in, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text.String() + "\r\n")))
		if err != nil {
			continue
		}
		before := in.Header.Clone()
		want := throughReverseProxy(in, nil)
		bare := new(http.Request)
		bared(bare, in)
		got := throughReverseProxy(bare, func(out http.Header) http.Header {
			return passing(nil, in.Header, out, func(string) bool { return false }, 0)
		})
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\npasses\n%v\nand in ReverseProxy\n%v", text.String(), got, want)
		}
		for name := range got {
			got[name] = append(got[name], "appended by somebody")
		}
		if !reflect.DeepEqual(in.Header, before) {
			t.Fatal("the client's own headers were changed")
		}
	}
	if len(noHeader) > 0 || noURL.RawQuery != "" {
		t.Error("somebody wrote into what all share")
	}
}

// throughReverseProxy returns the headers that would be sent; nil if it refuses.
func throughReverseProxy(in *http.Request, change func(http.Header) http.Header) (sent http.Header) {
	p := httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			if change != nil {
				pr.Out.Header = change(pr.Out.Header)
			}
		},
		Transport: roundTripFunc(func(out *http.Request) (*http.Response, error) {
			sent = out.Header.Clone()
			return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: out}, nil
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	p.ServeHTTP(nowhere{header: http.Header{}}, in)
	return sent
}

// The headers of an answer are handed over as ReverseProxy copies them.
func TestHeadersOfAnAnswerAreHandedOver(t *testing.T) {
	to := http.Header{"Vary": {"Origin"}, "X-Before": {"1"}}
	from := http.Header{"Vary": {"Cookie", "Accept"}, "Set-Cookie": {"a", "b"}, "Empty": {}}
	want := to.Clone()
	for name, values := range from {
		for _, value := range values {
			want.Add(name, value)
		}
	}
	handOver(to, &http.Response{Header: from})
	maps.DeleteFunc(to, func(_ string, values []string) bool { return len(values) == 0 })
	if !reflect.DeepEqual(to, want) {
		t.Errorf("got %v, want %v", to, want)
	}
	if !slices.Equal(from["Vary"], []string{"Cookie", "Accept"}) {
		t.Error(from)
	}
}
