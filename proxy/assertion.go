package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"gatehouse/proxy/identity"
	"gatehouse/proxy/upstream"
	"gatehouse/tokens"
)

// asserted is the compiled `assertion` of an upstream.
type asserted struct {
	header   string // canonical
	audience string
	lifetime time.Duration
}

// What holds where an assertion says nothing.
const (
	defaultAssertion = "X-Gatehouse-Assertion"
	assertionTime    = 30 * time.Second
	maxAssertionTime = 60 * time.Second
	minAssertionTime = 5 * time.Second
)

// newAsserted compiles the assertions of all upstreams, by folded name. Each of their
// headers is taken from what clients send, on every route.
func newAsserted(upstreams map[string]upstream.Config, asserter *tokens.Asserter, known bool, headers []*identity.Headers) (map[string]asserted, []error) {
	all := map[string]asserted{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		cfg := upstreams[name].Assertion
		if cfg == (upstream.Assertion{}) {
			continue
		}
		fault := func(key, problem, fix string) {
			faults = append(faults, &Fault{At: "upstreams." + name + ".assertion" + key, Problem: problem, Fix: fix})
		}
		a := asserted{header: cfg.Header, audience: cfg.Audience, lifetime: cfg.Lifetime}
		if a.header == "" {
			a.header = defaultAssertion
		}
		if a.audience == "" {
			a.audience = name
		}
		if a.lifetime == 0 {
			a.lifetime = assertionTime
		}
		if problem, fix := identity.CheckName(a.header); problem != "" {
			fault(".header", problem, fix)
		}
		for _, h := range headers {
			if slices.ContainsFunc(h.Names(), func(n string) bool { return identity.Fold(n) == identity.Fold(a.header) }) {
				fault(".header", fmt.Sprintf("%s says who the user is already", textproto.CanonicalMIMEHeaderKey(a.header)), "write another name, such as "+defaultAssertion)
				break
			}
			h.AlsoStrip(a.header)
		}
		if a.lifetime < minAssertionTime || a.lifetime > maxAssertionTime {
			fault(".lifetime", fmt.Sprintf("%v is no lifetime for an assertion, which whoever reads a backend's logs could show again", a.lifetime), "write 5s up to 60s, such as 30s")
		}
		if known && asserter == nil {
			fault("", "no key pair signs, so that no backend could check an assertion", "let a key pair sign: tokens.key_dir, or private_key_file with alg: ES256 under tokens.keys")
		}
		a.header = textproto.CanonicalMIMEHeaderKey(a.header)
		all[strings.ToLower(name)] = a
	}
	return all, faults
}

// assert adds to what the upstream is told about the principal the proof of it.
func (g *Gateway) assert(d *Decision) *Refusal {
	a, wanted := g.asserted[strings.ToLower(d.upstream.Name())]
	if !wanted || d.Principal == nil {
		return nil
	}
	if g.asserter == nil {
		return refuseUndecided(errors.New("there is no key to sign an assertion with"))
	}
	token, err := g.asserter.Assert(d.Principal, a.audience, a.lifetime)
	if err != nil {
		return refuseUndecided(fmt.Errorf("signing an assertion: %w", err))
	}
	// Into a list of its own: what is there may be remembered.
	d.Identity = append(slices.Clip(d.Identity), identity.Line{Name: a.header, Values: []string{token}})
	return nil
}
