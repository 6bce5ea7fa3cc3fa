package config

import (
	"errors"
	"fmt"
	"strings"
)

// places remembers where each key was said. Keys are folded to lower case, in
// which no two keys of a file are alike.
type places map[string]place

// place is where a key was said, in the strongest layer that says it.
type place struct {
	line   int    // in the file; 0: not there
	source string // a variable or a flag; empty: none
}

func (p places) inFile(key string, line int) {
	key = strings.ToLower(key)
	if p[key].line == 0 {
		p[key] = place{line: line, source: p[key].source}
	}
}

func (p places) elsewhere(key, source string) {
	key = strings.ToLower(key)
	p[key] = place{line: p[key].line, source: source}
}

// exactly returns where this very key was said; the zero place: nowhere.
func (p places) exactly(key string) place { return p[strings.ToLower(key)] }

// find returns where a key was said: itself, the file that it is read from, or
// the innermost section around it.
func (p places) find(key string) place {
	for key = strings.ToLower(key); key != ""; key = parent(key) {
		for _, spelling := range []string{key, key + "_file"} {
			if at, ok := p[spelling]; ok {
				return at
			}
		}
	}
	return place{}
}

// parent takes the last step off a key path.
func parent(key string) string {
	cut := strings.LastIndexAny(key, ".[")
	return key[:max(cut, 0)]
}

// Where says where a key is written: gatehouse.yaml:12.
func (l *Loaded) Where(key string) string {
	said := l.places.find(key)
	if said.source != "" || said.line == 0 {
		return said.source
	}
	return fmt.Sprintf("%s:%d", l.Path, said.line)
}

// Says tells whether anybody says a key, or one below it.
func (l *Loaded) Says(key string) bool {
	key = strings.ToLower(key)
	for said := range l.places {
		if said == key || inside(said, key) {
			return true
		}
	}
	return false
}

// located is what the faults of the rooms offer.
type located interface {
	error
	Field() string
}

// Blame adds the faults that a room found in its section: those in the tree of
// err that have a Field, each with its line. Those that only repeat what is
// already known of the same key are left out. An error without a Field counts
// only where no key is at fault, since it is a consequence otherwise.
func (l *Loaded) Blame(section string, err error) {
	if err == nil || l.unread {
		return
	}
	if fault, ok := err.(located); ok { //nolint:errorlint // the tree is walked here, one level at a time
		l.blame(section, fault)
		return
	}
	switch tree := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() []error }:
		for _, inner := range tree.Unwrap() {
			l.Blame(section, inner)
		}
		return
	case interface{ Unwrap() error }:
		var fault located
		if errors.As(err, &fault) {
			l.Blame(section, tree.Unwrap())
			return
		}
	}
	l.unplaced = append(l.unplaced, l.at(section, err.Error()))
}

func (l *Loaded) blame(section string, err located) {
	key := below(section, err.Field())
	if l.suspected(key) {
		return
	}
	fault := l.at(key, err.Error())
	if pair, ok := err.(interface{ Also() string }); ok && pair.Also() != "" {
		other := l.at(below(section, pair.Also()), "")
		other.Problem = "the other one"
		fault.Problem += " (" + strings.TrimSuffix(other.Error(), ": the other one") + ")"
	}
	l.faults = append(l.faults, fault)
}

// at makes a fault for a key where it was said.
func (l *Loaded) at(key, problem string) Fault {
	said := l.places.find(key)
	fault := Fault{File: l.Path, Line: said.line, Key: key, Problem: problem}
	if said.source != "" {
		fault.Source, fault.File, fault.Line = said.source, "", 0
	}
	return fault
}

func (l *Loaded) suspected(key string) bool {
	for _, fault := range l.faults {
		for _, suspect := range fault.suspects {
			if suspect == key || inside(key, suspect) || inside(suspect, key) {
				return true
			}
		}
	}
	return false
}

// inside tells whether a key is below a section.
func inside(key, section string) bool {
	rest, ok := strings.CutPrefix(key, section)
	return ok && section != "" && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "["))
}

func below(section, field string) string {
	switch {
	case section == "":
		return field
	case field == "":
		return section
	default:
		return section + "." + field
	}
}
