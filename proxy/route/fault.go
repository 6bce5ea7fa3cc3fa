package route

import (
	"errors"
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Fault is one thing that is wrong in a configuration.
type Fault struct {
	At      string // key path of what is wrong: routes[0].rules[2].path
	Other   string // key path of what it clashes with, or ""
	Problem string
	Fix     string // what to write instead
}

func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the key path of what is wrong.
func (f *Fault) Field() string { return f.At }

// Also is the key path of what it clashes with; empty when it stands alone.
func (f *Fault) Also() string { return f.Other }

// faults collects all that is wrong, so that a file is mended in one go.
type faults []error

func (f *faults) add(at, problem, fix string) {
	*f = append(*f, &Fault{At: at, Problem: problem, Fix: fix})
}

func (f *faults) clash(at, other, problem, fix string) {
	*f = append(*f, &Fault{At: at, Other: other, Problem: problem, Fix: fix})
}

func (f faults) join() error { return errors.Join(f...) }

// didYouMean names the nearest of the known words, or all of them if there are few.
func didYouMean(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(k)); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(known) == 0:
		return "there is none yet"
	case len(known) <= 12:
		return "there is " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("there are %d, none with a name like it", len(known))
}
