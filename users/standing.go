package users

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// What is held of tokens that open routes and can be revoked, which are sliding ones
// above all: one request after another comes with the same.
const (
	standingFor  = time.Second
	standingMost = 10_000 // some hundred bytes each
	// standingLongest is more than any id has that was not meant to fill a memory.
	standingLongest = 128
)

// LiveRevoked is [Store.Revoked] for a request that is to be forwarded: from memory
// when the same was asked less than a second ago. What this process revokes counts at
// once. When the database cannot be read the answer is that error.
func (s *Store) LiveRevoked(ctx context.Context, jti string) (bool, error) {
	now := s.now()
	held, generation := s.standing.get(jti, now)
	if held {
		return false, nil
	}
	revoked, err := s.Revoked(ctx, jti)
	if err == nil && !revoked {
		s.standing.put(jti, now, generation)
	}
	if at, ok := s.standing.before(jti); ok && s.stale(err, now.Sub(at)) {
		return false, nil // as far as was known then
	}
	return revoked, err
}

// standing are ids of tokens that were not revoked a moment ago.
type standing struct {
	mu         sync.Mutex
	generation uint64 // counts what was revoked
	ids        *simplelru.LRU[string, time.Time]
}

func newStanding() *standing {
	ids, _ := simplelru.NewLRU[string, time.Time](standingMost, nil)
	return &standing{ids: ids}
}

// get tells whether a token is held. If not, the generation must be handed to put.
func (s *standing) get(jti string, now time.Time) (bool, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.ids.Get(jti)
	age := now.Sub(at)
	return ok && age >= 0 && age < standingFor, s.generation
}

// before returns when a token was last known to be good, however long ago.
func (s *standing) before(jti string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids.Peek(jti)
}

// put holds a token, unless something was revoked since the read began.
func (s *standing) put(jti string, at time.Time, generation uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation && len(jti) <= standingLongest {
		s.ids.Add(strings.Clone(jti), at) // not the token that it is a part of
	}
}

// drop forgets a token that was revoked.
func (s *standing) drop(jti string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.ids.Remove(jti)
}

// dropAll forgets everything.
func (s *standing) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
	s.ids.Purge()
}
