package tokens

import "fmt"

// Audience is whom tokens are for, and the form in which they say so: the readers of
// some want a list of one, and others a string. The zero value is nobody in particular.
type Audience struct {
	Names []string
	// Plain writes the one name as a string and not as a list.
	Plain bool
}

// UnmarshalText takes one name.
func (a *Audience) UnmarshalText(text []byte) error {
	*a = Audience{Names: []string{string(text)}, Plain: true}
	return nil
}

// UnmarshalList takes a list of names, which may be empty.
func (a *Audience) UnmarshalList(names []string) error {
	*a = Audience{Names: names}
	return nil
}

// claim is what stands in a token; nil is nothing.
func (a Audience) claim() any {
	switch {
	case len(a.Names) == 0:
		return nil
	case a.Plain && len(a.Names) == 1:
		return a.Names[0]
	}
	return a.Names
}

func (a Audience) check() []error {
	var faults []error
	for i, name := range a.Names {
		if name == "" {
			at := fmt.Sprintf("audience[%d]", i)
			if a.Plain {
				at = "audience"
			}
			faults = append(faults, &Fault{at, "an empty audience", "name who the tokens are for, or take the key away"})
		}
	}
	return faults
}
