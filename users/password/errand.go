package password

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errand is one computation, wherever it is done: a new hash of plain, or whether plain is
// what encoded was made from.
type errand struct {
	encoded   string // to check against; empty: make a new one
	legacy    bool   // encoded may be of a legacy kind
	preferred *kind
	work      work // of preferred
	makeUp    bool // a preferred hash of less work takes as long as one of work
	plain     string
}

// outcome is what came of an errand.
type outcome struct {
	match   bool
	encoded string
}

// errCannot is that an errand asks for what is not computed.
var errCannot = errors.New("the password cannot be hashed so")

// do computes.
func (e errand) do() (outcome, error) {
	if e.encoded == "" {
		encoded, err := e.preferred.encode(e.plain, e.work)
		if err != nil {
			return outcome{}, fmt.Errorf("hash a password: %w", err)
		}
		return outcome{encoded: encoded}, nil
	}
	s, ok := parse(e.encoded)
	if !ok || s.kind.legacy && !e.legacy {
		return outcome{}, errCannot
	}
	match := s.kind.check(e.plain, s)
	if e.makeUp && s.kind == e.preferred {
		s.kind.makeUp(e.plain, s.work, e.work)
	}
	return outcome{match: match}, nil
}

// The flags of an errand that is written down.
const (
	flagLegacy = 1 << iota
	flagMakeUp
	knownFlags = 1<<iota - 1
)

// marshal writes an errand down for another process: a byte of flags, the name of the kind, its
// work, the encoded form and the password, texts with their length before them, all
// numbers in four bytes.
func (e errand) marshal() []byte {
	var flags byte
	if e.legacy {
		flags |= flagLegacy
	}
	if e.makeUp {
		flags |= flagMakeUp
	}
	out := make([]byte, 0, 64+len(e.encoded)+len(e.plain))
	out = append(out, flags)
	out = appendText(out, e.preferred.name)
	for _, n := range []int{e.work.m, e.work.t, e.work.p, e.work.n, e.work.r} {
		out = binary.BigEndian.AppendUint32(out, uint32(n)) //nolint:gosec // bounded by bearable
	}
	out = appendText(out, e.encoded)
	return appendText(out, e.plain)
}

func appendText(to []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(text))), text...) //nolint:gosec // shorter than a message
}

// unmarshalErrand reads what marshal writes, and nothing that may not be computed.
func unmarshalErrand(from []byte) (e errand, ok bool) {
	r := reader{rest: from}
	flags := r.bytes(1)
	name := r.text()
	for _, n := range []*int{&e.work.m, &e.work.t, &e.work.p, &e.work.n, &e.work.r} {
		*n = r.number()
	}
	e.encoded, e.plain = r.text(), r.text()
	if r.bad || len(r.rest) > 0 || flags[0] > knownFlags || name == "" {
		return errand{}, false
	}
	e.legacy, e.makeUp = flags[0]&flagLegacy != 0, flags[0]&flagMakeUp != 0
	if e.preferred, ok = preferable(name); !ok || !e.preferred.bearable(e.work) {
		return errand{}, false
	}
	return e, len(e.encoded) <= maxEncoded
}

// reader takes a message apart. After the first thing that is not there all others are not.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad = true
		return make([]byte, 4) // as much as anybody looks at
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) number() int { return int(binary.BigEndian.Uint32(r.bytes(4))) }

func (r *reader) text() string {
	n := r.number()
	if r.bad {
		return ""
	}
	return string(r.bytes(n))
}

// The answers to an errand that is written down. Those about a match are words, so that
// no bit that flips makes one of the other.
const (
	answerMatch   = "it is the password"
	answerDiffers = "another password"
	answerEncoded = "encoded:"
)

// marshal writes an outcome down.
func (o outcome) marshal(of errand) []byte {
	switch {
	case of.encoded == "":
		return []byte(answerEncoded + o.encoded)
	case o.match:
		return []byte(answerMatch)
	}
	return []byte(answerDiffers)
}

// unmarshalOutcome reads what marshal writes about the same errand.
func unmarshalOutcome(answer []byte, of errand) (o outcome, ok bool) {
	text := string(answer)
	if of.encoded != "" {
		return outcome{match: text == answerMatch}, text == answerMatch || text == answerDiffers
	}
	if len(text) < len(answerEncoded) || text[:len(answerEncoded)] != answerEncoded {
		return outcome{}, false
	}
	o.encoded = text[len(answerEncoded):]
	s, ok := parse(o.encoded)
	return o, ok && s.kind == of.preferred && s.work == of.work
}
