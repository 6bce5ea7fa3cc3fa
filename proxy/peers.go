package proxy

import (
	"fmt"
	"net"
	"net/netip"
)

// Peers is a set of those who may connect to us, by address; the zero value is nobody.
type Peers struct {
	networks []netip.Prefix
	unix     bool // whoever connects to a socket file
}

// ParsePeers reads the list at the key `at`: addresses, networks, and the word unix.
func ParsePeers(at string, entries []string) (Peers, []error) {
	var peers Peers
	var faults []error
	for i, entry := range entries {
		if entry == "unix" {
			peers.unix = true
			continue
		}
		prefix, fault := parseNetwork(entry)
		if fault != nil {
			fault.At = fmt.Sprintf("%s[%d]", at, i)
			faults = append(faults, fault)
			continue
		}
		peers.networks = append(peers.networks, prefix)
	}
	return peers, faults
}

// parseNetwork takes an address for the network that holds it alone.
func parseNetwork(entry string) (netip.Prefix, *Fault) {
	prefix, err := netip.ParsePrefix(entry)
	if err != nil {
		var addr netip.Addr
		if addr, err = netip.ParseAddr(entry); err == nil && addr.Zone() == "" {
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
	}
	switch {
	case err != nil || !prefix.IsValid():
		return prefix, &Fault{Problem: fmt.Sprintf("%q is not an address or a network", entry), Fix: "write it as 10.42.0.0/16 or 10.42.0.7"}
	case prefix.Masked() != prefix:
		return prefix, &Fault{Problem: fmt.Sprintf("%q has bits behind its mask", entry), Fix: "write " + prefix.Masked().String()}
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		if prefix.Bits() < 96 {
			return prefix, &Fault{Problem: fmt.Sprintf("%q mixes IPv4 and IPv6", entry), Fix: "write the IPv4 network"}
		}
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix, nil
}

// None tells whether nobody is in the set.
func (p Peers) None() bool { return len(p.networks) == 0 && !p.unix }

// Hold tells whether the other end of a connection is in the set.
func (p Peers) Hold(peer net.Addr) bool {
	switch peer := peer.(type) {
	case *net.UnixAddr:
		return p.unix
	case *net.TCPAddr:
		return p.holds(peer.AddrPort().Addr().Unmap().WithZone(""))
	}
	return false
}

// holds takes ::ffff:10.0.0.1 and 10.0.0.1 for the same; addr must be unmapped.
func (p Peers) holds(addr netip.Addr) bool {
	for _, prefix := range p.networks {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}
