package users_test

import (
	"errors"
	"os"
	"slices"
	"testing"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

func TestWhichGroupsHaveUsers(t *testing.T) { userstest.Each(t, testWhichGroupsHaveUsers) }

func testWhichGroupsHaveUsers(t *testing.T, place *userstest.Place) {
	if _, err := users.MembershipIn(t.Context(), place.Config); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("before there is a store: %v", err)
	}
	if _, err := os.Stat(place.Config.DSN); err == nil {
		t.Error("to ask has made one")
	}
	store := userstest.Open(t, userstest.In(place))
	check := func(when string, nobody bool, want ...string) {
		t.Helper()
		for _, ask := range []func() (users.Membership, error){
			func() (users.Membership, error) { return store.Membership(t.Context()) },
			func() (users.Membership, error) { return users.MembershipIn(t.Context(), place.Config) },
		} {
			if m, err := ask(); err != nil || m.Nobody != nobody || !slices.Equal(m.Groups, want) {
				t.Errorf("%s: %+v %v, want %v, nobody: %v", when, m, err, want, nobody)
			}
		}
	}
	check("without users", true)
	for _, u := range []users.NewUser{{Username: "alice"}, {Username: "bob", Groups: []string{"staff", "Admins"}}, {Username: "carol", Groups: []string{"staff"}}} {
		userstest.Add(t, store, u)
	}
	check("with three", false, "Admins", "staff")
	for _, name := range []string{"bob", "carol"} {
		if err := store.DeleteUser(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	check("with one in no group", false)
}
