package wire_test

import (
	"strings"
	"testing"

	"gatehouse/proxy/upstream"
)

// FuzzAnswer: whatever bytes a server answers with before it closes the connection,
// who asks it directly sees the same as by http.Transport. And the next request gets an
// answer of its own, which http.Transport does not promise: what lies behind an
// answer it may take for the answer to the next request, if that comes soon enough.
func FuzzAnswer(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, head bool) {
		var method string
		if head {
			method = "HEAD"
		}
		told := map[string]string{}
		for _, transport := range []string{"standard", "direct"} {
			a := free(t, func(p *peer) {
				if !p.head() {
					return
				}
				if p.n == 0 {
					_, _ = p.Write(text)
					return
				}
				p.say(hello)
			})
			v := visit(t, a, transport, upstream.Config{})
			told[transport] = v.tell(ask{method: method}, nil)
			if transport == "standard" {
				v.up.Close()
				a.cage()
				continue
			}
			next := v.tell(ask{method: "GET"}, nil)
			if !strings.Contains(next, `body "hello" end`) {
				t.Errorf("the next request got\n%s", next)
			}
			v.up.Close()
			a.cage()
		}
		if told["standard"] != told["direct"] {
			t.Errorf("http.Transport:\n%s\ndirect:\n%s", told["standard"], told["direct"])
		}
	})
}

// seeds are answers from which others are made.
var seeds = []string{
	hello,
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
	"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.0 200 OK\r\n\r\nhello",
	"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
	"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
	hello + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcd",
	"",
}
