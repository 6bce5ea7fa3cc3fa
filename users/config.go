package users

import (
	"errors"
	"fmt"
	"strings"
)

// Config is the `store` section: where users, hashes and revoked tokens live.
// Changing it needs a restart.
type Config struct {
	// Driver is "sqlite" (default).
	Driver string `mapstructure:"driver" words:"sqlite postgres"`
	// DSN is the path of the SQLite file (default
	// /var/lib/gatehouse/gatehouse.db); its directory must exist and be writable,
	// because SQLite keeps two more files beside it. The file is created with
	// mode 0600. Danger: who can read it has every password hash; on a network
	// file system locks do not work, and the file breaks.
	DSN string `mapstructure:"dsn"`
	// DSNFile names a file that holds the DSN instead; the loader reads it.
	DSNFile string `mapstructure:"dsn_file"`
}

// DefaultConfig returns the configuration of a house that says nothing.
func DefaultConfig() Config {
	return Config{Driver: "sqlite", DSN: "/var/lib/gatehouse/gatehouse.db"}
}

// Fault is one value that cannot be accepted: a key of [Config] or a field of an
// account. Find it with errors.As; several come joined.
type Fault struct {
	At      string // the key or field, such as "dsn" or "username"
	Problem string // what is wrong, with the value at fault
	Fix     string // what to do instead
	Err     error  // the cause; may be nil
}

// Error returns problem and remedy in one line.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field returns the key inside the section, or the field of the account.
func (f *Fault) Field() string { return f.At }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.Err }

// compile returns the dialect and the path of the file.
func (cfg Config) compile() (d dialect, path string, err error) {
	var faults []error
	switch cfg.Driver {
	case "sqlite", "":
		d = sqliteDialect()
	default:
		faults = append(faults, &Fault{At: "driver", Problem: fmt.Sprintf("%q is not a store that is known", cfg.Driver), Fix: "write sqlite"})
	}
	switch {
	case cfg.DSN == "":
		faults = append(faults, &Fault{At: "dsn", Problem: "the path of the database is empty", Fix: "write a path such as " + DefaultConfig().DSN})
	case strings.HasPrefix(cfg.DSN, "file:"), strings.HasPrefix(cfg.DSN, ":"):
		faults = append(faults, &Fault{At: "dsn", Problem: fmt.Sprintf("%q is not a plain path", cfg.DSN), Fix: "write a path such as " + DefaultConfig().DSN})
	}
	return d, cfg.DSN, errors.Join(faults...)
}

// Check returns what [Open] would find wrong with cfg itself, joined. It touches
// no file.
func Check(cfg Config) error {
	_, _, err := cfg.compile()
	return err
}
