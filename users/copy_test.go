package users_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// Every way from one kind of store to another, the same included.
func TestCopy(t *testing.T) {
	userstest.Each(t, func(t *testing.T, from *userstest.Place) {
		t.Run("to sqlite", func(t *testing.T) { testCopy(t, from, userstest.SQLite(t)) })
		t.Run("to postgres", func(t *testing.T) { testCopy(t, from.New(t), userstest.Postgres(t)) })
	})
}

func testCopy(t *testing.T, from, to *userstest.Place) {
	source := userstest.Open(t, userstest.In(from))
	for i := range 450 { // more than one batch
		userstest.Add(t, source, users.NewUser{
			Username: fmt.Sprintf("user %d Ж", i), Encoded: "!x", Email: "O'Neil “x”@example.com", FirstName: "%s $1 \\", Groups: []string{"ä", "Z", "a"}, Staff: i%2 == 0,
			Attributes: map[string]string{"n": fmt.Sprint(i), "z.y": "ä \\ \""},
		})
	}
	ada := userstest.Add(t, source, users.NewUser{Username: "ada", Password: "secret"})
	alive, over := began(t, source, ada, time.Now()), began(t, source, ada, time.Now())
	r := renewal(alive, time.Now(), time.Hour)
	if _, err := source.RenewSession(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := source.EndSession(t.Context(), over); err != nil {
		t.Fatal(err)
	}
	if err := source.RevokeToken(t.Context(), users.Token{ID: "odd\x00", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	last := userstest.Add(t, source, users.NewUser{Username: "deleted"})
	if err := source.DeleteUser(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}

	target := userstest.Open(t, userstest.In(to))
	dry, err := source.CopyTo(t.Context(), target, users.Copying{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if all := allUsers(t, target); len(all) != 0 {
		t.Fatalf("a dry run keeps %d users", len(all))
	}
	report, err := source.CopyTo(t.Context(), target, users.Copying{})
	if err != nil {
		t.Fatal(err)
	}
	if dry.DryRun = false; cmp.Diff(dry, report) != "" {
		t.Errorf("the dry run foretold %+v, it is %+v", dry, report)
	}
	rows := map[string]int{}
	for _, table := range report.Tables {
		rows[table.Table] = table.Rows
	}
	if rows["users"] != 451 || rows["user_groups"] != 1350 || rows["sessions"] != 2 || rows["tokens"] != 4 {
		t.Errorf("rows: %v", rows)
	}
	if diff := cmp.Diff(allUsers(t, source), allUsers(t, target)); diff != "" {
		t.Errorf("the accounts differ:\n%s", diff)
	}
	if _, err := target.Authenticate(t.Context(), "ada", "secret"); err != nil {
		t.Error(err)
	}
	if !ended(t, target, over) || ended(t, target, alive) {
		t.Error("what has ended is not what had ended")
	}
	if again, err := target.RenewSession(t.Context(), renewal(alive, time.Now(), time.Hour)); err != nil || again.NextID != r.Next.ID {
		t.Errorf("the old token is answered with %+v, %v", again, err)
	}
	if _, err := target.RenewSession(t.Context(), renewal(*r.Next, time.Now(), 0)); err != nil {
		t.Error(err)
	}
	if yes, err := target.Revoked(t.Context(), "odd\x00"); !yes || err != nil {
		t.Errorf("revoked: %t, %v", yes, err)
	}
	if next := userstest.Add(t, target, users.NewUser{Username: "next"}); next.ID <= last.ID {
		t.Errorf("the number %d is given again", next.ID)
	}
	if _, err := source.CopyTo(t.Context(), target, users.Copying{}); faultFields(t, err) != "dsn" || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("into a store with users: %v", err)
	}
}

// A target that does not keep what it was given is found out, and has nothing then.
func TestCopyThatIsNotTheSame(t *testing.T) {
	userstest.Each(t, func(t *testing.T, to *userstest.Place) {
		source := userstest.Open(t)
		userstest.Add(t, source, users.NewUser{Username: "ada", Email: "ada@example.com"})
		target := userstest.Open(t, userstest.In(to))
		if to.IsPostgres() {
			to.Exec(t, `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := lower(NEW.email) || '' ''; RETURN NEW; END';
				CREATE TRIGGER spoil BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION spoil()`)
		} else {
			to.Exec(t, `CREATE TRIGGER spoil AFTER INSERT ON users BEGIN UPDATE users SET email = email || ' '; END`)
		}
		if _, err := source.CopyTo(t.Context(), target, users.Copying{}); err == nil || !strings.Contains(err.Error(), "sha256") {
			t.Errorf("got %v", err)
		}
		if all := allUsers(t, target); len(all) != 0 {
			t.Errorf("%d users are there", len(all))
		}
	})
}
