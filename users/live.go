package users

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// What is held of accounts for forwarded requests.
const (
	liveFor   = 10 * time.Second // from the moment before the read began
	liveUsers = 10_000           // some hundred bytes each
	liveNone  = 1_000            // numbers without an account
)

// LiveUser returns the account as it is, active or not, for a request that is to
// be forwarded: from memory when it was read less than ten seconds ago, so a
// change by another process that was missed counts after ten seconds at most. It
// answers [ErrNotFound], which is held alike. When the database cannot be read the
// answer is that error, and what was held before only as far as [Outage] says so.
func (s *Store) LiveUser(ctx context.Context, id int64) (User, error) {
	u, err := s.SharedUser(ctx, id)
	if err != nil {
		return User{}, err
	}
	return u.User, nil
}

// Shared is an account as it was read once, for all who ask for it until it is read
// anew. It must not be changed.
type Shared struct {
	User

	// Derived remembers what somebody has made of the account alone: it ends with it.
	Derived atomic.Value
}

// SharedUser is LiveUser without a copy.
func (s *Store) SharedUser(ctx context.Context, id int64) (*Shared, error) {
	now := s.now()
	u, held, generation := s.live.get(id, now)
	switch held {
	case account:
		return u, nil
	case noAccount:
		return nil, ErrNotFound
	}
	read, err := s.UserByID(ctx, id)
	shared := &Shared{User: read}
	switch {
	case err == nil:
		s.live.put(id, account, shared, now, generation)
	case errors.Is(err, ErrNotFound):
		s.live.put(id, noAccount, nil, now, generation)
		return nil, err
	default:
		if old, ok := s.live.before(id); ok && s.stale(err, now.Sub(old.at)) {
			return old.user, nil
		}
		return nil, err
	}
	return shared, nil
}

// live is the memory behind LiveUser, bounded in entries. Accounts and numbers
// without one have each their bound: no flood of the one pushes out the other.
type live struct {
	mu         sync.Mutex
	generation uint64 // counts what was dropped
	users      *simplelru.LRU[int64, liveUser]
	none       *simplelru.LRU[int64, time.Time]

	watchers *watchers // are told what is dropped
}

type liveUser struct {
	user *Shared
	at   time.Time
}

// held is what is known of a number.
type held int

const (
	nothing held = iota
	account
	noAccount
)

func newLive() *live {
	// The only error is a size that is not positive.
	users, _ := simplelru.NewLRU[int64, liveUser](liveUsers, nil)
	none, _ := simplelru.NewLRU[int64, time.Time](liveNone, nil)
	return &live{users: users, none: none}
}

// get returns what is held of an account. If that is nothing, the generation must
// be handed to put with what is read after this call.
func (l *live) get(id int64, now time.Time) (*Shared, held, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.users.Get(id); ok && fresh(e.at, now) {
		return e.user, account, 0
	}
	if at, ok := l.none.Get(id); ok && fresh(at, now) {
		return nil, noAccount, 0
	}
	return nil, nothing, l.generation
}

// before returns what is held of an account, however old it is.
func (l *live) before(id int64) (liveUser, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.users.Peek(id)
}

// put holds what was read, unless something was dropped since the read began: the
// read may be older than the write that dropped it.
func (l *live) put(id int64, what held, u *Shared, at time.Time, generation uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation != generation {
		return
	}
	l.users.Remove(id)
	l.none.Remove(id)
	if what == account {
		l.users.Add(id, liveUser{user: u, at: at})
	} else {
		l.none.Add(id, at)
	}
}

// drop forgets an account.
func (l *live) drop(id int64) {
	defer l.watchers.tell(Notice{UserID: id}) // behind the unlocking: it is read anew
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.users.Remove(id)
	l.none.Remove(id)
}

// dropAll forgets everything.
func (l *live) dropAll() {
	defer l.watchers.tell(Notice{All: true})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.users.Purge()
	l.none.Purge()
}

// fresh is false also for a moment that is yet to come: a clock was set back.
func fresh(at, now time.Time) bool {
	age := now.Sub(at)
	return age >= 0 && age < liveFor
}
