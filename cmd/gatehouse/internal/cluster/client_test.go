package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
)

const (
	// bound is after when nothing that was revoked passes, whatever fails.
	bound = 10 * time.Second
	// healing is how long after a fault has ended somebody may still be told of it. A
	// second is documented; the rest is for a machine that is busy.
	healing = 10 * time.Second
	// tokenAge is when an access token may have expired.
	tokenAge = 4*time.Minute + 30*time.Second
)

// ledger accounts for every request: each answer is right, or one that a fault of that
// moment explains as documented, or wrong.
type ledger struct {
	mu       sync.Mutex
	began    time.Time
	answers  map[string]int // by what was asked and answered
	excused  map[string]int // of those, by the fault that explains them
	windows  []*window
	wrong    []string
	slowest  map[string]time.Duration // of those that were refused, by the fault
	revoked  int                      // tokens that were shown until they were refused
	latest   time.Duration            // the longest that one of them passed
	chains   int                      // refreshes of which the answer got lost, and that went on
	replicas []*replica
}

func newLedger(c *cluster) *ledger {
	return &ledger{
		began: time.Now(), answers: map[string]int{}, excused: map[string]int{}, slowest: map[string]time.Duration{}, replicas: c.replicas,
	}
}

// window is the time in which something is broken.
type window struct {
	fault    string
	replica  *replica // nil: all
	down     bool     // the replica does not run; else it cannot ask its database
	from, to time.Time
}

// fault opens a window before something is broken. It is closed when that is whole.
func (l *ledger) fault(name string, r *replica, down bool) *window {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &window{fault: name, replica: r, down: down, from: time.Now()}
	l.windows = append(l.windows, w)
	return w
}

func (l *ledger) whole(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.to = time.Now()
}

// excuse returns the fault that explains an answer, or "". The lock must be held.
func (l *ledger) excuse(r *replica, a answer, down bool) string {
	for _, w := range slices.Backward(l.windows) {
		if w.down == down && (w.replica == nil || w.replica == r) && !a.to.Before(w.from) && (w.to.IsZero() || a.from.Before(w.to.Add(healing))) {
			return w.fault
		}
	}
	return ""
}

// away tells whether a replica could not ask its database at some moment since then.
func (l *ledger) away(r *replica, since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.excuse(r, answer{from: since, to: time.Now()}, false) != ""
}

// note accounts for an answer, and tells whether it is one: what a fault explains is
// none. right are the statuses that are.
func (l *ledger) note(who, what string, r *replica, a answer, right ...int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[fmt.Sprintf("%s %d", what, a.status)]++
	if slices.Contains(right, a.status) {
		return true
	}
	excuse := ""
	switch {
	case a.status == 0:
		excuse = l.excuse(r, a, true)
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" && a.Detail != "":
		excuse = l.excuse(r, a, false)
	}
	if excuse != "" {
		l.excused[excuse]++
		l.slowest[excuse] = max(l.slowest[excuse], a.to.Sub(a.from))
		return false
	}
	l.accuse("%s: %s at %s after %v: %s, want %v", who, what, r.name, a.to.Sub(a.from).Round(time.Millisecond), a, right)
	return false
}

// accuse notes what is wrong. The lock must be held.
func (l *ledger) accuse(format string, args ...any) {
	text := fmt.Sprintf("%7.3fs ", time.Since(l.began).Seconds()) + fmt.Sprintf(format, args...)
	for _, w := range l.windows {
		if w.to.IsZero() || time.Since(w.to) < 30*time.Second {
			text += fmt.Sprintf("; %s since %.3fs", w.fault, w.from.Sub(l.began).Seconds())
			if !w.to.IsZero() {
				text += fmt.Sprintf(" until %.3fs", w.to.Sub(l.began).Seconds())
			}
		}
	}
	l.wrong = append(l.wrong, text)
}

// overlaps counts faults that began while another was not whole yet.
func (l *ledger) overlaps() (n int) {
	for i, w := range l.windows {
		if slices.ContainsFunc(l.windows[:i], func(other *window) bool {
			return other.to.After(w.from) && other.from.Before(other.to) && w.from.Before(w.to)
		}) {
			n++
		}
	}
	return n
}

// requests counts all of them.
func (l *ledger) requests() (n int) {
	for _, count := range l.answers {
		n += count
	}
	return n
}

// tell logs what was accounted for, and fails if anything is wrong.
func (l *ledger) tell(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	faults := map[string]int{}
	for _, w := range l.windows {
		faults[w.fault]++
	}
	t.Logf("requests: %d in %v; wrong answers: %d", l.requests(), time.Since(l.began).Round(time.Second), len(l.wrong))
	for _, what := range slices.Sorted(maps.Keys(l.answers)) {
		t.Logf("  %-28s %7d", what, l.answers[what])
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		t.Logf("  %-28s %7d times, %d requests refused for it, the slowest after %v",
			fault, faults[fault], l.excused[fault], l.slowest[fault].Round(time.Millisecond))
	}
	t.Logf("faults that began while another one was not whole yet: %d", l.overlaps())
	t.Logf("revoked tokens shown until they were refused: %d, the latest %v after; refreshes whose answer was lost, and that went on: %d",
		l.revoked, l.latest.Round(time.Millisecond), l.chains)
	for i, text := range l.wrong {
		if i == 20 {
			t.Errorf("and %d more", len(l.wrong)-i)
			break
		}
		t.Error(text)
	}
}

// person is one client with an account of their own, who asks any replica, one request
// after the other, and knows what is right.
type person struct {
	c      *cluster
	l      *ledger
	store  *users.Store // for what commands do
	client *http.Client
	name   string

	password        string
	access, refresh string
	since           time.Time // when the access token was made
	staff           bool
	doubt           bool // the answer to the last refresh got lost
	enabled         time.Time
}

func (c *cluster) person(l *ledger, store *users.Store, name string) *person {
	c.addUser(name)
	return &person{
		c: c, l: l, store: store, name: name, password: passwordOf(name),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}
}

func (p *person) any() *replica { return p.c.replicas[chance(len(p.c.replicas))] }

// goOn does one thing after the other until ctx ends.
func (p *person) goOn(ctx context.Context) {
	defer p.client.CloseIdleConnections()
	for ctx.Err() == nil {
		if p.access == "" {
			p.login(ctx)
			continue
		}
		switch n := chance(1000); {
		case time.Since(p.since) > tokenAge-time.Minute, n < 100:
			p.renew(ctx)
		case n < 860:
			p.get()
		case n < 960:
			p.verify()
		case n < 970:
			p.login(ctx)
		case n < 980:
			p.logout(ctx)
		case n < 985:
			p.newPassword(ctx)
		case n < 990:
			p.disable(ctx)
		default:
			p.regroup(ctx)
		}
		rest(ctx, time.Duration(chance(20))*time.Millisecond)
	}
}

// chance returns a number from 0 up that is less than n.
func chance(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0
	}
	return int(i.Int64())
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *person) login(ctx context.Context) {
	for ctx.Err() == nil {
		r := p.any()
		a := login(p.client, r.address, p.name, p.password)
		if p.l.note(p.name, "login", r, a, http.StatusOK) {
			p.access, p.refresh, p.since, p.doubt = a.Access, a.Refresh, a.from, false
			return
		}
		rest(ctx, 50*time.Millisecond)
	}
}

// get sends a request that is to be forwarded, and looks who the backend is told.
func (p *person) get() {
	r := p.any()
	a := ask(p.client, r.address, "/x", p.access, "")
	if p.late(r, a) || !p.l.note(p.name, "request", r, a, http.StatusOK) {
		return
	}
	if name, _, _ := strings.Cut(a.body, "|"); name != p.name {
		p.l.mu.Lock()
		defer p.l.mu.Unlock()
		p.l.accuse("%s is taken for %q", p.name, name)
	}
}

// late tells whether a replica has not heard yet that the account is active again, and
// accounts for the answer if so. It may take as long as that it is not.
func (p *person) late(r *replica, a answer) bool {
	if a.status != http.StatusUnauthorized || a.Code != "user_inactive" || p.enabled.IsZero() {
		return false
	}
	if a.from.Sub(p.enabled) > bound+time.Second && (!r.stale || !p.l.away(r, a.from)) {
		return false
	}
	return p.l.note(p.name, "request, enabled again", r, a, http.StatusUnauthorized)
}

func (p *person) verify() {
	r := p.any()
	a := ask(p.client, r.address, "/api/token/verify/", "", form("token", p.refresh))
	if p.doubt { // it may have been exchanged
		p.l.note(p.name, "verify", r, a, http.StatusOK, http.StatusUnauthorized)
		return
	}
	p.l.note(p.name, "verify", r, a, http.StatusOK)
}

// renew shows the refresh token until it is answered, as a client does whose answer got
// lost: it must never be the end of a session.
func (p *person) renew(ctx context.Context) {
	for ctx.Err() == nil {
		r := p.any()
		a := ask(p.client, r.address, "/api/token/refresh/", "", form("refresh", p.refresh))
		if p.l.note(p.name, "refresh", r, a, http.StatusOK) {
			if p.doubt {
				p.l.mu.Lock()
				p.l.chains++
				p.l.mu.Unlock()
			}
			p.access, p.refresh, p.since, p.doubt = a.Access, a.Refresh, a.from, false
			return
		}
		if a.status == http.StatusUnauthorized {
			p.access = "" // it was noted as wrong
			return
		}
		p.doubt = true
		rest(ctx, 50*time.Millisecond)
	}
}

func (p *person) logout(ctx context.Context) {
	for ctx.Err() == nil {
		r := p.any()
		a := ask(p.client, r.address, "/api/token/logout/", "", form("token", p.access))
		// Whoever was not answered may have been logged out.
		if p.l.note(p.name, "logout", r, a, http.StatusOK, http.StatusUnauthorized) {
			p.over(ctx, time.Now())
			return
		}
		rest(ctx, 50*time.Millisecond)
	}
}

func (p *person) newPassword(ctx context.Context) {
	next := fmt.Sprint("password ", chance(1<<40))
	if p.insist(ctx, func() error { return p.store.SetPassword(ctx, p.name, next) }) {
		old := p.password
		p.password = next
		done := time.Now()
		r := p.any()
		p.l.note(p.name, "login, old password", r, login(p.client, r.address, p.name, old), http.StatusUnauthorized)
		p.over(ctx, done)
	}
}

func (p *person) disable(ctx context.Context) {
	active := func(yes bool) bool {
		return p.insist(ctx, func() error {
			_, err := p.store.UpdateUser(ctx, p.name, users.Change{Active: &yes})
			return err
		})
	}
	if !active(false) {
		return
	}
	done := time.Now()
	r := p.any()
	p.l.note(p.name, "login, disabled", r, login(p.client, r.address, p.name, p.password), http.StatusUnauthorized)
	p.over(ctx, done)
	active(true)
	p.enabled = time.Now()
}

// regroup gives or takes the group that a route asks for, and looks when it counts.
func (p *person) regroup(ctx context.Context) {
	change := users.Change{AddGroups: []string{"staff"}}
	if p.staff {
		change = users.Change{RemoveGroups: []string{"staff"}}
	}
	ok := p.insist(ctx, func() error {
		_, err := p.store.UpdateUser(ctx, p.name, change)
		return err
	})
	if !ok {
		return
	}
	p.staff = !p.staff
	right, wrong := http.StatusOK, http.StatusForbidden
	if !p.staff {
		right, wrong = wrong, right
	}
	p.until(ctx, "request, staff", "/staff/x", right, wrong, time.Now())
}

// insist does what a command does until it is done. Whatever may have been done by one
// that failed is done by the next.
func (p *person) insist(ctx context.Context, do func() error) bool {
	for ctx.Err() == nil {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() == nil && !p.l.away(nil, time.Now().Add(-time.Minute)) {
			p.l.mu.Lock()
			p.l.accuse("%s: a change fails: %v", p.name, err)
			p.l.mu.Unlock()
		}
		rest(ctx, 200*time.Millisecond)
	}
	return false
}

// over shows tokens that are good no more, until they are refused everywhere. Of a
// refresh token that is at once.
func (p *person) over(ctx context.Context, since time.Time) {
	r := p.any()
	a := ask(p.client, r.address, "/api/token/refresh/", "", form("refresh", p.refresh))
	p.l.note(p.name, "refresh, revoked", r, a, http.StatusUnauthorized)
	p.until(ctx, "request, revoked", "/x", http.StatusUnauthorized, http.StatusOK, since)
	p.access = ""
}

// until asks every replica until each has given the new answer; the old one is right
// within the bound alone.
func (p *person) until(ctx context.Context, what, path string, next, old int, since time.Time) {
	open := slices.Clone(p.c.replicas)
	for len(open) > 0 && ctx.Err() == nil {
		open = slices.DeleteFunc(open, func(r *replica) bool {
			a := ask(p.client, r.address, path, p.access, "")
			if time.Since(p.since) > tokenAge {
				return true
			}
			if next != http.StatusUnauthorized && p.late(r, a) || !p.l.note(p.name, what, r, a, next, old) {
				rest(ctx, 50*time.Millisecond)
				return false
			}
			took := a.from.Sub(since)
			p.l.mu.Lock()
			defer p.l.mu.Unlock()
			if a.status == next {
				p.l.revoked++
				return true
			}
			p.l.latest = max(p.l.latest, took)
			// Where users are served who were known, what is revoked counts when the
			// database is back; a second for who was asked while that happened.
			if took > bound+time.Second && (!r.stale || p.l.excuse(r, a, false) == "") {
				p.l.accuse("%s: %s at %s is answered %s %v after it was changed", p.name, what, r.name, a, took.Round(time.Millisecond))
				return true
			}
			return false
		})
		rest(ctx, time.Duration(cmp.Or(chance(20), 1))*time.Millisecond)
	}
}
