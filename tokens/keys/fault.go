package keys

import "fmt"

// Fault is a key of the configuration that cannot be used. It never holds the secret.
type Fault struct {
	At      string // the key inside the list: "[0].secret"; "" is the list itself
	Problem string // what is wrong
	Fix     string // what would be right
}

// Error returns problem and remedy in one line.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field returns the key inside the section `tokens`.
func (f *Fault) Field() string { return "keys" + f.At }

func fault(i int, field, problem, fix string) *Fault {
	return &Fault{At: fmt.Sprintf("[%d].%s", i, field), Problem: problem, Fix: fix}
}
