package cluster

import (
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// staleFor is what TestServeStaleEnds writes as the time of store.outage. It must be more
// than the ten seconds for which nobody is asked anyhow.
var staleFor = flag.Duration("stale", 14*time.Second, "for how long TestServeStaleEnds has users served while the database is away")

// Where users are served who were known while the database is away, that ends after the
// time that is written, and all is as before when the database is back.
func TestServeStaleEnds(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, settings{replicas: 1, away: true, access: "2h", outage: func(int) string { return "serve_stale for " + staleFor.String() }})
	r := c.replicas[0]
	c.addUser("ada")
	c.addUser("bob", "staff")
	c.addUser("eve")
	client := newClient(t)
	begin := time.Now() // nobody has been read before
	ada := c.answered("login", func() answer { return login(client, r.address, "ada", passwordOf("ada")) })
	bob := c.answered("login", func() answer { return login(client, r.address, "bob", passwordOf("bob")) })
	c.heard(client, r)
	for _, token := range []string{ada.Access, bob.Access} {
		c.answered("a request", func() answer { return ask(client, r.address, "/x", token, "") })
	}
	r.network(swallow)
	away := time.Now()
	// What happens in the database meanwhile is not known here.
	c.command(t.Context(), "", "user", "disable", "bob")

	served, refused := 0, 0
	var last, first time.Duration // that passed, and that did not
	for time.Since(away) < *staleFor+3*time.Second || refused == 0 && time.Since(away) < *staleFor+patience {
		for name, token := range map[string]string{"ada": ada.Access, "bob": bob.Access} {
			a := ask(client, r.address, "/x", token, "")
			switch {
			case a.status == http.StatusOK:
				served++
				last = max(last, a.from.Sub(away))
				if a.from.After(away.Add(*staleFor)) {
					t.Errorf("%s passes %v after the database went away", name, a.from.Sub(away))
				}
			case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
				if refused++; first == 0 {
					first = a.from.Sub(away)
				}
				if a.to.Before(begin.Add(*staleFor)) {
					t.Errorf("%s is refused %v after the login", name, a.to.Sub(begin))
				}
			default:
				t.Errorf("%s: %s", name, a)
			}
		}
		if a := ask(client, r.address, "/open/x", "", ""); a.status != http.StatusOK {
			t.Errorf("a public route: %s", a)
		}
		time.Sleep(max(100*time.Millisecond, *staleFor/600))
	}
	if served == 0 || refused == 0 {
		t.Errorf("%d passed, %d were refused", served, refused)
	}
	if status, text := r.ready(); status != http.StatusServiceUnavailable || !strings.Contains(text, "the store does not answer") {
		t.Errorf("/readyz: %d %s", status, text)
	}
	login(client, r.address, "eve", passwordOf("eve")).is(t, "login", 503, "")

	r.network(passes)
	back := time.Now()
	await(t, "ada is let in again", func() error {
		if a := ask(client, r.address, "/x", ada.Access, ""); a.status != http.StatusOK {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
	healed := time.Since(back)
	await(t, "bob is known to be disabled", func() error {
		if a := ask(client, r.address, "/x", bob.Access, ""); a.status != http.StatusUnauthorized {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
	known := time.Since(back)
	await(t, "a login", func() error {
		if a := login(client, r.address, "eve", passwordOf("eve")); a.status != http.StatusOK {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
	r.awaitReady()
	t.Logf("serve_stale for %v: %d requests served, the last %v after the database went away; %d refused, the first %v after; let in again %v after it was back, what was disabled meanwhile refused after %v",
		*staleFor, served, last.Round(time.Millisecond), refused, first.Round(time.Millisecond), healed.Round(time.Millisecond), known.Round(time.Millisecond))
}
