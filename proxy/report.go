package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// reports counts what policies would have refused where they only report: for the
// weeks in which one looks at the numbers and waits until they are 0. Safe for
// concurrent use; it holds no more than there are rules and reasons.
type reports struct {
	mu     sync.Mutex
	counts map[reported]int64
	told   time.Time // when the last summary was logged
	since  int64     // that many are not in it yet
}

type reported struct{ field, reason string }

// Reported is how often one rule would have refused for one reason.
type Reported struct {
	Field  string // the route or rule: "routes[0].rules[2]"
	Reason string // as in the access log
	Count  int64
}

// reportEvery is how often the log has a summary, while there is something new.
const reportEvery = time.Minute

// note counts what was reported, and says when it is time for a summary.
func (r *reports) note(field, reason string, now time.Time) (summary bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[reported]int64{}
		r.told = now
	}
	r.counts[reported{field, reason}]++
	r.since++
	if now.Sub(r.told) < reportEvery {
		return false
	}
	r.told, r.since = now, 0
	return true
}

// list is sorted by field and reason.
func (r *reports) list() []Reported {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Reported, 0, len(r.counts))
	for what, n := range r.counts {
		list = append(list, Reported{what.field, what.reason, n})
	}
	slices.SortFunc(list, func(a, b Reported) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}

// Reported is what has been let through only because a policy reports, since the
// gateway was made.
func (g *Gateway) Reported() []Reported { return g.reports.list() }

// noteReported counts a decision that was reported.
func (g *Gateway) noteReported(d *Decision) {
	if d.Reported != nil && g.reports.note(d.Match.Field(), d.Reported.Reason, g.now()) {
		g.logReported()
	}
}

// logReported writes the summary. It is a warning: everybody passes there.
func (g *Gateway) logReported() {
	for _, r := range g.Reported() {
		g.logger.LogAttrs(context.Background(), slog.LevelWarn, "would be refused without mode: report",
			slog.String("rule", r.Field), slog.String("reason", r.Reason), slog.Int64("requests", r.Count))
	}
}
