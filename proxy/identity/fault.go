package identity

// Fault is one thing that is wrong in a configuration.
type Fault struct {
	At      string // key path below `identity`: headers.x-user-id
	Other   string // key path of what it clashes with, or ""
	Problem string
	Fix     string // what to write instead
}

func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field is the key path of what is wrong, in the whole file.
func (f *Fault) Field() string { return "identity." + f.At }

// Also is the key path of what it clashes with; empty when it stands alone.
func (f *Fault) Also() string {
	if f.Other == "" {
		return ""
	}
	return "identity." + f.Other
}
