package edge

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/proxy"
	"gatehouse/users/rate"
)

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("a minute later: not so: %s", what)
		}
	}
}

func (c *crowd) counts() (inside, waiting int, told tallies) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inside.all, c.waiting.size, c.told
}

// The attack: many more connections than there is room for, each of which comes again as
// soon as it is closed. Few of them are served anew; others come in at once meanwhile.
func TestAttackWhoComesAgainAsSoonAsPushedOut(t *testing.T) {
	const most = 64
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.MaxConnections = most
		cfg.IdleTimeout = 10 * time.Minute
	}), nil)
	began := time.Now()
	var asked atomic.Int64
	attacker := visitor{t, net.IPv4(127, 0, 0, 2), e.Addrs()[0]}
	stop := make(chan struct{})
	ended := make(chan struct{})
	for range 3 * most {
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := net.DialTCP("tcp", &net.TCPAddr{IP: attacker.from}, attacker.to.(*net.TCPAddr))
				if err != nil {
					time.Sleep(time.Millisecond)
					continue
				}
				_ = conn.SetLinger(0)
				_ = conn.SetDeadline(time.Now().Add(time.Second))
				if ask(conn) == nil {
					asked.Add(1)
					_, _ = io.Copy(io.Discard, conn)
				}
				_ = conn.Close()
			}
		}()
	}
	eventually(t, "there is no room left, and some wait or are refused", func() bool {
		inside, waiting, told := e.crowd.counts()
		return inside == most && waiting > 0 && told.refused[ofAll] > 0
	})
	other := visitor{t, net.IPv4(127, 0, 0, 3), e.Addrs()[0]}
	for i := range 16 {
		if err := ask(other.dial()); err != nil {
			t.Errorf("somebody else, connection %d: %v", i, err)
		}
	}
	close(stop)
	for range 3 * most {
		<-ended
	}
	// They end by themselves after a second, and their places are free for others of them.
	_, _, told := e.crowd.counts()
	if bound := e.crowd.budget.per * (2 + int(time.Since(began).Seconds())); told.pushedOut[ofAll] > bound+16 {
		t.Errorf("%d were pushed out by their own, of at most %d in that time", told.pushedOut[ofAll]-16, bound)
	}
}

// Who is over the bound of a network waits, and is served when one of the same network leaves.
func TestABoundForEachNetwork(t *testing.T) {
	release := make(chan struct{})
	handler, begun := slowly(release)
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.MaxConnections, cfg.MaxConnectionsPerNetwork = 1000, 2
		cfg.TrustedProxies = []string{"127.0.0.7"}
	}), handler)
	own := visitor{t, net.IPv4(127, 0, 0, 2), e.Addrs()[0]}
	slow := func(v visitor) net.Conn {
		conn := v.dial()
		_, _ = io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		return conn
	}
	first := slow(own)
	slow(own)
	<-begun
	<-begun
	third := own.dial()
	eventually(t, "the third waits", func() bool { _, waiting, _ := e.crowd.counts(); return waiting == 1 })
	if err := ask(visitor{t, net.IPv4(127, 0, 0, 3), e.Addrs()[0]}.dial()); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	// A trusted proxy comes for many.
	for range 5 {
		slow(visitor{t, net.IPv4(127, 0, 0, 7), e.Addrs()[0]})
		<-begun
	}
	// One that waits and gives up is not served.
	gone := own.dial()
	eventually(t, "another one waits", func() bool { _, waiting, _ := e.crowd.counts(); return waiting == 2 })
	_ = gone.Close()
	eventually(t, "it has gone", func() bool { _, waiting, _ := e.crowd.counts(); return waiting == 1 })
	_ = first.Close()
	if err := ask(third); err != nil {
		t.Errorf("the one that waited: %v", err)
	}
	// An idle one makes room for another one of its own network.
	close(release)
	if err := ask(own.dial()); err != nil {
		t.Errorf("another one, of whose network two are idle: %v", err)
	}
}

// No more than so many of one client come through a load balancer, and the load balancer
// itself has no bound.
func TestABoundForEachNetworkThroughALoadBalancer(t *testing.T) {
	release := make(chan struct{})
	handler, begun := slowly(release)
	defer close(release)
	e, _ := run(t, settings(func(cfg *proxy.Server) {
		cfg.MaxConnections, cfg.MaxConnectionsPerNetwork = 1000, 2
		cfg.ProxyProtocol.From = []string{"127.0.0.0/8"}
	}), handler)
	balancer := visitor{t, net.IPv4(127, 0, 0, 1), e.Addrs()[0]}
	come := func(address string) net.Conn {
		conn := balancer.dial()
		_, _ = fmt.Fprintf(conn, "PROXY TCP4 %s 192.0.2.1 1000 80\r\nGET /slow HTTP/1.1\r\nHost: a\r\n\r\n", address)
		return conn
	}
	for client := range 4 {
		for range 2 {
			come(fmt.Sprintf("198.51.100.%d", client))
			<-begun
		}
	}
	third := come("198.51.100.1")
	if n, err := third.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("a third connection of a client: got %d, %v, want that it is closed", n, err)
	}
	if _, _, told := e.crowd.counts(); told.refused[ofNetwork] != 1 {
		t.Errorf("%d are counted as refused", told.refused[ofNetwork])
	}
}

// The network that has most is found, whatever comes and goes.
func TestWhoMakesRoom(t *testing.T) {
	for _, c := range []struct {
		name   string
		own    int // of the newcomer's network, which is "a"
		others string
		busy   string // networks that have a request on each
		want   string // whose connection makes room; empty: none does
	}{
		{"the network that has most", 1, "bbbccccc", "", "c"},
		{"not one that has as many", 3, "bbbccc", "", ""},
		{"the next one where those are busy", 1, "bbbccccc", "c", "b"},
		{"nobody where all are busy", 0, "bbbccccc", "bc", ""},
		{"anybody for somebody new", 0, "bcd", "bd", "c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			crowd := newCrowd(100, 0, proxy.Peers{})
			l := crowd.bound(nil, proxy.Peers{})
			all := newNetworks()
			add := func(whose string, busy bool) *boundConn {
				conn := &boundConn{listener: l, network: rate.User(whose)}
				conn.placed = conn.rest()
				all.add(conn)
				if busy {
					conn.resting.Store(0)
				}
				return conn
			}
			for range c.own {
				add("a", false)
			}
			var spare []*boundConn
			for _, letter := range c.others {
				whose := string(letter)
				busy := false
				for _, b := range c.busy {
					busy = busy || b == letter
				}
				add(whose, busy)
				spare = append(spare, add(whose, busy))
			}
			for _, conn := range spare {
				all.remove(conn)
			}
			out := all.rester(c.own)
			switch {
			case out == nil && c.want != "":
				t.Errorf("nobody makes room, %s should", c.want)
			case out != nil && out.network != rate.User(c.want):
				t.Errorf("%v makes room, want %q", out.network, c.want)
			}
		})
	}
}

// slowly answers /slow when it is released, or its client has gone, and everything else at once.
func slowly(release <-chan struct{}) (handler http.Handler, begun <-chan struct{}) {
	started := make(chan struct{}, 100)
	return http.HandlerFunc(func(_ http.ResponseWriter, in *http.Request) {
		if in.URL.Path == "/slow" {
			started <- struct{}{}
			select {
			case <-release:
			case <-in.Context().Done():
			}
		}
	}), started
}
