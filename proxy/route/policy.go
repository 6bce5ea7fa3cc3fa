package route

import (
	"fmt"
	"slices"
	"strings"
)

// Level is how much a policy asks for.
type Level int

// The levels, the most closed first: a Policy that nobody filled in lets nobody pass.
const (
	Deny     Level = iota // nobody
	Required              // whoever has a valid token
	Optional              // anonymous too; a token that is sent must be valid
	Public                // everybody; no token is looked at
)

const words = "public, optional, required, deny, or {groups: [...]}"

var levels = []string{Deny: "deny", Required: "required", Optional: "optional", Public: "public"}

func (l Level) String() string {
	if l >= 0 && int(l) < len(levels) {
		return levels[l]
	}
	return "deny"
}

// Policy is who may pass. The zero value denies.
type Policy struct {
	Level Level
	// Groups narrows Required: a user passes who is in at least one of them. nil is
	// every user.
	Groups []string
}

// Anonymous reports whether a request without a token passes.
func (p Policy) Anonymous() bool { return p.Level == Optional || p.Level == Public }

// Admits reports whether a user with a valid token passes, who is in these groups.
func (p Policy) Admits(groups []string) bool {
	switch p.Level {
	case Public, Optional:
		return true
	case Required:
		if p.Groups == nil {
			return true
		}
		return slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(groups, g) })
	default:
		return false
	}
}

// Equal reports whether both let the same requests pass.
func (p Policy) Equal(q Policy) bool {
	if p.Level != q.Level || (p.Groups == nil) != (q.Groups == nil) {
		return false
	}
	within := func(a, b []string) bool {
		return !slices.ContainsFunc(a, func(g string) bool { return !slices.Contains(b, g) })
	}
	return within(p.Groups, q.Groups) && within(q.Groups, p.Groups)
}

// String is the policy as one would write it.
func (p Policy) String() string {
	if p.Level == Required && p.Groups != nil {
		return "groups: " + strings.Join(p.Groups, ", ")
	}
	return p.Level.String()
}

// said reports whether a has anything in it.
func (a Auth) said() bool { return a.Word != "" || a.Groups != nil }

// compile makes the Policy; unsaid is what an empty Auth stands for. On a fault
// the policy denies.
func (a Auth) compile(at string, unsaid Policy, f *faults) Policy {
	if !a.said() {
		return unsaid
	}
	if a.Word != "" && a.Groups != nil {
		f.add(at, "a word and conditions at once", "write "+words)
		return Policy{}
	}
	if a.Word != "" {
		level := slices.Index(levels, a.Word)
		if level < 0 {
			f.add(at, fmt.Sprintf("auth cannot be %q", a.Word), didYouMean(a.Word, levels)+"; write "+words)
			return Policy{}
		}
		return Policy{Level: Level(level)}
	}
	if len(a.Groups) == 0 {
		f.add(at+".groups", "no group is named, so nobody would pass", "name one, or write auth: deny")
		return Policy{}
	}
	for i, g := range a.Groups {
		here := fmt.Sprintf("%s.groups[%d]", at, i)
		switch {
		case strings.TrimSpace(g) == "":
			f.add(here, "the name of a group is empty", "write its name")
		case strings.TrimSpace(g) != g:
			f.add(here, fmt.Sprintf("the group %q has a space at its end", g), fmt.Sprintf("write %q", strings.TrimSpace(g)))
		case slices.Contains(a.Groups[:i], g):
			f.add(here, fmt.Sprintf("the group %q is named twice", g), "take one out")
		}
	}
	return Policy{Level: Required, Groups: slices.Clone(a.Groups)}
}
