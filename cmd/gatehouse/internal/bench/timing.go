package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatehouse/users/password"
)

// refusal is a kind of login that is refused: of one of many users in turn, or of a name that
// nobody has.
type refusal struct {
	kind     string
	name     func(round int) string
	password string
}

// refusals are all kinds; the others are held against the first.
func refusals() []refusal {
	one := func(name string) func(int) string { return func(int) string { return name } }
	return []refusal{
		{"wrong password", one("ada"), "a guess"},
		{"unknown user", func(round int) string { return fmt.Sprint("nobody-", round) }, "a guess"},
		{"disabled, wrong password", one("gone"), "a guess"},
		{"disabled, right password", one("gone"), passkey},
		{"no usable password", func(round int) string { return fmt.Sprint("unusable-", round%len(imported)) }, "a guess"},
	}
}

// imported are the numbers of the users that come from Django.
var imported = [12]struct{}{}

// timing is how long a login is looked at that is refused, by why it is: nobody may learn
// from it who exists. With the hashes that new users get, on a site whose users came from
// Django with theirs, and on one that is moving from those to others.
func (y *yard) timing(ctx context.Context, s settings, file string, out io.Writer) error {
	all := refusals()
	fmt.Fprintf(out, "\n## How long a refused login takes\n\nElapsed time, ms, and the median of the differences from a wrong password in the same round; then processor time\n\n| ")
	heading, rule := "", "| --- |"
	for _, r := range all {
		heading += r.kind + " | "
		rule += " --- |"
	}
	fmt.Fprintf(out, "%s\n%s\n", heading, rule)
	for _, site := range []struct{ name, preferred, cost string }{
		{"argon2id, of new users", "argon2id", ""},
		{"PBKDF2 of 870,000 iterations, from Django", "pbkdf2_sha256", "t=870000"},
	} {
		g, err := y.site(ctx, s, file, site.preferred, site.cost, "!")
		if err != nil {
			return err
		}
		took, worked, err := g.refuse(all, 12*s.rounds)
		if err = y.leave(ctx, s, file, g, err); err != nil {
			return err
		}
		line := "| " + site.name + " |"
		for i := range all {
			line += fmt.Sprintf(" %.2f (%+.1f %%); %.1f (%+.1f %%) |", median(took[i]), difference(took[i], took[0]), median(worked[i]), difference(worked[i], worked[0]))
		}
		fmt.Fprintln(out, line)
	}
	return y.moving(ctx, s, file, out)
}

// moving is of a site half of whose users have hashes of a kind that is no longer made. Each
// takes the time of their own; what counts is that over many names those who exist take
// as long as those who do not.
func (y *yard) moving(ctx context.Context, s settings, file string, out io.Writer) error {
	hasher, err := password.New(password.Config{Preferred: "pbkdf2_sha256", Cost: "t=260000"})
	if err != nil {
		return err
	}
	old, err := hasher.Hash(ctx, passkey)
	if err != nil {
		return err
	}
	g, err := y.site(ctx, s, file, "argon2id", "", old)
	if err != nil {
		return err
	}
	for i := range imported {
		if err == nil {
			err = g.tell(ctx, file, passkey, nil, "user", "add", fmt.Sprint("new-", i), "--password-stdin")
		}
	}
	users := func(round int) string {
		return fmt.Sprint([]string{"unusable-", "new-"}[round%2], round/2%len(imported))
	}
	var took, worked [][]float64
	if err == nil {
		took, worked, err = g.refuse([]refusal{
			{"wrong password", users, "a guess"},
			{"unknown user", func(round int) string { return fmt.Sprint("nobody-", round) }, "a guess"},
		}, 40*s.rounds)
	}
	if err = y.leave(ctx, s, file, g, err); err != nil {
		return err
	}
	for i, kind := range []string{"wrong password", "unknown user"} {
		fmt.Fprintf(out, "\nHalf of the users with PBKDF2 of 260,000 iterations, the others with argon2id, %s: mean %.1f ms, processor %.1f ms", kind, mean(took[i]), mean(worked[i]))
	}
	fmt.Fprintln(out)
	return nil
}

// site is a gateway with two users of its own and some that came from Django with a hash.
func (y *yard) site(ctx context.Context, s settings, file, preferred, cost, hash string) (*special, error) {
	store := ""
	if s.store != "" {
		store = "store: { driver: postgres, dsn: \"" + s.store + "\" }\n"
	}
	y.environ = []string{"GATEHOUSE_LOGIN_HASHING_PREFERRED=" + preferred, "GATEHOUSE_LOGIN_HASHING_COST=" + cost}
	defer func() { y.environ = nil }()
	g, err := y.special(ctx, "timing", file, store+`
server: { admin_listen: "ADMIN" }
tokens:
  KEYS
upstreams:
  app: { url: "http://`+y.backend.address+`" }
routes:
  - { to: app }
`, "ada:"+passkey, "gone:"+passkey)
	if err != nil {
		return nil, err
	}
	var dump []any
	for i := range imported {
		dump = append(dump, map[string]any{"model": "auth.user", "pk": 1000 + i, "fields": map[string]any{
			"username": fmt.Sprint("unusable-", i), "password": hash, "first_name": "", "last_name": "", "email": "", "is_active": true, "is_staff": false,
			"is_superuser": false, "date_joined": "2026-01-01T00:00:00Z", "last_login": nil, "groups": []any{}, "user_permissions": []any{},
		}})
	}
	text, err := json.Marshal(dump)
	path := filepath.Join(g.dir, "dump.json")
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err == nil {
		err = g.tell(ctx, file, "", nil, "import", "django", "--from", path)
	}
	if err == nil {
		err = g.tell(ctx, file, "", nil, "user", "disable", "gone")
	}
	if err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// leave ends a gateway, and takes its users out of a database that is not its own.
func (y *yard) leave(ctx context.Context, s settings, file string, g *special, err error) error {
	g.stop()
	if s.store == "" {
		return err
	}
	names := []string{"ada", "gone"}
	for i := range imported {
		names = append(names, fmt.Sprint("unusable-", i), fmt.Sprint("new-", i))
	}
	for i, name := range names {
		if e := g.tell(ctx, file, "", nil, "user", "delete", name); e != nil && i < 2 {
			err = errors.Join(err, e)
		}
	}
	return err
}

// refuse asks for every refusal in every round, in another order each time, and returns
// how long each took, and how long the program worked for it, in milliseconds.
func (g *special) refuse(all []refusal, rounds int) (took, worked [][]float64, err error) {
	took, worked = make([][]float64, len(all)), make([][]float64, len(all))
	c := &conversation{client{address: g.address}}
	defer c.close()
	for round := -2; round < rounds; round++ { // what is read for the first time is not counted
		c.close() // a connection of a client has a minute
		if _, err := c.say(post("/api/token/verify/", "10.0.0.1", `{"token":"x"}`), 401); err != nil {
			return nil, nil, err
		}
		for _, i := range shuffled(len(all)) {
			request := post("/api/token/", "10.0.0.1", fmt.Sprintf(`{"username":%q,"password":%q}`, all[i].name(max(0, round)), all[i].password))
			time.Sleep(5 * time.Millisecond) // what the one before has left behind is done
			before, began := onProcessors(g.cmd.Process.Pid), time.Now()
			if _, err := c.say(request, 401); err != nil {
				return nil, nil, err
			}
			elapsed := time.Since(began)
			if round >= 0 {
				took[i] = append(took[i], elapsed.Seconds()*1000)
				worked[i] = append(worked[i], (onProcessors(g.cmd.Process.Pid)-before).Seconds()*1000)
			}
		}
	}
	return took, worked, nil
}

// shuffled are the numbers up to n in an order that is no pattern.
func shuffled(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
		if j, err := rand.Int(rand.Reader, big.NewInt(int64(i+1))); err == nil {
			all[i], all[j.Int64()] = all[j.Int64()], all[i]
		}
	}
	return all
}

// difference is the median of how much more each took than its pair, in percent of the
// median of those.
func difference(of, than []float64) float64 {
	each := make([]float64, len(of))
	for i := range of {
		each[i] = of[i] - than[i]
	}
	return 100 * median(each) / median(than)
}

func mean(of []float64) (sum float64) {
	for _, x := range of {
		sum += x / float64(len(of))
	}
	return sum
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
