package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// sequence is a story of several requests, of which the later ones show tokens that
// the earlier ones gave:
//
//	== 6 the title
//	login alice: a               the pair that each side gives, under the name a
//	refresh a.refresh: b         each side is shown its own token
//	view django a.access         both are shown the token of Django (or of gatehouse)
//	verify seeded live           a token that the site had given before the import
//	disable alice                both do it; also enable, delete, and passwd alice TEXT
//	last login alice             whether it is set
//	wait                         until the next second
//
// The verbs refresh, verify and blacklist are endpoints, view is a view, and behind is
// a view of Django, which gatehouse hands the token on to. A line may end as those of
// tokens do: `; row NAME`.
type sequence struct {
	*comparison
	given     map[string][2]map[string]string // by name: what Django gave, what gatehouse gave
	changed   bool                            // a user was: gatehouse sees that within a second
	passwords map[string]string
	wires     [2]*wire
}

// sequences plays those that belong to the profile, one after the other.
func (c *comparison) sequences(t *testing.T) {
	t.Helper()
	s := sequence{
		comparison: c, given: map[string][2]map[string]string{"seeded": {c.tokens, c.tokens}}, passwords: readPasswords(t),
		wires: [2]*wire{{address: c.django, once: true}, {address: c.gatehouse.address}},
	}
	defer s.wires[0].close()
	defer s.wires[1].close()
	for _, group := range groupsOf(t, "testdata/simplejwt/sequences.txt") {
		base, rest := directives(t, group)
		if !base.isIn(c.profile.name) {
			continue
		}
		for line := range strings.SplitSeq(strings.TrimRight(rest, "\n"), "\n") {
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			x := base
			x.name += ": " + line
			parts := strings.Split(line, " ; ")
			for _, part := range parts[1:] {
				name, ok := strings.CutPrefix(part, "row ")
				if !ok {
					t.Fatalf("%s: %q", x.name, part)
				}
				x.rows = append(slices.Clone(x.rows), name)
			}
			s.play(t, x, parts[0])
		}
	}
}

func readPasswords(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/simplejwt/users.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct{ Name, Password string }
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{}
	for _, u := range all {
		passwords[u.Name] = u.Password
	}
	return passwords
}

func (s *sequence) play(t *testing.T, x inquiry, line string) {
	t.Helper()
	words := strings.Fields(line)
	name := ""
	if last := len(words) - 1; last > 0 && strings.HasSuffix(words[last-1], ":") {
		name = words[last]
		words = words[:last]
		words[last-1] = strings.TrimSuffix(words[last-1], ":")
	}
	switch words[0] {
	case "enable", "disable", "delete", "passwd":
		s.change(t, words[0], words[1], strings.Join(words[2:], " "))
		return
	case "wait":
		time.Sleep(time.Second)
		return
	case "last":
		s.lastLogin(t, x, words[2])
		return
	}
	requests := s.requests(t, x, words)
	x.ours = words[1] == "gatehouse"
	x.own = !slices.Contains([]string{"django", "gatehouse", "seeded"}, words[1])
	var answers [2]response
	for tries := 0; ; tries++ {
		for i, w := range s.wires {
			var err error
			if answers[i], err = w.ask(requests[i]); err != nil {
				t.Errorf("%s: %v", x.name, err)
				return
			}
		}
		// What was changed in another process counts within about a second.
		view := words[0] == "view" || words[0] == "behind"
		if !view || !s.changed || tries == 300 || s.agree(x, requests[1], answers) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.note(x, requests[1], answers[0], answers[1])
	if name != "" {
		var gave [2]map[string]string
		for i := range gave {
			if err := json.Unmarshal([]byte(answers[i].body), &gave[i]); err != nil || answers[i].status != http.StatusOK {
				t.Fatalf("%s: %d %s", x.name, answers[i].status, answers[i].body)
			}
		}
		s.given[name] = gave
	}
}

// requests are the same for both, but for the tokens in them.
func (s *sequence) requests(t *testing.T, x inquiry, words []string) (both [2]request) {
	t.Helper()
	if words[0] == "login" || words[0] == "sliding" {
		password := s.passwords[words[1]]
		if len(words) > 2 {
			password = strings.Join(words[2:], " ")
		}
		body, _ := json.Marshal(map[string]string{"username": words[1], "password": password})
		target := map[string]string{"login": "/api/token/", "sliding": "/api/token/sliding/"}[words[0]]
		r := request{method: "POST", target: target, header: []string{"Content-Type: application/json"}, body: string(body), hasBody: true}
		return [2]request{r, r}
	}
	where := map[string][3]string{
		"refresh": {"POST", "/api/token/refresh/", "refresh"}, "verify": {"POST", "/api/token/verify/", "token"},
		"blacklist": {"POST", "/api/token/blacklist/", "refresh"}, "slide": {"POST", "/api/token/sliding/refresh/", "token"},
		"view": {"GET", "/protected/", ""}, "behind": {"GET", "/behind/", ""},
	}
	at, ok := where[words[0]]
	if !ok {
		t.Fatalf("%s: no verb %s", x.name, words[0])
	}
	from := [2]int{0, 1}
	switch words[1] {
	case "django", "seeded":
		from = [2]int{0, 0}
	case "gatehouse":
		from = [2]int{1, 1}
	}
	name, which, _ := strings.Cut(words[len(words)-1], ".")
	if words[1] == "seeded" {
		name, which = "seeded", name
	}
	for i := range both {
		token := s.given[name][from[i]][which]
		if token == "" {
			t.Fatalf("%s: there is no token %s.%s", x.name, name, which)
		}
		both[i] = show(at[0], at[1], at[2], token, s.profile.names())
	}
	return both
}

// change does to a user what an administrator does, on both sides.
func (s *sequence) change(t *testing.T, what, user, password string) {
	t.Helper()
	s.administer(t, map[string]string{"what": what, "user": user, "password": password})
	args := []string{"user", what, user}
	if what == "passwd" {
		args = append(args, "--password-stdin")
	}
	s.gatehouse.run(t, password+"\n", args...)
	s.changed = true
}

// administer asks the Django site itself.
func (s *sequence) administer(t *testing.T, ask map[string]string) (is struct {
	There     bool `json:"there"`
	LastLogin bool `json:"last_login"`
},
) {
	t.Helper()
	body, _ := json.Marshal(ask)
	r, err := s.wires[0].ask(request{method: "POST", target: "/administration/", body: string(body), hasBody: true})
	if err != nil || r.status != http.StatusOK {
		t.Fatalf("%v: %v, %d %s", ask, err, r.status, r.body)
	}
	if err := json.Unmarshal([]byte(r.body), &is); err != nil {
		t.Fatal(err)
	}
	return is
}

func (s *sequence) lastLogin(t *testing.T, x inquiry, user string) {
	t.Helper()
	want := s.administer(t, map[string]string{"what": "ask", "user": user}).LastLogin
	var account map[string]any
	text := s.gatehouse.run(t, "", "user", "show", user, "--json")
	if err := json.Unmarshal([]byte(text), &account); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	got := account["last_login"] != nil
	s.compared++
	if got == want {
		s.agreed++
		return
	}
	s.differences = append(s.differences, fmt.Sprintf("%s: gatehouse %t, Django %t", x.name, got, want))
}
