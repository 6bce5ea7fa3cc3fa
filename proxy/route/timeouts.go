package route

import (
	"cmp"
	"fmt"
	"iter"
	"time"
)

// Timeouts are what was matched says, or has from its route; nil where neither does.
func (m Match) Timeouts() Timeouts {
	switch {
	case m.Rule != nil:
		return m.Rule.Timeouts
	case m.Route != nil:
		return m.Route.Timeouts
	}
	return Timeouts{}
}

// Matches are all that Match may return.
func (t *Table) Matches() iter.Seq[Match] {
	return func(yield func(Match) bool) {
		for _, row := range t.rows {
			if !yield(row.match) {
				return
			}
		}
	}
}

// compile checks t, and takes from inherited what it does not say.
func (t Timeouts) compile(at string, inherited Timeouts, f *faults) Timeouts {
	for _, d := range []struct {
		key   string
		value *time.Duration
	}{{"connect", t.Connect}, {"first_byte", t.FirstByte}, {"idle", t.Idle}} {
		if d.value != nil && *d.value < 0 {
			f.add(at+".timeouts."+d.key, fmt.Sprintf("%v is negative", *d.value), "write a time such as 30s, or 0s for none")
		}
	}
	return Timeouts{
		Connect:   cmp.Or(t.Connect, inherited.Connect),
		FirstByte: cmp.Or(t.FirstByte, inherited.FirstByte),
		Idle:      cmp.Or(t.Idle, inherited.Idle),
	}
}
