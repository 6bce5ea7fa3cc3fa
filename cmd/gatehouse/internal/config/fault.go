package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with the configuration, and where it is written.
type Fault struct {
	// File and Line say where; Line is 0 where no line is to blame, as for a
	// key that is missing together with its section.
	File string
	Line int
	// Source is the environment variable or the flag that the value came from;
	// empty for the file.
	Source string
	// Key is the path of the key, such as routes[0].rules[2].path.
	Key string
	// Problem says what is wrong and, behind a semicolon, what to do about it.
	Problem string
	// suspects are further keys whose faults would only repeat this one: the
	// key that a misspelled one was meant to be.
	suspects []string
}

// Error is one line: gatehouse.yaml:73: routes[0].rules[2].path: problem; fix.
func (f Fault) Error() string {
	var b strings.Builder
	switch {
	case f.Source != "":
		b.WriteString(f.Source + ": ")
	case f.File != "" && f.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", f.File, f.Line)
	case f.File != "":
		b.WriteString(f.File + ": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Problem)
	return b.String()
}

// Faults are all that is wrong, in the order of the file; what has no line comes last.
type Faults []Fault

// Error is one line for each fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, fault := range fs {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// inOrder returns the faults sorted by line, each once; nil if there are none.
func inOrder(faults []Fault) Faults {
	sorted := slices.Clone(faults)
	slices.SortStableFunc(sorted, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line))
	})
	return slices.CompactFunc(sorted, func(a, b Fault) bool { return a.Error() == b.Error() })
}

// rank puts faults of the file first, then those of the environment and the
// flags, then what is written nowhere.
func rank(f Fault) int {
	switch {
	case f.Source != "":
		return 1
	case f.Line > 0:
		return 0
	default:
		return 2
	}
}
