package users_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// problems returns what a DjangoError says, remedy included.
func problems(err error) string {
	refusal, ok := errors.AsType[*users.DjangoError](err)
	if !ok {
		return fmt.Sprintf("not a DjangoError: %v", err)
	}
	return refusal.Error() + "\n" + refusal.Fix
}

// dumpOf writes records of users as dumpdata does; each is a number, a name, and
// what is different from an ordinary user.
func dumpOf(records ...string) string { return "[" + strings.Join(records, ", ") + "]" }

func userRecord(id any, name string, differs ...string) string {
	fields := map[string]string{
		"username": fmt.Sprintf("%q", name), "password": `"!x"`, "email": `""`, "first_name": `""`, "last_name": `""`,
		"is_active": "true", "is_staff": "false", "is_superuser": "false", "last_login": "null",
		"date_joined": `"2024-01-02T03:04:05.678Z"`, "groups": "[]", "user_permissions": "[]",
	}
	for _, d := range differs {
		field, value, _ := strings.Cut(d, "=")
		fields[field] = value
	}
	var list []string
	for field, value := range fields {
		if value != "" {
			list = append(list, fmt.Sprintf("%q: %s", field, value))
		}
	}
	return fmt.Sprintf(`{"model": "auth.user", "pk": %v, "fields": {%s}}`, id, strings.Join(list, ", "))
}

func parseDump(t testing.TB, text string) (*users.DjangoSite, error) {
	t.Helper()
	return users.ReadDjangoDump(t.Context(), strings.NewReader(text), users.DjangoReading{Tokens: true})
}

func TestDumpsThatAreRefused(t *testing.T) {
	ada := userRecord(1, "ada")
	for _, tt := range []struct {
		name string
		dump string
		want []string
	}{
		{"empty", "", []string{"empty", "manage.py dumpdata"}},
		{"white space", " \n", []string{"empty"}},
		{"XML", `<?xml version="1.0"?>`, []string{"not a dump in JSON", "manage.py dumpdata"}},
		{"YAML", "- model: auth.user", []string{"not a dump in JSON"}},
		{"UTF-16 of a shell", "\xff\xfe[\x00]\x00", []string{"UTF-16", "--output"}},
		{"no record", "[]", []string{"no record of the model auth.user"}},
		{"only groups", dumpOf(`{"model": "auth.group", "pk": 1, "fields": {"name": "a"}}`), []string{"no record of the model auth.user"}},
		{"another user model", dumpOf(`{"model": "shop.customer", "pk": 1, "fields": {"password": "x"}}`), []string{"--user-model shop.customer"}},
		{"cut in a record", dumpOf(ada)[:40], []string{"middle of record 1", "disk"}},
		{"cut between records", "[" + ada + ",", []string{"middle of record 2"}},
		{"cut before the end", "[" + ada, []string{"middle of record 2"}},
		{"a broken record", "[" + ada + ", {nonsense}]", []string{"record 2", "not JSON", "at byte"}},
		{"two dumps in one file", dumpOf(ada) + dumpOf(ada), []string{"behind the end"}},
		{"a list of numbers", "[1, 2]", []string{"record 1", "dumpdata"}},
		{"an object without a model", `[{"pk": 1}]`, []string{"record 1"}},
		{"fields that are a list", `[{"model": "auth.user", "pk": 1, "fields": []}]`, []string{"record 1", "not an object"}},
		{"fields that are null", `[{"model": "auth.group", "pk": 1, "fields": null}]`, []string{"record 1", "not an object"}},
		{"no fields", `[{"model": "auth.group", "pk": 1}]`, []string{"record 1", "not an object"}},
		{"no number", dumpOf(userRecord("null", "ada")), []string{"no number", "--natural-primary"}},
		{"a number that is a text", dumpOf(userRecord(`"5"`, "ada")), []string{"id is a text, want a whole number"}},
		{"a number that is a UUID", dumpOf(userRecord(`"6f1c5ef6-0b5e-4f0e-9a52-111111111111"`, "ada")), []string{"want a whole number"}},
		{"a number with a fraction", dumpOf(userRecord("1.5", "ada")), []string{"the number 1.5"}},
		{"a number beyond all", dumpOf(userRecord("99999999999999999999", "ada")), []string{"99999999999999999999"}},
		{"a number that JSON readers round", dumpOf(userRecord("9007199254740993", "ada")), []string{"9007199254740993 is not between"}},
		{"number zero", dumpOf(userRecord("0", "ada")), []string{"0 is not between"}},
		{"a name that is a number", dumpOf(userRecord(1, "", "username=5")), []string{"username is the number 5, want text"}},
		{"no name", dumpOf(userRecord(1, "", "username=null")), []string{"empty"}},
		{"a name with a space behind", dumpOf(userRecord(1, "ada ")), []string{`"ada "`, "white space"}},
		{"a name with a line end", dumpOf(userRecord(1, "", `username="a\nb"`)), []string{"does not show"}},
		{"a name that lost a letter", dumpOf(userRecord(1, "", `username="a\ud800"`)), []string{"U+FFFD"}},
		{"a name of 151 letters", dumpOf(userRecord(1, strings.Repeat("a", 151))), []string{"too many"}},
		{"bytes that are not UTF-8", dumpOf(userRecord(1, "", "email=\"\xff\"")), []string{"UTF-8"}},
		{"a password that is a list", dumpOf(userRecord(1, "ada", "password=[]")), []string{"password is a list"}},
		{"a hash without end", dumpOf(userRecord(1, "ada", `password="`+strings.Repeat("x", 600)+`"`)), []string{"longer than"}},
		{"a hash with a line end", dumpOf(userRecord(1, "ada", `password="a\nb"`)), []string{"what no hash contains"}},
		{"a flag that is a text", dumpOf(userRecord(1, "ada", `is_active="yes"`)), []string{"is_active is a text, want true or false"}},
		{"a flag that is 2", dumpOf(userRecord(1, "ada", "is_active=2")), []string{"is_active is the number 2"}},
		{"a flag that is null", dumpOf(userRecord(1, "ada", "is_superuser=null")), []string{"is_superuser is null"}},
		{"a time that is none", dumpOf(userRecord(1, "ada", `date_joined="yesterday"`)), []string{"date_joined is a text, want a time"}},
		{"no date of joining", dumpOf(userRecord(1, "ada", "date_joined=null")), []string{"date_joined is null"}},
		{"a login that is a number", dumpOf(userRecord(1, "ada", "last_login=5")), []string{"last_login is the number 5"}},
		{"a field is missing", dumpOf(userRecord(1, "ada", "is_staff=")), []string{"no field is_staff", "--column"}},
		{"a field is missing later", dumpOf(ada, userRecord(2, "bob", "is_staff=")), []string{"record 2", "it has no is_staff"}},
		{"groups that are a text", dumpOf(userRecord(1, "ada", `groups="a"`)), []string{"groups is a text, want a list"}},
		{"a group that is an object", dumpOf(userRecord(1, "ada", "groups=[{}]")), []string{"groups holds an object"}},
		{"a group that is not in the dump", dumpOf(userRecord(1, "ada", "groups=[4]")), []string{"group 4", "dumpdata auth.group auth.user"}},
		{"a group without a name", dumpOf(ada, `{"model": "auth.group", "pk": 1, "fields": {"name": ""}}`), []string{"auth.group 1", "empty"}},
		{"a group whose name is a number", dumpOf(ada, `{"model": "auth.group", "pk": 1, "fields": {"name": 1}}`), []string{"name is the number 1"}},
		{"a group whose number is a text", dumpOf(ada, `{"model": "auth.group", "pk": "x", "fields": {"name": "a"}}`), []string{"want a whole number"}},
		{"two groups of one number", dumpOf(ada, `{"model": "auth.group", "pk": 1, "fields": {"name": "a"}}`, `{"model": "auth.group", "pk": 1, "fields": {"name": "b"}}`), []string{`group "a"`}},
		{"two groups of one name", dumpOf(ada, `{"model": "auth.group", "pk": 1, "fields": {"name": "a"}}`, `{"model": "auth.group", "pk": 2, "fields": {"name": "a"}}`), []string{`"a" was there before`}},
		{"two users of one number", dumpOf(ada, userRecord(1, "bob")), []string{`"ada" and "bob" have one number, 1`}},
		{"two users of one name", dumpOf(ada, userRecord(2, "ada")), []string{`users 1 and 2 have one name, "ada"`}},
		{"two users of one name in NFKC", dumpOf(userRecord(1, "ﬁfi"), userRecord(2, "fifi")), []string{`users 1 and 2 have one name, "fifi"`}},
		{"all faults at once", dumpOf(userRecord(1, "ada", "email=5"), userRecord(2, "bob", "email=5")), []string{"2 problems", "record 1", "record 2"}},
		{"a revocation of nothing", dumpOf(ada, revocation(9)), []string{"token 9"}},
		{"a revocation of a text", dumpOf(ada, strings.Replace(revocation(9), ": 9", `: "x"`, 1)), []string{"blacklistedtoken 1", "token_id is a text"}},
		{"a token of an object", dumpOf(ada, strings.Replace(outstanding(9, "a", "null"), `"user": 1`, `"user": {}`, 1)), []string{"user is an object"}},
		{"a group by an empty name", dumpOf(userRecord(1, "ada", `groups=[[""]]`)), []string{"group is empty"}},
		{"a token without an end", dumpOf(ada, outstanding(9, "a", "null")), []string{"never expires"}},
		{"a token without an id", dumpOf(ada, outstanding(9, "", `"2099-01-01T00:00:00Z"`)), []string{"jti is empty"}},
		{"two tokens of one jti", dumpOf(ada, outstanding(9, "a", `"2099-01-01T00:00:00Z"`), outstanding(10, "a", `"2099-01-01T00:00:00Z"`)), []string{`one jti, "a"`}},
		{"two tokens of one number", dumpOf(ada, outstanding(9, "a", `"2099-01-01T00:00:00Z"`), outstanding(9, "b", `"2099-01-01T00:00:00Z"`)), []string{"was there before"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseDump(t, tt.dump)
			text := problems(err)
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("got %q, want it to say %q", text, want)
				}
			}
		})
	}
}

func outstanding(pk int, jti, expires string) string {
	return fmt.Sprintf(`{"model": "token_blacklist.outstandingtoken", "pk": %d, "fields": {"user": 1, "jti": %q, "token": "x.y.z", "created_at": null, "expires_at": %s}}`, pk, jti, expires)
}

func revocation(token int) string {
	return fmt.Sprintf(`{"model": "token_blacklist.blacklistedtoken", "pk": 1, "fields": {"token": %d, "blacklisted_at": "2024-01-01T00:00:00Z"}}`, token)
}

func TestPasswordsInClearAreNotShown(t *testing.T) {
	userstest.Each(t, testPasswordsInClearAreNotShown)
}

func testPasswordsInClearAreNotShown(t *testing.T, place *userstest.Place) {
	site, err := parseDump(t, dumpOf(userRecord(1, "ada", `password="hunter2"`), userRecord(2, "bob", `password="hun$ter2"`), userRecord(3, "eve", `password="argon2$hunter2"`)))
	if err != nil {
		t.Fatal(err)
	}
	report, err := userstest.Open(t, userstest.In(place)).ImportDjango(t.Context(), site, users.DjangoImport{})
	if err != nil || len(report.Locked) != 3 {
		t.Errorf("report: %+v, %v", report, err)
	}
	_, refused := parseDump(t, dumpOf(userRecord(1, "ada", `password="hunter2\n"`)))
	if text := fmt.Sprintf("%+v %v", report, refused); refused == nil || strings.Contains(text, "hunter2") || strings.Contains(text, "ter2") {
		t.Errorf("shown: %s", text)
	}
}

func TestDumpsThatAreRead(t *testing.T) {
	joined := time.Date(2024, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	ordinary := func(change func(*users.User)) users.User {
		u := users.User{ID: 1, Username: "ada", Password: "!x", IsActive: true, DateJoined: joined, Groups: []string{}, Attributes: map[string]string{}}
		change(&u)
		return u
	}
	same := func(*users.User) {}
	for _, tt := range []struct {
		name string
		dump string
		want users.User
	}{
		{"as dumpdata writes it", dumpOf(userRecord(1, "ada")), ordinary(same)},
		{"JSON Lines", userRecord(1, "ada") + "\n", ordinary(same)},
		{"a mark before the text", "\xef\xbb\xbf" + dumpOf(userRecord(1, "ada")), ordinary(same)},
		{"other models around it", dumpOf(`{"model": "sessions.session", "pk": "x", "fields": {"password": 5}}`, userRecord(1, "ada"), `{"model": "a.b", "pk": 1, "fields": {}}`), ordinary(same)},
		{"odd letters", dumpOf(userRecord(1, `o'neil "x" <y>&例え`)), ordinary(func(u *users.User) { u.Username = `o'neil "x" <y>&例え` })},
		{"another form of a name", dumpOf(userRecord(1, "ﬁfi")), ordinary(func(u *users.User) { u.Username = "fifi" })},
		{"flags of MySQL", dumpOf(userRecord(1, "ada", "is_staff=1", "is_active=0")), ordinary(func(u *users.User) { u.IsStaff, u.IsActive = true, false })},
		{"null where text may be empty", dumpOf(userRecord(1, "ada", "email=null")), ordinary(same)},
		{"characters that do not show", dumpOf(userRecord(1, "ada", `first_name="A\u202eda\n"`)), ordinary(func(u *users.User) { u.FirstName = "Ada" })},
		{"a time with another zone", dumpOf(userRecord(1, "ada", `last_login="2024-01-02T05:04:05+02:00"`)), ordinary(func(u *users.User) { u.LastLogin = joined.Truncate(time.Second) })},
		{"a time without a zone", dumpOf(userRecord(1, "ada", `last_login="2024-01-02T03:04:05"`)), ordinary(func(u *users.User) { u.LastLogin = joined.Truncate(time.Second) })},
		{"groups behind their members", dumpOf(userRecord(1, "ada", "groups=[2, 1]"), `{"model": "auth.group", "pk": 1, "fields": {"name": "b"}}`, `{"model": "auth.group", "pk": 2, "fields": {"name": "a"}}`), ordinary(func(u *users.User) { u.Groups = []string{"a", "b"} })},
		{"groups by name", dumpOf(userRecord(1, "ada", `groups=[["b"], ["a"], ["b"]]`)), ordinary(func(u *users.User) { u.Groups = []string{"a", "b"} })},
		{"a group without a number", dumpOf(`{"model": "auth.group", "fields": {"name": "a"}}`, userRecord(1, "ada", `groups=[["a"]]`)), ordinary(func(u *users.User) { u.Groups = []string{"a"} })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site, err := parseDump(t, tt.dump)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]users.User{tt.want}, site.Users()); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTimesOfASiteWithoutZones(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones here: ", err)
	}
	dump := dumpOf(userRecord(1, "ada", `date_joined="2024-07-01T12:00:00"`))
	site, err := users.ReadDjangoDump(t.Context(), strings.NewReader(dump), users.DjangoReading{Zone: berlin})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := site.Users()[0].DateJoined, time.Date(2024, 7, 1, 10, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("joined %v, want %v", got, want)
	}
	var out bytes.Buffer
	if err := users.WriteDjango(&out, site.Users(), users.DjangoExport{Zone: berlin}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"date_joined":"2024-07-01T12:00:00"`) {
		t.Errorf("written: %s", &out)
	}
}

// fullDisk takes some bytes and no more.
type fullDisk struct{ room int }

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, errors.New("no room")
	}
	return len(p), nil
}

func TestFixtureOnAFullDisk(t *testing.T) {
	all := make([]users.User, 100)
	for i := range all {
		all[i] = users.User{ID: int64(i + 1), Username: strings.Repeat("a", 100)}
	}
	for _, room := range []int{0, 5000, 20_000} {
		if err := users.WriteDjango(&fullDisk{room}, all, users.DjangoExport{}); err == nil {
			t.Errorf("with room for %d bytes there is no error", room)
		}
	}
	var out bytes.Buffer
	if err := users.WriteDjango(&out, nil, users.DjangoExport{}); err != nil || out.String() != "[]\n" {
		t.Errorf("nobody: %q, %v", &out, err)
	}
}

func TestReadersThatFailOrAreStopped(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("["), iotest.ErrReader(io.ErrClosedPipe))
	for name, in := range map[string]io.Reader{"at once": iotest.ErrReader(io.ErrClosedPipe), "later": broken} {
		if _, err := users.ReadDjangoDump(t.Context(), in, users.DjangoReading{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows := 0
	many := "[" + strings.Repeat(`{"model": "a.b", "pk": 1, "fields": {}},`, 5000)
	_, err := users.ReadDjangoDump(ctx, strings.NewReader(many), users.DjangoReading{Progress: func(n int) {
		if rows = n; n >= 1000 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || rows != 1000 {
		t.Errorf("stopped after %d rows: %v", rows, err)
	}
}

// What is read is what the store takes, and what is written is what was read.
func FuzzDjangoDump(f *testing.F) {
	f.Add(dumpOf(userRecord(1, "ada", `groups=[["b"], 1]`), userRecord(2, "ﬁfi", `password="crypt$$x"`), `{"model": "auth.group", "pk": 1, "fields": {"name": "a"}}`))
	f.Add(userRecord(1, "ada") + "\n" + userRecord(3, "o'neil \"x\" 例え", `last_login="2024-01-02T05:04:05.123456+02:00"`))
	f.Add(dumpOf(userRecord(1, "ada"), outstanding(9, "a", `"2099-01-01T00:00:00Z"`), revocation(9)))
	f.Add(dumpOf(userRecord(1, "ada"))[:100])
	f.Add("\xef\xbb\xbf[]")
	store := userstest.Open(f)
	f.Fuzz(func(t *testing.T, text string) {
		site, err := parseDump(t, text)
		if err != nil {
			if _, ok := errors.AsType[*users.DjangoError](err); !ok {
				t.Errorf("an error without a remedy: %v", err)
			}
			return
		}
		report, err := store.ImportDjango(t.Context(), site, users.DjangoImport{DryRun: true})
		if err != nil || report.Users.Created != len(site.Users()) {
			t.Fatalf("the store does not take what was read: %+v, %v", report, err)
		}
		var out bytes.Buffer
		if err := users.WriteDjango(&out, site.Users(), users.DjangoExport{}); err != nil {
			t.Fatal(err)
		}
		again, err := users.ReadDjangoDump(t.Context(), &out, users.DjangoReading{})
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, &out)
		}
		if diff := cmp.Diff(site.Users(), again.Users()); diff != "" {
			t.Errorf("read again (-first +second):\n%s", diff)
		}
	})
}
