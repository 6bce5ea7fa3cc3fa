package keys

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Book is the metadata of a key directory: which keys there are, and when each does
// what. It holds moments and no states, so that all who read it agree on the states,
// also about a change that is to come.
type Book struct {
	Version int     `json:"version"`
	Keys    []Entry `json:"keys"` // in the order in which they were made
}

const bookVersion = 1

// Entry is what a Book says of a key. A moment that is zero is not set.
type Entry struct {
	ID        string    `json:"kid"` // the thumbprint (RFC 7638)
	Algorithm string    `json:"alg"`
	Created   time.Time `json:"created"`             // and published from then on
	SignsFrom time.Time `json:"signs_from,omitzero"` // until another key does
	Until     time.Time `json:"until,omitzero"`      // when its last token has expired
	Retired   time.Time `json:"retired_at,omitzero"` // by hand, before that
}

// State is what a key is for at a moment.
type State string

// The states, in the order of a key's life.
const (
	StateNext      State = "next"      // published, so that verifiers know it before it signs
	StateSigning   State = "signing"   // signs, and verifies
	StateVerifying State = "verifying" // verifies what it has signed
	StateRetired   State = "retired"   // nothing any more
)

// State returns what the key of a book is for at that moment.
func (e Entry) State(book Book, now time.Time) State {
	switch {
	case !e.Retired.IsZero() && !now.Before(e.Retired), !e.Until.IsZero() && !now.Before(e.Until):
		return StateRetired
	case e.SignsFrom.IsZero() || now.Before(e.SignsFrom):
		return StateNext
	}
	if signing, ok := book.Signing(now); ok && signing.ID == e.ID {
		return StateSigning
	}
	return StateVerifying
}

// Signing returns the key that signs at that moment: the one that began last.
func (b Book) Signing(now time.Time) (signing Entry, ok bool) {
	for _, e := range b.Keys {
		if e.SignsFrom.IsZero() || now.Before(e.SignsFrom) || !e.Retired.IsZero() && !now.Before(e.Retired) || !e.Until.IsZero() && !now.Before(e.Until) {
			continue
		}
		if !ok || !e.SignsFrom.Before(signing.SignsFrom) {
			signing, ok = e, true
		}
	}
	return signing, ok
}

// In returns the keys in a state at that moment.
func (b Book) In(state State, now time.Time) []Entry {
	var all []Entry
	for _, e := range b.Keys {
		if e.State(b, now) == state {
			all = append(all, e)
		}
	}
	return all
}

// Find returns the place of the key of that ID, or of the only one whose ID begins so.
func (b Book) Find(id string) (int, error) {
	found := -1
	for i, e := range b.Keys {
		switch {
		case e.ID == id:
			return i, nil
		case id != "" && len(id) < len(e.ID) && e.ID[:len(id)] == id && found >= 0:
			return -1, fmt.Errorf("more than one key has an ID that begins with %q", id)
		case id != "" && len(id) < len(e.ID) && e.ID[:len(id)] == id:
			found = i
		}
	}
	if found < 0 {
		return -1, fmt.Errorf("there is no key %q", id)
	}
	return found, nil
}

// ReadBook reads what json.Marshal wrote of a Book, and nothing else: what is not
// understood may be what a newer version needs to know.
func ReadBook(text string) (Book, error) {
	var b Book
	if strings.TrimSpace(text) == "" {
		return Book{}, fmt.Errorf("%s cannot be read: it is empty", metaFile)
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		return Book{}, fmt.Errorf("%s cannot be read: %w", metaFile, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Book{}, fmt.Errorf("%s has more than one value", metaFile)
	}
	if b.Version != bookVersion {
		return Book{}, fmt.Errorf("%s has the version %d, and this program knows %d", metaFile, b.Version, bookVersion)
	}
	for i, e := range b.Keys {
		if !isThumbprint(e.ID) {
			return Book{}, fmt.Errorf("%s: keys[%d].kid is no thumbprint", metaFile, i)
		}
		if a, known := algorithms[e.Algorithm]; !known || a.symmetric() {
			return Book{}, fmt.Errorf("%s: keys[%d].alg is none with a public key", metaFile, i)
		}
		if slices.ContainsFunc(b.Keys[:i], func(other Entry) bool { return other.ID == e.ID }) {
			return Book{}, fmt.Errorf("%s: keys[%d].kid is there twice", metaFile, i)
		}
	}
	return b, nil
}

// isThumbprint tells whether a text is SHA-256 in base64url, and so a name of a file.
func isThumbprint(id string) bool {
	sum, err := segment.DecodeString(id)
	return err == nil && len(sum) == 32
}
