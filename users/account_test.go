package users_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestAccountIsKeptAsGiven(t *testing.T) { userstest.Each(t, testAccountIsKeptAsGiven) }

func testAccountIsKeptAsGiven(t *testing.T, place *userstest.Place) {
	now := time.Date(2026, 11, 5, 10, 20, 30, 123456000, time.UTC)
	if !place.IsPostgres() {
		place.Config.DSN = filepath.Join(t.TempDir(), "a directory", "q?uer%79#y.db")
		makeDir(t, filepath.Dir(place.Config.DSN))
	}
	s := userstest.Open(t, userstest.In(place), userstest.Now(func() time.Time { return now }))
	made := userstest.Add(t, s, users.NewUser{
		Username: "ada", Password: "secret", Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace",
		Groups: []string{"staff", "analyst", "staff"}, Staff: true, Superuser: true,
	})
	want := users.User{
		ID: 1, Username: "ada", Email: "ada@example.com", FirstName: "Ada", LastName: "Lovelace",
		IsActive: true, IsStaff: true, IsSuperuser: true, DateJoined: now, Groups: []string{"analyst", "staff"},
		Attributes: map[string]string{},
	}
	// Read by another process, from the database.
	other := userstest.Open(t, userstest.In(place))
	for name, read := range map[string]func() (users.User, error){
		"CreateUser": func() (users.User, error) { return made, nil },
		"UserByName": func() (users.User, error) { return other.UserByName(t.Context(), "ada") },
		"UserByID":   func() (users.User, error) { return other.UserByID(t.Context(), 1) },
		"LiveUser":   func() (users.User, error) { return other.LiveUser(t.Context(), 1) },
		"Users": func() (users.User, error) {
			all, err := other.Users(t.Context())
			if len(all) != 1 {
				t.Fatalf("%d users", len(all))
			}
			return all[0], err
		},
	} {
		got, err := read()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got.Password, "argon2$") {
			t.Errorf("%s: password column %q", name, got.Password)
		}
		got.Password = ""
		if diff := cmp.Diff(fields(want), fields(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSmallestAccountCannotLogIn(t *testing.T) { userstest.Each(t, testSmallestAccountCannotLogIn) }

func testSmallestAccountCannotLogIn(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "bot", Inactive: true})
	if u.IsActive || u.IsStaff || u.IsSuperuser || u.Groups == nil || len(u.Groups) != 0 || !u.LastLogin.IsZero() {
		t.Errorf("got %+v", fields(u))
	}
	if !strings.HasPrefix(u.Password, "!") {
		t.Errorf("password column %q", u.Password)
	}
}

func TestNamesThatAreAccepted(t *testing.T) { userstest.Each(t, testNamesThatAreAccepted) }

func testNamesThatAreAccepted(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	for _, tt := range []struct{ name, given, stored string }{
		{"letters of any script", "Зоя.密码@+-_", "Зоя.密码@+-_"},
		{"inner spaces", "Ada King", "Ada King"},
		{"decomposed accents become NFKC", "e\u0301clair", "éclair"},
		{"ligatures become NFKC", "ﬁona", "fiona"},
		{"150 characters of three bytes", strings.Repeat("密", 150), strings.Repeat("密", 150)},
		{"an apostrophe", "o'brien'; --", "o'brien'; --"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := userstest.Add(t, s, users.NewUser{Username: tt.given})
			if u.Username != tt.stored {
				t.Errorf("stored %q, want %q", u.Username, tt.stored)
			}
			if _, err := s.UserByName(t.Context(), tt.stored); err != nil {
				t.Error(err)
			}
			if _, err := s.UserByName(t.Context(), tt.given); tt.given != tt.stored && !errors.Is(err, users.ErrNotFound) {
				t.Errorf("found by %q as well: %v", tt.given, err)
			}
		})
	}
}

func TestValuesThatAreRefused(t *testing.T) { userstest.Each(t, testValuesThatAreRefused) }

func testValuesThatAreRefused(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "ada"})
	long := strings.Repeat("x", 151)
	for _, tt := range []struct {
		name   string
		user   users.NewUser
		fields string
	}{
		{"no name", users.NewUser{}, "username"},
		{"only a space", users.NewUser{Username: " "}, "username"},
		{"a space before", users.NewUser{Username: " ada"}, "username"},
		{"a separator that Python trims behind", users.NewUser{Username: "ada\x1c"}, "username"},
		{"an ideographic space behind, which NFKC makes a space", users.NewUser{Username: "ada\u3000"}, "username"},
		{"a line end", users.NewUser{Username: "ada\r\nX-User-Id: 1"}, "username"},
		{"a null", users.NewUser{Username: "a\x00b"}, "username"},
		{"a mark of direction", users.NewUser{Username: "a\u202eb"}, "username"},
		{"a space of no width", users.NewUser{Username: "a\u200bb"}, "username"},
		{"a line separator", users.NewUser{Username: "a\u2028b"}, "username"},
		{"no UTF-8", users.NewUser{Username: "a\xffb"}, "username"},
		{"151 characters", users.NewUser{Username: long}, "username"},
		{"a name that grows past 150 in NFKC", users.NewUser{Username: strings.Repeat("ﬁ", 76)}, "username"},
		{"a group without a name", users.NewUser{Username: "b", Groups: []string{""}}, "groups"},
		{"a group with a space behind", users.NewUser{Username: "b", Groups: []string{"staff "}}, "groups"},
		{"a group with a line end", users.NewUser{Username: "b", Groups: []string{"a\nb"}}, "groups"},
		{"a password that the login would trim", users.NewUser{Username: "b", Password: "secret "}, "password"},
		{"a password with a null", users.NewUser{Username: "b", Password: "a\x00b"}, "password"},
		{"a password that is not UTF-8", users.NewUser{Username: "b", Password: "\xff"}, "password"},
		{"a password and a hash", users.NewUser{Username: "b", Password: "x", Encoded: "!"}, "password"},
		{"a password in clear as a hash", users.NewUser{Username: "b", Encoded: "hunter2"}, "password"},
		{"a hash beyond any form", users.NewUser{Username: "b", Encoded: "!" + strings.Repeat("x", 600)}, "password"},
		{"everything at once", users.NewUser{
			Username: long, Password: " x", Email: strings.Repeat("x", 255), FirstName: "a\tb", LastName: long,
			Groups: []string{"", " x"},
		}, "username email first_name last_name groups groups password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := s.CreateUser(t.Context(), tt.user)
			if got := faultFields(t, err); got != tt.fields {
				t.Errorf("faults at %q, want %q: %v", got, tt.fields, err)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret")) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
	for name, c := range map[string]users.Change{
		"username":   {Username: new("")},
		"email":      {Email: new("a\nb")},
		"first_name": {FirstName: new(long)},
		"last_name":  {LastName: new("\x7f")},
		"groups":     {SetGroups: &[]string{" "}, AddGroups: []string{"ok"}},
	} {
		if _, err := s.UpdateUser(t.Context(), "ada", c); faultFields(t, err) != name {
			t.Errorf("change of %s: %v", name, err)
		}
	}
	if all, err := s.Users(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%d users (%v), want only ada", len(all), err)
	}
}

func TestNamesAreUnique(t *testing.T) { userstest.Each(t, testNamesAreUnique) }

func testNamesAreUnique(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "ada"})
	userstest.Add(t, s, users.NewUser{Username: "Ada"}) // case counts, as in Django
	userstest.Add(t, s, users.NewUser{Username: "fiona", Groups: []string{"a"}})
	if _, err := s.CreateUser(t.Context(), users.NewUser{Username: "ada"}); !errors.Is(err, users.ErrExists) {
		t.Errorf("second ada: %v", err)
	}
	if _, err := s.CreateUser(t.Context(), users.NewUser{Username: "ﬁona"}); !errors.Is(err, users.ErrExists) {
		t.Errorf("fiona with a ligature: %v", err)
	}
	if _, err := s.UpdateUser(t.Context(), "fiona", users.Change{Username: new("ada"), AddGroups: []string{"b"}}); !errors.Is(err, users.ErrExists) {
		t.Errorf("fiona renamed to ada: %v", err)
	}
	if u, err := s.UserByName(t.Context(), "fiona"); err != nil || len(u.Groups) != 1 {
		t.Errorf("after a refused change: %v, groups %q", err, u.Groups)
	}
	var names []string
	all, err := s.Users(t.Context())
	for _, u := range all {
		names = append(names, u.Username)
	}
	if diff := cmp.Diff([]string{"Ada", "ada", "fiona"}, names); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestChanges(t *testing.T) { userstest.Each(t, testChanges) }

func testChanges(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "ada", Email: "old@example.com", Groups: []string{"a", "b"}})
	for _, tt := range []struct {
		name   string
		change users.Change
		want   string
	}{
		{"nothing", users.Change{}, "ada old@example.com   [a b] active"},
		{"texts", users.Change{Email: new("new@example.com"), FirstName: new("Ada"), LastName: new("King")}, "ada new@example.com Ada King [a b] active"},
		{"add groups, one twice", users.Change{AddGroups: []string{"c", "a"}}, "ada new@example.com Ada King [a b c] active"},
		{"remove groups, one unknown", users.Change{RemoveGroups: []string{"a", "z"}}, "ada new@example.com Ada King [b c] active"},
		{"set groups, then add and remove", users.Change{SetGroups: &[]string{"x", "y"}, AddGroups: []string{"z"}, RemoveGroups: []string{"x"}}, "ada new@example.com Ada King [y z] active"},
		{"no groups, no email", users.Change{SetGroups: &[]string{}, Email: new("")}, "ada  Ada King [] active"},
		{"rights", users.Change{Active: new(false), Staff: new(true), Superuser: new(true)}, "ada  Ada King [] staff superuser"},
		{"rename", users.Change{Username: new("ada2"), Active: new(true), Staff: new(false), Superuser: new(false)}, "ada2  Ada King [] active"},
	} {
		got, err := s.UpdateUser(t.Context(), "ada", tt.change)
		if err != nil || summary(got) != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.name, summary(got), err, tt.want)
		}
		if read, err := s.UserByID(t.Context(), got.ID); err != nil || summary(read) != tt.want {
			t.Errorf("%s: read %q, %v", tt.name, summary(read), err)
		}
	}
}

func TestWhoIsNotThere(t *testing.T) { userstest.Each(t, testWhoIsNotThere) }

func testWhoIsNotThere(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	for name, err := range map[string]error{
		"UserByName":  second(s.UserByName(t.Context(), "nobody")),
		"UserByID":    second(s.UserByID(t.Context(), 7)),
		"LiveUser":    second(s.LiveUser(t.Context(), 7)),
		"UpdateUser":  second(s.UpdateUser(t.Context(), "nobody", users.Change{})),
		"SetPassword": s.SetPassword(t.Context(), "nobody", "secret"),
		"DeleteUser":  s.DeleteUser(t.Context(), "nobody"),
	} {
		if !errors.Is(err, users.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if all, err := s.Users(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("Users: %v, %v", all, err)
	}
}

// The attack: keep a token, wait until the account is deleted and another one gets
// its number.
func TestNumbersAreNeverGivenTwice(t *testing.T) { userstest.Each(t, testNumbersAreNeverGivenTwice) }

func testNumbersAreNeverGivenTwice(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	first := userstest.Add(t, s, users.NewUser{Username: "ada"})
	if err := s.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if again := userstest.Add(t, s, users.NewUser{Username: "ada"}); again.ID == first.ID {
		t.Errorf("number %d was given again", first.ID)
	}
}

func TestNoPrintingShowsTheHash(t *testing.T) { userstest.Each(t, testNoPrintingShowsTheHash) }

func testNoPrintingShowsTheHash(t *testing.T, place *userstest.Place) {
	u := userstest.Add(t, userstest.Open(t, userstest.In(place)), users.NewUser{Username: "ada", Password: "secret"})
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("login", slog.Any("user", u))
	encoded, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"slog": log.String(), "JSON": string(encoded), "%v": fmt.Sprintf("%v", u), "%+v": fmt.Sprintf("%+v", u), "%#v": fmt.Sprintf("%#v", u),
	} {
		if strings.Contains(text, "argon2") || !strings.Contains(text, "ada") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// fields is a User without its methods, for comparison field by field.
type plainUser users.User

func fields(u users.User) plainUser { return plainUser(u) }

func summary(u users.User) string {
	var text strings.Builder
	fmt.Fprint(&text, u.Username, " ", u.Email, " ", u.FirstName, " ", u.LastName, " ", u.Groups)
	for _, f := range []struct {
		on   bool
		name string
	}{{u.IsActive, " active"}, {u.IsStaff, " staff"}, {u.IsSuperuser, " superuser"}} {
		if f.on {
			text.WriteString(f.name)
		}
	}
	return text.String()
}

func second[T any](_ T, err error) error { return err }

// faultFields returns where the faults are, in their order; an error that is no
// fault ends the test.
func faultFields(t *testing.T, err error) string {
	t.Helper()
	var all []string
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				walk(e)
			}
			return
		}
		f, ok := errors.AsType[*users.Fault](err)
		if !ok {
			t.Fatalf("not a fault: %v", err)
		}
		if f.Problem == "" || f.Fix == "" {
			t.Errorf("a fault without problem or remedy: %#v", f)
		}
		all = append(all, f.Field())
	}
	if err != nil {
		walk(err)
	}
	return strings.Join(all, " ")
}
