package edge

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"gatehouse/proxy"
)

// visitor is somebody with an address of their own.
type visitor struct {
	t    *testing.T
	from net.IP
	to   net.Addr
}

func (v visitor) dial() net.Conn {
	v.t.Helper()
	conn, err := v.knock()
	if err != nil {
		v.t.Fatal(err)
	}
	return conn
}

// knock is dial for somebody who may be refused.
func (v visitor) knock() (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: v.from}, Timeout: 30 * time.Second}
	conn, err := dialer.Dial("tcp", v.to.String())
	if err == nil {
		v.t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
	}
	return conn, err
}

func ask(conn net.Conn) error {
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err == nil {
		err = answer.Body.Close()
	}
	return err
}

// The attack: ten times as many connections as there may be, on which nothing comes,
// half a head comes, or nothing comes behind the first request. They push out one
// another, and not those of others.
func TestAttackMoreConnectionsThanThereMayBe(t *testing.T) {
	const most = 64
	pair := pairOf(t, t.TempDir(), 1, "app.example.com")
	for name, secured := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			peak := 0
			e, _ := run(t, settings(func(cfg *proxy.Server) {
				cfg.MaxConnections = most
				cfg.ReadHeaderTimeout, cfg.IdleTimeout = time.Minute, time.Minute
				if secured {
					withPair(pair)(cfg)
				}
			}), nil)
			attacker := visitor{t, net.IPv4(127, 0, 0, 2), e.Addrs()[0]}
			other := visitor{t, net.IPv4(127, 0, 0, 3), e.Addrs()[0]}
			dial := func() net.Conn {
				conn := other.dial()
				if secured {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				return conn
			}
			var kept []net.Conn
			for range 8 {
				conn := dial()
				if err := ask(conn); err != nil {
					t.Fatal(err)
				}
				kept = append(kept, conn)
			}
			for i := range 10 * most {
				if conn, err := attacker.knock(); err == nil { // or it is refused
					switch i % 3 {
					case 1:
						_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
					case 2:
						_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
					}
				}
				peak = max(peak, e.crowd.size())
				if i%most == 0 {
					if err := ask(dial()); err != nil {
						t.Fatalf("somebody else who comes when %d have come: %v", i, err)
					}
				}
			}
			if peak > most {
				t.Errorf("there were %d connections, of %d", peak, most)
			}
			for i, conn := range kept {
				if err := ask(conn); err != nil {
					t.Errorf("connection %d of somebody else: %v", i, err)
				}
			}
		})
	}
}

// Who goes on asking while others fight for room keeps the connection: at the end of a
// request too, when somebody waits.
func TestWhoAsksKeepsTheConnectionInAFlood(t *testing.T) {
	const most = 32
	e, _ := run(t, settings(func(cfg *proxy.Server) { cfg.MaxConnections = most }), nil)
	attacker := visitor{t, net.IPv4(127, 0, 0, 2), e.Addrs()[0]}
	other := visitor{t, net.IPv4(127, 0, 0, 3), e.Addrs()[0]}
	kept := other.dial()
	over := make(chan struct{})
	var floods sync.WaitGroup
	for range 4 {
		floods.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: attacker.from}}).Dial("tcp", attacker.to.String())
				if err != nil {
					continue // no port is free
				}
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				t.Cleanup(func() { _ = conn.Close() })
			}
		})
	}
	for i := range 500 {
		if err := ask(kept); err != nil {
			t.Errorf("request %d: %v", i, err)
			break
		}
	}
	close(over)
	floods.Wait()
}

// Behind a load balancer that speaks the PROXY protocol clients are told apart by
// what it says.
func TestAttackMoreConnectionsThroughALoadBalancer(t *testing.T) {
	const most = 32
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.MaxConnections = most
		cfg.ProxyProtocol.From = []string{"127.0.0.0/8"}
	}), nil)
	balancer := visitor{t, net.IPv4(127, 0, 0, 1), e.Addrs()[0]}
	come := func(address string) (net.Conn, error) {
		conn := balancer.dial()
		_, _ = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 1000 80\r\n", address)
		return conn, ask(conn)
	}
	kept, err := come("198.51.100.7")
	if err != nil {
		t.Fatal(err)
	}
	let := 0
	for range 4 * most {
		if _, err := come("203.0.113.9"); err == nil {
			let++
		}
	}
	if let < most/2 {
		t.Errorf("of one client %d were let in, where there is room for %d", let, most)
	}
	if err := ask(kept); err != nil {
		t.Errorf("the connection of another client: %v", err)
	}
	if _, err := come("198.51.100.8"); err != nil {
		t.Errorf("a third client: %v", err)
	}
}

// size is how many are inside.
func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inside.all
}
