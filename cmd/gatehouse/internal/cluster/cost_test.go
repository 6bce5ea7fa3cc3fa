package cluster

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What logins and refreshes take of the processor, here and in the database, for the
// rule of docs/high-availability.md. With -soak alone: it measures, and asserts nothing.
func TestWhatLoginsCost(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("it measures; -soak 1m runs it")
	}
	c := newCluster(t, settings{replicas: 1})
	c.addUser("ada")
	client := newClient(t)
	r := c.replicas[0]
	pair := login(client, r.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
	for what, do := range map[string]func() answer{
		"login": func() answer { return login(client, r.address, "ada", passwordOf("ada")) },
		"refresh": func() answer {
			a := refresh(client, r, pair.Refresh)
			if a.status == http.StatusOK {
				pair = a
			}
			return a
		},
		"verify":  func() answer { return ask(client, r.address, "/api/token/verify/", "", form("token", pair.Refresh)) },
		"request": func() answer { return ask(client, r.address, "/x", pair.Access, "") },
	} {
		const n = 200
		statements := func() int {
			time.Sleep(1500 * time.Millisecond) // until the server has counted
			count, _ := strconv.Atoi(c.servers[0].SQL(t, c.database, `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`)[0])
			return count
		}
		before, transactions := r.processor(), statements()
		begin := time.Now()
		for range n {
			do().is(t, what, 200, "")
		}
		took := time.Since(begin)
		cost := r.processor() - before
		idle := int(time.Since(begin).Seconds() + 1.5) // the feed is asked every second
		t.Logf("%s: %v of the processor, %v from end to end, %.1f transactions", what, cost/n, took/n, float64(statements()-transactions-idle)/n)
	}
}

// processor returns what the process has taken of processors.
func (r *replica) processor() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
