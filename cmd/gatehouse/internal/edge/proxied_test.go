package edge

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/proxy"
)

// v2 is a header of version 2: the command and family bytes, and what follows.
func v2(command, family byte, rest ...byte) string {
	head := []byte("\r\n\r\n\x00\r\nQUIT\n")
	head = append(head, command, family)
	head = binary.BigEndian.AppendUint16(head, uint16(len(rest)))
	return string(append(head, rest...))
}

// from9 says that 9.9.9.9:1000 speaks to 10.0.0.1:443.
var from9 = []byte{9, 9, 9, 9, 10, 0, 0, 1, 1000 >> 8, 1000 & 0xff, 443 >> 8, 443 & 0xff}

const (
	proxyV2 = 0x21
	localV2 = 0x20
	tcp4    = 0x11
	udp4    = 0x12
	tcp6    = 0x21
	unix    = 0x31
)

func TestTheProxyProtocol(t *testing.T) {
	const ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	var to6 []byte
	for _, text := range []string{"2001:db8::9", "::1"} {
		to6 = append(to6, netip.MustParseAddr(text).AsSlice()...)
	}
	to6 = append(to6, from9[8:]...)
	mapped := append(netip.MustParseAddr("::ffff:9.9.9.9").AsSlice(), to6[16:]...)
	for _, test := range []struct {
		name   string
		listed bool
		sent   string
		want   string // the client's address; "own" the connection's, "" is refused
	}{
		{"version 1", true, "PROXY TCP4 9.9.9.9 10.0.0.1 1000 443\r\n", "9.9.9.9:1000"},
		{"version 1 of IPv6", true, "PROXY TCP6 2001:db8::9 ::1 1000 443\r\n", "[2001:db8::9]:1000"},
		{"version 1, of nobody that it knows", true, "PROXY UNKNOWN\r\n", "own"},
		{"version 2", true, v2(proxyV2, tcp4, from9...), "9.9.9.9:1000"},
		{"version 2 of IPv6", true, v2(proxyV2, tcp6, to6...), "[2001:db8::9]:1000"},
		{"version 2 of a mapped address", true, v2(proxyV2, tcp6, mapped...), "9.9.9.9:1000"},
		{"version 2 with more said behind", true, v2(proxyV2, tcp4, append(from9[:12:12], 4, 0, 3, 'a', 'b', 'c')...), "9.9.9.9:1000"},
		{"the load balancer's own health check", true, v2(localV2, 0), "own"},
		{"a health check that says an address", true, v2(localV2, tcp4, from9...), "own"},

		{"no header, from who must send one", true, "", ""},
		{"a header and another", true, "PROXY TCP4 9.9.9.9 10.0.0.1 1000 443\r\nPROXY TCP4 6.6.6.6 10.0.0.1 1000 443\r\n", ""},
		{"version 1 without an end", true, "PROXY TCP4 9.9.9.9 10.0.0.1 1000 443" + strings.Repeat(" ", 200), ""},
		{"version 1 with names", true, "PROXY TCP4 localhost 10.0.0.1 1000 443\r\n", ""},
		{"version 1 with another family's addresses", true, "PROXY TCP4 2001:db8::9 ::1 1000 443\r\n", ""},
		{"version 1 with a large port", true, "PROXY TCP4 9.9.9.9 10.0.0.1 100000 443\r\n", ""},
		{"version 1 with a bare line feed", true, "PROXY TCP4 9.9.9.9 10.0.0.1 1000 443\n", ""},
		{"version 2 cut short", true, v2(proxyV2, tcp4, from9[:8]...), ""},
		{"version 2 of a datagram", true, v2(proxyV2, udp4, from9...), ""},
		{"version 2 of a socket file", true, v2(proxyV2, unix, make([]byte, 216)...), ""},
		{"version 2 of nothing", true, v2(proxyV2, 0), ""},
		{"version 3", true, v2(0x31, tcp4, from9...), ""},

		{"nobody asked, and no header", false, "", "own"},
		{"nobody asked, version 1", false, "PROXY TCP4 9.9.9.9 10.0.0.1 1000 443\r\n", ""},
		{"nobody asked, version 2", false, v2(proxyV2, tcp4, from9...), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := "10.0.0.0/8"
			if test.listed {
				from = "127.0.0.0/8"
			}
			e, _ := run(t, settings(func(cfg *proxy.Server) {
				cfg.ProxyProtocol.From = []string{from}
				if test.want == "" { // some of these send less than they said
					cfg.ReadHeaderTimeout = time.Second
				}
			}), nil)
			conn, err := net.Dial("tcp", e.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			_, _ = io.WriteString(conn, test.sent+ask)
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if test.want == "" {
				if err == nil && answer.StatusCode != http.StatusBadRequest {
					t.Errorf("got %d", answer.StatusCode)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(answer.Body)
			want := test.want
			if want == "own" {
				want = conn.LocalAddr().String()
			}
			if got, _, _ := strings.Cut(string(text), " "); got != want {
				t.Errorf("the client is %s, want %s", got, want)
			}
		})
	}
}

// Who sends half a header holds up nobody but itself, and not for long.
func TestASlowProxyHeader(t *testing.T) {
	pair := pairOf(t, t.TempDir(), 1, "app.example.com")
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		withPair(pair)(cfg)
		cfg.ProxyProtocol.From = []string{"127.0.0.1"}
		cfg.ReadHeaderTimeout = 2 * time.Second
	}), nil)
	var slow []net.Conn
	for i := range 20 {
		conn, err := net.Dial("tcp", e.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "PROXY TCP4 9.9."[:i%16])
		slow = append(slow, conn)
	}
	until(t, "an answer for somebody else", func() bool { // who may be late, too, on a machine that is slow for a moment
		conn, err := net.Dial("tcp", e.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, v2(proxyV2, tcp4, from9...))
		secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
		fmt.Fprint(secure, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		text, err := io.ReadAll(secure)
		if err == nil && !strings.Contains(string(text), "9.9.9.9:1000 HTTP/1.1 tls=true") {
			t.Fatalf("got %q", text)
		}
		return err == nil
	})
	for _, conn := range slow {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("a slow header keeps its connection")
		}
	}
}
