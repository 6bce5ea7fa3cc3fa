package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// timing is how long a login is looked at that is refused, by why it is: nobody may learn
// from it who exists. Once with the hashes that new users get, and once on a site whose
// users came from Django with theirs.
func (y *yard) timing(ctx context.Context, s settings, file string, out io.Writer) error {
	fmt.Fprintf(out, "\n## How long a refused login takes\n\n| processor time, elapsed, ms | ")
	type attempt struct{ name, user, password string }
	attempts := []attempt{
		{"wrong password", "ada", "a guess"},
		{"unknown user", "nobody-at-all", "a guess"},
		{"disabled user, wrong password", "gone", "a guess"},
		{"disabled user, right password", "gone", passkey},
	}
	heading, rule := "", "| --- |"
	for _, a := range attempts {
		heading += a.name + " | "
		rule += " --- |"
	}
	fmt.Fprintf(out, "%s\n%s\n", heading, rule)
	for _, site := range []struct{ name, preferred, cost string }{
		{"argon2id, of new users", "argon2id", ""},
		{"PBKDF2 of 870,000 iterations, from Django", "pbkdf2_sha256", "t=870000"},
	} {
		store := ""
		if s.store != "" {
			store = "store: { driver: postgres, dsn: \"" + s.store + "\" }\n"
		}
		y.environ = []string{"GATEHOUSE_LOGIN_HASHING_PREFERRED=" + site.preferred, "GATEHOUSE_LOGIN_HASHING_COST=" + site.cost}
		g, err := y.special(ctx, "timing", file, store+`
server: { admin_listen: "ADMIN" }
tokens:
  KEYS
upstreams:
  app: { url: "http://`+y.backend.address+`" }
routes:
  - { to: app }
`, "ada:"+passkey, "gone:"+passkey)
		y.environ = nil
		if err != nil {
			return err
		}
		err = g.tell(ctx, file, "", nil, "user", "disable", "gone")
		worked, took := make([][]float64, len(attempts)), make([][]float64, len(attempts))
		c := &conversation{client{address: g.address}}
		for range 12 * s.rounds {
			c.close() // a connection of a client has a minute
			for i, a := range attempts {
				if err != nil {
					break
				}
				before, began := onProcessors(g.cmd.Process.Pid), time.Now()
				_, err = c.say(post("/api/token/", "10.0.0.1", fmt.Sprintf(`{"username":%q,"password":%q}`, a.user, a.password)), 401)
				took[i] = append(took[i], time.Since(began).Seconds()*1000)
				worked[i] = append(worked[i], (onProcessors(g.cmd.Process.Pid)-before).Seconds()*1000)
			}
		}
		c.close()
		if err == nil && s.store != "" {
			for _, name := range []string{"ada", "gone"} {
				err = g.tell(ctx, file, "", nil, "user", "delete", name, "--yes")
			}
		}
		g.stop()
		if err != nil {
			return err
		}
		line := "| " + site.name + " |"
		for i := range attempts {
			line += fmt.Sprintf(" %.1f (%.2f), %.1f (%.2f) |", median(worked[i]), median(worked[i])/median(worked[0]), median(took[i]), median(took[i])/median(took[0]))
		}
		fmt.Fprintln(out, line)
	}
	return nil
}

// onProcessors is how long the threads of a process were running, to the nanosecond.
func onProcessors(pid int) time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum int64
	for _, file := range files {
		text, _ := os.ReadFile(file)
		first, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		sum += n
	}
	return time.Duration(sum)
}
