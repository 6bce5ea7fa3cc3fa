package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Five replicas of a new deployment start at one moment on an empty database: each of
// them serves, and no step of the schema was done twice.
func TestFiveReplicasStartAtOnce(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, settings{replicas: 5})
	c.addUser("ada")
	client := &http.Client{}
	t.Cleanup(client.CloseIdleConnections)
	for i, r := range c.replicas {
		a := login(client, r.address, "ada", passwordOf("ada"))
		if a.status != http.StatusOK {
			t.Fatalf("login at %s: %s", r.name, a)
		}
		next := c.replicas[(i+1)%len(c.replicas)].address
		if a = ask(client, next, "/x", a.Access, ""); a.status != http.StatusOK || !strings.HasPrefix(a.body, "ada|") {
			t.Errorf("a token of %s at the next one: %s", r.name, a)
		}
	}
	steps := c.servers[0].SQL(t, c.database, `SELECT version_id FROM gatehouse_schema GROUP BY version_id HAVING COUNT(*) > 1`)
	if len(steps) > 0 {
		t.Errorf("steps that were done twice: %v", steps)
	}
}

// An upgrade: a newer program has changed the schema while this one runs, which goes
// on, and may start again as long as the newer one allows.
func TestOldReplicasDuringAnUpgrade(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, settings{replicas: 2})
	c.addUser("ada")
	client := &http.Client{}
	t.Cleanup(client.CloseIdleConnections)
	pair := login(client, c.replicas[0].address, "ada", passwordOf("ada"))
	works := func(when string) {
		t.Helper()
		for _, r := range c.replicas {
			a := ask(client, r.address, "/api/token/refresh/", "", form("refresh", pair.Refresh))
			if a.status != http.StatusOK {
				t.Fatalf("%s: refresh at %s: %s", when, r.name, a)
			}
			pair = a
			if a := ask(client, r.address, "/x", pair.Access, ""); a.status != http.StatusOK {
				t.Fatalf("%s: a request to %s: %s", when, r.name, a)
			}
		}
	}
	works("before")

	// Asked without a pause while the schema changes.
	var asking sync.WaitGroup
	done := make(chan struct{})
	asking.Go(func() {
		client := &http.Client{}
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			if a := login(client, c.replicas[i%2].address, "ada", passwordOf("ada")); a.status != http.StatusOK {
				t.Errorf("a login during the upgrade: %s", a)
			}
		}
	})
	c.servers[0].SQL(t, c.database, `
		BEGIN;
		ALTER TABLE users ADD COLUMN shoe_size INTEGER;
		ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';
		INSERT INTO gatehouse_schema (version_id, is_applied) VALUES (9999, true);
		COMMIT`)
	time.Sleep(200 * time.Millisecond)
	close(done)
	asking.Wait()
	works("after")

	// It may start again, and says what it sees.
	again := c.replicas[1]
	again.kill(15)
	again.start()
	again.awaitReady()
	works("started again")
	if !strings.Contains(again.output.tail(1<<20), "newer gatehouse") {
		t.Errorf("it does not tell:\n%s", again.output.tail(3000))
	}

	// A schema that older programs must not work on: those that run go on, and none starts.
	c.servers[0].SQL(t, c.database, `UPDATE schema_support SET oldest = 9999`)
	works("no longer supported")
	again.kill(15)
	out, err := c.try(t.Context(), "", "user", "list")
	if err == nil || !strings.Contains(out, "9999") {
		t.Errorf("a command: %v\n%s", err, out)
	}
	again.start()
	select {
	case <-again.ended:
	case <-time.After(patience):
		t.Fatal("it starts on a schema that is too new")
	}
	if text := again.output.tail(2000); !strings.Contains(text, "9999") {
		t.Errorf("it does not say why it ends:\n%s", text)
	}
}

// A database that is away: nobody waits for it in a crowd, it is told, and it heals by
// itself.
func TestNobodyPilesUpBehindADatabaseThatIsAway(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, settings{replicas: 2, away: true, outage: func(i int) string {
		return []string{"refuse", "serve_stale for 5m"}[i]
	}})
	c.addUser("ada")
	c.addUser("bob")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 400}}
	t.Cleanup(client.CloseIdleConnections)
	pair := c.answered("login", func() answer { return login(client, c.replicas[0].address, "ada", passwordOf("ada")) })
	unknown := c.answered("login", func() answer { return login(client, c.replicas[0].address, "bob", passwordOf("bob")) })
	c.heard(client, c.replicas...)
	for _, r := range c.replicas {
		c.answered("a request to "+r.name, func() answer { return ask(client, r.address, "/x", pair.Access, "") })
	}
	for _, r := range c.replicas {
		r.network(swallow)
	}
	known := time.Now()
	for _, r := range c.replicas {
		before, err := r.gauge("go_goroutines")
		if err != nil {
			t.Fatal(err)
		}
		most := r.watchConnections()
		// The first of them wait for a connection, and all others do not.
		const crowd = 150
		var all sync.WaitGroup
		answers := make([]answer, 2*crowd)
		for i := range crowd {
			all.Go(func() { answers[2*i] = login(client, r.address, "nobody", "wrong") })
			all.Go(func() {
				answers[2*i+1] = ask(client, r.address, "/api/token/refresh/", "", form("refresh", pair.Refresh))
			})
		}
		all.Wait()
		for _, a := range answers {
			if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.Detail == "" {
				t.Errorf("%s: %s, want 503 with Retry-After", r.name, a)
				break
			}
		}
		var took measured
		for range 50 {
			a := login(client, r.address, "nobody", "wrong")
			if a.status != http.StatusServiceUnavailable {
				t.Fatalf("%s: %s", r.name, a)
			}
			took = append(took, a.to.Sub(a.from))
		}
		t.Logf("%s: a login while the database is away: %s", r.name, took)
		if took[len(took)/2] > 10*time.Second {
			t.Errorf("%s: logins wait: %s", r.name, took)
		}
		// Not one goroutine for each that asked, once they were answered.
		await(t, "the goroutines end", func() error {
			client.CloseIdleConnections()
			if n, err := r.gauge("go_goroutines"); err != nil || n > before+50 {
				return errors.Join(err, fmt.Errorf("%v of %v before", n, before))
			}
			return nil
		})
		if n := most(); n == 0 || n > 17 {
			t.Errorf("%s: %d connections to the database at once, want 16 and one that listens", r.name, n)
		}
	}

	// Ten seconds later the one knows nobody any more, and the other who was there.
	time.Sleep(time.Until(known.Add(bound + 100*time.Millisecond)))
	for i, r := range c.replicas {
		want := []int{http.StatusServiceUnavailable, http.StatusOK}[i]
		if a := ask(client, r.address, "/x", pair.Access, ""); a.status != want {
			t.Errorf("%s, who was known: %s, want %d", r.name, a, want)
		}
		if a := ask(client, r.address, "/x", unknown.Access, ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("%s, who was not known: %s, want 503", r.name, a)
		}
		if a := ask(client, r.address, "/open/x", "", ""); a.status != http.StatusOK {
			t.Errorf("%s, a public route: %s", r.name, a)
		}
		status, text := r.ready()
		if status != want || !strings.Contains(text, "the store does not answer") {
			t.Errorf("%s: /readyz: %d %s, want %d", r.name, status, text, want)
		}
	}
	for _, r := range c.replicas {
		r.network(passes)
		begin := time.Now()
		r.awaitReady()
		await(t, "a login", func() error {
			if a := login(client, r.address, "ada", passwordOf("ada")); a.status != http.StatusOK {
				return fmt.Errorf("%s", a)
			}
			return nil
		})
		t.Logf("%s: healed within %v", r.name, time.Since(begin))
	}
	// The refresh that was not answered again and again is still good.
	c.answered("the refresh token", func() answer {
		return ask(client, c.replicas[0].address, "/api/token/refresh/", "", form("refresh", pair.Refresh))
	})
}
