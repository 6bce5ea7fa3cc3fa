package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
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
}

// direct makes a director for a cluster with a standby. Its account is probe.
func (c *cluster) direct(t *testing.T, l *ledger) *director {
	c.addUser("probe")
	return &director{
		t: t, c: c, l: l, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		primary: c.servers[0], standby: c.servers[1], healed: map[string]time.Duration{},
		span: func() time.Duration { return time.Second + time.Duration(chance(int(3*time.Second))) },
	}
}

// act is something that goes wrong, or that operators do.
type act struct {
	name string
	do   func(d *director)
}

func acts() []act {
	return []act{
		{"kill -9 of a replica", func(d *director) { d.restart(syscall.SIGKILL) }},
		{"restart of a replica", func(d *director) { d.restart(syscall.SIGTERM) }},
		{"kill -9 of PostgreSQL", func(d *director) {
			d.database("kill -9 of PostgreSQL", nil, func() { d.primary.Kill(d.t) }, func() { d.primary.Start(d.t) })
		}},
		{"fail-over to the standby", func(d *director) { d.failover("fail-over to the standby", false) }},
		{"fail-over, old one silent", func(d *director) { d.failover("fail-over, old one silent", true) }},
		{"partition, silent", func(d *director) { d.partition("partition, silent", swallow) }},
		{"partition, refused", func(d *director) { d.partition("partition, refused", reset) }},
		{"connections half-open", func(d *director) {
			r := d.any()
			d.database("connections half-open", r, func() {
				for _, l := range r.links {
					l.forget()
				}
			}, func() {})
		}},
		{"rotation of keys", (*director).rotateKeys},
		{"reload", (*director).reload},
	}
}

func (d *director) any() *replica { return d.c.replicas[chance(len(d.c.replicas))] }

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
	r := d.any()
	name := "kill -9 of a replica"
	if signal == syscall.SIGTERM {
		name = "restart of a replica"
	}
	w := d.l.fault(name, r, true)
	r.kill(signal)
	time.Sleep(d.span() / 4)
	r.start()
	d.whole(name, r)
	d.l.whole(w)
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
	r := d.any()
	d.database(name, r, func() { r.network(c) }, func() { r.network(passes) })
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
