package users_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/rate"
	"gatehouse/users/userstest"
)

// ignoreCase makes the column of the names one that takes Ada for ada, as sites do.
func (s *djangoSite) ignoreCase(t *testing.T) {
	t.Helper()
	change := `
from django.db import connection
with connection.cursor() as c:
    c.execute('CREATE EXTENSION IF NOT EXISTS citext')
    c.execute('ALTER TABLE auth_user ALTER COLUMN username TYPE citext')
`
	if !s.place.IsPostgres() {
		change = `
from django.db import connection, models
from django.contrib.auth.models import User
name = models.CharField(max_length=150, unique=True, db_collation='NOCASE')
name.set_attributes_from_name('username')
name.model = User
with connection.schema_editor() as editor:
    editor.alter_field(User, User._meta.get_field('username'), name)
`
	}
	s.shell(t, change)
}

// Users of a live Django site have the budgets that others have, and so have those who
// are not there.
func TestBudgetsOfUsersOfASite(t *testing.T) { userstest.Each(t, testBudgetsOfUsersOfASite) }

func testBudgetsOfUsersOfASite(t *testing.T, place *userstest.Place) {
	for _, folds := range []bool{false, true} {
		t.Run(fmt.Sprintf("names that fold %v", folds), func(t *testing.T) {
			site := newDjangoSite(t, place)
			site.shell(t, `
from django.contrib.auth.models import User
User.objects.create_user('Ada', email='Ada@example.com', password='secret')
User.objects.create_user('42', password='secret')
`)
			if folds {
				site.ignoreCase(t)
			}
			c := newClock()
			s := onSite(t, place.New(t), site, nil, userstest.Now(c.read))
			if _, err := s.Authenticate(t.Context(), "ADA", "secret"); (err == nil) != folds {
				t.Fatalf("the site takes another spelling: %v", err)
			}
			// Each name in three spellings, from one network: as many attempts pass for
			// Ada, who is there, as for Eve, who is not.
			passed := map[string]int{}
			for i, who := range []string{"Ada", "Eve"} {
				for range 3 {
					for _, name := range []string{who, strings.ToUpper(who), strings.ToLower(who)} {
						_, err := s.ChargeLogin(t.Context(), usual, try(name, fmt.Sprintf("192.0.2.%d", i)))
						if _, throttled := errors.AsType[*users.Throttled](err); err != nil && !throttled {
							t.Fatal(err)
						} else if err == nil {
							passed[who]++
						}
					}
				}
			}
			want := 9
			if folds {
				want = 3
			}
			if passed["Ada"] != want || passed["Eve"] != want {
				t.Errorf("passed: %v, want %d for each", passed, want)
			}
			// The operator need not know how the site writes it.
			if folds {
				if n, err := s.Unlock(t.Context(), users.ByName, "ada"); n != 2 || err != nil {
					t.Errorf("unlocked %d, %v", n, err)
				}
			}
			// What goes well gives back, and the network is known.
			a := try("Ada", "198.51.100.1")
			for range 4 {
				times(2, func() { fail(t, s, a) })
				succeed(t, s, a)
				c.pass(10 * time.Minute)
			}
			// Addresses are compared by themselves.
			email := usual
			email.AccountAndNetwork = rate.Rate{N: 1, In: time.Hour}
			for _, name := range []string{"Ada@example.com", "ada@example.com"} {
				if _, err := s.ChargeLogin(t.Context(), email, users.Attempt{By: users.ByEmail, Name: name, Addr: a.Addr}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			before := site.content(t)
			fail(t, s, try("42", "198.51.100.2"))
			if site.content(t) != before {
				t.Error("something was written to the site")
			}
		})
	}
}

// A site that does not answer has nobody let in uncounted, and nobody charged.
func TestBudgetsWithoutTheSite(t *testing.T) { userstest.Each(t, testBudgetsWithoutTheSite) }

func testBudgetsWithoutTheSite(t *testing.T, place *userstest.Place) {
	site := newDjangoSite(t, place)
	site.shell(t, "from django.contrib.auth.models import User\nUser.objects.create_user('ada', password='secret')")
	s := onSite(t, place, site, nil)
	away, back := site.cut(t)
	away()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) { // a file is opened anew after some seconds
		charge, err := s.ChargeLogin(t.Context(), usual, try("ada", "192.0.2.1"))
		if errors.Is(err, users.ErrUnavailable) {
			break
		}
		if err != nil || time.Since(begin) > time.Minute {
			t.Fatalf("a login: %v", err)
		}
		if err := charge.Undo(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	back()
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if _, err := s.ChargeLogin(t.Context(), usual, try("ada", "192.0.2.1")); err == nil {
			break
		} else if time.Since(begin) > time.Minute {
			t.Fatalf("afterwards: %v", err)
		}
	}
}
