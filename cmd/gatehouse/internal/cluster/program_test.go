package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatehouse/users/userstest/postgres"
)

func newClient(t *testing.T) *http.Client {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// is fails the test unless an answer has that status, and that code if there is one.
func (a answer) is(t *testing.T, what string, status int, code string) answer {
	t.Helper()
	if a.status != status || a.Code != code {
		t.Fatalf("%s: %s, want %d %s", what, a, status, code)
	}
	return a
}

func refresh(client *http.Client, r *replica, token string) answer {
	return ask(client, r.address, "/api/token/refresh/", "", form("refresh", token))
}

// A client whose every request comes to another replica notices nothing of that: the
// endpoints of SimpleJWT, with rotation, and with the end of a session whose refresh
// token is shown twice.
func TestSimpleJWTOnReplicasInTurn(t *testing.T) {
	long(t)
	t.Parallel()
	c := newCluster(t, settings{replicas: 2, grace: "0s, on_reuse: revoke_family"})
	c.addUser("ada")
	client := newClient(t)
	one, other := c.replicas[0], c.replicas[1]
	for range 4 {
		one, other = other, one
		pair := login(client, one.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
		ask(client, other.address, "/api/token/verify/", "", form("token", pair.Access)).is(t, "verify access", 200, "")
		ask(client, other.address, "/api/token/verify/", "", form("token", pair.Refresh)).is(t, "verify refresh", 200, "")
		ask(client, other.address, "/x", pair.Access, "").is(t, "a request", 200, "")
		next := refresh(client, other, pair.Refresh).is(t, "refresh", 200, "")
		ask(client, one.address, "/x", next.Access, "").is(t, "a request with the next token", 200, "")
		ask(client, one.address, "/api/token/verify/", "", form("token", pair.Refresh)).is(t, "verify the old token", 400, "")
		// Shown twice: the chain of both ends, everywhere.
		refresh(client, one, pair.Refresh).is(t, "refresh again", 401, "token_not_valid")
		refresh(client, other, next.Refresh).is(t, "refresh with the next token", 401, "token_not_valid")
		await(t, "the access token is refused", func() error {
			if a := ask(client, other.address, "/x", next.Access, ""); a.status != http.StatusUnauthorized {
				return fmt.Errorf("%s", a)
			}
			return nil
		})

		pair = login(client, one.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
		ask(client, other.address, "/api/token/blacklist/", "", form("refresh", pair.Refresh)).is(t, "blacklist", 200, "")
		refresh(client, one, pair.Refresh).is(t, "refresh with a blacklisted token", 401, "token_not_valid")

		pair = login(client, one.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
		ask(client, other.address, "/api/token/logout/", "", form("token", pair.Access)).is(t, "logout", 200, "")
		refresh(client, one, pair.Refresh).is(t, "refresh after a logout", 401, "token_not_valid")
	}
}

// A house on SQLite moves to PostgreSQL: nobody is logged out, and what was revoked
// stays so.
func TestSessionsMoveToPostgreSQL(t *testing.T) {
	long(t)
	t.Parallel()
	c := prepareCluster(t, settings{replicas: 2})
	small := c.replicas[0]
	moved := &replica{c: c, name: "small", address: small.address, admin: small.admin, config: filepath.Join(c.dir, "small.yaml"), output: new(output)}
	text, err := os.ReadFile(small.config)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "store:") {
			line = "store: { dsn: gatehouse.db }"
		}
		lines = append(lines, line)
	}
	writeFile(t, moved.config, strings.Join(lines, "\n"))
	t.Cleanup(func() { moved.kill(syscall.SIGKILL) })
	cmd := exec.Command(c.binary, "user", "add", "ada", "--password-stdin", "--group", "staff", "--config", moved.config)
	cmd.Dir, cmd.Stdin = c.dir, strings.NewReader(passwordOf("ada")+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	moved.start()
	moved.awaitReady()
	client := newClient(t)
	pair := login(client, moved.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
	kept := refresh(client, moved, pair.Refresh).is(t, "refresh", 200, "")
	ended := login(client, moved.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
	ask(client, moved.address, "/api/token/logout/", "", form("token", ended.Access)).is(t, "logout", 200, "")
	moved.kill(syscall.SIGTERM)

	copying := exec.Command(c.binary, "store", "copy", "--from", "sqlite:"+filepath.Join(c.dir, "gatehouse.db"), "--to", c.servers[0].DSN(c.database))
	out, err := copying.CombinedOutput()
	if err != nil {
		t.Fatalf("store copy: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "the target has the same rows and values") {
		t.Errorf("store copy says: %s", out)
	}
	for _, r := range c.replicas {
		r.start()
		r.awaitReady()
	}
	one, other := c.replicas[0], c.replicas[1]
	ask(client, one.address, "/staff/x", kept.Access, "").is(t, "the access token of before", 200, "")
	ask(client, other.address, "/x", ended.Access, "").is(t, "the access token of who had logged out", 401, "token_not_valid")
	refresh(client, other, ended.Refresh).is(t, "the refresh token of who had logged out", 401, "token_not_valid")
	next := refresh(client, one, kept.Refresh).is(t, "the refresh token of before", 200, "")
	again := refresh(client, other, kept.Refresh).is(t, "the same within the grace", 200, "")
	if again.Refresh != next.Refresh {
		t.Error("another pair within the grace")
	}
	refresh(client, other, next.Refresh).is(t, "the refresh token that followed", 200, "")
	login(client, other.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
}

// djangoSite is a Django site on a database of the cluster's server, filled.
type djangoSite struct {
	t   *testing.T
	url string
}

func newDjangoSite(t *testing.T, server *postgres.Server) djangoSite {
	t.Helper()
	if exec.Command("/usr/bin/python3", "-c", "import django, rest_framework_simplejwt, argon2, bcrypt, psycopg2").Run() != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
			t.Fatal("Django with SimpleJWT, argon2, bcrypt and psycopg2 is not installed")
		}
		t.Skip("Django with SimpleJWT, argon2, bcrypt and psycopg2 is not installed")
	}
	server.SQL(t, "postgres", "CREATE DATABASE site")
	d := djangoSite{t, fmt.Sprintf("postgres://gatehouse@127.0.0.1:%d/site", server.Port())}
	d.manage("migrate", "-v0", "--run-syncdb")
	d.manage("fill")
	return d
}

func (d djangoSite) manage(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"-B", "../../../../users/testdata/django/manage.py"}, args...)...)
	cmd.Env = append(os.Environ(), "SITE_DATABASE="+d.url, "PYTHONUTF8=1")
	out, err := cmd.Output()
	if err != nil {
		d.t.Fatalf("manage.py %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// described is what Django says of a user.
type described struct {
	LastLogin *string `json:"last_login"`
}

func (d djangoSite) describe(name string) described {
	d.t.Helper()
	var all map[string]described
	if err := json.Unmarshal([]byte(d.manage("describe")), &all); err != nil {
		d.t.Fatal(err)
	}
	return all[name]
}

// A site whose users are in PostgreSQL.
func TestADjangoSiteOnPostgreSQL(t *testing.T) {
	long(t)
	t.Parallel()
	server := postgres.New(t)
	site := newDjangoSite(t, server)
	usersStay(t, server, site)
	usersMoveIn(t, server, site)
}

// The users stay in the PostgreSQL of a Django site: its admin manages them, replicas
// read them, and write their last login, as SimpleJWT does.
func usersStay(t *testing.T, server *postgres.Server, site djangoSite) {
	server.SQL(t, "postgres", `CREATE ROLE reader LOGIN`)
	server.SQL(t, "site", `GRANT SELECT ON auth_user, auth_group, auth_user_groups TO reader; GRANT UPDATE (last_login) ON auth_user TO reader`)
	dsn := strings.Replace(site.url, "gatehouse@", "reader@", 1) + "?sslmode=disable"
	c := newCluster(t, settings{replicas: 2, store: fmt.Sprintf(", users: { source: django, dsn: %q, last_login: true }", dsn)})
	client := newClient(t)
	const name = "pbkdf2_sha256"
	begin := time.Now().Add(-time.Second)
	pair := login(client, c.replicas[0].address, name, "pässwörd of "+name).is(t, "login", 200, "")
	said := site.describe(name).LastLogin
	if said == nil {
		t.Fatal("Django knows of no login")
	}
	at, err := time.Parse("2006-01-02 15:04:05.999999-07:00", *said)
	if err != nil || at.Before(begin) || at.After(time.Now().Add(time.Second)) {
		t.Errorf("the last login is %s (%v)", *said, err)
	}
	other := c.replicas[1].address
	if a := ask(client, other, "/staff/x", pair.Access, "").is(t, "a request", 200, ""); !strings.HasPrefix(a.body, name+"|") || !strings.Contains(a.body, "staff") {
		t.Errorf("the backend is told %s", a.body)
	}
	if n := server.SQL(t, "site", `SELECT COUNT(*) FROM auth_user WHERE last_login > now() - interval '1 day'`); n[0] != "1" {
		t.Errorf("%s have logged in", n[0])
	}
	lastLogin := `SELECT last_login FROM auth_user WHERE username = '` + name + `'`
	noted := server.SQL(t, "site", lastLogin)
	refresh(client, c.replicas[1], pair.Refresh).is(t, "refresh", 200, "")
	if again := server.SQL(t, "site", lastLogin); again[0] != noted[0] {
		t.Errorf("a refresh is noted as a login: %s, %s", noted, again)
	}
	// Who is disabled there is disabled here, ten seconds later at most.
	server.SQL(t, "site", `UPDATE auth_user SET is_active = false WHERE username = '`+name+`'`)
	await(t, "who is disabled in Django is refused", func() error {
		if a := ask(client, other, "/x", pair.Access, ""); a.status != http.StatusUnauthorized {
			return fmt.Errorf("%s", a)
		}
		return nil
	})
	login(client, other, name, "pässwörd of "+name).is(t, "login of who is disabled", 401, "")
	server.SQL(t, "site", `UPDATE auth_user SET is_active = true WHERE username = '`+name+`'`)
}

// The users of a site move from its PostgreSQL into that of gatehouse while replicas
// run: everybody logs in with the password of before, and what Django had revoked is.
func usersMoveIn(t *testing.T, server *postgres.Server, site djangoSite) {
	c := newCluster(t, settings{replicas: 2})
	c.command(t.Context(), "", "import", "django", "--from", site.url+"?sslmode=disable", "--with-tokens")
	client := newClient(t)
	for i, name := range []string{"pbkdf2_sha256", "argon2", "bcrypt_sha256", "md5"} {
		pair := login(client, c.replicas[i%2].address, name, "pässwörd of "+name).is(t, "login of "+name, 200, "")
		ask(client, c.replicas[(i+1)%2].address, "/x", pair.Access, "").is(t, "a request", 200, "")
	}
	login(client, c.replicas[0].address, "off", "pässwörd of off").is(t, "login of who is disabled", 401, "")
	var revoked, live int
	store := c.store(t)
	for state, query := range map[bool]string{true: "IN", false: "NOT IN"} {
		for _, jti := range server.SQL(t, "site", `SELECT jti FROM token_blacklist_outstandingtoken
			WHERE expires_at > now() AND id `+query+` (SELECT token_id FROM token_blacklist_blacklistedtoken)`) {
			yes, err := store.Revoked(t.Context(), jti)
			if err != nil || yes != state {
				t.Errorf("a token whose revocation in Django is %t: %t, %v", state, yes, err)
			}
			if yes {
				revoked++
			} else {
				live++
			}
		}
	}
	if revoked == 0 || live == 0 {
		t.Errorf("%d tokens are revoked, %d are not", revoked, live)
	}
	if again := c.command(t.Context(), "", "import", "django", "--from", site.url+"?sslmode=disable", "--with-tokens", "--json"); !strings.Contains(again, `"created": 0`) {
		t.Errorf("a second import creates: %s", again)
	}
}

// The connection to the database is TLS, to a server that proves who it is by an
// authority of its own, and with a certificate instead of a password.
func TestTLSToTheDatabase(t *testing.T) {
	long(t)
	t.Parallel()
	c := prepareCluster(t, settings{replicas: 1})
	other := c.servers[0].OnlyTLS(t, c.database) // another authority, of before
	files := c.servers[0].OnlyTLS(t, c.database)
	r := c.replicas[0]
	text, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	dsn := func(host, options string) string {
		return fmt.Sprintf("postgres://gatehouse@%s:%d/%s?%s", host, c.servers[0].Port(), c.database, options)
	}
	proof := "&sslcert=" + files.Certificate + "&sslkey=" + files.Key
	full := "sslmode=verify-full&sslrootcert=" + files.Authority
	configured := func(dsn string) {
		t.Helper()
		changed := strings.Replace(string(text), fmt.Sprintf("dsn: %q", r.dsn()), fmt.Sprintf("dsn: %q", dsn), 1)
		writeFile(t, r.config, changed)
		writeFile(t, filepath.Join(c.dir, "command.yaml"), fmt.Sprintf("store: { driver: postgres, dsn: %q }\n", dsn))
	}
	for name, tt := range map[string]struct{ dsn, want string }{
		"in clear":                {dsn("127.0.0.1", "sslmode=disable"), "refuses the user"},
		"no certificate":          {dsn("127.0.0.1", full), "refuses the user"},
		"another authority":       {dsn("127.0.0.1", "sslmode=verify-full&sslrootcert="+other.Authority+proof), "not accepted"},
		"the system's":            {dsn("127.0.0.1", "sslmode=verify-full"+proof), "not accepted"},
		"another name":            {dsn("localhost", full+proof), "not accepted"},
		"a certificate of others": {dsn("127.0.0.1", full+"&sslcert="+other.Certificate+"&sslkey="+other.Key), "refuses the certificate"},
	} {
		configured(tt.dsn)
		out, err := c.try(t.Context(), "", "user", "list")
		if err == nil || !strings.Contains(out, tt.want) {
			t.Errorf("%s: %v\n%s\nwant %q", name, err, out, tt.want)
		}
	}
	configured(dsn("127.0.0.1", full+proof))
	c.addUser("ada")
	r.start()
	r.awaitReady()
	client := newClient(t)
	pair := login(client, r.address, "ada", passwordOf("ada")).is(t, "login", 200, "")
	refresh(client, r, pair.Refresh).is(t, "refresh", 200, "")
	if in := c.servers[0].SQL(t, "postgres", `SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE datname = '`+c.database+`' AND NOT ssl`); in[0] != "0" {
		t.Errorf("%s connections are in clear", in[0])
	}
	if text := r.output.tail(1 << 20); strings.Contains(text, "may not be encrypted") || strings.Contains(text, "nobody looks") {
		t.Error("it warns of a connection that is what it should be")
	}
}
