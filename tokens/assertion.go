package tokens

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
)

// typeAssertion is the typ of assertions (RFC 8725, section 3.11). A token that has
// it is good for nothing here, whoever signed it.
const typeAssertion = "gatehouse-assertion+jwt"

// isAssertion tells whether a typ is that of assertions, in any spelling.
func isAssertion(typ string) bool {
	return strings.EqualFold(strings.TrimPrefix(strings.ToLower(typ), "application/"), typeAssertion)
}

// ErrNoKeyPair means that there is no key pair of ours that signs, so that nobody could
// check an assertion.
var ErrNoKeyPair = errors.New("no key pair signs")

// Asserter makes assertions: short tokens for a backend, by which it knows without
// trusting the network that gatehouse has let a user in. It is safe for concurrent use.
type Asserter struct {
	ring   *ring
	issuer string
	leeway time.Duration // by which tokens are taken behind their exp
	now    func() time.Time

	mu   sync.Mutex
	made *simplelru.LRU[string, assertion]
}

// assertion is one that was made, for what the key of the map says of it.
type assertion struct {
	token string
	key   *keys.Key
	again time.Time // when another is made
	ends  time.Time // exp
}

// maxAssertions is how many are remembered, of some five hundred bytes each.
const maxAssertions = 10_000

// Asserter makes assertions with the key that signs. It is nil where that is none with
// a public half, because no backend could check them.
func (a *Authority) Asserter() *Asserter {
	key := a.Keys().Signing()
	if key == nil || key.Symmetric() {
		return nil
	}
	made, _ := simplelru.NewLRU[string, assertion](maxAssertions, nil) // fails for no size alone
	return &Asserter{ring: a.verifier.ring, issuer: a.cfg.Issuer, leeway: a.cfg.Leeway, now: a.now, made: made}
}

// Assert returns an assertion of who the principal is for one audience, good for at
// most lifetime, and no longer than the token that let them in is taken. One that was made for
// the same is returned again for half of its lifetime.
func (s *Asserter) Assert(p *Principal, audience string, lifetime time.Duration) (string, error) {
	now := s.now()
	key := s.ring.set.Load().Signing()
	if key == nil || key.Symmetric() {
		return "", ErrNoKeyPair
	}
	// What is said without the times is what it is remembered by: nothing that is in
	// an assertion can be missing from it.
	said := s.claims(p, audience)
	s.mu.Lock()
	known, ok := s.made.Get(said)
	s.mu.Unlock()
	last := p.Expires.Add(s.leeway) // as long as the token lets them in, or they would be told a proof that is over
	if ok && known.key == key && now.Before(known.again) && !known.ends.After(last) {
		return known.token, nil
	}
	ends := now.Add(lifetime).Truncate(time.Second)
	if last.Before(ends) {
		ends = last
	}
	payload := strings.TrimSuffix(said, "}") + `,"iat":` + strconv.FormatInt(now.Unix(), 10) + `,"exp":` + strconv.FormatInt(ends.Unix(), 10) + "}"
	input := base64.RawURLEncoding.EncodeToString(drf.AppendASCII(nil, drf.Object{
		{Name: "alg", Value: key.Algorithm()}, {Name: "kid", Value: key.ID()}, {Name: "typ", Value: typeAssertion},
	})) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	signature, err := key.Sign(input)
	if err != nil {
		return "", err
	}
	token := input + "." + base64.RawURLEncoding.EncodeToString(signature)
	s.mu.Lock()
	s.made.Add(said, assertion{token: token, key: key, again: now.Add(lifetime / 2), ends: ends})
	s.mu.Unlock()
	return token, nil
}

// claims is who the user is, for whom, without the times.
func (s *Asserter) claims(p *Principal, audience string) string {
	said := make(drf.Object, 0, 6)
	if s.issuer != "" {
		said = append(said, drf.Member{Name: "iss", Value: s.issuer})
	}
	said = append(said, drf.Member{Name: "aud", Value: audience}, drf.Member{Name: "sub", Value: p.UserID})
	if p.User.Username != "" {
		said = append(said, drf.Member{Name: "username", Value: p.User.Username})
	}
	if p.User.Email != "" {
		said = append(said, drf.Member{Name: "email", Value: p.User.Email})
	}
	groups := p.User.Groups
	if groups == nil {
		groups = []string{}
	}
	said = append(said, drf.Member{Name: "groups", Value: groups})
	return string(drf.AppendASCII(nil, said))
}
