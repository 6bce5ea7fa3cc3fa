package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// profile is one way to set SimpleJWT up.
type profile struct {
	name     string
	settings string      // SIMPLE_JWT as JSON, with seconds for durations; gatehouse has what the import makes of it
	tokens   string      // what gatehouse has beside that in its section tokens
	claims   [][2]string // what the usual token has beside or instead of its own, as JSON
	last     string      // what every new token ends with
	always   bool        // it is compared also where programs may be missing
}

var profiles = []profile{
	{name: "default", always: true},
	{name: "rotate", settings: `{"ROTATE_REFRESH_TOKENS": true}`},
	{name: "rotate and blacklist", always: true, settings: `{"ROTATE_REFRESH_TOKENS": true, "BLACKLIST_AFTER_ROTATION": true}`},
	{name: "last login", settings: `{"UPDATE_LAST_LOGIN": true}`},
	{
		name:     "issuer and audience",
		settings: `{"ISSUER": "https://site.example/", "AUDIENCE": ["us", "them"], "ACCESS_TOKEN_LIFETIME": 600, "REFRESH_TOKEN_LIFETIME": 7200}`,
		claims:   [][2]string{{"aud", `"us"`}, {"iss", `"https://site.example/"`}},
		last:     `,"aud":["us","them"],"iss":"https://site.example/"`,
	},
	{name: "leeway", settings: `{"LEEWAY": 30}`},
	{
		name: "revoke on password change", settings: `{"CHECK_REVOKE_TOKEN": true}`,
		claims: [][2]string{{"user_id", `"` + idle + `"`}, {"hash_password", `"` + idleDigest + `"`}},
		last:   `,"hash_password":a digest`,
	},
	{
		name: "sliding", always: true,
		settings: `{"AUTH_TOKEN_CLASSES": ["rest_framework_simplejwt.tokens.AccessToken", "rest_framework_simplejwt.tokens.SlidingToken"],
			"SLIDING_TOKEN_LIFETIME": 900, "SLIDING_TOKEN_REFRESH_LIFETIME": 43200}`,
	},
	{
		name:     "other names",
		settings: `{"AUTH_HEADER_TYPES": ["JWT", "Bearer"], "AUTH_HEADER_NAME": "HTTP_X_ACCESS_TOKEN", "USER_ID_CLAIM": "uid", "TOKEN_TYPE_CLAIM": "kind", "JTI_CLAIM": "id"}`,
	},
	{name: "as before 5.5", tokens: "legacy: { texts: true, integer_user_id: true }"},
}

// idle is the user who never logs in, and so keeps a hash that is known.
const (
	idle       = "44"
	idleDigest = "4DCE5C19C5F10A3FD9514782AF213100"
)

// setting returns one of SIMPLE_JWT, or its default.
func (p profile) setting(name string, usual any) any {
	all := map[string]any{}
	_ = json.Unmarshal([]byte(p.settings), &all)
	if value, ok := all[name]; ok {
		return value
	}
	return usual
}

func (p profile) lifetime(name string, usual float64) time.Duration {
	return time.Duration(p.setting(name, usual).(float64) * float64(time.Second))
}

// lifetimes are those that tokens of the profile have.
func (p profile) lifetimes() []time.Duration {
	return []time.Duration{
		p.lifetime("ACCESS_TOKEN_LIFETIME", 300), p.lifetime("REFRESH_TOKEN_LIFETIME", 86400),
		p.lifetime("SLIDING_TOKEN_LIFETIME", 300), p.lifetime("SLIDING_TOKEN_REFRESH_LIFETIME", 86400),
	}
}

// The real Django REST Framework with SimpleJWT and the built gatehouse get the same
// key, the same users and the same requests, in each profile. Status, headers and body
// must be the same, tokens taken apart. Debian has version 5.2.2; what newer ones
// answer otherwise, and what gatehouse does on purpose, is in the rows of
// simplejwt_rows_test.go, and nothing else may differ.
func TestSimpleJWT(t *testing.T) {
	original := newOriginals(t)
	rows := newLedger(t)
	var ran atomic.Int64
	var starting sync.Mutex
	for _, p := range profiles {
		t.Run(p.name, func(t *testing.T) {
			if !p.always && os.Getenv("GATEHOUSE_TEST_REQUIRE") == "" {
				t.Skip("takes a while, and GATEHOUSE_TEST_REQUIRE is not set")
			}
			t.Parallel()
			starting.Lock() // an address that is free now is free for one
			c := newComparison(t, original, rows, p)
			starting.Unlock()
			c.corpus(t, readCorpus(t, p))
			c.sequences(t)
			t.Logf("%s: %d agreed of %d compared, %d of them as %d rows expect", p.name, c.agreed, c.compared, c.byRow, len(c.used))
			const shown = 40
			for _, difference := range c.differences[:min(len(c.differences), shown)] {
				t.Error(difference)
			}
			if more := len(c.differences) - shown; more > 0 {
				t.Errorf("and %d more", more)
			}
			ran.Add(1)
		})
	}
	t.Cleanup(func() { // behind all profiles
		if int(ran.Load()) == len(profiles) {
			rows.dead(t)
		}
	})
}

// comparison is a profile that is under way.
type comparison struct {
	profile   profile
	django    string // its address
	gatehouse *site
	tokens    map[string]string
	rows      *ledger

	mu               sync.Mutex
	compared, agreed int
	byRow            int
	used             map[string]bool
	differences      []string
}

func newComparison(t *testing.T, o *originals, rows *ledger, p profile) *comparison {
	t.Helper()
	c := &comparison{profile: p, tokens: o.tokens, rows: rows, used: map[string]bool{}}
	c.django = o.startOriginal(t, p.settings)
	c.gatehouse = o.startCompared(t, c.django, p)
	return c
}

// corpus asks both sides all that belongs to the profile, several at a time.
func (c *comparison) corpus(t *testing.T, all []inquiry) {
	t.Helper()
	queue := make(chan inquiry)
	var crowd sync.WaitGroup
	for range 6 {
		crowd.Go(func() {
			django, gatehouse := &wire{address: c.django, once: true}, &wire{address: c.gatehouse.address}
			defer django.close()
			defer gatehouse.close()
			for x := range queue {
				for tries := 1; ; tries++ {
					began, r := time.Now(), x.make()
					theirs, err1 := django.ask(r)
					ours, err2 := gatehouse.ask(r)
					if err1 != nil || err2 != nil {
						t.Errorf("%s: Django: %v, gatehouse: %v", x.name, err1, err2)
						break
					}
					// What is good for some seconds may be good for the one and not for the other, who answers later.
					if slow := time.Since(began) > 5*time.Second; !slow || tries == 6 || c.agree(x, r, [2]response{theirs, ours}) {
						c.note(x, r, theirs, ours)
						break
					}
				}
			}
		})
	}
	for _, x := range all {
		queue <- x
	}
	close(queue)
	crowd.Wait()
}

// agree tells whether note would find no difference, and notes nothing.
func (c *comparison) agree(x inquiry, r request, answers [2]response) bool {
	lifetimes := c.profile.lifetimes()
	want, _ := newQuietLedger().expect(c.profile, x, r, see(answers[0], r.target, lifetimes))
	return see(answers[1], r.target, lifetimes).is(want)
}

// note compares two answers to one request, and tells whether they agree.
func (c *comparison) note(x inquiry, r request, theirs, ours response) bool {
	lifetimes := c.profile.lifetimes()
	got := see(ours, r.target, lifetimes)
	original := see(theirs, r.target, lifetimes)
	want, used := c.rows.expect(c.profile, x, r, original)
	fault := broken(ours, r.method)
	if fault == "" && !got.is(want) {
		fault = "they differ"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compared++
	for _, name := range used {
		c.used[name] = true
	}
	if fault == "" {
		c.agreed++
		if len(used) > 0 {
			c.byRow++
		}
		return true
	}
	text := fmt.Sprintf("%s: %s\n  sent      %.300q\n  gatehouse %s\n  Django    %s", x.name, fault, r.text(), shorten(got), shorten(original))
	if len(used) > 0 {
		text += fmt.Sprintf("\n  wanted    %s\n  by        %s", shorten(want), strings.Join(used, ", "))
	}
	c.differences = append(c.differences, text)
	return false
}

func shorten(s seen) string {
	text := strings.ReplaceAll(s.String(), "\n", " | ")
	if len(text) > 600 {
		text = text[:600] + "…"
	}
	return text
}
