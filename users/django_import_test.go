package users_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// importDump imports a dump; the error is that of the import.
func importDump(t testing.TB, s *users.Store, dump string, how users.DjangoImport) (users.DjangoReport, error) {
	t.Helper()
	site, err := parseDump(t, dump)
	if err != nil {
		t.Fatalf("read the dump: %s", problems(err))
	}
	return s.ImportDjango(t.Context(), site, how)
}

func mustImport(t testing.TB, s *users.Store, dump string) users.DjangoReport {
	t.Helper()
	report, err := importDump(t, s, dump, users.DjangoImport{})
	if err != nil {
		t.Fatalf("import: %s", problems(err))
	}
	return report
}

func allUsers(t *testing.T, s *users.Store) []users.User {
	t.Helper()
	all, err := s.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestImportTwiceChangesNothing(t *testing.T) { userstest.Each(t, testImportTwiceChangesNothing) }

func testImportTwiceChangesNothing(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	dump := dumpOf(userRecord(5, "ada", `groups=[["a"], ["b"]]`, `last_login="2024-01-02T03:04:05.999Z"`), userRecord(9, "bob"))
	if r := mustImport(t, s, dump); r.Users.Created != 2 || !r.Changed() || r.Groups != 2 || r.Memberships != 2 {
		t.Errorf("the first: %+v", r)
	}
	before := allUsers(t, s)
	if r := mustImport(t, s, dump); r.Users.Unchanged != 2 || r.Changed() || len(r.Updated) != 0 {
		t.Errorf("the second: %+v", r)
	}
	if diff := cmp.Diff(before, allUsers(t, s)); diff != "" {
		t.Errorf("the second import changed (-before +after):\n%s", diff)
	}
}

func TestImportOfWhatHasChanged(t *testing.T) { userstest.Each(t, testImportOfWhatHasChanged) }

func testImportOfWhatHasChanged(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	mustImport(t, s, dumpOf(userRecord(5, "ada", `groups=[["a"], ["b"]]`), userRecord(9, "bob"), userRecord(10, "cyd", `last_login="2024-06-01T00:00:00Z"`)))
	if u := live(t, s, 5); !u.IsActive {
		t.Fatal("ada is not active")
	}
	report := mustImport(t, s, dumpOf(
		userRecord(5, "ada", "is_active=false", `email="a@example.com"`, `groups=[["b"], ["c"]]`, `password="!y"`, `last_login="2024-06-01T00:00:00Z"`),
		userRecord(9, "bob", `groups=[["d"]]`),
		// A login that happened here meanwhile is not undone.
		userRecord(10, "cyd", `last_login="2024-05-01T00:00:00Z"`),
	))
	want := []users.DjangoUpdate{
		{ID: 5, Username: "ada", Fields: []string{"password", "email", "is_active", "groups", "last_login"}},
		{ID: 9, Username: "bob", Fields: []string{"groups"}},
	}
	if diff := cmp.Diff(want, report.Updated); diff != "" || report.Users.Updated != 2 || report.Users.Unchanged != 1 {
		t.Errorf("report %+v, updated (-want +got):\n%s", report, diff)
	}
	ada := live(t, s, 5) // at once, although it was held
	if ada.IsActive || ada.Email != "a@example.com" || ada.Password != "!y" || !slices.Equal(ada.Groups, []string{"b", "c"}) || ada.LastLogin.Month() != time.June {
		t.Errorf("ada is %+v %q", ada, ada.Groups)
	}
	if bob := live(t, s, 9); !slices.Equal(bob.Groups, []string{"d"}) {
		t.Errorf("bob is in %q", bob.Groups)
	}
	if cyd := live(t, s, 10); cyd.LastLogin.Month() != time.June {
		t.Errorf("cyd logged in %v", cyd.LastLogin)
	}
}

func TestColumnsThatTheSiteDoesNotHaveStay(t *testing.T) {
	userstest.Each(t, testColumnsThatTheSiteDoesNotHaveStay)
}

func testColumnsThatTheSiteDoesNotHaveStay(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	mustImport(t, s, dumpOf(userRecord(5, "ada", `email="a@example.com"`, "is_staff=true", "is_superuser=true", "is_active=false",
		`first_name="Ada"`, `last_name="L"`, `groups=[["a"]]`, `last_login="2024-06-01T00:00:00Z"`)))
	before := allUsers(t, s)
	none := map[string]string{}
	for _, name := range []string{"email", "first_name", "last_name", "is_active", "is_staff", "is_superuser", "date_joined", "last_login", "groups"} {
		none[name] = ""
	}
	dump := dumpOf(`{"model": "auth.user", "pk": 5, "fields": {"username": "ada", "password": "!x"}}`, `{"model": "auth.user", "pk": 6, "fields": {"username": "bob", "password": "!x"}}`)
	site, err := users.ReadDjangoDump(t.Context(), strings.NewReader(dump), users.DjangoReading{Columns: none})
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.ImportDjango(t.Context(), site, users.DjangoImport{})
	if err != nil || report.Users.Unchanged != 1 || report.Users.Created != 1 {
		t.Errorf("report: %+v, %v", report, err)
	}
	after := allUsers(t, s)
	if diff := cmp.Diff(before, after[:1]); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
	if bob := after[1]; !bob.IsActive || bob.IsStaff || bob.IsSuperuser || time.Since(bob.DateJoined) > time.Minute {
		t.Errorf("bob is %+v", fields(bob))
	}
}

func TestConflictsWriteNothing(t *testing.T) { userstest.Each(t, testConflictsWriteNothing) }

func testConflictsWriteNothing(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "root"})
	userstest.Add(t, s, users.NewUser{Username: "ada"})
	before := allUsers(t, s)
	_, err := importDump(t, s, dumpOf(userRecord(1, "bob"), userRecord(7, "ada"), userRecord(8, "new")), users.DjangoImport{})
	text := problems(err)
	for _, want := range []string{`user "bob" (1): the number 1 is here that of "root"`, `user "ada" (7): here "ada" has the number 2`, "gatehouse user delete", "2 problems"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %q, want it to say %q", text, want)
		}
	}
	if diff := cmp.Diff(before, allUsers(t, s)); diff != "" {
		t.Errorf("written (-before +after):\n%s", diff)
	}
}

func TestDryRunKeepsNothing(t *testing.T) { userstest.Each(t, testDryRunKeepsNothing) }

func testDryRunKeepsNothing(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	mustImport(t, s, dumpOf(userRecord(5, "ada")))
	before := allUsers(t, s)
	dump := dumpOf(userRecord(5, "ada", "is_active=false"), userRecord(600, "bob", `groups=[["a"]]`), outstanding(1, "x", `"2099-01-01T00:00:00Z"`), revocation(1))
	dry, err := importDump(t, s, dump, users.DjangoImport{DryRun: true})
	if err != nil || !dry.DryRun || dry.Users.Created != 1 || dry.Users.Updated != 1 || dry.Tokens.Revoked != 1 {
		t.Fatalf("report: %+v, %v", dry, err)
	}
	if diff := cmp.Diff(before, allUsers(t, s)); diff != "" {
		t.Errorf("kept (-before +after):\n%s", diff)
	}
	if revoked, err := s.Revoked(t.Context(), "x"); revoked || err != nil {
		t.Errorf("the token is revoked: %v, %v", revoked, err)
	}
	if u := userstest.Add(t, s, users.NewUser{Username: "next"}); u.ID != 6 {
		t.Errorf("the next number is %d", u.ID)
	}
	wet := mustImport(t, s, strings.Replace(dump, "600", "700", 1))
	dry.DryRun = false
	if diff := cmp.Diff(dry, wet); diff != "" {
		t.Errorf("the dry run foretold (-dry +wet):\n%s", diff)
	}
}

// A token that Django has revoked would be good again behind a gateway that does
// not know of it: the key is the same.
func TestWhatWasRevokedStaysRevoked(t *testing.T) { userstest.Each(t, testWhatWasRevokedStaysRevoked) }

func testWhatWasRevokedStaysRevoked(t *testing.T, place *userstest.Place) {
	now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	end := func(d time.Duration) string { return fmt.Sprintf("%q", now.Add(d).Format(time.RFC3339)) }
	revoked := func(token int) string {
		return strings.Replace(revocation(token), `"pk": 1`, fmt.Sprintf(`"pk": %d`, token), 1)
	}
	// Revoked here, known to Django as good: stays revoked.
	if err := s.RevokeToken(t.Context(), users.Token{ID: "here", Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordToken(t.Context(), users.Token{ID: "later", Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	dump := dumpOf(
		userRecord(1, "ada"), revoked(12), // before its token
		outstanding(11, "good", end(time.Hour)), outstanding(12, "bad", end(time.Hour)), outstanding(13, "here", end(time.Hour)),
		outstanding(14, "later", end(time.Hour)), revoked(14),
		outstanding(15, "expired", end(-time.Minute)), outstanding(16, "leeway", end(-time.Minute)), revoked(16),
		outstanding(17, "old", end(-72*time.Hour)), revoked(17),
		strings.Replace(outstanding(18, "of nobody", end(time.Hour)), `"user": 1`, `"user": 77`, 1),
		strings.Replace(outstanding(19, "by name", end(time.Hour)), `"user": 1`, `"user": ["ada"]`, 1),
	)
	report := mustImport(t, s, dump)
	for jti, want := range map[string]bool{"good": false, "bad": true, "here": true, "later": true, "expired": false, "leeway": true, "old": false, "of nobody": false} {
		if got, err := s.Revoked(t.Context(), jti); got != want || err != nil {
			t.Errorf("revoked %s: %v, %v; want %v", jti, got, err, want)
		}
	}
	if tokens := report.Tokens; tokens.Created != 5 || tokens.Updated != 1 || tokens.Unchanged != 1 || tokens.Revoked != 3 || tokens.Expired != 2 {
		t.Errorf("report: %+v", tokens)
	}
	if again := mustImport(t, s, dump); again.Changed() || again.Tokens.Unchanged != 7 {
		t.Errorf("the second time: %+v", again.Tokens)
	}
	site, err := users.ReadDjangoDump(t.Context(), strings.NewReader(dump), users.DjangoReading{})
	if err != nil {
		t.Fatal(err)
	}
	without, err := s.ImportDjango(t.Context(), site, users.DjangoImport{})
	if err != nil || without.Tokens.Unchanged != 0 || !strings.Contains(strings.Join(without.Warnings, "\n"), "revoked 4 refresh tokens") {
		t.Errorf("without tokens: %+v, %v", without, err)
	}
}

func TestHashesThatCannotBeVerifiedAreNamed(t *testing.T) {
	userstest.Each(t, testHashesThatCannotBeVerifiedAreNamed)
}

func testHashesThatCannotBeVerifiedAreNamed(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	report := mustImport(t, s, dumpOf(
		userRecord(1, "crypt", `password="crypt$$abJnggxhB/yWI"`), userRecord(2, "nothing", `password=""`),
		userRecord(3, "odd", `password="sha512$x$y"`), userRecord(4, "huge", `password="argon2$argon2id$v=19$m=99999999,t=2,p=8$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"`),
		userRecord(5, "old", `password="md5$seasalt$7d30fbb9b4e214220ee9c82d1410b991"`), userRecord(6, "off"),
	))
	want := []users.DjangoLocked{{1, "crypt", "crypt"}, {2, "nothing", "empty"}, {3, "odd", "unknown"}, {4, "huge", "argon2 (malformed)"}}
	if diff := cmp.Diff(want, report.Locked); diff != "" {
		t.Errorf("locked (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"crypt": 1, "empty": 1, "unknown": 1, "argon2 (malformed)": 1, "md5": 1, "unusable": 1}, report.Hashes); diff != "" {
		t.Errorf("hashes (-want +got):\n%s", diff)
	}
	if u, err := s.UserByName(t.Context(), "crypt"); err != nil || u.Password != "crypt$$abJnggxhB/yWI" {
		t.Errorf("the hash of crypt: %q, %v", u.Password, err)
	}
}

func TestMatchesWritesNothing(t *testing.T) { userstest.Each(t, testMatchesWritesNothing) }

func testMatchesWritesNothing(t *testing.T, place *userstest.Place) {
	s := legacyStore(t, place)
	mustImport(t, s, dumpOf(userRecord(5, "old", `password="md5$seasalt$7d30fbb9b4e214220ee9c82d1410b991"`)))
	u := live(t, s, 5)
	for plain, want := range map[string]bool{"pässwörd-密码": true, "wrong": false} {
		if got, err := s.Matches(t.Context(), u, plain); got != want || err != nil {
			t.Errorf("%q matches: %v, %v", plain, got, err)
		}
	}
	if after := live(t, s, 5); after.Password != u.Password {
		t.Errorf("the hash became %q", after.Password)
	}
}

func TestDatabasesThatAreRefused(t *testing.T) {
	const user = `CREATE TABLE auth_user (id INTEGER PRIMARY KEY AUTOINCREMENT, password TEXT, last_login datetime, is_superuser bool, username TEXT,
		first_name TEXT, last_name TEXT, email TEXT, is_staff bool, is_active bool, date_joined datetime);`
	const groups = `CREATE TABLE auth_group (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE auth_user_groups (id INTEGER PRIMARY KEY, user_id INTEGER, group_id INTEGER);`
	const ada = `INSERT INTO auth_user VALUES (1, '!x', NULL, 0, 'ada', '', '', '', 0, 1, '2024-01-02 03:04:05');`
	tokens := `CREATE TABLE token_blacklist_outstandingtoken (id INTEGER, user_id INTEGER, jti TEXT, created_at datetime, expires_at datetime);`
	for _, tt := range []struct {
		name, schema string
		tokens       bool
		want         []string
	}{
		{"no tables", `CREATE TABLE x (y)`, false, []string{"no table auth_user", "name the file"}},
		{"another user table", `CREATE TABLE shop_customer (password, last_login)`, false, []string{"--user-table shop_customer"}},
		{"missing columns", `CREATE TABLE auth_user (id, username, password)`, false, []string{"no column email", "no column is_active", "--column"}},
		{"no memberships", user, false, []string{"no table auth_user_groups", "--column groups="}},
		{"no groups", user + `CREATE TABLE auth_user_groups (id, user_id, group_id)`, false, []string{"no table auth_group"}},
		{"no blacklist app", user + groups, true, []string{"no table token_blacklist_outstandingtoken", "--with-tokens"}},
		{"half a blacklist app", user + groups + `CREATE TABLE token_blacklist_outstandingtoken (id, jti)`, true, []string{"no column user_id"}},
		{"a token of a text", user + groups + tokens + `CREATE TABLE token_blacklist_blacklistedtoken (id, token_id, blacklisted_at); INSERT INTO token_blacklist_outstandingtoken VALUES (1, 'x', 'a', NULL, '2099-01-01 00:00:00')`, true, []string{"user_id is a text"}},
		{"bytes for a name", user + groups + ada + `UPDATE auth_user SET username = x'ff'`, false, []string{"auth_user 1", "username is bytes"}},
		{"a name that is not UTF-8", user + groups + ada + `UPDATE auth_user SET username = CAST(x'61ff' AS TEXT)`, false, []string{"username is not UTF-8"}},
		{"a flag of 7", user + groups + ada + `UPDATE auth_user SET is_active = 7`, false, []string{"is_active is the number 7"}},
		{"a time that is a number", user + groups + ada + `UPDATE auth_user SET date_joined = 1.5`, false, []string{"date_joined is the number 1.5"}},
		{"a group without a name", user + groups + ada + `INSERT INTO auth_group VALUES (1, NULL)`, false, []string{"auth_group 1"}},
		{"a membership of nothing", user + groups + ada + `INSERT INTO auth_user_groups VALUES (1, 1, NULL)`, false, []string{"auth_user_groups"}},
		{"a membership of a group that is gone", user + groups + ada + `INSERT INTO auth_user_groups VALUES (1, 1, 5)`, false, []string{"group 5"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain := filepath.Join(t.TempDir(), "db.sqlite3")
			execute(t, plain, tt.schema)
			path := plain + " ?mode=rw&%25#"
			if err := os.Rename(plain, path); err != nil {
				t.Fatal(err)
			}
			_, err := users.ReadDjangoSQLite(t.Context(), path, users.DjangoReading{Tokens: tt.tokens})
			text := problems(err)
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("got %q, want it to say %q", text, want)
				}
			}
		})
	}
	text := filepath.Join(t.TempDir(), "notes.txt")
	write(t, text, strings.Repeat("not a database\n", 100))
	for path, want := range map[string]string{text: "not an SQLite database", text + "x": "no database file", filepath.Dir(text): "no database file"} {
		if _, err := users.ReadDjangoSQLite(t.Context(), path, users.DjangoReading{}); !strings.Contains(problems(err), want) {
			t.Errorf("got %q, want it to say %q", problems(err), want)
		}
	}
}

func TestDamagedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite3")
	execute(t, path, `CREATE TABLE auth_user (id INTEGER PRIMARY KEY, username TEXT, password TEXT);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
		INSERT INTO auth_user SELECT i, 'user' || i, '!' FROM n`)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096 + 100; i < len(content); i++ {
		content[i] ^= 0xff
	}
	write(t, path, string(content))
	none := map[string]string{}
	for _, name := range []string{"email", "first_name", "last_name", "is_active", "is_staff", "is_superuser", "date_joined", "last_login", "groups"} {
		none[name] = ""
	}
	if _, err := users.ReadDjangoSQLite(t.Context(), path, users.DjangoReading{Columns: none}); !strings.Contains(problems(err), "is damaged") {
		t.Errorf("got %s", problems(err))
	}
}

// The site goes on while it is read, and may have its database in WAL mode.
func TestDatabaseInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.sqlite3")
	execute(t, path, `PRAGMA journal_mode = WAL;
		CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password TEXT, last_login datetime, is_superuser bool, username TEXT,
			first_name TEXT, last_name TEXT, email TEXT, is_staff bool, is_active bool, date_joined datetime);
		INSERT INTO auth_user VALUES (1, '!x', '2024-01-02 03:04:05.000007', 0, 'ada', '', '', '', 0, 1, '2024-01-02 03:04:05')`)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	site, err := users.ReadDjangoSQLite(t.Context(), path, users.DjangoReading{Columns: map[string]string{"groups": ""}})
	if err != nil {
		t.Fatal(err)
	}
	if got := site.Users(); len(got) != 1 || got[0].LastLogin.Nanosecond() != 7000 {
		t.Errorf("read %+v", got)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the site's database was written: %v", err)
	}
}

// A site of ten thousand users moves in a few seconds.
func BenchmarkImportDjango(b *testing.B) {
	records := make([]string, 10_000)
	for i := range records {
		records[i] = userRecord(i+1, fmt.Sprintf("user%05d", i), fmt.Sprintf(`groups=[["group%d"], ["all"]]`, i%50),
			`password="pbkdf2_sha256$260000$w1guqQX01JSHC4JtHys2dX$NnGPiq2faZI/jUGNmnoH6BGlP+FbHRgsdoPKeC6owC4="`)
	}
	dump := dumpOf(records...)
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			s := userstest.Open(b)
			b.StartTimer()
			if r := mustImport(b, s, dump); r.Users.Created != 10_000 {
				b.Fatalf("report: %+v", r)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		s := userstest.Open(b)
		mustImport(b, s, dump)
		for b.Loop() {
			if r := mustImport(b, s, dump); r.Changed() {
				b.Fatalf("report: %+v", r)
			}
		}
	})
}

func TestAnImportEndsTheSessionsOfWhomItChanges(t *testing.T) {
	userstest.Each(t, testAnImportEndsTheSessionsOfWhomItChanges)
}

func testAnImportEndsTheSessionsOfWhomItChanges(t *testing.T, place *userstest.Place) {
	const unchanged = `email="new@example.com"`
	for _, c := range []struct {
		name, field string
		dry, want   bool
	}{
		{"another hash", `password="!y"`, false, true},
		{"disabled", "is_active=false", false, true},
		{"another address", unchanged, false, false},
		{"a dry run", `password="!y"`, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := userstest.Open(t, userstest.In(place.New(t)))
			mustImport(t, s, dumpOf(userRecord(5, "ada"), userRecord(9, "bob")))
			token := began(t, s, live(t, s, 5), time.Now())
			other := began(t, s, live(t, s, 9), time.Now())
			if _, err := importDump(t, s, dumpOf(userRecord(5, "ada", c.field), userRecord(9, "bob")), users.DjangoImport{DryRun: c.dry}); err != nil {
				t.Fatal(err)
			}
			if gone, err := s.SessionEnded(t.Context(), users.FamilyOf(token.ID)); err != nil || gone != c.want {
				t.Errorf("her session is over: %v, %v; want %v", gone, err, c.want)
			}
			if ended := !live(t, s, 5).SessionsEnded.IsZero(); ended != c.want {
				t.Errorf("all of hers were ended: %v, want %v", ended, c.want)
			}
			if gone, err := s.SessionEnded(t.Context(), users.FamilyOf(other.ID)); err != nil || gone {
				t.Errorf("the session of another is over: %v, %v", gone, err)
			}
		})
	}
	// Somebody who was disabled here and stays so has none that could end again.
	s := userstest.Open(t, userstest.In(place.New(t)))
	mustImport(t, s, dumpOf(userRecord(5, "ada", "is_active=false")))
	mustImport(t, s, dumpOf(userRecord(5, "ada", "is_active=true")))
	if !live(t, s, 5).SessionsEnded.IsZero() {
		t.Error("letting her in again ended sessions")
	}
}
