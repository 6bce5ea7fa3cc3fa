package tokens

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
)

// verified remembers access tokens whose signature was found good, with their
// claims, so that a client's next request costs no signature check. It belongs to
// one Verifier: other keys make another Verifier, which remembers nothing.
//
// Only what follows from the token's bytes, the key and the configuration of the
// Verifier is held. What depends on the moment (the times, the end of the key) or on
// the world (the user, what was revoked) is looked at for each request. Tokens that are
// refused are never held beside good ones, so garbage pushes nothing out.
//
// A nil *verified remembers nothing. It is safe for concurrent use.
type verified struct {
	seed   maphash.Seed
	counts *cacheCounts
	shards [verifiedShards]verifiedShard
}

// latePart is the part of the bytes for tokens that have expired, on top of the rest.
const latePart = 32

// verifiedShards is how many locks share the work: more than the processors that
// would wait for one another.
const verifiedShards = 16

// verifiedShard holds a part of the tokens within its part of the bytes. What goes is
// chosen by the clock algorithm: a hand passes over the ring, takes what was not used
// since it came by last, and what has expired in any case. A reader so marks an entry
// and moves nothing, and a read lock is enough.
type verifiedShard struct {
	mu     sync.RWMutex
	byHash map[uint64]*verifiedToken // of two with one hash the first
	ring   []*verifiedToken          // the same, in the order of the hand
	hand   int
	size   int64 // of all entries, in bytes
	most   int64
}

// verifiedToken is immutable but for used and at.
type verifiedToken struct {
	token string // in full: no two tokens can be taken for one another
	hash  uint64 // of it, by the seed
	bearer
	key  *keys.Key // whose signature it has
	end  time.Time // no use behind it
	size int64
	used atomic.Bool // since the hand was here
	at   int         // in the ring; guarded by the shard
}

// newVerifieds returns what remembers good tokens in at most that many bytes, and what
// remembers those that have expired in a part more; nil for none. Both have one seed, so
// that a token is hashed once for the two.
func newVerifieds(most int64, metrics *Metrics) (seen, late *verified) {
	seed := maphash.MakeSeed()
	return newVerified(seed, most, metrics), newVerified(seed, most/latePart, nil)
}

// newVerified returns a cache of at most that many bytes, or nil for none.
func newVerified(seed maphash.Seed, most int64, metrics *Metrics) *verified {
	if most <= 0 {
		return nil
	}
	c := &verified{seed: seed, counts: new(cacheCounts)}
	if metrics != nil {
		c.counts = &metrics.cache
	}
	for i := range c.shards {
		c.shards[i].byHash = make(map[uint64]*verifiedToken)
		c.shards[i].most = most / verifiedShards
	}
	return c
}

func (c *verified) shard(hash uint64) *verifiedShard { return &c.shards[hash%verifiedShards] }

// sizes are the number of tokens, their bytes, and how many those may be.
func (c *verified) sizes() (entries int, bytes, most int64) {
	if c == nil {
		return 0, 0, 0
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		entries, bytes, most = entries+len(s.ring), bytes+s.size, most+s.most
		s.mu.RUnlock()
	}
	return entries, bytes, most
}

// hash is what a token is found by.
func (c *verified) hash(token string) uint64 {
	if c == nil {
		return 0
	}
	return maphash.String(c.seed, token)
}

// get returns what is known of a token with that hash, or nil.
func (c *verified) get(token string, hash uint64) *verifiedToken {
	if c == nil {
		return nil
	}
	s := c.shard(hash)
	s.mu.RLock()
	e := s.byHash[hash]
	s.mu.RUnlock()
	counts := &c.counts[hash%verifiedShards]
	if e == nil || e.token != token { // the whole of it: hashes prove nothing
		counts.misses.Add(1)
		return nil
	}
	counts.hits.Add(1)
	if !e.used.Load() { // written once, not by every request anew
		e.used.Store(true)
	}
	return e
}

// put remembers a token with that hash. One that would take more than a shard's bytes is not.
func (c *verified) put(token string, hash uint64, b *bearer, key *keys.Key, end, now time.Time) {
	if c == nil {
		return
	}
	s := c.shard(hash)
	e := &verifiedToken{hash: hash, bearer: *b, key: key, end: end, size: verifiedOverhead + 2*int64(len(token)) + sizeOf(b.claims)}
	if e.size > s.most {
		return
	}
	e.token = strings.Clone(token) // not the header that it is a part of
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byHash[hash] != nil {
		return
	}
	// Two steps for each that comes: what has expired goes sooner or later also where
	// there is room for it.
	for range min(2, len(s.ring)) {
		if s.next(); !now.Before(s.ring[s.hand].end) {
			s.remove(s.ring[s.hand])
		} else {
			s.hand++
		}
	}
	for s.size+e.size > s.most {
		if s.next(); now.Before(s.ring[s.hand].end) && s.ring[s.hand].used.Swap(false) {
			s.hand++
		} else {
			s.remove(s.ring[s.hand])
			c.counts[hash%verifiedShards].evictions.Add(1)
		}
	}
	e.at = len(s.ring)
	s.ring = append(s.ring, e)
	s.byHash[hash] = e
	s.size += e.size
}

// drop forgets a token.
func (c *verified) drop(e *verifiedToken) {
	s := c.shard(e.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byHash[e.hash] == e {
		s.remove(e)
	}
}

// next brings the hand to an entry. The ring is not empty.
func (s *verifiedShard) next() {
	if s.hand >= len(s.ring) {
		s.hand = 0
	}
}

// remove takes an entry out; the last of the ring takes its place.
func (s *verifiedShard) remove(e *verifiedToken) {
	last := len(s.ring) - 1
	s.ring[e.at] = s.ring[last]
	s.ring[e.at].at = e.at
	s.ring[last] = nil
	s.ring = s.ring[:last]
	delete(s.byHash, e.hash)
	s.size -= e.size
}

// verifiedOverhead is what an entry takes besides its token and claims, in bytes: the
// struct, its places in map and ring with their slack.
const verifiedOverhead = 384

// sizeOf is about what a decoded value takes, in bytes. Strings may share the text
// that they were decoded from, which put counts with the token.
func sizeOf(value any) int64 {
	const header, member = 24, 32
	size := int64(header)
	switch value := value.(type) {
	case string:
		size += int64(len(value))
	case drf.Number:
		size += int64(len(value))
	case drf.Object:
		for _, m := range value {
			size += member + int64(len(m.Name)) + sizeOf(m.Value)
		}
	case []any:
		for _, v := range value {
			size += member + sizeOf(v)
		}
	}
	return size
}
