package password

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gatehouse/users/password/worker"
)

// Config is the `login.hashing` section.
type Config struct {
	// Preferred is how new passwords are hashed: argon2id (default),
	// pbkdf2_sha256, scrypt or bcrypt_sha256. Hashes of another kind, or of
	// another cost, keep working and are rewritten when their user logs in.
	Preferred string `mapstructure:"preferred"`
	// Cost is the work that one preferred hash takes. Empty (default) is
	// m=19456,t=2,p=1 for argon2id (KiB of memory, passes, lanes);
	// t=600000 for pbkdf2_sha256 (iterations); n=16384,r=8,p=5 for scrypt;
	// t=12 for bcrypt_sha256 (the logarithm of the rounds). A site that may go
	// back to Django writes the numbers of its Django here. Danger: less work
	// lets whoever steals the database guess faster; more keeps a core longer
	// at every login.
	Cost string `mapstructure:"cost"`
	// Isolation is where hashes are computed: auto (default), process or none.
	// With auto a gateway on Linux starts itself once more, at a lower priority, when
	// somebody logs in, so that a flood of logins does not slow down what is forwarded, and
	// a minute after the last login that process ends; where it cannot be started, hashes
	// are computed in the gateway, and the log says so. With process a gateway that
	// cannot start it does not start itself. With none all is done in the gateway.
	// Commands such as "user add" hash by themselves whatever is written here.
	Isolation string `mapstructure:"isolation" words:"auto process none"`
	// MaxParallel is how many hashes are computed at once: a number, or "auto"
	// (default): one core fewer than there are, and no more than fit into a
	// quarter of the memory. Danger: with a number that takes every core, a
	// flood of logins slows down every forwarded request.
	MaxParallel string `mapstructure:"max_parallel"`
	// MaxQueue is how many more may wait for their turn; whoever comes then is
	// told 503 with Retry-After. 0 (default): 32 for each that runs.
	MaxQueue int `mapstructure:"max_queue"`
	// AcceptLegacy also verifies md5, sha1 and their unsalted forms (default
	// false). Danger: these fall within seconds to whoever sees the database.
	// It is for the weeks of a move in which old users log in once and have
	// their hash rewritten.
	AcceptLegacy bool `mapstructure:"accept_legacy"`
	// InsecureCheap replaces the work of the preferred hash by the least that
	// it knows. It is for tests, and cannot be written in a file.
	InsecureCheap bool `mapstructure:"-"`
}

// What Config.Isolation may say.
const (
	isolationAuto    = "auto"
	isolationProcess = "process"
	isolationNone    = "none"
)

// DefaultConfig returns the configuration of a house that says nothing.
func DefaultConfig() Config {
	return Config{Preferred: "argon2id", MaxParallel: "auto", Isolation: isolationAuto}
}

// Fault is one thing that is wrong with a [Config].
type Fault struct {
	At      string // the key, such as "preferred"
	Problem string // what is wrong, with the value at fault
	Fix     string // what to write instead
}

// Error returns problem and remedy in one line.
func (f *Fault) Error() string { return f.Problem + "; " + f.Fix }

// Field returns the key inside the section.
func (f *Fault) Field() string { return f.At }

// maxParallel is above the cores of any machine we know.
const maxParallel = 1024

// compile returns the preferred kind with its work, and the number of slots,
// where 0 means auto.
func (cfg Config) compile() (preferred *kind, w work, slots int, err error) {
	var faults []error
	preferred, ok := preferable(cfg.Preferred)
	if !ok {
		faults = append(faults, &Fault{
			At: "preferred", Problem: fmt.Sprintf("%q is not a hash for new passwords", cfg.Preferred),
			Fix: "write argon2id, pbkdf2_sha256, scrypt or bcrypt_sha256",
		})
	} else if w, err = preferred.parseWork(cfg.Cost); err != nil {
		faults = append(faults, &Fault{"cost", err.Error(), "write " + preferred.formatWork(preferred.usual) + ", or leave it empty"})
	}
	if ok && cfg.InsecureCheap {
		w = preferred.cheapest
	}
	if cfg.MaxParallel != "auto" && cfg.MaxParallel != "" {
		slots, err = strconv.Atoi(cfg.MaxParallel)
		if err != nil || slots < 1 || slots > maxParallel {
			faults = append(faults, &Fault{
				At: "max_parallel", Problem: fmt.Sprintf("%q is not a number from 1 to %d", cfg.MaxParallel, maxParallel),
				Fix: "write auto",
			})
		}
	}
	switch cfg.Isolation {
	case "", isolationAuto, isolationNone:
	case isolationProcess:
		if !worker.Supported {
			faults = append(faults, &Fault{At: "isolation", Problem: "only on Linux is there a process of its own for hashes", Fix: "write auto"})
		}
	default:
		faults = append(faults, &Fault{At: "isolation", Problem: fmt.Sprintf("%q is not a place where hashes are computed", cfg.Isolation), Fix: "write auto, process or none"})
	}
	if cfg.MaxQueue < 0 || cfg.MaxQueue > 1<<20 {
		faults = append(faults, &Fault{
			At: "max_queue", Problem: fmt.Sprintf("%d is not a number from 0 to %d", cfg.MaxQueue, 1<<20),
			Fix: "write 0 for the default",
		})
	}
	return preferred, w, slots, errors.Join(faults...)
}

// parseWork reads `m=19456,t=2,p=1` in the terms of k; empty is the usual work.
func (k *kind) parseWork(text string) (work, error) {
	if text == "" {
		return k.usual, nil
	}
	var w work
	parts := strings.Split(text, ",")
	names := k.numbers
	for i, part := range parts {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, ok := number(value)
		if !ok || i >= len(names) || name != names[i] {
			return work{}, fmt.Errorf("%q is not a cost of %s", text, k.name)
		}
		*w.term(name) = n
	}
	if len(parts) != len(names) {
		return work{}, fmt.Errorf("%q lacks %s", text, strings.Join(names[len(parts):], " and "))
	}
	if !k.bearable(w) {
		return work{}, fmt.Errorf("%q is more than a check may take", text)
	}
	// Passes do not replace memory: without it a graphics card makes them cheap.
	if k.effort(w) < k.effort(k.least) || w.m < k.least.m {
		return work{}, fmt.Errorf("%q is too little work to protect a password", text)
	}
	return w, nil
}

// formatWork is the reverse of parseWork.
func (k *kind) formatWork(w work) string {
	var parts []string
	for _, name := range k.numbers {
		parts = append(parts, name+"="+strconv.Itoa(*w.term(name)))
	}
	return strings.Join(parts, ",")
}
