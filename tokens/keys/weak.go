package keys

import (
	"fmt"
	"strings"
	"time"
)

// insecure is how the SECRET_KEY of a Django project begins that nobody has changed
// since startproject: it has often been in a repository.
const insecure = "django-insecure-"

// weakened tells whether a secret that is shorter than its hash is taken all the same:
// one that only verifies what another signs with it, and that nobody can guess. It
// is the other's choice, often a Django SECRET_KEY.
func (c Config) weakened(secret []byte) bool {
	return c.Use == "verify" && len(secret) >= algorithms["HS256"].least
}

// Warning returns what an operator should know of a key that has no fault, or "". It
// holds nothing of the secret but how it begins, which is the same in all projects.
func (c Config) Warning() string {
	a, known := algorithms[c.Algorithm]
	if !known || !a.symmetric() {
		return ""
	}
	m, wrong := readSecret(c.Secret, a)
	if wrong != nil || len(m.secret) == 0 {
		return ""
	}
	switch {
	case strings.HasPrefix(string(m.secret), insecure) && c.Use == "verify":
		return "the secret begins with " + insecure + ", so Django made it for a project in development, and whoever has read its settings.py can make any token; give Django a new SECRET_KEY or SIGNING_KEY"
	case strings.HasPrefix(string(m.secret), insecure):
		return "the secret begins with " + insecure + ", so Django made it for a project in development, and whoever has read its settings.py can make any token; " + a.remedy()
	case len(m.secret) < a.least && c.weakened(m.secret):
		return fmt.Sprintf("the secret has %d bytes, and %s should have %d (RFC 7518, section 3.2); it is taken because it only verifies", len(m.secret), c.Algorithm, a.least)
	}
	return ""
}

// Ended returns the moment from which the key verifies nothing any more, if that is past.
func (c Config) Ended(now time.Time) (end time.Time, ended bool) {
	end, err := parseUntil(c.Until)
	return end, err == nil && !end.IsZero() && !now.Before(end)
}
