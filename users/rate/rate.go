// Package rate says who has asked too often. It knows budgets and keys, and neither
// requests nor routes.
package rate

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Key is whose budget it is: a user's, or a network's. The zero Key is of all who
// are neither, such as those who come over a socket file.
type Key struct {
	user    string
	network netip.Addr
}

// User is the key of a user.
func User(id string) Key { return Key{user: id} }

// String is what a key is told apart by, such as "user 7" and "network 192.0.2.1".
func (k Key) String() string {
	switch {
	case k.user != "":
		return "user " + k.user
	case k.network.IsValid():
		return "network " + k.network.String()
	}
	return ""
}

// Network is the key of the network of an address: an IPv4 address by itself, in
// every spelling, and the /64 of an IPv6 address, within which a host may take any
// address that it likes. What a translator has written into 64:ff9b::/96 is the IPv4
// address of a host of its own (RFC 6052, section 2.1).
func Network(addr netip.Addr) Key { return Key{network: NetworkOf(addr)} }

// translated is 64:ff9b::/96, behind which stands an IPv4 address.
var translated = [12]byte{0x00, 0x64, 0xff, 0x9b}

// NetworkOf is the first address of that network; of no address it is none.
func NetworkOf(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if b := addr.As16(); [12]byte(b[:12]) == translated {
			return netip.AddrFrom4([4]byte(b[12:]))
		}
		prefix, _ := addr.Prefix(64)
		addr = prefix.Addr()
	}
	return addr
}

// Limiter holds one budget for each key. What a budget holds is one moment: the one
// at which it is whole again (GCRA, as in ITU-T I.371). It is safe for concurrent use.
//
// Its memory is bounded: at most Most keys have a budget of their own. One that is
// whole again says nothing and may go; one that is not never goes, so that nobody
// gets a fresh budget by bringing many others along. Who comes when all places
// are taken shares one of a few budgets with others, by a hash that nobody outside
// can know, and takes its debt along when there is a place again. So a flood
// from very many networks makes it stricter for newcomers, and never looser for anybody.
type Limiter struct {
	interval time.Duration // in which one request is given back
	window   time.Duration // in which all are
	began    time.Time
	seed     maphash.Seed
	shards   [shards]shard
	sharing  atomic.Pointer[sharing] // nil: nobody else takes from the budgets
}

// Most is how many keys have a budget of their own, in some 3 MB, and 10 where budgets
// are shared.
const Most = shards * perShard

const (
	shards   = 16
	perShard = 4096
	shared   = 64 // budgets per shard for those who find no place
)

type shard struct {
	mu     sync.Mutex
	whole  map[uint64]time.Duration // by the hash of the key: when, after began
	shared [shared]time.Duration
	swept  time.Duration // when those that are whole were last taken out
}

// New makes a Limiter that gives back n requests in a time, one by one, and lets burst
// of them come at once. All are above 0, and n no more than the time has nanoseconds.
func New(n int, in time.Duration, burst int) *Limiter {
	interval := in / time.Duration(n)
	l := &Limiter{interval: interval, window: interval * time.Duration(burst), began: time.Now(), seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].whole = map[uint64]time.Duration{}
	}
	return l
}

// Take takes one request from the budget of a key. If there is none, it takes
// nothing, and says when there will be one.
func (l *Limiter) Take(key Key, now time.Time) (wait time.Duration, ok bool) {
	return l.look(key, now, true)
}

// Peek is Take without taking.
func (l *Limiter) Peek(key Key, now time.Time) (wait time.Duration, ok bool) {
	return l.look(key, now, false)
}

func (l *Limiter) look(key Key, at time.Time, take bool) (time.Duration, bool) {
	now := max(0, at.Sub(l.began))
	hash := maphash.Comparable(l.seed, key)
	s := &l.shards[hash%shards]
	common := &s.shared[hash/shards%shared]

	s.mu.Lock()
	defer s.mu.Unlock()
	whole, own := s.whole[hash]
	if !own {
		whole = *common // the debt of its time without a place, or of those who shared it
	}
	after := max(whole, now) + l.interval
	if wait := after - l.window - now; wait > 0 {
		return wait, false
	}
	switch {
	case !take:
	case own || s.room(now):
		s.whole[hash] = after
		if others := l.sharing.Load(); others != nil {
			others.took(l, key, hash, after-now)
		}
	default:
		*common = after
	}
	return 0, true
}

// room reports whether there is a place, and makes some where that may help.
func (s *shard) room(now time.Duration) bool {
	if len(s.whole) < perShard {
		return true
	}
	if now < s.swept+time.Second {
		return false
	}
	s.swept = now
	for hash, whole := range s.whole {
		if whole <= now {
			delete(s.whole, hash)
		}
	}
	return len(s.whole) < perShard
}
