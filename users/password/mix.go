package password

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sort"
)

// Mix is of what kinds and costs the hashes of a site are, so that a login for somebody
// who does not exist can take as long as one for somebody who does. Hashes that came from
// another system take their own time, and it would tell who exists: a site whose users
// all have PBKDF2 of 870,000 iterations answers unknown names a hundred milliseconds
// sooner with any other hash. It never changes. The zero Mix is a site where all
// hashes are preferred ones.
type Mix struct {
	secret []byte
	like   []stored // one for each kind and cost, those that are to go first
	upTo   []uint64 // the part of all names up to which it is that one
}

// NewMix makes a Mix of encoded passwords, all of a site or some taken at random. The
// secret decides which unknown name is like whom: the same for the same secret. Who
// knew it could tell a name that should be slow, were it unknown.
func (h *Hasher) NewMix(secret []byte, encoded []string) *Mix {
	m := &Mix{secret: secret}
	type same struct {
		kind *kind
		work work
	}
	counts := map[same]int{}
	one := map[same]stored{}
	all := 0
	for _, text := range encoded {
		s, ok := parse(text)
		if !ok {
			continue // a user without a password is like nobody, and nobody is like them
		}
		all++
		if s.kind.legacy && !h.acceptLegacy || s.work.memory() > h.memory || s.kind == h.preferred && h.covers(s.work) {
			continue
		}
		k := same{s.kind, s.work}
		counts[k]++
		one[k] = s
	}
	order := make([]same, 0, len(counts))
	for k := range counts {
		order = append(order, k)
	}
	// A site in which people log in has fewer of these from day to day. The order stays,
	// so that names move from them to the preferred one, as users do.
	sort.Slice(order, func(i, j int) bool {
		a, b := order[i], order[j]
		if a.kind != b.kind {
			return a.kind.name < b.kind.name
		}
		return a.work.before(b.work)
	})
	sum := 0
	for _, k := range order {
		sum += counts[k]
		m.like = append(m.like, one[k])
		m.upTo = append(m.upTo, part(sum, all))
	}
	return m
}

// part is n of all as a part of what 64 bits hold.
func part(n, all int) uint64 {
	if n >= all {
		return math.MaxUint64
	}
	return math.MaxUint64 / uint64(all) * uint64(n) //nolint:gosec // counts
}

// covers tells whether a preferred hash of that work takes the time of a preferred one.
func (h *Hasher) covers(w work) bool { return h.preferred.effort(w) <= h.preferred.effort(h.work) }

func (w work) before(other work) bool {
	a, b := []int{w.m, w.t, w.p, w.n, w.r}, []int{other.m, other.t, other.p, other.n, other.r}
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// of is a hash that the name is to be taken for; not ok is the preferred one.
func (m *Mix) of(name string) (like stored, ok bool) {
	if m == nil || len(m.like) == 0 {
		return like, false
	}
	mac := hmac.New(sha256.New, m.secret)
	mac.Write([]byte(name))
	at := binary.BigEndian.Uint64(mac.Sum(nil))
	i := sort.Search(len(m.upTo), func(i int) bool { return at <= m.upTo[i] })
	if i == len(m.like) {
		return like, false
	}
	return m.like[i], true
}

// VerifyNobody takes as long as [Hasher.Verify] with the hash of some user of the site
// and the wrong password: for the same name always with one of the same kind and cost,
// and over all names as often with each as there are users with it, of those who have one. The
// error is [ErrBusy], [ErrUnavailable] or that of ctx. A nil Mix is the zero one.
func (h *Hasher) VerifyNobody(ctx context.Context, m *Mix, name, plain string) error {
	like, ok := m.of(name)
	if !ok {
		return h.VerifyNothing(ctx, plain)
	}
	e := h.errand(plain)
	e.encoded = like.encoded
	_, err := h.run(ctx, like.work, e)
	return err
}
