package probe

import (
	"context"
	"crypto/rand"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// belief finds out what a backend made of the headers of a request.
type belief struct {
	t *Target
	// With an endpoint that echoes, every value shows under the name that it was read as.
	echo string
	// Without, a header is believed if the answer is the one that its usual spelling gets.
	path     string
	nobody   string // print of the answer without a user
	stable   bool   // the same request gets the same body
	believed []believed
}

// believed is a header that makes a difference, and the print of the answer with it.
type believed struct{ header, somebody string }

// mark is a value that stands nowhere else.
func mark() string { return "probe" + strings.ToLower(rand.Text()[:10]) }

// newBelief asks for the same thing with and without a user.
func newBelief(ctx context.Context, t *Target) (*belief, error) {
	b := &belief{t: t, echo: t.Echo, path: t.path()}
	first, err := t.get(ctx, b.path)
	if err != nil {
		return nil, err
	}
	second, err := t.get(ctx, b.path)
	if err != nil {
		return nil, err
	}
	b.stable = first == second
	b.nobody = b.print(first)
	if b.echo != "" {
		value := mark()
		a, err := t.get(ctx, b.echo, line{"X-Gatehouse-Probe", value})
		if err != nil {
			return nil, err
		}
		if !strings.Contains(a.body, value) {
			b.echo = ""
			return b, errNoEcho
		}
		return b, nil
	}
	// A page that shows what it received changes with any header.
	value := mark()
	shown, err := t.get(ctx, b.path, line{"X-Gatehouse-Probe", value})
	if err != nil {
		return nil, err
	}
	if strings.Contains(shown.body, value) {
		b.echo = b.path
		t.Headers = t.Headers[:1]
		return b, nil
	}
	for _, name := range t.Headers {
		a, err := t.get(ctx, b.path, line{name, t.User})
		if err != nil {
			return nil, err
		}
		if got := b.print(a); got != b.nobody {
			b.believed = append(b.believed, believed{name, got})
		}
	}
	return b, nil
}

// print is what of an answer is the same for the same request.
func (b *belief) print(a answer) string {
	text := strconv.Itoa(a.status) + " " + a.location
	if b.stable {
		text += " " + a.body
	}
	return text
}

// knows tells whether anything can be said about headers.
func (b *belief) knows() bool { return b.echo != "" || len(b.believed) > 0 }

// takes tells whether lines with the value {} are read as the header of that name. With
// an echo, as is the name under which it came.
func (b *belief) takes(ctx context.Context, name string, lines ...line) (as string, taken bool, a answer, err error) {
	value := b.t.User
	if b.echo != "" {
		value = mark()
	}
	filled := make([]line, len(lines))
	for i, l := range lines {
		filled[i] = line{l.name, strings.ReplaceAll(l.value, "{}", value)}
	}
	if b.echo == "" {
		a, err = b.t.get(ctx, b.path, filled...)
		i := slices.IndexFunc(b.believed, func(known believed) bool { return known.header == name })
		return "", err == nil && i >= 0 && b.print(a) == b.believed[i].somebody, a, err
	}
	if a, err = b.t.get(ctx, b.echo, filled...); err != nil {
		return "", false, a, err
	}
	as = calledIn(a.body, value)
	plain := mark()
	usual, err := b.t.get(ctx, b.echo, line{name, plain})
	return as, as != "" && as == calledIn(usual.body, plain), a, err
}

// word is what a name of a header may look like in an answer.
var word = regexp.MustCompile(`[A-Za-z][A-Za-z0-9_.-]*`)

// calledIn finds the name before a value, or "": in JSON, in the print of a map, in a
// line of a head.
func calledIn(body, value string) string {
	at := strings.Index(body, value)
	if at < 0 {
		return ""
	}
	before := body[max(0, at-200):at]
	if cut := strings.LastIndexByte(before, '\n'); cut >= 0 {
		before = before[cut:]
	}
	words := word.FindAllString(before, -1)
	for i := len(words) - 1; i >= 0; i-- {
		if !strings.HasPrefix(words[i], "probe") && words[i] != "string" && words[i] != "u" && words[i] != "b" {
			return words[i]
		}
	}
	return ""
}

// between is what stands between two values, or false if they are not close together.
func between(body, first, second string) (string, bool) {
	_, rest, ok := strings.Cut(body, first)
	if !ok {
		return "", false
	}
	gap, _, ok := strings.Cut(rest, second)
	return gap, ok && len(gap) <= 8
}
