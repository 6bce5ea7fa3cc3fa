package probe

import (
	"context"
	"fmt"
	"strings"
)

// headers asks how the headers that name a user are read in other spellings.
func (p *prober) headers(ctx context.Context) error {
	b := p.belief
	if !b.knows() {
		p.add("header-alias", strings.Join(p.t.Headers, ", "), "the answers are the same with and without them", Unknown,
			"name a path whose answer depends on the user (--path), one whom it knows (--user), or one that answers with what it received (--echo)")
		return nil
	}
	for _, name := range b.headers() {
		if err := p.header(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// headers are those that are worth asking about. What an endpoint shows it shows of all,
// and does not say whether they are believed: then it is those that were named.
func (b *belief) headers() []string {
	if b.echo != "" {
		return b.t.Headers
	}
	var names []string
	for _, known := range b.believed {
		names = append(names, known.header)
	}
	return names
}

func (p *prober) header(ctx context.Context, name string) error {
	if !p.t.Managed(name) {
		p.add("header", name, "the backend believes it", Danger, fmt.Sprintf("write it into identity.headers if gatehouse shall send it, else %s into identity.also_strip: clients can send it, also through gatehouse", name))
		return nil // its other spellings too
	}
	for _, alias := range []struct{ name, what string }{
		{strings.ReplaceAll(name, "-", "_"), "underscores"},
		{strings.ReplaceAll(name, "-", "."), "dots"},
		{strings.ToLower(name), "small letters"},
		{strings.ToUpper(name), "capitals"},
		{name + " ", "a space before the colon"},
	} {
		if alias.name == name {
			continue
		}
		as, taken, a, err := p.belief.takes(ctx, name, line{alias.name, "{}"})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		sent := fmt.Sprintf("%q instead of %s", alias.name, name)
		switch {
		case err != nil || a.status == 400:
			p.add("header-alias", sent, outcome(a, err), Fine, "")
		case !taken && as == "":
			p.add("header-alias", sent, "not seen", Fine, "")
		case !taken:
			p.add("header-alias", sent, "another header ("+as+")", Fine, "")
		case p.t.Managed(strings.TrimSpace(alias.name)):
			p.add("header-alias", sent, "the same header", Fine, "gatehouse takes it from clients in every spelling")
		default:
			p.add("header-alias", sent, "the same header", Danger, fmt.Sprintf("write %q into identity.also_strip", alias.name))
		}
	}
	return p.repeated(ctx, name)
}

// repeated asks what becomes of two lines of one name.
func (p *prober) repeated(ctx context.Context, name string) error {
	if p.belief.echo == "" {
		return nil
	}
	first, second := mark(), mark()
	for _, pair := range [][2]line{
		{{name, first}, {name, second}},
		{{name, first}, {strings.ReplaceAll(name, "-", "_"), second}},
	} {
		a, err := p.t.get(ctx, p.belief.echo, pair[:]...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var read string
		gap, joined := between(a.body, first, second)
		back, swapped := between(a.body, second, first)
		hasFirst, hasSecond := strings.Contains(a.body, first), strings.Contains(a.body, second)
		switch {
		case err != nil || a.status == 400:
			read = outcome(a, err)
		case joined && calledIn(a.body, first) == calledIn(a.body, second):
			read = fmt.Sprintf("both, with %q between", gap)
		case swapped && calledIn(a.body, first) == calledIn(a.body, second):
			read = fmt.Sprintf("both, the second first, with %q between", back)
		case hasFirst && hasSecond:
			read = "two headers"
		case hasFirst:
			read = "the first"
		case hasSecond:
			read = "the second"
		default:
			read = "neither"
		}
		p.add("header-repeated", pair[0].name+" and "+pair[1].name, read, Fine, "gatehouse sends it once, and takes all others away")
	}
	return nil
}

// hopByHop asks whether a header can be taken away by naming it in Connection.
func (p *prober) hopByHop(ctx context.Context) error {
	if !p.belief.knows() {
		return nil
	}
	name := p.belief.headers()[0]
	_, taken, a, err := p.belief.takes(ctx, name, line{"Connection", "close, " + name}, line{name, "{}"})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	sent := "Connection: close, " + name
	switch {
	case err != nil || a.status == 400:
		p.add("hop-by-hop", sent, outcome(a, err), Fine, "")
	case taken:
		p.add("hop-by-hop", sent, "the header counts all the same", Fine, "")
	default:
		p.add("hop-by-hop", sent, "the header is taken away", Note, "a proxy stands in the way here; gatehouse lets no client name headers in Connection, so keep it the only one in front of that proxy")
	}
	return nil
}
