package users

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is the `store` section: where users, hashes and revoked tokens live.
// Changing it needs a restart.
type Config struct {
	// Driver is "sqlite" (default), for one gatehouse, or "postgres", where several
	// share what they remember. PostgreSQL 13 or newer.
	Driver string `mapstructure:"driver" words:"sqlite postgres"`
	// DSN with postgres is a URL, postgres://user:password@host:5432/database, or
	// the form of libpq, host=db1,db2 dbname=gatehouse; what is missing is taken
	// from the PG* variables. Put ?sslmode=verify-full&sslrootcert=/tls/ca.crt behind
	// it: without sslmode a connection may not be encrypted, and nobody looks who
	// answers. sslcert and sslkey are for a client certificate. With several hosts
	// the one that can be written is taken. ?search_path=NAME puts the tables into a
	// schema of their own. Danger: it holds a password; DSNFile keeps it out of the
	// configuration.
	//
	// With sqlite it is the path of the file (default
	// /var/lib/gatehouse/gatehouse.db); its directory must exist and be writable,
	// because SQLite keeps two more files beside it. The file is created with
	// mode 0600. Danger: who can read it has every password hash; on a network
	// file system locks do not work, and the file breaks.
	DSN string `mapstructure:"dsn"`
	// DSNFile names a file that holds the DSN instead; the loader reads it.
	DSNFile string `mapstructure:"dsn_file"`

	// MaxConnections is how many connections this process may have to PostgreSQL,
	// half of them for what writes, such as logins, and beside them one that hears of
	// changes. 0 (default) is 16, the least is 2. All replicas together must stay
	// below max_connections of the server.
	MaxConnections int `mapstructure:"max_connections"`
	// StatementTimeout is how long PostgreSQL may work on a statement before it
	// gives up and the request is answered with 503. 0 (default) is 5s. Migrations
	// and imports are not bound by it.
	StatementTimeout time.Duration `mapstructure:"statement_timeout"`
	// AcquireTimeout is how long a request waits for a connection to PostgreSQL,
	// new or free, before it is answered with 503. 0 (default) is 2s.
	AcquireTimeout time.Duration `mapstructure:"acquire_timeout"`

	// Outage is what becomes of requests while PostgreSQL is away: refuse (default), or
	// serve_stale for 5m.
	Outage Outage `mapstructure:"outage"`

	// Users is who the users are: those of the store, or those of a Django site.
	Users SiteConfig `mapstructure:"users"`
}

// DefaultConfig returns the configuration of a house that says nothing.
func DefaultConfig() Config {
	return Config{Driver: "sqlite", DSN: "/var/lib/gatehouse/gatehouse.db", Users: SiteConfig{Source: "own"}, Outage: Outage{Mode: outageRefuse}}
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

// compile returns the dialect for the database, or all faults.
func (cfg Config) compile() (dialect, error) {
	switch cfg.Driver {
	case "sqlite", "":
		return cfg.compileSQLite()
	case "postgres":
		return cfg.compilePostgres()
	}
	fault := error(&Fault{At: "driver", Problem: fmt.Sprintf("%q is not a store that is known", cfg.Driver), Fix: "write sqlite or postgres"})
	if cfg.DSN == "" {
		fault = errors.Join(fault, &Fault{At: "dsn", Problem: "the name of the database is empty", Fix: "write a path such as " + DefaultConfig().DSN})
	}
	return dialect{}, fault
}

func (cfg Config) compileSQLite() (dialect, error) {
	var faults []error
	fault := func(at, problem, fix string) {
		faults = append(faults, &Fault{At: at, Problem: problem, Fix: fix})
	}
	switch {
	case cfg.DSN == "":
		fault("dsn", "the path of the database is empty", "write a path such as "+DefaultConfig().DSN)
	case isPostgres(cfg.DSN): // not shown: it may have a password in it
		fault("driver", "the dsn is one of PostgreSQL, and the driver is sqlite", "write driver: postgres")
	case strings.HasPrefix(cfg.DSN, "file:"), strings.HasPrefix(cfg.DSN, ":"):
		fault("dsn", fmt.Sprintf("%q is not a plain path", cfg.DSN), "write a path such as "+DefaultConfig().DSN)
	}
	for _, key := range []struct {
		name string
		said bool
	}{
		{"max_connections", cfg.MaxConnections != 0}, {"statement_timeout", cfg.StatementTimeout != 0}, {"acquire_timeout", cfg.AcquireTimeout != 0},
	} {
		if key.said {
			fault(key.name, "this is for PostgreSQL, and the driver is sqlite", "delete the line, or write driver: postgres")
		}
	}
	return sqliteDialect(cfg.DSN), errors.Join(faults...)
}

// isPostgres tells whether a DSN has the form of one.
func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// Check returns what [Open] would find wrong with cfg itself, joined. It touches
// no database.
func Check(cfg Config) error {
	_, err := cfg.compile()
	_, _, siteErr := cfg.Users.compile()
	_, outageErr := cfg.Outage.compile(cfg.Driver)
	return errors.Join(err, siteErr, outageErr)
}
