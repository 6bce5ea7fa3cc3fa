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

const words = "public, optional, required, deny, or {groups: [...], claims: [...], scopes: [...]}"

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
	// Groups, Claims and Scopes narrow Required, all of them together; nil asks for
	// nothing. A user passes who is in one of Groups, whose token meets every one of
	// Claims, and has all scopes of one of Scopes.
	Groups []string
	Claims []Claim
	Scopes [][]string
	// InvalidIsAnonymous lets a bad token pass for none, on Optional.
	InvalidIsAnonymous bool
	// Report lets pass what all of this would refuse, but for Deny, and tells.
	Report bool
	// Tokens are where a token is looked for; nil is the Authorization header alone.
	Tokens []TokenSource
}

// Anonymous reports whether a request without a token passes.
func (p Policy) Anonymous() bool { return p.Level == Optional || p.Level == Public }

// conditional reports whether a valid token is not enough.
func (p Policy) conditional() bool { return p.Groups != nil || p.Claims != nil || p.Scopes != nil }

// Admits reports whether a user with a valid token passes. It knows nothing of Report.
func (p Policy) Admits(b Bearer) bool { return p.Lacks(b) == Nothing }

// Lack is the first thing that a user with a valid token lacks to pass.
type Lack int

// What may be lacking, in the order in which it is looked at.
const (
	Nothing Lack = iota
	Everything
	Group
	ClaimValue
	Scope
)

// Lacks is Admits with a reason.
func (p Policy) Lacks(b Bearer) Lack {
	switch p.Level {
	case Public, Optional:
		return Nothing
	case Required:
	default:
		return Everything
	}
	if p.Groups != nil && !slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(b.Groups, g) }) {
		return Group
	}
	for i := range p.Claims {
		if !p.Claims[i].holds(b) {
			return ClaimValue
		}
	}
	if p.Scopes != nil && !hasScope(p.Scopes, b) {
		return Scope
	}
	return Nothing
}

// Equal reports whether both let the same requests pass.
func (p Policy) Equal(q Policy) bool {
	return p.Level == q.Level && p.InvalidIsAnonymous == q.InvalidIsAnonymous && p.Report == q.Report &&
		(p.Groups == nil) == (q.Groups == nil) && (p.Claims == nil) == (q.Claims == nil) && (p.Scopes == nil) == (q.Scopes == nil) &&
		sameSet(p.Groups, q.Groups, func(a, b string) bool { return a == b }) &&
		sameSet(p.Claims, q.Claims, Claim.equal) &&
		sameSet(p.Scopes, q.Scopes, slices.Equal[[]string]) &&
		sameSet(p.sources(), q.sources(), func(a, b TokenSource) bool { return a == b })
}

// sameSet takes no notice of order.
func sameSet[T any](a, b []T, equal func(T, T) bool) bool {
	within := func(a, b []T) bool {
		return !slices.ContainsFunc(a, func(x T) bool {
			return !slices.ContainsFunc(b, func(y T) bool { return equal(x, y) })
		})
	}
	return within(a, b) && within(b, a)
}

// String is who may pass, as one would write it.
func (p Policy) String() string {
	if p.Level != Required || !p.conditional() {
		return p.Level.String()
	}
	var parts []string
	if p.Groups != nil {
		parts = append(parts, "groups: "+strings.Join(p.Groups, ", "))
	}
	for _, c := range p.Claims {
		parts = append(parts, "claim: "+c.String())
	}
	if p.Scopes != nil {
		texts := make([]string, len(p.Scopes))
		for i, needed := range p.Scopes {
			texts[i] = strings.Join(needed, "+")
		}
		parts = append(parts, "scopes: "+strings.Join(texts, ", "))
	}
	return strings.Join(parts, "; ")
}

// said reports whether a has anything in it.
func (a Auth) said() bool { return a.Word != "" || a.conditional() }

func (a Auth) conditional() bool { return a.Groups != nil || a.Claims != nil || a.Scopes != nil }

// compile makes the Policy; unsaid is what an empty Auth stands for. On a fault
// the policy denies.
func (a Auth) compile(at string, unsaid Policy, f *faults) Policy {
	if !a.said() {
		return unsaid
	}
	if a.Word != "" && a.conditional() {
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
	before := len(*f)
	p := Policy{Level: Required, Groups: slices.Clone(a.Groups)}
	for _, list := range []struct {
		key, one string
		said     bool
		length   int
	}{{"groups", "group", a.Groups != nil, len(a.Groups)}, {"claims", "condition", a.Claims != nil, len(a.Claims)}, {"scopes", "scope", a.Scopes != nil, len(a.Scopes)}} {
		if list.said && list.length == 0 {
			f.add(at+"."+list.key, "no "+list.one+" is named, so nobody would pass", "name one, or write auth: deny")
		}
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
	for i, c := range a.Claims {
		p.Claims = append(p.Claims, c.compile(fmt.Sprintf("%s.claims[%d]", at, i), f))
	}
	p.Scopes = compileScopes(at+".scopes", a.Scopes, f)
	if len(*f) > before {
		return Policy{}
	}
	return p
}
