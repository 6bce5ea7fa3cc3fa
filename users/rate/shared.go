package rate

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Use is what was taken from the budget of a key and others do not know of yet.
type Use struct {
	Key  Key
	Debt time.Duration // in which what was taken is given back
	hash uint64
}

// noticeable is the part of a budget, one of so many, up to which nobody is told.
const noticeable = 8

// sharing is what is kept of budgets that several processes take from. The budget is
// the limiter's as before; beside it stands what others have not been told of.
type sharing struct {
	wake   func()
	mu     sync.Mutex // taken after that of a shard
	shared map[uint64]*untold
	next   []uint64 // those of whom something is to be told, in turn
	swept  time.Duration
}

// untold is a key of whose budget a noticeable part is used, until it is whole again.
type untold struct {
	key    Key
	debt   time.Duration // taken since others were told
	listed bool          // it is among the next
}

// Share has the limiter remember what others are to be told, as [Limiter.Untold] returns
// it. Nobody is told of a key before an eighth of its budget is used. Each time that
// another eighth is, wake is called, which must neither wait nor call the limiter.
func (l *Limiter) Share(wake func()) {
	l.sharing.CompareAndSwap(nil, &sharing{wake: wake, shared: map[uint64]*untold{}})
}

// Window is the time in which a whole budget is given back.
func (l *Limiter) Window() time.Duration { return l.window }

// took notes that a request was taken from a budget of its own, which owes so much now.
func (s *sharing) took(l *Limiter, key Key, hash uint64, debt time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.shared[hash]
	switch {
	case u != nil:
		u.debt += l.interval
	case debt*noticeable < l.window:
		return
	default:
		u = &untold{key: key, debt: debt}
		s.shared[hash] = u
	}
	if !u.listed {
		u.listed = true
		s.next = append(s.next, hash)
	}
	if u.debt*noticeable >= l.window {
		s.wake()
	}
}

// Untold takes out what others are to be told, of so many keys at most. What could not
// be told is given to [Limiter.Keep], and what could to [Limiter.Heard].
func (l *Limiter) Untold(most int, at time.Time) []Use {
	s := l.sharing.Load()
	if s == nil {
		return nil
	}
	now := max(0, at.Sub(l.began))
	l.forgetWhole(s, now)
	s.mu.Lock()
	n := min(most, len(s.next))
	hashes := s.next[:n:n]
	if s.next = s.next[n:]; len(s.next) == 0 {
		s.next = nil
	}
	uses := make([]Use, 0, n)
	for _, hash := range hashes {
		if u := s.shared[hash]; u != nil {
			uses = append(uses, Use{u.key, u.debt, hash})
			u.debt, u.listed = 0, false
		}
	}
	s.mu.Unlock()
	// What has been given back since is owed to nobody.
	kept := uses[:0]
	for _, u := range uses {
		if u.Debt = min(u.Debt, l.debt(u.hash, now)); u.Debt > 0 {
			kept = append(kept, u)
		}
	}
	return kept
}

// Keep takes back what others could not be told.
func (l *Limiter) Keep(uses []Use) {
	s := l.sharing.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, use := range uses {
		u := s.shared[use.hash]
		if u == nil {
			u = &untold{key: use.Key}
			s.shared[use.hash] = u
		}
		u.debt += use.Debt
		if !u.listed {
			u.listed = true
			s.next = append(s.next, use.hash)
		}
	}
}

// Heard puts in effect what a budget owes to all who take from it, this use included. It
// never makes a budget larger: what is known here has been taken.
func (l *Limiter) Heard(use Use, owed time.Duration, at time.Time) {
	s, others := &l.shards[use.hash%shards], l.sharing.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	others.mu.Lock()
	defer others.mu.Unlock()
	// Not for longer than anybody could have made it, whatever is written there.
	whole := max(0, at.Sub(l.began)) + min(owed, 2*l.window)
	if u := others.shared[use.hash]; u != nil {
		whole += u.debt // taken since
	}
	if before, own := s.whole[use.hash]; own || len(s.whole) < perShard {
		s.whole[use.hash] = max(before, whole)
	}
}

// debt is what the own budget of a key owes.
func (l *Limiter) debt(hash uint64, now time.Duration) time.Duration {
	s := &l.shards[hash%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.whole[hash]-now)
}

// forgetWhole forgets those whose budgets are whole again, once a second at most. So
// there are no more than have a budget of their own.
func (l *Limiter) forgetWhole(s *sharing, now time.Duration) {
	s.mu.Lock()
	if now < s.swept+time.Second {
		s.mu.Unlock()
		return
	}
	s.swept = now
	hashes := slices.Collect(maps.Keys(s.shared))
	s.mu.Unlock()
	hashes = slices.DeleteFunc(hashes, func(hash uint64) bool { return l.debt(hash, now) > 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, hash := range hashes {
		delete(s.shared, hash)
	}
	s.next = slices.DeleteFunc(s.next, func(hash uint64) bool { return s.shared[hash] == nil })
}
