package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/users/userstest/postgres"
)

// director breaks one thing after the other, and waits each time until all is whole.
type director struct {
	t       *testing.T
	c       *cluster
	l       *ledger
	client  *http.Client
	primary *postgres.Server
	standby *postgres.Server
	span    func() time.Duration // how long something stays broken
	healed  map[string]time.Duration
	reloads int
	taken   *taken
}

// taken are replicas of which one is broken already, by a director or another.
type taken struct {
	mu       sync.Mutex
	replicas map[*replica]bool
}

// beside makes a director that breaks other replicas at the same time.
func (d *director) beside() *director {
	other := *d
	other.healed = map[string]time.Duration{}
	return &other
}

// direct makes a director for a cluster with a standby. Its account is probe.
func (c *cluster) direct(t *testing.T, l *ledger) *director {
	c.addUser("probe")
	return &director{
		t: t, c: c, l: l, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		primary: c.servers[0], standby: c.servers[1], healed: map[string]time.Duration{}, taken: &taken{replicas: map[*replica]bool{}},
		span: func() time.Duration { return time.Second + time.Duration(chance(int(3*time.Second))) },
	}
}

// act is something that goes wrong, or that operators do.
type act struct {
	name string
	of   part // what it is about: parts break at the same time, too
	do   func(d *director)
}

// part is what an act is about.
type part int

const (
	ofReplica part = iota
	ofAll
)

// actsOf are those about a part.
func actsOf(of part) []act {
	return slices.DeleteFunc(acts(), func(a act) bool { return a.of != of })
}

func acts() []act {
	return []act{
		{"kill -9 of a replica", ofReplica, func(d *director) { d.restart(syscall.SIGKILL) }},
		{"restart of a replica", ofReplica, func(d *director) { d.restart(syscall.SIGTERM) }},
		{"kill -9 of PostgreSQL", ofAll, func(d *director) {
			d.database("kill -9 of PostgreSQL", nil, func() { d.primary.Kill(d.t) }, func() { d.primary.Start(d.t) })
		}},
		{"fail-over to the standby", ofAll, func(d *director) { d.failover("fail-over to the standby", false) }},
		{"fail-over, old one silent", ofAll, func(d *director) { d.failover("fail-over, old one silent", true) }},
		{"partition, silent", ofReplica, func(d *director) { d.partition("partition, silent", swallow) }},
		{"partition, refused", ofReplica, func(d *director) { d.partition("partition, refused", reset) }},
		{"connections half-open", ofReplica, func(d *director) {
			d.withOne(func(r *replica) {
				d.database("connections half-open", r, func() {
					for _, l := range r.links {
						l.forget()
					}
				}, func() {})
			})
		}},
		{"rotation of keys", ofAll, (*director).rotateKeys},
		{"reload", ofAll, (*director).reload},
	}
}

func (d *director) any() *replica { return d.c.replicas[chance(len(d.c.replicas))] }

// withOne has a replica broken that nobody else is breaking.
func (d *director) withOne(broken func(r *replica)) {
	for {
		r := d.any()
		d.taken.mu.Lock()
		free := !d.taken.replicas[r]
		if free {
			d.taken.replicas[r] = true
		}
		d.taken.mu.Unlock()
		if free {
			broken(r)
			d.taken.mu.Lock()
			delete(d.taken.replicas, r)
			d.taken.mu.Unlock()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// whole waits until replicas serve again, as a login and a request show.
func (d *director) whole(fault string, replicas ...*replica) {
	begin := time.Now()
	var all sync.WaitGroup
	for _, r := range replicas {
		all.Go(func() {
			for ; ; time.Sleep(20 * time.Millisecond) {
				a := login(d.client, r.address, "probe", passwordOf("probe"))
				if a.status == http.StatusOK {
					a = ask(d.client, r.address, "/x", a.Access, "")
				}
				if status, _ := r.ready(); a.status == http.StatusOK && status == http.StatusOK {
					return
				}
				if time.Since(begin) > 2*patience {
					d.t.Errorf("%s does not heal from %s: %s\n%s", r.name, fault, a, r.output.tail(3000))
					return
				}
			}
		})
	}
	all.Wait()
	d.healed[fault] = max(d.healed[fault], time.Since(begin))
}

func (d *director) restart(signal syscall.Signal) {
	name := "kill -9 of a replica"
	if signal == syscall.SIGTERM {
		name = "restart of a replica"
	}
	d.withOne(func(r *replica) {
		down := d.l.fault(name, r, true)
		r.kill(signal)
		time.Sleep(d.span() / 4)
		d.start(r)
		d.l.whole(down)
		d.whole(name, r)
	})
}

// start starts a replica as whoever looks after processes does: again, as long as it ends
// because its database is away.
func (d *director) start(r *replica) {
	for begin := time.Now(); time.Since(begin) < 2*patience; {
		r.start()
		r.mu.Lock()
		ended := r.ended
		r.mu.Unlock()
		for runs := true; runs; {
			if a := ask(d.client, r.address, "/open/x", "", ""); a.status != 0 {
				return
			}
			select {
			case <-ended:
				runs = false
			case <-time.After(20 * time.Millisecond):
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	d.t.Errorf("%s does not start again\n%s", r.name, r.output.tail(3000))
}

// database keeps one replica, or all of them, from the database for a while.
func (d *director) database(name string, r *replica, broken, mended func()) {
	w := d.l.fault(name, r, false)
	broken()
	time.Sleep(d.span())
	mended()
	if r != nil {
		d.whole(name, r)
	} else {
		d.whole(name, d.c.replicas...)
	}
	d.l.whole(w)
}

func (d *director) partition(name string, c condition) {
	d.withOne(func(r *replica) {
		d.database(name, r, func() { r.network(c) }, func() { r.network(passes) })
	})
}

// failover kills the primary, and promotes the standby. A machine that is gone refuses
// nothing: silent.
func (d *director) failover(name string, silent bool) {
	old := 0
	if d.primary == d.c.servers[1] {
		old = 1
	}
	network := func(c condition) {
		for _, r := range d.c.replicas {
			r.links[old].become(c)
		}
	}
	d.database(name, nil, func() {
		if silent {
			network(swallow)
		}
		d.primary.Kill(d.t)
	}, func() { d.standby.Promote(d.t) })
	d.primary, d.standby = d.standby, d.primary
	d.standby.Follow(d.t, d.primary)
	network(passes)
}

func (d *director) rotateKeys() {
	if _, err := d.c.try(d.t.Context(), "", "keys", "rotate", "--now"); err != nil {
		// One is under way already.
		d.t.Logf("keys rotate: %v", err)
		return
	}
	d.l.mark("rotation of keys")
}

// reload changes a configuration, and tells the replica.
func (d *director) reload() {
	r := d.any()
	text, err := os.ReadFile(r.config)
	if err != nil {
		d.t.Fatal(err)
	}
	d.reloads++
	writeFile(d.t, r.config, string(text)+fmt.Sprintf("# change %d\n", d.reloads))
	r.signal(syscall.SIGHUP)
	d.l.mark("reload")
}

// mark notes something that excuses nothing.
func (l *ledger) mark(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.windows = append(l.windows, &window{fault: name, replica: &replica{}, down: true, from: now, to: now})
}

// crowd runs people until the function that is returned ends them.
func (c *cluster) crowd(t *testing.T, l *ledger, n int) (end func()) {
	store := c.store(t)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range n {
		p := c.person(l, store, fmt.Sprint("person", i))
		all.Go(func() { p.goOn(ctx) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}
