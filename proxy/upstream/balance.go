package upstream

import (
	"crypto/tls"
	"math"
	"net/netip"
	"sync/atomic"
	"time"
)

// balance says which of several servers gets a request.
type balance string

const (
	roundRobin    balance = "round_robin"
	leastRequests balance = "least_requests"
	sticky        balance = "sticky"
)

// What happens to a server that breaks, where there are others.
const (
	// ejectAfter is how many requests in a row must break on a server before it is
	// left out: one crash of one request is none of the other requests' business.
	ejectAfter = 3

	// ejectFor is how long it is left out the first time; each time after is twice as
	// long, up to ejectMost.
	ejectFor  = 5 * time.Second
	ejectMost = time.Minute

	// ramp is how long a server that returns takes to get its whole part again: a
	// process that has just started is slow, and must not be knocked over at once.
	ramp = 10 * time.Second
)

// server is one server of an upstream.
type server struct {
	endpoint  endpoint
	keepAlive time.Duration
	tls       *tls.Config
	hash      uint64 // of its URL, not of its place in the file

	inFlight  atomic.Int64
	down      atomic.Bool  // by its health checks
	broken    atomic.Int32 // requests in a row
	ejections atomic.Int32 // in a row, without a whole ramp in between

	// back is when the server returned or will return, by the upstream's clock: in the
	// future it is left out, in the past it gets less than its part until ramp is over,
	// 0 is all of it.
	back atomic.Int64
}

// whole is the share of a server that is well.
const whole = 256

// share is how much of its part a server gets, 0 to whole.
func (s *server) share(now int64) uint64 {
	back := s.back.Load()
	switch since := now - back; {
	case back == 0:
		return whole
	case since < 0:
		return 0
	case since >= int64(ramp):
		if s.back.CompareAndSwap(back, 0) {
			s.ejections.Store(0)
		}
		return whole
	default:
		return whole/10 + uint64(since)*(whole-whole/10)/uint64(ramp)
	}
}

// answered is told of a request that the server took and answered.
func (s *server) answered(u *Upstream) {
	if s.broken.Load() != 0 {
		s.broken.Store(0)
	}
	if back := s.back.Load(); back != 0 {
		if now := u.clock(); back > now {
			s.back.CompareAndSwap(back, now) // tried for want of another, and well
		}
	}
}

// broke is told of a request that the server broke. It reports whether the server
// is left out from now on.
func (s *server) broke(u *Upstream) bool {
	if len(u.servers) == 1 || s.broken.Add(1) < ejectAfter {
		return false
	}
	s.broken.Store(0)
	times := min(s.ejections.Add(1)-1, 10)
	s.back.Store(u.clock() + int64(min(ejectFor<<times, ejectMost)))
	return true
}

// pick finds the server for a request that has not tried those in tried; -1 is
// none. Servers that only broke are better than none; those that their health
// checks call down are not. It does not allocate.
func (u *Upstream) pick(key, tried uint64) int {
	if len(u.servers) == 1 {
		if tried != 0 || u.servers[0].down.Load() {
			return -1
		}
		return 0
	}
	turn := u.turn.Add(1)
	if i := u.best(key, tried, turn, false); i >= 0 {
		return i
	}
	return u.best(key, tried, turn, true)
}

// best is the server with the lowest score. In need each counts that is not down.
func (u *Upstream) best(key, tried, turn uint64, need bool) int {
	found, lowest, now := -1, uint64(math.MaxUint64), int64(0)
	count := uint64(len(u.servers))
	for i, s := range u.servers {
		if tried&(1<<i) != 0 || s.down.Load() {
			continue
		}
		share := uint64(whole)
		if !need && s.back.Load() != 0 {
			if now == 0 {
				now = u.clock()
			}
			if share = s.share(now); share == 0 {
				continue
			}
		}
		// In turn: how far i is from whose turn it is.
		distance := (uint64(i) + count - turn%count) % count
		var score, lot uint64
		switch u.balance {
		case sticky:
			// Rendezvous: each server bids for each key, and the highest bid has it.
			score, lot = ^mix(key^s.hash), mix(key+s.hash)
		case leastRequests:
			inFlight := uint64(max(s.inFlight.Load(), 0))
			score, lot = inFlight*count+distance, mix(turn^s.hash)
		default:
			score, lot = distance, mix(turn^s.hash)
		}
		// Of a server that returns, so many keys or turns as its share is; a user who is
		// back there stays.
		if lot%whole >= share {
			continue
		}
		if score < lowest {
			found, lowest = i, score
		}
	}
	return found
}

// Key is what sticky goes by: the user, or the address of who has none. The same on
// every replica of gatehouse.
func Key(user string, client netip.Addr) uint64 {
	if user != "" {
		return hashText(user)
	}
	h := uint64(fnvOffset)
	for _, b := range client.As16() {
		h = (h ^ uint64(b)) * fnvPrime
	}
	return mix(h)
}

// FNV-1a, 64 bits. Not maphash: that differs between processes.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashText(s string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return mix(h)
}

// mix spreads what differs in a few bits over all of them (the last steps of
// SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
