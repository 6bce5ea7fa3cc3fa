package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/cmd/gatehouse/internal/audit"
	"gatehouse/tokens"
)

const auditedConfig = `
server: { listen: %q, admin_listen: %q, trusted_proxies: [127.0.0.1] }
store: { dsn: gatehouse.db }
tokens: { key_dir: keys, rotation: { enabled: true, on_reuse: revoke_family } }
login: { throttle: { enabled: true, per_account_and_network: 3/1h } }
audit: { output: ./audit.jsonl, on_failure: %s }
upstreams: { app: { url: "http://127.0.0.1:1" } }
routes: [{ to: app }]
bootstrap: { user: root, password: pass of root }
%s`

// audited is a program whose audit is read.
type audited struct {
	*site
	admin string
	path  string
}

func newAudited(t *testing.T) *audited {
	t.Helper()
	dir := t.TempDir()
	a := &audited{
		site:  &site{address: freeAddress(t), binary: mustBuild(t), config: filepath.Join(dir, "gatehouse.yaml"), out: new(lockedBuffer)},
		admin: freeAddress(t), path: filepath.Join(dir, "audit.jsonl"),
	}
	a.configure(t, "continue", "")
	return a
}

func (a *audited) configure(t *testing.T, onFailure, more string) {
	t.Helper()
	writeFile(t, a.config, fmt.Sprintf(auditedConfig, a.address, a.admin, onFailure, more))
}

// read returns what the audit has.
func (a *audited) read(t *testing.T) []audit.Record {
	t.Helper()
	text, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Record
	for line := range bytes.Lines(text) {
		var r audit.Record
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, r)
	}
	return all
}

// asked returns what clients and operators have done: what the program does by itself
// comes when it comes.
func (a *audited) asked(t *testing.T) []audit.Record {
	t.Helper()
	return slices.DeleteFunc(a.read(t), func(r audit.Record) bool { return r.ActorType == audit.System })
}

// last returns the last of these, as a line of what is always the same.
func (a *audited) last(t *testing.T) string {
	t.Helper()
	all := a.asked(t)
	return shortened(all[len(all)-1])
}

func shortened(r audit.Record) string {
	detail, _ := json.Marshal(r.Detail)
	digest := ""
	if r.NameDigest != "" {
		digest = "digest"
	}
	session := ""
	if r.Session != "" {
		session = "session"
	}
	words := []string{r.Event, r.Outcome, r.Reason, r.ActorType, r.User, digest, session, r.Address}
	if r.Detail != nil {
		words = append(words, string(detail))
	}
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// eventually waits for a record.
func (a *audited) eventually(t *testing.T, want string) {
	t.Helper()
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := a.read(t)
		if slices.ContainsFunc(all, func(r audit.Record) bool { return strings.HasPrefix(shortened(r), want) }) {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%q is not in the audit: %v", want, all)
		}
	}
}

func (a *audited) ask(t *testing.T, path string, fields ...string) *reply {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return a.do(t, "POST", path, form.Encode(), http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "X-Forwarded-For": {"192.0.2.1"}, "X-Request-Id": {"the-request"},
	})
}

// The life of an account, as the audit tells it. Every event is in it, and no secret.
func TestAudit(t *testing.T) {
	t.Parallel() // it waits more than it works
	a := newAudited(t)
	dir := filepath.Dir(a.config)
	secrets := []string{"hunter2-in-the-wrong-field", passwordOf("alice"), passwordOf("root"), "another pass of alice", "a wrong guess", "argon2", "PRIVATE"}
	command := func(want, stdin string, args ...string) {
		t.Helper()
		a.run(t, stdin, args...)
		if got := a.last(t); got != want {
			t.Errorf("gatehouse %v:\n got %s\nwant %s", args, got, want)
		}
	}
	client := func(want string, status int, path string, fields ...string) (pair struct{ Access, Refresh string }) {
		t.Helper()
		answer := a.ask(t, path, fields...)
		if answer.StatusCode != status {
			t.Errorf("%s: %d %s, want %d", path, answer.StatusCode, answer.body, status)
		}
		if got := a.last(t); got != want {
			t.Errorf("%s %v:\n got %s\nwant %s", path, fields, got, want)
		}
		if status == 200 {
			_ = json.Unmarshal(answer.body, &pair)
			secrets = append(secrets, pair.Access, pair.Refresh)
		}
		return pair
	}

	a.run(t, "", "keys", "new", "--alg", "EdDSA")
	if got := a.last(t); !strings.HasPrefix(got, `key.create success operator {"alg":"EdDSA","kid":"`) {
		t.Errorf("got %s", got)
	}
	kill := a.serve(t)
	a.eventually(t, `user.create success system root {"bootstrap":true}`)
	a.eventually(t, `server.start success system {"config":`)

	a.run(t, "", "keys", "rotate", "--now", "--alg", "ES256")
	if got := a.last(t); !strings.HasPrefix(got, `key.rotate success operator {"made":true,"next":"`) {
		t.Errorf("got %s", got)
	}
	a.configure(t, "continue", "cors: {}\n") // taken over while the others go on

	command(`user.create success operator alice {"groups":["staff"]}`, passwordOf("alice")+"\n", "user", "add", "alice", "--group", "staff", "--password-stdin")
	if r := a.asked(t); r[len(r)-1].Actor != operator() || r[len(r)-1].UserID == 0 {
		t.Errorf("the operator is %+v", r[len(r)-1])
	}
	command(`user.groups success operator alice {"added":["sales"],"removed":["staff"]}`, "", "user", "set", "alice", "--group", "sales", "--remove-group", "staff")
	command(`user.change success operator alice {"fields":["email"]}`, "", "user", "set", "alice", "--email", "alice@example.com")

	login := []string{"username", "alice", "password", passwordOf("alice")}
	client("login failure unknown_user client digest 192.0.2.1", 401, "/api/token/", "username", "hunter2-in-the-wrong-field", "password", "a wrong guess")
	client("login failure wrong_password client alice 192.0.2.1", 401, "/api/token/", "username", "alice", "password", "a wrong guess")
	pair := client("login success client alice session 192.0.2.1", 200, "/api/token/", login...)
	if r := a.asked(t); r[len(r)-1].RequestID != "the-request" || r[len(r)-1].Actor != "alice" || r[len(r)-2].Actor != "" {
		t.Errorf("the client is %+v after %+v", r[len(r)-1], r[len(r)-2])
	}
	next := client("token.refresh success client alice session 192.0.2.1", 200, "/api/token/refresh/", "refresh", pair.Refresh)
	client("token.refresh failure token_invalid client 192.0.2.1", 401, "/api/token/refresh/", "refresh", pair.Refresh+"x")
	client("token.refresh failure token_wrong_type client 192.0.2.1", 401, "/api/token/refresh/", "refresh", pair.Access)
	client(`token.reuse failure token_reused client alice session 192.0.2.1 {"session_ended":true}`, 401, "/api/token/refresh/", "refresh", pair.Refresh)
	client("token.refresh failure token_blacklisted client alice session 192.0.2.1", 401, "/api/token/refresh/", "refresh", next.Refresh)
	pair = client("login success client alice session 192.0.2.1", 200, "/api/token/", login...)
	client("token.blacklist success client alice session 192.0.2.1", 200, "/api/token/blacklist/", "refresh", pair.Refresh)
	pair = client("login success client alice session 192.0.2.1", 200, "/api/token/", login...)
	client("logout success client alice session 192.0.2.1", 200, "/api/token/logout/", "refresh", pair.Refresh)
	client("logout failure token_blacklisted client 192.0.2.1", 401, "/api/token/logout/", "refresh", pair.Refresh)
	client("logout failure malformed client 192.0.2.1", 400, "/api/token/logout/")
	pair = client("login success client alice session 192.0.2.1", 200, "/api/token/", login...)
	client(`logout success client alice session 192.0.2.1 {"all":true}`, 200, "/api/token/logout/?all=true", "refresh", pair.Refresh)

	command("user.disable success operator alice", "", "user", "disable", "alice")
	client("login failure disabled client alice 192.0.2.1", 401, "/api/token/", login...)
	command("user.enable success operator alice", "", "user", "enable", "alice")
	command("user.password success operator alice", "another pass of alice\n", "user", "passwd", "alice", "--password-stdin")
	for range 2 {
		client("login failure wrong_password client alice 192.0.2.1", 401, "/api/token/", login...)
	}
	client(`login failure throttled client alice 192.0.2.1 {"budget":"account_and_network"}`, 429, "/api/token/", login...)
	for range 2 {
		client("login failure unknown_user client digest 192.0.2.1", 401, "/api/token/", "username", "hunter2-in-the-wrong-field", "password", "x")
	}
	client(`login failure throttled client digest 192.0.2.1 {"budget":"account_and_network"}`, 429, "/api/token/", "username", "hunter2-in-the-wrong-field", "password", "x")
	command("login.unlock success operator alice", "", "user", "unlock", "alice")
	command(`login.unlock success operator {"network":"192.0.2.1"}`, "", "user", "unlock", "--network", "192.0.2.1")
	client("login success client alice session 192.0.2.1", 200, "/api/token/", "username", "alice", "password", "another pass of alice")
	session := a.asked(t)
	command("session.end success operator alice session", "", "user", "sessions", "alice", "--end", session[len(session)-1].Session)
	command(`session.end success operator alice {"all":true}`, "", "user", "logout", "alice")
	command(`user.change success operator alicia {"fields":["username"],"name_before":"alice"}`, "", "user", "set", "alice", "--name", "alicia")
	command("user.delete success operator alicia", "", "user", "delete", "alicia")

	writeFile(t, filepath.Join(dir, "dump.json"), `[{"model":"auth.user","pk":50,"fields":{"username":"dora","password":"!x","first_name":"","last_name":"","email":"",
		"is_active":true,"is_staff":false,"is_superuser":false,"date_joined":"2026-01-01T00:00:00Z","last_login":null,"groups":[],"user_permissions":[]}}]`)
	command(`store.import success operator {"tokens_created":0,"users_created":1,"users_updated":0}`, "", "import", "django", "--from", "dump.json")
	command(`store.export success operator {"users":2}`, "", "store", "export-django", "--to", "users.json")
	a.run(t, "", "store", "copy", "--from", "sqlite:gatehouse.db", "--to", "sqlite:new.db")
	if got := a.last(t); !strings.HasPrefix(got, `store.copy success operator {"from":"sqlite",`) {
		t.Errorf("got %s", got)
	}
	a.run(t, "", "store", "prune")
	if got := a.last(t); !strings.HasPrefix(got, `store.prune success operator {"rows":`) {
		t.Errorf("got %s", got)
	}

	a.eventually(t, `key.signs success system {"before":"`)
	var listed []struct{ Kid, State string }
	if err := json.Unmarshal([]byte(a.run(t, "", "keys", "list", "--json")), &listed); err != nil {
		t.Fatal(err)
	}
	for _, k := range listed {
		if k.State == "verifying" {
			command(`key.retire success operator {"force":true,"kid":"`+k.Kid+`"}`, "", "keys", "retire", "--force", k.Kid)
		}
	}

	a.eventually(t, `config.reload success system {"config":`)
	if err := errors.Join(os.Rename(a.path, a.path+".kept"), os.Symlink("/dev/full", a.path)); err != nil {
		t.Fatal(err)
	}
	a.ask(t, "/api/token/blacklist/", "refresh", "x")
	if err := os.Rename(a.path+".kept", a.path); err != nil {
		t.Fatal(err)
	}
	a.ask(t, "/api/token/blacklist/", "refresh", "x")
	a.eventually(t, `audit.lost error system {"lines":1}`)
	a.configure(t, "continue", "nonsense: 1\n")
	a.eventually(t, "config.reload failure not_valid system")
	a.configure(t, "continue", "")
	kill(syscall.SIGTERM)
	a.eventually(t, "server.stop success system")

	seen := map[string]bool{}
	for _, r := range a.read(t) {
		seen[r.Event] = true
		if r.Stream != "audit" || r.EventID == "" || r.Host == "" || r.Outcome == "" || r.ActorType == "" {
			t.Errorf("incomplete: %+v", r)
		}
		if at, err := time.Parse(time.RFC3339, r.Time); err != nil || time.Since(at).Abs() > time.Hour || !strings.HasSuffix(r.Time, "Z") {
			t.Errorf("its time is %s", r.Time)
		}
	}
	if got, want := slices.Sorted(maps.Keys(seen)), slices.Sorted(slices.Values(auditEvents())); !slices.Equal(got, want) {
		t.Errorf("events\n got %v\nwant %v", got, want)
	}
	if text, err := os.ReadFile(a.path); err != nil || len(text) == 0 {
		t.Fatal(err)
	} else {
		for _, secret := range secrets {
			if secret != "" && bytes.Contains(text, []byte(secret)) {
				t.Errorf("%.20q is in the audit", secret)
			}
		}
	}
	if strings.Contains(a.out.String(), "hunter2") {
		t.Error("what was typed as a name is in the log")
	}
}

// What happens when lines cannot be written.
func TestAnAuditThatCannotBeWritten(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	for _, c := range []struct {
		how    string
		status int
	}{{"continue", 200}, {"refuse", 503}} {
		t.Run(c.how, func(t *testing.T) {
			a := newAudited(t)
			a.run(t, "", "keys", "new")
			a.configure(t, c.how, "")
			if err := os.Symlink("/dev/full", a.path+".full"); err != nil {
				t.Fatal(err)
			}
			a.serve(t)
			var before struct{ Refresh string }
			if answer := a.ask(t, "/api/token/", "username", "root", "password", passwordOf("root")); json.Unmarshal(answer.body, &before) != nil || answer.StatusCode != 200 {
				t.Fatalf("%d %s", answer.StatusCode, answer.body)
			}
			if err := os.Rename(a.path+".full", a.path); err != nil { // the disk is full from now on
				t.Fatal(err)
			}
			answer := a.ask(t, "/api/token/", "username", "root", "password", passwordOf("root"))
			if answer.StatusCode != c.status || c.status == 503 && (answer.Header.Get("Retry-After") == "" || bytes.Contains(answer.body, []byte("access"))) {
				t.Errorf("login: %d %s", answer.StatusCode, answer.body)
			}
			var ready readiness
			status := askAdmin(t, "http://"+a.admin+"/readyz", &ready)
			if status != 200 || !slices.Contains(ready.Reasons, "the audit cannot be written") {
				t.Errorf("/readyz: %d %+v", status, ready)
			}
			if !strings.Contains(a.out.String(), `"the audit cannot be written"`) {
				t.Errorf("the log: %s", a.out)
			}
			// Nothing is done that would look like a stolen token when it is asked for again.
			if answer := a.ask(t, "/api/token/refresh/", "refresh", before.Refresh); answer.StatusCode != c.status {
				t.Errorf("refresh: %d %s", answer.StatusCode, answer.body)
			}
			if err := os.Remove(a.path); err != nil { // there is room again
				t.Fatal(err)
			}
			if answer := a.ask(t, "/api/token/", "username", "root", "password", passwordOf("root")); answer.StatusCode != 200 {
				t.Errorf("then: %d %s", answer.StatusCode, answer.body)
			}
			if got := a.last(t); got != "login success client root session 192.0.2.1" {
				t.Errorf("then: %s", got)
			}
			if c.how == "refuse" {
				if answer := a.ask(t, "/api/token/refresh/", "refresh", before.Refresh); answer.StatusCode != 200 {
					t.Errorf("then: %d %s", answer.StatusCode, answer.body)
				}
			}
			// A login that nobody was told of is none.
			sessions := strings.Count(a.run(t, "", "user", "sessions", "root"), "192.0.2.1")
			if want := map[string]int{"continue": 3, "refuse": 2}[c.how]; sessions != want {
				t.Errorf("%d sessions, want %d", sessions, want)
			}
		})
	}
}

// Each event, field and reason is in the tables of the documentation, and nothing else is.
func TestTheTablesOfTheAudit(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	firstColumn := func(heading string) (names []string) {
		_, table, ok := strings.Cut(string(text), "| "+heading+" |")
		if !ok {
			t.Fatalf("there is no table %q", heading)
		}
		table, _, _ = strings.Cut(table, "\n\n")
		for _, row := range strings.Split(table, "\n")[2:] {
			column, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
			for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(column, -1) {
				names = append(names, name[1])
			}
		}
		slices.Sort(names)
		return names
	}
	var fields []string
	for i := range reflect.TypeFor[audit.Record]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[audit.Record]().Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
	}
	for heading, want := range map[string][]string{"audit event": auditEvents(), "audit field": fields, "audit reason": auditReasons()} {
		slices.Sort(want)
		if got := firstColumn(heading); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", heading, got, want)
		}
	}
}

// askAdmin reads JSON from the admin listener.
func askAdmin(t *testing.T, address string, into any) (status int) {
	t.Helper()
	in, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := stormClient(t).Do(in)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// auditEvents are all events, whoever tells of them.
func auditEvents() []string {
	all := []string{
		eventStart, eventStop, eventReload, eventUserCreate, eventUserChange, eventUserGroups, eventUserPassword, eventUserEnable,
		eventUserDisable, eventUserDelete, eventUnlock, eventSessionEnd, eventKeyCreate, eventKeyRotate, eventKeyRetire, eventImport,
		eventExport, eventCopy, eventPrune, audit.EventLost,
	}
	for _, name := range tokens.Events() {
		all = append(all, string(name))
	}
	return all
}

// auditReasons are all reasons, whoever tells of them.
func auditReasons() []string {
	all := append(tokens.Reasons(), reasonFailed)
	for _, known := range commandReasons() {
		all = append(all, known.word)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
