package keys

import (
	"fmt"
	"slices"
	"time"
)

// Announce is how long a key is published before it signs: as long as others may
// keep the JWKS, and a minute for clocks and for gateways to read the directory.
const Announce = 6 * time.Minute

// Soon is how long a key is in the directory before it signs where it must be soon:
// long enough for every gateway to have read it, not for those who keep the JWKS.
const Soon = 10 * time.Second

// Unsafe is a change of keys after which good tokens would be refused.
type Unsafe struct{ Problem, Hint string }

func (u *Unsafe) Error() string { return u.Problem }

// Add puts a key that was made into the book: to sign at once where none signs, else
// as the next one.
func (b *Book) Add(m *Made, now time.Time) Entry {
	now = now.UTC().Truncate(time.Second)
	e := m.Entry
	if _, signs := b.Signing(now); !signs && len(b.In(StateNext, now)) == 0 {
		e.SignsFrom = now
	}
	b.Keys = append(b.Keys, e)
	return e
}

// Turn is what a rotation does, and when.
type Turn struct {
	Next     Entry // signs from Next.SignsFrom on
	Previous Entry // verifies until Previous.Until; zero where no key signs now
}

// Rotate lets the next key of the book sign once it has been published for long
// enough, and lets the one that signs now verify for as long as the tokens live that
// it has signed until then: lifetime. With soon the next one does not wait for those
// who keep the JWKS. The error is an *Unsafe where a change is under way already.
func (b *Book) Rotate(soon bool, lifetime time.Duration, now time.Time) (Turn, error) {
	now = now.UTC().Truncate(time.Second)
	next := slices.IndexFunc(b.Keys, func(e Entry) bool { return e.State(*b, now) == StateNext })
	if next < 0 {
		return Turn{}, &Unsafe{"there is no next key", "gatehouse keys new"}
	}
	e := &b.Keys[next]
	from := e.Created.Add(Announce)
	if soon {
		from = e.Created.Add(Soon)
	}
	if from.Before(now) {
		from = now
	}
	if !e.SignsFrom.IsZero() && !from.Before(e.SignsFrom) {
		hint := "wait until then"
		if !soon {
			hint += "; or gatehouse keys rotate --now"
		}
		return Turn{}, &Unsafe{fmt.Sprintf("key %s is to sign from %s already", e.ID, e.SignsFrom.Format(time.RFC3339)), hint}
	}
	previous, signs := b.Signing(now)
	e.SignsFrom = from
	turn := Turn{Next: *e}
	if signs {
		i := slices.IndexFunc(b.Keys, func(e Entry) bool { return e.ID == previous.ID })
		b.Keys[i].Until = from.Add(lifetime)
		turn.Previous = b.Keys[i]
	}
	return turn, nil
}

// Retire ends a key at once. The error is an *Unsafe where tokens that it has signed
// may be good still, or where it signs; force does it all the same, and then lets the
// next key sign where there is one.
func (b *Book) Retire(i int, force bool, now time.Time) error {
	now = now.UTC().Truncate(time.Second)
	e := &b.Keys[i]
	switch e.State(*b, now) {
	case StateRetired:
		return fmt.Errorf("key %s is retired already", e.ID)
	case StateVerifying:
		if !force {
			until := "nobody knows when"
			if !e.Until.IsZero() {
				until = e.Until.Format(time.RFC3339)
			}
			return &Unsafe{
				fmt.Sprintf("the last token of key %s expires at %s, and whoever has one would be logged out now", e.ID, until),
				"wait, and it ends by itself; or --force",
			}
		}
	case StateSigning:
		if !force {
			return &Unsafe{fmt.Sprintf("key %s signs, and whoever has a token of it would be logged out", e.ID), "gatehouse keys rotate, then wait; or --force"}
		}
		next := slices.IndexFunc(b.Keys, func(e Entry) bool { return e.State(*b, now) == StateNext })
		if next < 0 {
			return &Unsafe{fmt.Sprintf("key %s signs, and there is no next key", e.ID), "gatehouse keys new"}
		}
		b.Keys[next].SignsFrom = now
	case StateNext:
		if !e.SignsFrom.IsZero() {
			// The one that was to verify goes on to sign, and needs no end.
			if signing, ok := b.Signing(now); ok {
				b.Keys[slices.IndexFunc(b.Keys, func(e Entry) bool { return e.ID == signing.ID })].Until = time.Time{}
			}
		}
	}
	e.Retired = now
	return nil
}

// Forget drops keys that have been retired for a while.
func (b *Book) Forget(before time.Time) {
	b.Keys = slices.DeleteFunc(b.Keys, func(e Entry) bool {
		return !e.Retired.IsZero() && e.Retired.Before(before) || !e.Until.IsZero() && e.Until.Before(before)
	})
}
