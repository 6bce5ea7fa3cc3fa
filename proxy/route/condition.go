package route

import (
	"fmt"
	"slices"
	"strings"
)

// ClaimConfig is one condition on a claim of the token, as written. It has a name,
// and says one of in, equals and present.
type ClaimConfig struct {
	// Claim is the claim: one name, dots and slashes included ("https://x/roles"), or
	// a list of steps into nested objects ([realm_access, roles]). Required.
	Claim []string `mapstructure:"claim"`
	// Name is another word for claim.
	Name []string `mapstructure:"name"`
	// In holds if the claim is one of these. Types must agree: "5" is a text, 5 a number.
	// A claim that is a list holds if one of its elements does.
	In []Value `mapstructure:"in"`
	// Equals is in with one value.
	Equals *Value `mapstructure:"equals"`
	// Present, which is true or left out, holds if the claim is there and says
	// something: not null, not an empty text, list or object.
	Present *bool `mapstructure:"present"`
}

// Claim is a compiled condition.
type Claim struct {
	Steps  []string
	Values []Value // alternatives; nil asks only that the claim says something
}

// Bearer is who sent a valid token, as far as a policy asks. The zero Bearer is in
// no group and has no claims.
type Bearer struct {
	Groups []string
	// Claims finds a claim by its steps: a string, bool, Number, Object, nil for null,
	// or []any of those. nil is no claims.
	Claims func(steps []string) (any, bool)
}

// Object is a claim that is an object. No condition looks into it but by its steps.
type Object struct{ Members int }

func (b Bearer) claim(steps []string) (any, bool) {
	if b.Claims == nil {
		return nil, false
	}
	return b.Claims(steps)
}

// holds reports whether the token meets the condition.
func (c Claim) holds(b Bearer) bool {
	value, there := b.claim(c.Steps)
	if !there || value == nil {
		return false
	}
	if c.Values == nil {
		return saysSomething(value)
	}
	one := func(element any) bool {
		return slices.ContainsFunc(c.Values, func(v Value) bool { return v.Equals(element) })
	}
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, one)
	}
	return one(value)
}

// saysSomething is false for what stands for nothing in one backend or another.
func saysSomething(value any) bool {
	switch value := value.(type) {
	case string:
		return value != ""
	case []any:
		return len(value) > 0
	case Object:
		return value.Members > 0
	case bool, Number:
		return true
	}
	return false
}

// String is the condition in the words of the file.
func (c Claim) String() string {
	name := strings.Join(c.Steps, " > ")
	switch len(c.Values) {
	case 0:
		return name + " present"
	case 1:
		return name + " = " + c.Values[0].String()
	}
	texts := make([]string, len(c.Values))
	for i, v := range c.Values {
		texts[i] = v.String()
	}
	return name + " in " + strings.Join(texts, ", ")
}

func (c Claim) equal(d Claim) bool {
	return slices.Equal(c.Steps, d.Steps) && slices.Equal(c.Values, d.Values)
}

// hasScope reports whether the token has all scopes of one of the alternatives. Its
// scopes stand in `scope` (RFC 8693, section 4.2), or, where there is none, in `scp`:
// words of a text, or a list of texts.
func hasScope(alternatives [][]string, b Bearer) bool {
	value, there := b.claim([]string{"scope"})
	if !there {
		value, _ = b.claim([]string{"scp"})
	}
	var granted []string
	switch value := value.(type) {
	case string:
		// Not strings.Fields: RFC 6749, section 3.3 separates by the space alone.
		granted = strings.Split(value, " ")
	case []any:
		for _, element := range value {
			scope, ok := element.(string)
			if !ok {
				return false
			}
			granted = append(granted, scope)
		}
	}
	return slices.ContainsFunc(alternatives, func(needed []string) bool {
		return len(needed) > 0 && !slices.ContainsFunc(needed, func(s string) bool { return !slices.Contains(granted, s) })
	})
}

// compile checks a condition.
func (c ClaimConfig) compile(at string, f *faults) Claim {
	steps := c.Claim
	switch {
	case c.Claim != nil && c.Name != nil:
		f.add(at+".name", "the claim is named twice", "keep claim and take name out")
	case c.Claim == nil:
		steps = c.Name
	}
	if len(steps) == 0 || slices.Contains(steps, "") {
		f.add(at, "the condition does not say which claim it is about", "write claim: with its name, or a list of steps into nested objects")
	}
	said := 0
	for _, one := range []bool{c.In != nil, c.Equals != nil, c.Present != nil} {
		if one {
			said++
		}
	}
	switch {
	case said == 0:
		f.add(at, "the condition does not say what the claim must be", "write in: [...], equals: or present: true")
	case said > 1:
		f.add(at, "the condition says two things at once", "keep one of in, equals and present; several conditions are several entries")
	case c.Present != nil && !*c.Present:
		f.add(at+".present", "a condition asks for what is there", "write present: true, or take the condition out")
	case c.In != nil && len(c.In) == 0:
		f.add(at+".in", "no value is named, so nobody would pass", "name one, or write auth: deny")
	}
	values := c.In
	if c.Equals != nil {
		values = []Value{*c.Equals}
	}
	for i, v := range values {
		if slices.Contains(values[:i], v) {
			f.add(fmt.Sprintf("%s.in[%d]", at, i), fmt.Sprintf("the value %s is named twice", v), "take one out")
		}
	}
	return Claim{Steps: slices.Clone(steps), Values: slices.Clone(values)}
}

// compileScopes reads alternatives, each of which may be several scopes with spaces
// between, that are then needed together.
func compileScopes(at string, texts []string, f *faults) [][]string {
	var alternatives [][]string
	for i, text := range texts {
		here := fmt.Sprintf("%s[%d]", at, i)
		needed := strings.Split(text, " ")
		if slices.ContainsFunc(needed, func(s string) bool { return !isScope(s) }) {
			f.add(here, fmt.Sprintf("%q is not a scope", text), "write one such as orders:read, or several with one space between that are needed together")
			continue
		}
		if slices.Contains(texts[:i], text) {
			f.add(here, fmt.Sprintf("the scope %q is named twice", text), "take one out")
		}
		alternatives = append(alternatives, needed)
	}
	return alternatives
}

// isScope: scope-token of RFC 6749, section 3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}
