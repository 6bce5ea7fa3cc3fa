package cluster

import (
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// soakFor is for how long parts are broken at random; 0: each of them once, as in CI.
var soakFor = flag.Duration("soak", 0, "for how long TestSoak breaks parts at random; TestRevocationArrives then measures more, too")

// Three replicas, PostgreSQL with a synchronous standby, and a network between them, of
// which one part after the other is broken, while people log in, refresh, log out, get
// new passwords and groups, and account for every answer. The third replica serves users
// who are known while its database is away.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		long(t)
	}
	c := newCluster(t, settings{replicas: 3, standby: true, away: true, outage: func(i int) string {
		if i == 2 {
			return "serve_stale for 5m"
		}
		return "refuse"
	}})
	c.replicas[2].stale = true
	l := newLedger(c)
	d := c.direct(t, l)
	end := c.crowd(t, l, 8)
	time.Sleep(time.Second) // everybody is logged in
	before := make([]int, len(c.replicas))
	for i, r := range c.replicas {
		before[i] = r.memory()
	}
	if *soakFor == 0 {
		all := slices.DeleteFunc(acts(), func(a act) bool { return a.name == "fail-over to the standby" }) // the silent one is the harder
		for i := range all {
			j := i + chance(len(all)-i)
			all[i], all[j] = all[j], all[i]
		}
		d.span = func() time.Duration { return time.Second/2 + time.Duration(chance(int(time.Second))) }
		for _, a := range all {
			a.do(d)
		}
	}
	if *soakFor > 0 {
		d.breakAtRandom(*soakFor)
	}
	end()
	l.tell(t)
	for fault, took := range d.healed {
		t.Logf("healed from %s within %v", fault, took.Round(time.Millisecond))
	}
	for i, r := range c.replicas {
		goroutines, _ := r.gauge("go_goroutines")
		t.Logf("%s: %s at the start, %s at the end; %v goroutines", r.name, mebibytes(before[i]), mebibytes(r.memory()), goroutines)
		for _, line := range r.output.faults() {
			t.Errorf("%s said: %s", r.name, line)
		}
	}
}

// breakAtRandom breaks what all share, and two of the replicas, each at times of their own.
func (d *director) breakAtRandom(span time.Duration) {
	until := time.Now().Add(span)
	lane := func(d *director, of part) {
		all := actsOf(of)
		for time.Now().Before(until) {
			all[chance(len(all))].do(d)
			time.Sleep(time.Duration(chance(int(4 * time.Second))))
		}
	}
	others := []*director{d.beside(), d.beside()}
	var lanes sync.WaitGroup
	for _, other := range others {
		lanes.Go(func() { lane(other, ofReplica) })
	}
	lane(d, ofAll)
	lanes.Wait()
	for _, other := range others {
		d.heal(other)
	}
}

// heal takes over how long another has waited.
func (d *director) heal(other *director) {
	for fault, took := range other.healed {
		d.healed[fault] = max(d.healed[fault], took)
	}
}

func mebibytes(n int) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
