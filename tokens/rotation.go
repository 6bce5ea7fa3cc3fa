package tokens

import (
	"fmt"
	"slices"
	"time"
)

// Rotation is the `tokens.rotation` section.
type Rotation struct {
	// Enabled gives a new refresh token with each refresh; default false, as
	// SimpleJWT's ROTATE_REFRESH_TOKENS.
	Enabled bool `mapstructure:"enabled"`
	// RevokeOld makes the old refresh token good for nothing when the new one is
	// made, and verify refuse revoked tokens; default true. False is SimpleJWT's
	// rotation without BLACKLIST_AFTER_ROTATION. Danger: each refresh then leaves
	// one more token that works, and a stolen one is never noticed.
	RevokeOld bool `mapstructure:"revoke_old"`
	// Grace is for how long the old refresh token is answered once more, with the
	// same new pair, byte for byte; default 0s, as SimpleJWT. 20s keeps apps that
	// refresh from two tabs, or whose answer was lost on the way, logged in.
	Grace time.Duration `mapstructure:"grace"`
	// OnReuse is what happens when the old refresh token is shown after that:
	// "refuse" (default, as SimpleJWT) refuses it; "revoke_family" ends its session
	// too, because one of the two who have it stole it.
	OnReuse string `mapstructure:"on_reuse"`
}

// The words of OnReuse.
const (
	reuseRefuse       = "refuse"
	reuseRevokeFamily = "revoke_family"
)

func defaultRotation() Rotation { return Rotation{RevokeOld: true, OnReuse: reuseRefuse} }

// maxGrace is where a mistake in the unit is likelier than a wish.
const maxGrace = 10 * time.Minute

func (r Rotation) check() []error {
	var faults []error
	add := func(at, problem, fix string) { faults = append(faults, &Fault{"rotation." + at, problem, fix}) }
	if r.Grace < 0 || r.Grace > maxGrace {
		add("grace", fmt.Sprintf("%s is no grace", r.Grace), "write 0s up to 10m; 20s is plenty for two tabs")
	}
	switch r.OnReuse {
	case reuseRefuse, reuseRevokeFamily, "":
	default:
		add("on_reuse", fmt.Sprintf("%q is nothing that can be done", r.OnReuse), "write refuse or revoke_family")
	}
	if r.Enabled && !r.RevokeOld {
		if r.Grace > 0 {
			add("grace", "an old token that is not revoked needs no grace", "take grace away, or write revoke_old: true")
		}
		if r.OnReuse == reuseRevokeFamily {
			add("on_reuse", "an old token that is not revoked may be used again, which revoke_family would punish", "take on_reuse away, or write revoke_old: true")
		}
	}
	return faults
}

// revokes tells whether old tokens are revoked: what BLACKLIST_AFTER_ROTATION says.
func (r Rotation) revokes() bool { return r.Enabled && r.RevokeOld }

// Warning is something in the section that is allowed and seldom meant.
type Warning struct {
	At   string // the key inside the section
	Text string
}

// Warnings returns what an operator should know now about a configuration that has no fault.
func (c Config) Warnings(now time.Time) []Warning {
	all := slices.Concat(c.keyWarnings(), c.ended(now), c.issuerWarnings(), c.warnings())
	if c.Rotation.Enabled && !c.Rotation.RevokeOld {
		all = append(all, Warning{"rotation.revoke_old", "old refresh tokens go on to work until they expire, and a stolen one is never noticed; write true unless clients depend on it"})
	}
	if c.Rotation.revokes() && c.Rotation.OnReuse == reuseRevokeFamily && c.Rotation.Grace == 0 {
		all = append(all, Warning{"rotation.grace", "without a grace, an app that refreshes from two tabs at once ends its own session; write grace: 20s"})
	}
	return all
}

// keyWarnings are those of the keys.
func (c Config) keyWarnings() []Warning {
	var all []Warning
	for i, key := range c.Keys {
		if text := key.Warning(); text != "" {
			all = append(all, Warning{fmt.Sprintf("keys[%d].secret", i), text})
		}
	}
	return all
}
