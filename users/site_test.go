package users_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/password"
	"gatehouse/users/userstest"
)

// onSite opens a store whose users are those of a real Django site.
func onSite(t *testing.T, place *userstest.Place, site *djangoSite, change func(*users.SiteConfig), opts ...userstest.Option) *users.Store {
	t.Helper()
	at := *place
	at.Config.Users = users.SiteConfig{Source: "django", DSN: site.database}
	if change != nil {
		change(&at.Config.Users)
	}
	hashing := userstest.Hashing(password.Config{AcceptLegacy: true, InsecureCheap: true, MaxQueue: 1000})
	return userstest.Open(t, append([]userstest.Option{userstest.In(&at), hashing}, opts...)...)
}

// shell runs Python in the site, as its admin would.
func (s *djangoSite) shell(t *testing.T, code string) {
	t.Helper()
	s.run(t, code, "shell")
}

func TestUsersOfASite(t *testing.T) { userstest.Each(t, testUsersOfASite) }

func testUsersOfASite(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place)
	site.run(t, "", "fill")
	want := site.describe(t)
	before := site.content(t)
	s := onSite(t, place, site, nil)

	t.Run("each can log in, as in Django", func(t *testing.T) {
		logInAll(t, s, djangoPasswords(want))
	})
	t.Run("each is read as it is there", func(t *testing.T) {
		all, err := s.Users(t.Context())
		if err != nil || len(all) != len(want) {
			t.Fatalf("%d users, %v; want %d", len(all), err, len(want))
		}
		for _, u := range all {
			one, err := s.UserByID(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			named, err := s.UserByName(t.Context(), u.Username)
			if err != nil {
				t.Fatal(err)
			}
			row := want[u.Username]
			for _, got := range []users.User{u, one, named, live(t, s, u.ID)} {
				if got.ID != row.ID || got.Password != row.Password || got.Email != row.Email || got.LastName != row.LastName || got.IsActive != row.IsActive ||
					got.IsStaff != row.IsStaff || got.IsSuperuser != row.IsSuperuser || !slices.Equal(got.Groups, row.Groups) {
					t.Errorf("got  %+v\nwant %+v", fields(got), row)
				}
			}
		}
		byMail, err := s.UserBy(t.Context(), users.ByEmail, "argon2@example.com")
		if err != nil || byMail.Username != "argon2" {
			t.Errorf("by e-mail: %v, %v", byMail, err)
		}
		for _, name := range []string{"nobody", "Argon2", "a\x00b"} {
			if _, err := s.UserByName(t.Context(), name); !errors.Is(err, users.ErrNotFound) {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
	t.Run("its groups have users", func(t *testing.T) {
		var groups []string
		for _, row := range want {
			groups = append(groups, row.Groups...)
		}
		slices.Sort(groups)
		groups = slices.Compact(groups)
		at := place.Config
		at.Users = users.SiteConfig{Source: "django", DSN: site.database}
		for _, ask := range []func() (users.Membership, error){
			func() (users.Membership, error) { return s.Membership(t.Context()) },
			func() (users.Membership, error) { return users.MembershipIn(t.Context(), at) },
		} {
			if m, err := ask(); err != nil || m.Nobody || !slices.Equal(m.Groups, groups) || len(groups) == 0 {
				t.Errorf("%+v %v, want %v", m, err, groups)
			}
		}
	})
	t.Run("nothing was written there", func(t *testing.T) {
		if after := site.content(t); after != before {
			t.Errorf("the site has changed:\n%s\nwas\n%s", after, before)
		}
	})
	t.Run("the store has no hash", func(t *testing.T) {
		var n int
		if err := place.Row(t, `SELECT COUNT(*) FROM users WHERE password LIKE '%$%' OR email <> ''`, &n); err != nil || n != 0 {
			t.Errorf("%d rows, %v", n, err)
		}
	})
	t.Run("people are managed there", func(t *testing.T) {
		for what, err := range map[string]error{
			"add":    second(s.CreateUser(t.Context(), users.NewUser{Username: "new"})),
			"set":    second(s.UpdateUser(t.Context(), "argon2", users.Change{})),
			"passwd": s.SetPassword(t.Context(), "argon2", "x"),
			"delete": s.DeleteUser(t.Context(), "argon2"),
		} {
			if !errors.Is(err, users.ErrManaged) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

// settle waits until the stores have heard of their own changes, and hold the people.
func settle(t *testing.T, place *userstest.Place, stores []*users.Store, people map[string]users.User) {
	t.Helper()
	heard(t, func(change string) { place.Exec(t, change) }, stores...)
	for _, s := range stores {
		for _, u := range people {
			live(t, s, u.ID)
		}
	}
}

// content is everything that the site has of users.
func (s *djangoSite) content(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(s.describe(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What is done in Django's admin, with what must be so here after ten seconds, and in
// another process on the same store.
func TestWhatHappensAtASite(t *testing.T) { userstest.Each(t, testWhatHappensAtASite) }

func testWhatHappensAtASite(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place)
	site.shell(t, `
from django.contrib.auth.models import User, Group
from django.contrib.auth.hashers import make_password
g = Group.objects.create(name="staff")
for name in ["disabled", "deleted", "password", "groups", "renamed", "reused", "rehashed", "same", "again"]:
    User.objects.create(username=name, password=make_password("old", hasher="md5")).groups.add(g)
`)
	now := time.Now()
	clock := userstest.Now(func() time.Time { return now })
	s, other := onSite(t, place, site, nil, clock), onSite(t, place, site, nil, clock)
	people := map[string]users.User{}
	tokens := map[string]users.Token{}
	for _, name := range []string{"disabled", "deleted", "password", "groups", "renamed", "reused", "same", "again"} {
		u, err := s.Authenticate(t.Context(), name, "old")
		if err != nil {
			t.Fatal(err)
		}
		people[name], tokens[name] = u, began(t, s, u, now)
	}
	settle(t, place, []*users.Store{s, other}, people)
	site.shell(t, `
from django.contrib.auth.models import User, Group
from django.contrib.auth.hashers import make_password
User.objects.filter(username__in=["disabled", "again"]).update(is_active=False)
User.objects.filter(username="deleted").delete()
User.objects.filter(username="password").update(password=make_password("new", hasher="md5"))
User.objects.get(username="groups").groups.set([Group.objects.create(name="other")])
User.objects.filter(username="renamed").update(username="new name")
old = User.objects.get(username="reused"); id = old.id; old.delete()
User.objects.create(id=id, username="somebody else", password=make_password("x", hasher="md5"))
`)
	for _, store := range []*users.Store{s, other} {
		if !live(t, store, people["disabled"].ID).IsActive {
			t.Error("nothing is held: each request asks the site")
		}
	}
	now = now.Add(10 * time.Second)
	for name, store := range map[string]*users.Store{"the process of the login": s, "another process": other} {
		for who, token := range tokens {
			u, err := store.LiveUser(t.Context(), *token.UserID)
			// What another process has ended already is heard of within a second.
			want := who != "groups" && who != "renamed" && who != "same"
			for begin := time.Now(); ended(t, store, token) != want && time.Since(begin) < time.Minute; {
				time.Sleep(10 * time.Millisecond)
			}
			over := ended(t, store, token)
			good := true
			switch who {
			case "disabled", "again":
				good = err == nil && !u.IsActive && over
			case "deleted":
				good = errors.Is(err, users.ErrNotFound) && over
			case "password":
				good = err == nil && u.IsActive && over
			case "reused":
				good = err == nil && u.Username == "somebody else" && over
			case "groups":
				good = err == nil && slices.Equal(u.Groups, []string{"other"}) && !over
			case "renamed":
				good = err == nil && u.Username == "new name" && !over
			case "same":
				good = err == nil && u.IsActive && !over
			}
			if !good {
				t.Errorf("%s: %s: %v, session over: %t, %v", name, who, fields(u), over, err)
			}
			_, err = store.RenewSession(t.Context(), users.Renewal{Old: token, AccessID: "x", AccessUntil: now})
			if errors.Is(err, users.ErrRevoked) != over || err != nil && !over {
				t.Errorf("%s: %s is renewed: %v", name, who, err)
			}
		}
	}
	for _, c := range []struct {
		name, plain string
		want        bool
	}{
		{"disabled", "old", false},
		{"deleted", "old", false},
		{"password", "old", false},
		{"password", "new", true},
		{"renamed", "old", false},
		{"new name", "old", true},
		{"somebody else", "x", true},
	} {
		if _, err := s.Authenticate(t.Context(), c.name, c.plain); (err == nil) != c.want || err != nil && !errors.Is(err, users.ErrCredentials) {
			t.Errorf("login of %s with %s: %v", c.name, c.plain, err)
		}
	}
	// Who is let in again begins anew.
	site.shell(t, "from django.contrib.auth.models import User\nUser.objects.filter(username='again').update(is_active=True)")
	now = now.Add(10 * time.Second)
	if u := live(t, s, people["again"].ID); !u.IsActive || !ended(t, s, tokens["again"]) {
		t.Errorf("let in again: active %t, the old session is over: %t", u.IsActive, ended(t, s, tokens["again"]))
	}
	// A name that another one had.
	site.shell(t, `
from django.contrib.auth.models import User
User.objects.filter(username="same").update(username="x")
User.objects.filter(username="groups").update(username="same")
User.objects.filter(username="x").update(username="groups")
`)
	now = now.Add(10 * time.Second)
	if a, b := live(t, s, people["same"].ID), live(t, s, people["groups"].ID); a.Username != "groups" || b.Username != "same" {
		t.Errorf("two who change names: %v and %v", a, b)
	}
	if err := s.EndSessions(t.Context(), people["same"].ID); err != nil || !ended(t, s, tokens["same"]) || ended(t, s, tokens["groups"]) {
		t.Errorf("logout: %v", err)
	}
}

func TestWhatMayBeWrittenToASite(t *testing.T) { userstest.Each(t, testWhatMayBeWrittenToASite) }

func testWhatMayBeWrittenToASite(t *testing.T, place *userstest.Place) {
	for _, naive := range []bool{false, true} {
		environ := []string{"SITE_USE_TZ=1"}
		if naive {
			environ = []string{"SITE_USE_TZ=0", "SITE_TIME_ZONE=Asia/Tokyo"}
		}
		site := newDjangoSite(t, place, environ...)
		site.shell(t, `
from django.contrib.auth.models import User
from django.contrib.auth.hashers import make_password
User.objects.create(username="ada", password=make_password("secret", hasher="pbkdf2_sha1"))
`)
		s := onSite(t, place.New(t), site, func(c *users.SiteConfig) {
			c.UpgradeHashes, c.LastLogin = true, true
			if naive {
				c.TimeZone = "Asia/Tokyo"
			}
		})
		u, err := s.Authenticate(t.Context(), "ada", "secret")
		if err != nil || !strings.HasPrefix(u.Password, "argon2") {
			t.Fatalf("%v, %v", u, err)
		}
		at := time.Now().UTC().Truncate(time.Microsecond)
		first := refreshToken(users.NewFamily(), u, at)
		if err := s.StartSession(t.Context(), u, first, at.Add(time.Minute), users.Client{}, false); err != nil {
			t.Fatal(err)
		}
		if again, err := s.Authenticate(t.Context(), "ada", "secret"); err != nil || again.Password != u.Password || !again.LastLogin.Equal(at) {
			t.Errorf("again: %v, last login %v, want %v (%v)", again, again.LastLogin, at, err)
		}
		if ended(t, s, first) {
			t.Error("a hash of the same password ended the session")
		}
		got := site.describe(t)["ada"]
		zone, err := time.LoadLocation("Asia/Tokyo")
		if err != nil {
			t.Fatal(err)
		}
		want := at.Format("2006-01-02 15:04:05")
		if naive {
			want = at.In(zone).Format("2006-01-02 15:04:05")
		}
		if got.Password != u.Password || got.LastLogin == nil || !strings.HasPrefix(*got.LastLogin, want) {
			t.Errorf("Django has %+v, last login %v, want %s", got, got.LastLogin, want)
		}
		var ids map[string]*int64
		decodeJSON(t, site.run(t, `{"ada": "secret"}`, "authenticate"), &ids)
		if ids["ada"] == nil {
			t.Error("she cannot log in to Django any more")
		}
	}
}

func TestSiteThatCannotBeRead(t *testing.T) { userstest.Each(t, testSiteThatCannotBeRead) }

func testSiteThatCannotBeRead(t *testing.T, place *userstest.Place) {
	empty := place.New(t)
	site := place.New(t)
	site.Exec(t, `CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password TEXT, last_login TIMESTAMP, is_superuser INTEGER, username TEXT,
		first_name TEXT, last_name TEXT, email TEXT, is_staff INTEGER, is_active INTEGER, date_joined TIMESTAMP)`)
	dsn := site.Config.DSN
	if !place.IsPostgres() {
		empty.Exec(t, `CREATE TABLE x (y)`)
	}
	cases := []struct {
		name string
		cfg  users.SiteConfig
		at   string
		want []string
	}{
		{"another source", users.SiteConfig{Source: "ldap"}, "users.source", []string{`"ldap"`, "own or django"}},
		{"a dsn without the source", users.SiteConfig{DSN: dsn, UpgradeHashes: true}, "users.dsn users.upgrade_hashes", []string{"source: django"}},
		{"no dsn", users.SiteConfig{Source: "django"}, "users.dsn", []string{"sqlite:///"}},
		{"another database", users.SiteConfig{Source: "django", DSN: "mysql://a:secret@b/c"}, "users.dsn", []string{"dump"}},
		{"a column that does not exist", users.SiteConfig{Source: "django", DSN: dsn, Columns: map[string]string{"shoe_size": "x"}}, "users.columns", []string{"shoe_size"}},
		{"no last login to write", users.SiteConfig{Source: "django", DSN: dsn, LastLogin: true, Columns: map[string]string{"last_login": ""}}, "users.last_login", []string{"no such column"}},
		{"a zone that does not exist", users.SiteConfig{Source: "django", DSN: dsn, TimeZone: "Mars"}, "users.time_zone", []string{"Mars"}},
		{"no table", users.SiteConfig{Source: "django", DSN: empty.Config.DSN}, "users.dsn", []string{"no table auth_user"}},
		{"the table of another model", users.SiteConfig{Source: "django", DSN: dsn, UserTable: "shop_customer"}, "users.dsn", []string{"no table shop_customer", "user_table: auth_user"}},
		{"no groups", users.SiteConfig{Source: "django", DSN: dsn}, "users.dsn", []string{"auth_user_groups", `columns: {groups: ""}`}},
		{"a column of another name", users.SiteConfig{Source: "django", DSN: dsn, Columns: map[string]string{"username": "login"}}, "users.dsn", []string{"no column login", "columns: {"}},
		{"nobody answers", users.SiteConfig{Source: "django", DSN: "postgres://a:secret@127.0.0.1:1/x"}, "users.dsn", []string{"127.0.0.1:1", "does not answer"}},
		{"no file", users.SiteConfig{Source: "django", DSN: "sqlite:////no/such.sqlite3"}, "users.dsn", []string{"/no/such.sqlite3"}},
	}
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			cfg := place.New(t).Config
			cfg.Users = tt.cfg
			s, err := users.Open(t.Context(), cfg, users.Parts{Hasher: userstest.Hasher(t)})
			if err == nil {
				_ = s.Close()
				t.Fatal("was opened")
			}
			if got := faultFields(t, err); got != tt.at {
				t.Errorf("faults at %q, want %q: %v", got, tt.at, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
	t.Run("no right", func(t *testing.T) {
		if !place.IsPostgres() {
			t.Skip("SQLite has no users")
		}
		site.Exec(t, `CREATE ROLE reader LOGIN; CREATE TABLE auth_group (id INTEGER PRIMARY KEY, name TEXT);
			CREATE TABLE auth_user_groups (id INTEGER, user_id INTEGER, group_id INTEGER); GRANT SELECT ON auth_user, auth_group TO reader`)
		t.Cleanup(func() { site.Exec(t, `DROP OWNED BY reader; DROP ROLE reader`) })
		as := strings.Replace(dsn, "gatehouse@", "reader@", 1)
		for _, step := range []struct {
			grant, want string
			cfg         users.SiteConfig
		}{
			{``, "auth_user_groups", users.SiteConfig{}},
			{`GRANT SELECT ON auth_user_groups TO reader`, "", users.SiteConfig{}},
			{``, "UPDATE (password)", users.SiteConfig{UpgradeHashes: true}},
			{`GRANT UPDATE (password) ON auth_user TO reader`, "", users.SiteConfig{UpgradeHashes: true}},
			{``, "UPDATE (last_login)", users.SiteConfig{UpgradeHashes: true, LastLogin: true}},
		} {
			if step.grant != "" {
				site.Exec(t, step.grant)
			}
			cfg := place.New(t).Config
			cfg.Users = step.cfg
			cfg.Users.Source, cfg.Users.DSN = "django", as
			s, err := users.Open(t.Context(), cfg, users.Parts{Hasher: userstest.Hasher(t)})
			if err == nil {
				_ = s.Close()
			}
			if (err == nil) != (step.want == "") || err != nil && !strings.Contains(err.Error(), step.want) {
				t.Errorf("after %q: %v; want %q", step.grant, err, step.want)
			}
		}
	})
	t.Run("a store with users of its own", func(t *testing.T) {
		at := place.New(t)
		s := userstest.Open(t, userstest.In(at))
		userstest.Add(t, s, users.NewUser{Username: "ada"})
		site.Exec(t, `CREATE TABLE IF NOT EXISTS auth_group (id INTEGER PRIMARY KEY, name TEXT)`)
		site.Exec(t, `CREATE TABLE IF NOT EXISTS auth_user_groups (id INTEGER, user_id INTEGER, group_id INTEGER)`)
		cfg := at.Config
		cfg.Users = users.SiteConfig{Source: "django", DSN: dsn}
		other, err := users.Open(t.Context(), cfg, users.Parts{Hasher: userstest.Hasher(t)})
		if err == nil {
			_ = other.Close()
		}
		if faultFields(t, err) != "users.source" {
			t.Errorf("got %v", err)
		}
	})
}

// While the site's database is away nobody logs in, and who is known passes for ten
// seconds and no longer.
func TestOutageOfASite(t *testing.T) { userstest.Each(t, testOutageOfASite) }

func testOutageOfASite(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place)
	site.shell(t, "from django.contrib.auth.models import User\nUser.objects.create_user('ada', password='secret')")
	now := time.Now()
	s := onSite(t, place, site, nil, userstest.Now(func() time.Time { return now }))
	u, err := s.Authenticate(t.Context(), "ada", "secret")
	if err != nil {
		t.Fatal(err)
	}
	settle(t, place, []*users.Store{s}, map[string]users.User{"ada": u})
	away, back := site.cut(t)
	away()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) { // a file is opened anew after some seconds
		_, err := s.Authenticate(t.Context(), "ada", "secret")
		if errors.Is(err, users.ErrUnavailable) {
			break
		}
		if err != nil || time.Since(begin) > 60*time.Second {
			t.Fatalf("a login: %v", err)
		}
	}
	live(t, s, u.ID)
	now = now.Add(10 * time.Second)
	if _, err := s.LiveUser(t.Context(), u.ID); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("after ten seconds: %v", err)
	}
	if _, err := s.LiveUser(t.Context(), 4711); !errors.Is(err, users.ErrUnavailable) {
		t.Errorf("somebody unknown: %v", err)
	}
	back()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if _, err = s.Authenticate(t.Context(), "ada", "secret"); err == nil {
			break
		}
		if time.Since(begin) > 60*time.Second {
			t.Fatalf("afterwards: %v", err)
		}
	}
	live(t, s, u.ID)
}

// cut returns what takes the site's database away, and what brings it back.
func (s *djangoSite) cut(t *testing.T) (away, back func()) {
	t.Helper()
	if s.place.IsPostgres() {
		name := nameOf(s.database)
		admin := userstest.Postgres(t)
		return func() {
				admin.Exec(t, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
				admin.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
			}, func() {
				admin.Exec(t, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
			}
	}
	move := func(from, to string) func() {
		return func() {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
	}
	hidden := filepath.Join(filepath.Dir(s.database), "hidden")
	return move(s.database, hidden), move(hidden, s.database)
}

// A name that cannot be an identity is nobody, and that is told.
func TestUserOfASiteThatCannotBeTaken(t *testing.T) {
	userstest.Each(t, testUserOfASiteThatCannotBeTaken)
}

func testUserOfASiteThatCannotBeTaken(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place)
	site.shell(t, "from django.contrib.auth.models import User\nUser.objects.create(id=5, username='ada\\nX-User-Id: 1', password='!')")
	var log bytes.Buffer
	s := onSite(t, place, site, nil, userstest.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if _, err := s.LiveUser(t.Context(), 5); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "cannot be taken") {
		t.Errorf("log: %s", &log)
	}
}
