package users_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestAttributesAreKeptAsGiven(t *testing.T) { userstest.Each(t, testAttributesAreKeptAsGiven) }

func testAttributesAreKeptAsGiven(t *testing.T, place *userstest.Place) {
	s := userstest.Open(t, userstest.In(place))
	long := strings.Repeat("密", 1000)
	made := userstest.Add(t, s, users.NewUser{
		Username: "ada", Groups: []string{"a", "b"},
		Attributes: map[string]string{"department": `<"é" & \>`, "Cost.Center-1_x": "", "null": "null", "long": long},
	})
	bare := userstest.Add(t, s, users.NewUser{Username: "bob"})
	want := map[string]string{"department": `<"é" & \>`, "Cost.Center-1_x": "", "null": "null", "long": long}
	other := userstest.Open(t, userstest.In(place)) // another process
	for name, read := range map[string]func() (users.User, error){
		"CreateUser": func() (users.User, error) { return made, nil },
		"UserByName": func() (users.User, error) { return other.UserByName(t.Context(), "ada") },
		"LiveUser":   func() (users.User, error) { return other.LiveUser(t.Context(), made.ID) },
		"Users": func() (users.User, error) {
			all, err := other.Users(t.Context())
			return all[0], err
		},
	} {
		got, err := read()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Attributes); diff != "" || len(got.Groups) != 2 {
			t.Errorf("%s: %v (-want +got):\n%s", name, got.Groups, diff)
		}
	}
	if bare.Attributes == nil || len(bare.Attributes) != 0 {
		t.Errorf("who has none has %v", bare.Attributes)
	}
}

func TestAttributesAreChangedOneByOne(t *testing.T) {
	s := userstest.Open(t)
	u := userstest.Add(t, s, users.NewUser{Username: "ada", Attributes: map[string]string{"a": "1", "b": "2"}})
	for _, c := range []struct {
		name   string
		change users.Change
		want   map[string]string
	}{
		{"one is added, one set", users.Change{SetAttributes: map[string]string{"b": "3", "c": "4"}}, map[string]string{"a": "1", "b": "3", "c": "4"}},
		{"something else is changed", users.Change{AddGroups: []string{"staff"}}, map[string]string{"a": "1", "b": "3", "c": "4"}},
		{"one is removed, and one that is not there", users.Change{RemoveAttributes: []string{"a", "z"}}, map[string]string{"b": "3", "c": "4"}},
		{"set and removed", users.Change{SetAttributes: map[string]string{"b": "5"}, RemoveAttributes: []string{"b"}}, map[string]string{"c": "4"}},
		{"the last", users.Change{RemoveAttributes: []string{"c"}}, map[string]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := live(t, s, u.ID).Attributes
			text := fmt.Sprint(before)
			got, err := s.UpdateUser(t.Context(), "ada", c.change)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Attributes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.want, live(t, s, u.ID).Attributes); diff != "" {
				t.Errorf("what is held of the user (-want +got):\n%s", diff)
			}
			if fmt.Sprint(before) != text {
				t.Error("a snapshot was changed")
			}
		})
	}
}

func TestAttributesThatAreRefused(t *testing.T) {
	s := userstest.Open(t)
	full := map[string]string{}
	for i := range 50 {
		full[fmt.Sprint("a", i)] = "x"
	}
	userstest.Add(t, s, users.NewUser{Username: "ada", Attributes: full})
	for _, c := range []struct {
		name       string
		attributes map[string]string
		at         string
	}{
		{"no name", map[string]string{"": "x"}, "attributes"},
		{"a name with a space", map[string]string{"a b": "x"}, "attributes"},
		{"a name that is not ASCII", map[string]string{"é": "x"}, "attributes"},
		{"a long name", map[string]string{strings.Repeat("a", 101): "x"}, "attributes"},
		{"a long value", map[string]string{"a1": strings.Repeat("x", 1001)}, "attributes.a1"},
		{"a value that does not show", map[string]string{"a1": "x\u202ey"}, "attributes.a1"},
		{"a value that is not UTF-8", map[string]string{"a1": "\xff"}, "attributes.a1"},
		{"the fifty-first", map[string]string{"one-more": "x"}, "attributes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := s.UpdateUser(t.Context(), "ada", users.Change{SetAttributes: c.attributes})
			var fault *users.Fault
			if !errors.As(err, &fault) || fault.Field() != c.at {
				t.Errorf("changed: %v", err)
			}
			if c.name == "the fifty-first" {
				c.attributes["b"] = "y"
				for name, value := range full {
					c.attributes[name] = value
				}
			}
			_, err = s.CreateUser(t.Context(), users.NewUser{Username: "eve", Attributes: c.attributes})
			if !errors.As(err, &fault) || fault.Field() != c.at {
				t.Errorf("made: %v", err)
			}
		})
	}
	u, err := s.UserByName(t.Context(), "ada")
	if diff := cmp.Diff(full, u.Attributes); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	// At the bound there is no way but to give one up first.
	if _, err := s.UpdateUser(t.Context(), "ada", users.Change{SetAttributes: map[string]string{"b": "y"}, RemoveAttributes: []string{"a0"}}); err != nil {
		t.Error(err)
	}
}

func TestAttributesOfAnotherProcessCountSoon(t *testing.T) {
	userstest.Each(t, testAttributesOfAnotherProcessCountSoon)
}

func testAttributesOfAnotherProcessCountSoon(t *testing.T, place *userstest.Place) {
	server, command := userstest.Open(t, userstest.In(place)), userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, server, users.NewUser{Username: "ada"})
	_ = live(t, server, u.ID)
	begin := time.Now()
	if _, err := command.UpdateUser(t.Context(), "ada", users.Change{SetAttributes: map[string]string{"x": "1"}}); err != nil {
		t.Fatal(err)
	}
	await := func(want string) {
		t.Helper()
		for live(t, server, u.ID).Attributes["x"] != want {
			if time.Since(begin) > 60*time.Second {
				t.Fatalf("not seen after %v", time.Since(begin))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	await("1")
	begin = time.Now()
	place.Exec(t, `UPDATE users SET attributes = '{"x":"2"}' WHERE username = 'ada'`) // by hand
	await("2")
	// What is no object of texts is an error, and nobody without attributes.
	for _, text := range []string{`null`, `[]`, `{"x":1}`, `{`, ``} {
		place.Exec(t, `UPDATE users SET attributes = '`+text+`' WHERE username = 'ada'`)
		if u, err := server.UserByName(t.Context(), "ada"); err == nil || !strings.Contains(err.Error(), "attributes") {
			t.Errorf("%q: %v, %v", text, u.Attributes, err)
		}
	}
}

func TestAnImportLeavesAttributesAlone(t *testing.T) {
	s := userstest.Open(t)
	mustImport(t, s, dumpOf(userRecord(1, "ada", `email="a@x.test"`)))
	if _, err := s.UpdateUser(t.Context(), "ada", users.Change{SetAttributes: map[string]string{"x": "1"}}); err != nil {
		t.Fatal(err)
	}
	if report := mustImport(t, s, dumpOf(userRecord(1, "ada", `email="a@x.test"`))); report.Changed() {
		t.Errorf("an attribute is a difference: %+v", report)
	}
	mustImport(t, s, dumpOf(userRecord(1, "ada", `email="b@x.test"`)))
	if u := live(t, s, 1); u.Email != "b@x.test" || u.Attributes["x"] != "1" {
		t.Errorf("%s %v", u.Email, u.Attributes)
	}
}

// A database of before has users, and replicas of before that go on to write to it.
func TestUsersOfBeforeHaveNoAttributes(t *testing.T) {
	userstest.Each(t, testUsersOfBeforeHaveNoAttributes)
}

func testUsersOfBeforeHaveNoAttributes(t *testing.T, place *userstest.Place) {
	old := userstest.Open(t, userstest.In(place))
	ada := userstest.Add(t, old, users.NewUser{Username: "ada", Groups: []string{"staff"}})
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	later := []string{`DROP TABLE login_budgets`, `DROP TABLE secrets`, `DROP TABLE request_budgets`}
	back := []string{`ALTER TABLE users DROP COLUMN attributes`, `DELETE FROM goose_db_version WHERE version_id >= 5`}
	if place.IsPostgres() {
		back = []string{
			`DROP TRIGGER users_changed ON users`, back[0], `DELETE FROM gatehouse_schema WHERE version_id >= 5`,
			`CREATE CONSTRAINT TRIGGER users_changed AFTER INSERT OR DELETE OR UPDATE OF username ON users
				DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION users_changed()`,
		}
	}
	for _, statement := range append(later, back...) {
		place.Exec(t, statement)
	}
	s := userstest.Open(t, userstest.In(place))
	place.Exec(t, `INSERT INTO users (username, password, first_name, last_name, email, is_active, is_staff, is_superuser, date_joined)
		VALUES ('bob', '!', '', '', '', 1, 0, 0, 0)`) // as a replica of before does it
	for _, name := range []string{"ada", "bob"} {
		if u, err := s.UserByName(t.Context(), name); err != nil || u.Attributes == nil || len(u.Attributes) > 0 {
			t.Errorf("%s: %v, %v", name, u.Attributes, err)
		}
	}
	u, err := s.UpdateUser(t.Context(), "ada", users.Change{SetAttributes: map[string]string{"x": "1"}})
	if err != nil || u.ID != ada.ID || u.Attributes["x"] != "1" || len(u.Groups) != 1 {
		t.Errorf("%+v, %v", fields(u), err)
	}
}
