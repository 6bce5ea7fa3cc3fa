package probe

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// around asks who can come to the backend without a gateway, and whom it believes.
func (p *prober) around(ctx context.Context) {
	believes := p.belief.knows()
	open, how := p.reachable(ctx)
	who := "cannot be told"
	switch {
	case p.belief.echo != "":
		who = "gets the headers of whoever comes"
	case believes:
		who = "believes " + strings.Join(p.belief.headers(), ", ") + " from whoever comes"
	}
	const advice = "let it listen on loopback, on a socket file or on a network that only gatehouse is on; or let it check upstreams.*.assertion"
	switch {
	case open && believes:
		p.add("around", how, who, Danger, advice)
	case open:
		p.add("around", how, who, Note, advice)
	default:
		p.add("around", how, who, Fine, "")
	}
}

// reachable tells whether others than programs on this machine can connect, as far as
// it shows from here.
func (p *prober) reachable(ctx context.Context) (open bool, how string) {
	if p.t.Network == "unix" {
		info, err := os.Stat(p.t.Address)
		if err == nil && info.Mode().Perm()&0o002 != 0 {
			return true, "every user of this machine may connect to " + p.t.Address
		}
		return false, "a socket file that not every user may connect to"
	}
	host, port, err := net.SplitHostPort(p.t.Address)
	if err != nil {
		return false, p.t.Address
	}
	here, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, "the address of " + host + " is not known"
	}
	mine := addresses()
	local := false
	for _, addr := range here {
		local = local || addr.IsLoopback() || contains(mine, addr.Unmap())
	}
	if !local {
		return true, p.t.Address + " is another machine's, and can be reached from here past the gateway"
	}
	// A server that was asked on one address of this machine and answers on another listens
	// on all of them.
	for _, other := range mine {
		if other.IsLoopback() || contains(here, other) {
			continue
		}
		if p.listens(ctx, net.JoinHostPort(other.String(), port)) {
			return true, "it listens on " + net.JoinHostPort(other.String(), port) + " too, which other machines may reach"
		}
	}
	for _, addr := range here {
		if !addr.IsLoopback() {
			return true, p.t.Address + " is an address of this machine that others may reach"
		}
	}
	return false, "it listens on loopback alone"
}

// listens tells whether the same server seems to be there.
func (p *prober) listens(ctx context.Context, address string) bool {
	there := *p.t
	there.Address, there.Timeout = address, min(p.t.Timeout, time.Second)
	usual, err := p.t.get(ctx, p.t.path())
	if err != nil {
		return false
	}
	other, err := there.get(ctx, p.t.path())
	return err == nil && same(usual, other)
}

// addresses are those of this machine.
func addresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, one := range all {
		text, _, _ := strings.Cut(one.String(), "/")
		if addr, err := netip.ParseAddr(text); err == nil && !addr.IsLinkLocalUnicast() {
			list = append(list, addr.Unmap())
		}
	}
	return list
}

func contains(list []netip.Addr, addr netip.Addr) bool {
	for _, one := range list {
		if one.Unmap() == addr.Unmap() {
			return true
		}
	}
	return false
}
