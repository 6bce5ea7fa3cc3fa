package audit

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Config is the section `audit`. Changing it needs a restart.
type Config struct {
	// Output is where the audit goes: none (default), stdout, or the path of a file, with a
	// slash in it, such as /var/log/gatehouse/audit.jsonl, or ./audit.jsonl beside the
	// configuration. The file is made with mode 0600;
	// the server and all commands append to it, each line at once, and go on in a new
	// one when it is renamed. With stdout, commands write their lines to stderr, and
	// those of the server stand between the log's, with "stream":"audit". A file that cannot be
	// opened is an error at the start.
	Output string `mapstructure:"output"`
	// OnFailure is what becomes of logins, refreshes and logouts whose line cannot be
	// written, because the disk is full, say: continue (default), with an error in the
	// log, a metric and a word at /readyz; or refuse, with 503 until lines can be
	// written. Danger: with refuse nobody logs in while the disk is full.
	OnFailure string `mapstructure:"on_failure" words:"continue refuse"`
}

// DefaultConfig writes no audit.
func DefaultConfig() Config { return Config{Output: "none", OnFailure: "continue"} }

// Fault is one value of the section that cannot be accepted.
type Fault struct {
	At      string // the key inside the section
	Problem string // what is wrong
	Fix     string // what would be right
	Err     error  // the cause; may be nil
}

// Error returns problem and remedy in one line.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field returns the key inside the section `audit`.
func (f *Fault) Field() string { return f.At }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Check returns all faults, joined, without touching anything.
func (c Config) Check() []error {
	var faults []error
	if path := c.Path(); path != "" && (!strings.Contains(path, "/") || filepath.Clean(path) == "/" || strings.HasSuffix(path, "/")) {
		faults = append(faults, &Fault{At: "output", Problem: fmt.Sprintf("the audit cannot go to %q", c.Output), Fix: "write none, stdout, or the path of a file with a slash in it, such as /var/log/gatehouse/audit.jsonl"})
	}
	if c.OnFailure != "continue" && c.OnFailure != "refuse" {
		faults = append(faults, &Fault{At: "on_failure", Problem: fmt.Sprintf("%q is not known", c.OnFailure), Fix: "write continue or refuse"})
	}
	return faults
}

// Path is the file; "": it goes to none.
func (c Config) Path() string {
	switch c.Output {
	case "", "none", "stdout":
		return ""
	}
	return c.Output
}

// Enabled tells whether there is an audit.
func (c Config) Enabled() bool { return c.Output == "stdout" || c.Path() != "" }
