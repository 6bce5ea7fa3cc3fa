package probe

import (
	"context"
	"errors"
	"fmt"
)

var errNoEcho = errors.New("the echo endpoint does not show the headers that it received")

// ErrUnreachable is that the backend cannot be asked at all. It wraps why.
var ErrUnreachable = errors.New("the backend cannot be asked")

// prober asks one backend.
type prober struct {
	report

	t      *Target
	belief *belief
}

// user are the headers of a request in the name of the user.
func (p *prober) user() []line {
	if len(p.belief.believed) == 0 {
		return nil
	}
	return []line{{p.belief.believed[0].header, p.t.User}}
}

// Run asks everything, and returns what was found until then if ctx ends. The error is
// ErrUnreachable, or that the target says something that is not so.
func Run(ctx context.Context, t Target) ([]Finding, error) {
	b, err := newBelief(ctx, &t)
	switch {
	case errors.Is(err, errNoEcho):
		return nil, fmt.Errorf("%s: %w", t.Echo, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	p := &prober{t: &t, belief: b}
	p.around(ctx)
	for _, part := range []func(context.Context) error{p.headers, p.hopByHop, p.paths, p.large, p.slow, p.framing, p.hosts} {
		if err := part(ctx); err != nil {
			return p.findings, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
	}
	return p.findings, nil
}
