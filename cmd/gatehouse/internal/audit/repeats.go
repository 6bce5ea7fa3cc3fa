package audit

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Repeat says which refusals are alike, so that who can cause any number of them does not
// fill the disk.
type Repeat struct {
	// Kind is what happened, one of a set that clients cannot add to. "" is not to be
	// summed up.
	Kind string
	// Of is whom or what it is about, or where it comes from.
	Of string
	// Each is how many of them within a minute have a line each; 0 is 1.
	Each int
	// Network takes the place of addresses that differ.
	Network string
}

const (
	// repeatTime is how long refusals are summed up before there is a line about them.
	repeatTime = time.Minute
	// maxRepeats is of how many it is known whom they are about. Beyond that, refusals of
	// one kind are one sum, whomever they are about.
	maxRepeats = 1000
)

// repeats are refusals that are summed up. Each has lines of its own first.
type repeats struct {
	mu    sync.Mutex
	every time.Duration // repeatTime, but for tests
	sums  map[repeated]*sum
	known int // of the sums that say whom they are about
	timer *time.Timer
}

type repeated struct{ kind, of string }

// sum is of refusals that are alike.
type sum struct {
	until       time.Time
	lines       int    // that were written one by one
	of          Record // what all that were counted have in common
	network     string
	count       int64
	first, last time.Time
}

// WriteRepeated is Write for what may be repeated without end. The first within a minute has
// a line, and the others are counted: one line says how many there were, in its detail,
// when the minute is over, or when the stream is closed. Counts that cannot be written
// are kept until they can. The error is that of Write, and nil for what is counted.
func (s *Stream) WriteRepeated(r Record, like Repeat) error {
	if s == nil || like.Kind == "" {
		return s.Write(r)
	}
	s.repeats.mu.Lock()
	defer s.repeats.mu.Unlock()
	now := s.parts.Now()
	key := repeated{like.Kind, like.Of}
	same := s.repeats.sums[key]
	if same == nil && s.repeats.known >= maxRepeats {
		key.of, like.Network = "", ""
		same = s.repeats.sums[key]
	}
	if same != nil && !now.Before(same.until) && s.tell(key, same, now) {
		same = nil
	}
	if same == nil || same.lines < max(1, like.Each) && same.count == 0 {
		if err := s.Write(r); err != nil || s.Trouble() != "" {
			return err // it was not written: the next one is tried
		}
		if same == nil {
			same = &sum{until: now.Add(s.repeats.every)}
			s.repeats.add(key, same)
			s.wake(s.repeats.every)
		}
		same.lines++
		return nil
	}
	same.add(r, like.Network, now)
	return nil
}

func (all *repeats) add(key repeated, same *sum) {
	if all.sums == nil {
		all.sums = map[repeated]*sum{}
	}
	all.sums[key] = same
	if key.of != "" {
		all.known++
	}
}

func (all *repeats) remove(key repeated) {
	delete(all.sums, key)
	if key.of != "" {
		all.known--
	}
}

// add counts one more, and keeps what it has in common with those before.
func (s *sum) add(r Record, network string, now time.Time) {
	s.count++
	s.last = now
	r.RequestID = ""
	if s.count == 1 {
		s.first, s.of, s.network = now, r, network
		s.of.Detail = maps.Clone(r.Detail)
		return
	}
	for _, same := range []struct {
		of *string
		is string
	}{
		{&s.of.User, r.User},
		{&s.of.NameDigest, r.NameDigest},
		{&s.of.Session, r.Session},
		{&s.of.Actor, r.Actor},
	} {
		if *same.of != same.is {
			*same.of = ""
		}
	}
	if s.of.UserID != r.UserID {
		s.of.UserID = 0
	}
	if s.network != network {
		s.network = ""
	}
	if s.of.Address != r.Address {
		s.of.Address = s.network
	}
	maps.DeleteFunc(s.of.Detail, func(name string, value any) bool { return !reflect.DeepEqual(r.Detail[name], value) })
}

// Fields that the detail of a sum has.
const (
	detailRepeats = "repeats"
	detailFirst   = "first"
	detailLast    = "last"
)

// tell writes a sum, and tells whether it is over. One that cannot be written goes on.
func (s *Stream) tell(key repeated, same *sum, now time.Time) bool {
	if same.count > 0 {
		r := same.of
		r.Detail = maps.Clone(r.Detail)
		if r.Detail == nil {
			r.Detail = map[string]any{}
		}
		r.Detail[detailRepeats] = same.count
		r.Detail[detailFirst], r.Detail[detailLast] = stamp(same.first), stamp(same.last)
		line, err := r.line(now, s.host)
		if err == nil {
			err = s.append(line, 0) // it is not lost
		}
		s.note(err)
		if err != nil {
			s.failures.Add(1)
			same.until = now.Add(s.repeats.every)
			return false
		}
	}
	s.repeats.remove(key)
	return true
}

// TellRepeats writes what was counted, whether its minute is over or not.
func (s *Stream) TellRepeats() {
	if s != nil {
		s.tellRepeats(func(*sum, time.Time) bool { return true })
	}
}

// tellRepeats writes those that are due, those that began first at first.
func (s *Stream) tellRepeats(due func(*sum, time.Time) bool) {
	s.repeats.mu.Lock()
	defer s.repeats.mu.Unlock()
	now := s.parts.Now()
	keys := slices.SortedFunc(maps.Keys(s.repeats.sums), func(a, b repeated) int {
		return cmp.Or(s.repeats.sums[a].first.Compare(s.repeats.sums[b].first), cmp.Compare(a.kind, b.kind), cmp.Compare(a.of, b.of))
	})
	for _, key := range keys {
		if same := s.repeats.sums[key]; due(same, now) && !s.tell(key, same, now) {
			break // nor can the others be
		}
	}
	if s.repeats.timer != nil {
		s.repeats.timer.Stop()
		s.repeats.timer = nil
	}
	next := s.repeats.every
	for _, same := range s.repeats.sums {
		next = min(next, max(time.Millisecond, same.until.Sub(now)))
	}
	if len(s.repeats.sums) > 0 {
		s.wake(next)
	}
}

// wake has due sums told later, if nobody has said so yet.
func (s *Stream) wake(in time.Duration) {
	if s.repeats.timer == nil {
		s.repeats.timer = time.AfterFunc(in, func() {
			s.tellRepeats(func(same *sum, now time.Time) bool { return !now.Before(same.until) })
		})
	}
}

// endRepeats tells all, and stops.
func (s *Stream) endRepeats() {
	s.TellRepeats()
	s.repeats.mu.Lock()
	defer s.repeats.mu.Unlock()
	if s.repeats.timer != nil {
		s.repeats.timer.Stop()
	}
}
