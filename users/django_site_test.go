package users_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gatehouse/users"
	"gatehouse/users/password"
	"gatehouse/users/userstest"
	"gatehouse/users/userstest/postgres"
)

// djangoSite is a real Django with a database of its own.
type djangoSite struct {
	python   string
	place    *userstest.Place
	database string
	environ  []string
}

// newDjangoSite returns a site with a new database, of the kind that the place is.
// Without Django the test is skipped, or fails where nothing may be missing.
func newDjangoSite(t *testing.T, place *userstest.Place, environ ...string) *djangoSite {
	t.Helper()
	own := place.New(t)
	s := &djangoSite{python: djangoPython(), place: own, database: own.Config.DSN, environ: environ}
	if s.python == "" {
		missing := t.Skip
		if os.Getenv("GATEHOUSE_TEST_REQUIRE") != "" {
			missing = t.Fatal
		}
		missing("not installed for Python: " + djangoModules)
	}
	s.migrate(t)
	return s
}

const djangoModules = "django, rest_framework_simplejwt, argon2, bcrypt, psycopg2"

// djangoPython finds the Python that has all that is needed; "": none has.
var djangoPython = sync.OnceValue(func() string {
	// Debian's packages belong to Debian's Python, which need not be the first.
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import "+djangoModules).Run() == nil {
			return python
		}
	}
	return ""
})

// To migrate takes Django seconds, so it is done once for each kind of site; what it
// makes in between does not depend on USE_TZ.
var migratedSites = struct {
	sync.Mutex
	templates map[string]string // the content of a file, or the name of a database of the shared server
}{templates: map[string]string{}}

func (s *djangoSite) migrate(t *testing.T) {
	t.Helper()
	custom := slices.Contains(s.environ, "SITE_MODEL=custom")
	migratedSites.Lock()
	defer migratedSites.Unlock()
	key := fmt.Sprint(s.place.IsPostgres(), custom)
	template, ok := migratedSites.templates[key]
	if !ok {
		if custom {
			s.run(t, "", "migrate", "-v0") // the tables that a model of the site's own refers to
		}
		s.run(t, "", "migrate", "-v0", "--run-syncdb")
		if s.place.IsPostgres() {
			template = strings.ReplaceAll("template_"+key, " ", "_")
			postgres.Shared(t).SQL(t, "postgres", "CREATE DATABASE "+template+" TEMPLATE "+nameOf(s.database))
		} else {
			content, err := os.ReadFile(s.database)
			if err != nil {
				t.Fatal(err)
			}
			template = string(content)
		}
		migratedSites.templates[key] = template
		return
	}
	if s.place.IsPostgres() {
		name := nameOf(s.database)
		postgres.Shared(t).SQL(t, "postgres", "DROP DATABASE "+name)
		postgres.Shared(t).SQL(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
		return
	}
	write(t, s.database, template)
}

// read reads the database of the site.
func (s *djangoSite) read(t *testing.T, how users.DjangoReading) (*users.DjangoSite, error) {
	t.Helper()
	if strings.HasPrefix(s.database, "postgres://") {
		return users.ReadDjangoPostgres(t.Context(), s.database, how)
	}
	return users.ReadDjangoSQLite(t.Context(), s.database, how)
}

// run executes a command of manage.py and returns what it prints.
func (s *djangoSite) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(s.python, append([]string{"-B", "testdata/django/manage.py"}, args...)...)
	cmd.Env = append(os.Environ(), "SITE_DATABASE="+s.database, "PYTHONUTF8=1")
	cmd.Env = append(cmd.Env, s.environ...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, faults bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &faults
	if err := cmd.Run(); err != nil {
		t.Fatalf("manage.py %s: %v\n%s", strings.Join(args, " "), err, faults.String())
	}
	return out.String()
}

// djangoRow is a user as Django prints it.
type djangoRow struct {
	ID          int64    `json:"id"`
	Password    string   `json:"password"`
	Email       string   `json:"email"`
	FirstName   string   `json:"first_name"`
	LastName    string   `json:"last_name"`
	IsActive    bool     `json:"is_active"`
	IsStaff     bool     `json:"is_staff"`
	IsSuperuser bool     `json:"is_superuser"`
	DateJoined  string   `json:"date_joined"`
	LastLogin   *string  `json:"last_login"`
	Groups      []string `json:"groups"`
}

func (s *djangoSite) describe(t *testing.T) map[string]djangoRow {
	t.Helper()
	rows := map[string]djangoRow{}
	decodeJSON(t, s.run(t, "", "describe"), &rows)
	return rows
}

// asDjango returns what the store has, in the same form.
func asDjango(t *testing.T, s *users.Store) map[string]djangoRow {
	t.Helper()
	all, err := s.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]djangoRow{}
	for _, u := range all {
		row := djangoRow{
			ID: u.ID, Password: u.Password, Email: u.Email, FirstName: u.FirstName, LastName: u.LastName,
			IsActive: u.IsActive, IsStaff: u.IsStaff, IsSuperuser: u.IsSuperuser,
			DateJoined: u.DateJoined.Format(pythonTime), Groups: u.Groups,
		}
		if !u.LastLogin.IsZero() {
			row.LastLogin = new(u.LastLogin.Format(pythonTime))
		}
		rows[u.Username] = row
	}
	return rows
}

const pythonTime = "2006-01-02 15:04:05.000000-07:00"

func decodeJSON(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// djangoPasswords are those of the users who can log in.
func djangoPasswords(site map[string]djangoRow) map[string]string {
	known := map[string]string{"vector-scrypt": "pässwörd-密码", "ünï+co.de@例え-_Ж": "pässwörd of odd"}
	for _, algorithm := range []string{"pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt_sha256", "bcrypt", "md5", "scrypt", "sha1", "unsalted_md5", "unsalted_sha1"} {
		if _, ok := site[algorithm]; ok {
			known[algorithm] = "pässwörd of " + algorithm
		}
	}
	return known
}

// legacyStore accepts every hash that gatehouse can verify.
func legacyStore(t *testing.T, place *userstest.Place) *users.Store {
	t.Helper()
	return userstest.Open(t, userstest.In(place), userstest.Hashing(password.Config{AcceptLegacy: true, InsecureCheap: true, MaxQueue: 1000}))
}

func TestDjangoThereAndBack(t *testing.T) { userstest.Each(t, testDjangoThereAndBack) }

func testDjangoThereAndBack(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place)
	var jti struct{ Live, Revoked, Expired string }
	decodeJSON(t, site.run(t, "", "fill"), &jti)
	if place.IsPostgres() { // where a number that was named does not count as given
		site.place.Exec(t, `SELECT setval(pg_get_serial_sequence('auth_user', 'id'), 500)`)
	}
	want := site.describe(t)
	dump := filepath.Join(t.TempDir(), "dump.json")
	site.run(t, "", "dumpdata", "auth.group", "auth.user", "token_blacklist", "--indent", "2", "--output", dump)
	natural := filepath.Join(t.TempDir(), "natural.json")
	site.run(t, "", "dumpdata", "--natural-foreign", "--output", natural)
	how := users.DjangoReading{Tokens: true}
	for _, tt := range []struct {
		name   string
		read   func() (*users.DjangoSite, error)
		coarse bool
	}{
		{"from its database", func() (*users.DjangoSite, error) { return site.read(t, how) }, false},
		{"from a dump", func() (*users.DjangoSite, error) { return readDump(t, dump, how) }, true},
		{"from a dump of everything with natural keys", func() (*users.DjangoSite, error) { return readDump(t, natural, how) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			read, err := tt.read()
			if err != nil {
				t.Fatal(err)
			}
			store := legacyStore(t, place.New(t))
			report, err := store.ImportDjango(t.Context(), read, users.DjangoImport{})
			if err != nil {
				t.Fatal(err)
			}
			got := asDjango(t, store)
			if diff := cmp.Diff(asPrecise(t, want, tt.coarse), got); diff != "" {
				t.Errorf("the accounts differ (-Django +gatehouse):\n%s", diff)
			}
			if report.Users.Created != len(want) || report.Groups != 2 || report.Hashes["unusable"] != 2 {
				t.Errorf("report: %+v", report)
			}
			if len(report.Locked) != 1 || report.Locked[0] != (users.DjangoLocked{ID: 92, Username: "crypt", Algorithm: "crypt"}) {
				t.Errorf("locked out: %+v", report.Locked)
			}
			warnings := strings.Join(report.Warnings, "\n")
			for _, part := range []string{`"crypt" (92) and "Crypt" (95)`, "accept_legacy", `"nobody is in it"`} {
				if !strings.Contains(warnings, part) {
					t.Errorf("no warning contains %s:\n%s", part, warnings)
				}
			}
			for name, want := range map[string]bool{jti.Live: false, jti.Revoked: true, jti.Expired: false} {
				if got, err := store.Revoked(t.Context(), name); got != want || err != nil {
					t.Errorf("revoked %s: %v, %v; want %v", name, got, err, want)
				}
			}
			if tokens := report.Tokens; tokens.Created != 2 || tokens.Revoked != 1 || tokens.Expired != 1 {
				t.Errorf("tokens: %+v", tokens)
			}
			again, err := store.ImportDjango(t.Context(), read, users.DjangoImport{})
			if err != nil || again.Changed() || again.Users.Unchanged != len(want) || again.Tokens.Unchanged != 2 {
				t.Errorf("the second import: %+v, %v", again, err)
			}
			logInAll(t, store, djangoPasswords(want))
			goBack(t, place, store, djangoPasswords(want))
			// A number that Django gave and took back must not become another's: only
			// the database still knows.
			if u, err := store.UserByName(t.Context(), "made here"); !tt.coarse && (err != nil || u.ID <= 500) {
				t.Errorf("a new account got the number %d; Django has given numbers up to 500", u.ID)
			}
		})
	}
}

func readDump(t *testing.T, path string, how users.DjangoReading) (*users.DjangoSite, error) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return users.ReadDjangoDump(t.Context(), file, how)
}

// asPrecise cuts times to what the source has, and writes them all alike.
func asPrecise(t *testing.T, rows map[string]djangoRow, coarse bool) map[string]djangoRow {
	t.Helper()
	cut := func(text string) string {
		whole, zone := text[:len(text)-6], text[len(text)-6:]
		whole, fraction, _ := strings.Cut(whole, ".")
		fraction = (fraction + "000000")[:6]
		if coarse {
			fraction = fraction[:3] + "000"
		}
		return whole + "." + fraction + strings.Replace(zone, "+00:00", "+00:00", 1)
	}
	out := map[string]djangoRow{}
	for name, row := range rows {
		row.DateJoined = cut(row.DateJoined)
		if row.LastLogin != nil {
			row.LastLogin = new(cut(*row.LastLogin))
		}
		out[name] = row
	}
	return out
}

func logInAll(t *testing.T, store *users.Store, passwords map[string]string) {
	t.Helper()
	if len(passwords) < 11 {
		t.Fatalf("only %d users to log in", len(passwords))
	}
	for name, plain := range passwords {
		if u, err := store.Authenticate(t.Context(), name, plain); err != nil || u.Username != name {
			t.Errorf("%s cannot log in: %v", name, err)
		}
		if _, err := store.Authenticate(t.Context(), name, plain+"x"); err == nil {
			t.Errorf("%s logs in with a wrong password", name)
		}
	}
	for _, name := range []string{"off", "unusable", "crypt"} {
		if _, err := store.Authenticate(t.Context(), name, "pässwörd of "+name); err == nil {
			t.Errorf("%s can log in", name)
		}
	}
}

// goBack loads what the store has into a new Django, which has other groups under
// the same numbers, and logs in there.
func goBack(t *testing.T, place *userstest.Place, store *users.Store, passwords map[string]string) {
	t.Helper()
	userstest.Add(t, store, users.NewUser{Username: "made here", Password: "a password of gatehouse", Groups: []string{"new"}})
	all, err := store.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var fixture bytes.Buffer
	if err := users.WriteDjango(&fixture, all, users.DjangoExport{}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "back.json")
	write(t, path, fixture.String())
	site := newDjangoSite(t, place)
	write(t, path+".groups.json", `[{"model": "auth.group", "pk": 1, "fields": {"name": "wheel", "permissions": [1]}}]`)
	site.run(t, "", "loaddata", "-v0", path+".groups.json")
	site.run(t, "", "loaddata", "-v0", path)
	site.run(t, "", "loaddata", "-v0", path) // twice does no harm
	want := asDjango(t, store)
	if diff := cmp.Diff(want, asPrecise(t, site.describe(t), false)); diff != "" {
		t.Errorf("the accounts differ (-gatehouse +Django):\n%s", diff)
	}
	if groups := site.run(t, "", "dumpdata", "auth.group"); !strings.Contains(groups, `"pk": 1, "fields": {"name": "wheel", "permissions": [1]}`) {
		t.Errorf("the group that was there before is now: %s", groups)
	}
	passwords["made here"] = "a password of gatehouse"
	question, err := json.Marshal(passwords)
	if err != nil {
		t.Fatal(err)
	}
	var ids map[string]*int64
	decodeJSON(t, site.run(t, string(question), "authenticate"), &ids)
	for name := range passwords {
		if ids[name] == nil || *ids[name] != want[name].ID {
			t.Errorf("in Django, %s logs in as %v, want %d", name, ids[name], want[name].ID)
		}
	}
}

func TestDjangoUserModelOfTheSite(t *testing.T) { userstest.Each(t, testDjangoUserModelOfTheSite) }

func testDjangoUserModelOfTheSite(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place, "SITE_MODEL=custom")
	fixture := filepath.Join(t.TempDir(), "fixture.json")
	write(t, fixture, `[
		{"model": "auth.group", "pk": 3, "fields": {"name": "readers", "permissions": []}},
		{"model": "members.member", "pk": 7, "fields": {"mail": "ada@example.com", "password": "md5$seasalt$7d30fbb9b4e214220ee9c82d1410b991",
			"enabled": false, "since": "2024-01-02T03:04:05Z", "is_superuser": true, "last_login": null, "groups": [3], "user_permissions": []}}]`)
	site.run(t, "", "loaddata", "-v0", fixture)
	how := users.DjangoReading{
		UserModel: "members.Member", UserTable: "members_member",
		Columns: map[string]string{
			"username": "mail", "email": "mail", "is_active": "enabled", "date_joined": "since",
			"first_name": "", "last_name": "", "is_staff": "",
		},
	}
	dump := filepath.Join(t.TempDir(), "dump.json")
	site.run(t, "", "dumpdata", "--output", dump)
	for name, read := range map[string]func(users.DjangoReading) (*users.DjangoSite, error){
		"database": func(how users.DjangoReading) (*users.DjangoSite, error) {
			return site.read(t, how)
		},
		"dump": func(how users.DjangoReading) (*users.DjangoSite, error) { return readDump(t, dump, how) },
	} {
		t.Run(name, func(t *testing.T) {
			read1, err := read(how)
			if err != nil {
				t.Fatal(err)
			}
			got := read1.Users()
			if len(got) != 1 || got[0].ID != 7 || got[0].Username != "ada@example.com" || got[0].Email != "ada@example.com" ||
				got[0].IsActive || !got[0].IsSuperuser || got[0].IsStaff || !slices.Equal(got[0].Groups, []string{"readers"}) || got[0].DateJoined.Year() != 2024 {
				t.Errorf("read %#v", fmt.Sprintf("%+v", got))
			}
			for fault, how := range map[string]users.DjangoReading{
				"members": {},
				"first_name": {
					UserModel: "members.member", UserTable: "members_member",
					Columns: map[string]string{"username": "mail", "email": "mail", "is_active": "enabled", "date_joined": "since"},
				},
				"no_such, which was named for username": {
					UserModel: "members.member", UserTable: "members_member", Columns: map[string]string{"username": "no_such"},
				},
				`"shoe_size"`: {Columns: map[string]string{"shoe_size": "x"}},
				`"password"`:  {Columns: map[string]string{"password": ""}},
			} {
				_, err := read(how)
				if text := problems(err); !strings.Contains(text, fault) {
					t.Errorf("error %q does not say %s", text, fault)
				}
			}
		})
	}
}
