package users_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
	"gatehouse/users/userstest/postgres"
)

func TestWhatPostgresCannotBeOpened(t *testing.T) {
	server := postgres.Shared(t)
	newer, latin := server.Database(t), server.Database(t)
	if err := userstest.Open(t, userstest.In(&userstest.Place{Config: users.Config{Driver: "postgres", DSN: newer}})).Close(); err != nil {
		t.Fatal(err)
	}
	server.SQL(t, nameOf(newer), `INSERT INTO gatehouse_schema (version_id, is_applied) VALUES (9999, true); UPDATE schema_support SET oldest = 9999`)
	foreign := server.Database(t)
	server.SQL(t, nameOf(foreign), `CREATE TABLE sessions (id int)`)
	server.SQL(t, "postgres", `DROP DATABASE `+nameOf(latin)+`; `)
	server.SQL(t, "postgres", `CREATE DATABASE `+nameOf(latin)+` ENCODING 'LATIN1' TEMPLATE template0`)
	server.SQL(t, "postgres", `CREATE ROLE stranger LOGIN`)
	t.Cleanup(func() { server.SQL(t, "postgres", `DROP ROLE stranger`) })
	as := func(dsn string) string { return strings.Replace(dsn, "gatehouse@", "stranger:secret@", 1) }
	for _, tt := range []struct {
		name string
		cfg  users.Config
		at   string
		want []string
	}{
		{"nothing said", users.Config{}, "dsn", []string{"which PostgreSQL", "postgres://"}},
		{"the default of SQLite", users.DefaultConfig(), "dsn", []string{"which PostgreSQL"}},
		{"a path", users.Config{DSN: "/var/lib/x.db"}, "dsn", []string{"not one of PostgreSQL"}},
		{"a password that is not written as in a URL", users.Config{DSN: "postgres://a:se/cret@db/x"}, "dsn", []string{"%2F"}},
		{"a sslmode that does not exist", users.Config{DSN: "postgres://a:secret@db/x?sslmode=on"}, "dsn", []string{"cannot be read"}},
		{"a file that does not exist", users.Config{DSN: "postgres://a:secret@db/x?sslmode=verify-full&sslrootcert=/no/such.crt"}, "dsn", []string{"/no/such.crt", "create the file"}},
		{"one connection", users.Config{DSN: newer, MaxConnections: 1}, "max_connections", []string{"2"}},
		{"a host that does not exist", users.Config{DSN: "postgres://a:secret@db.invalid/x"}, "dsn", []string{"db.invalid", "no address"}},
		{"nobody listens", users.Config{DSN: "postgres://a:secret@127.0.0.1:1/x"}, "dsn", []string{"127.0.0.1:1", "does not answer"}},
		{"no such database", users.Config{DSN: as(server.DSN("nowhere"))}, "dsn", []string{"nowhere", "createdb"}},
		{"no such user", users.Config{DSN: strings.Replace(newer, "gatehouse@", "nobody:secret@", 1)}, "dsn", []string{"refuses the user"}},
		{"no right to make tables", users.Config{DSN: as(server.Database(t))}, "dsn", []string{"may not make tables", "grant"}},
		{"TLS where there is none", users.Config{DSN: strings.Replace(newer, "sslmode=disable", "sslmode=require", 1)}, "dsn", []string{"sslmode"}},
		{"another encoding", users.Config{DSN: latin}, "dsn", []string{"LATIN1", "UTF8"}},
		{"a schema that does not exist", users.Config{DSN: newer + "&search_path=nowhere"}, "dsn", []string{"CREATE SCHEMA"}},
		{"tables of another program", users.Config{DSN: foreign}, "dsn", []string{"sessions", "search_path"}},
		{"a newer schema that an old program breaks", users.Config{DSN: newer}, "dsn", []string{"9999", "newer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Driver = "postgres"
			s, err := users.Open(t.Context(), tt.cfg, users.Parts{})
			if err == nil {
				_ = s.Close()
				t.Fatal("was opened")
			}
			if got := faultFields(t, err); got != tt.at {
				t.Errorf("faults at %q, want %q", got, tt.at)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "cret") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// nameOf returns the database of a DSN that [postgres.Server.Database] made.
func nameOf(dsn string) string {
	name := dsn[strings.LastIndex(dsn, "/")+1:]
	name, _, _ = strings.Cut(name, "?")
	return name
}

func TestPlainTextToAnotherMachineIsWarnedAbout(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://u@db.invalid/x":                           "may not be encrypted",
		"postgres://u@db.invalid/x?sslmode=disable":           "may not be encrypted",
		"postgres://u@db.invalid/x?sslmode=require":           "nobody looks",
		"postgres://u@db.invalid/x?sslmode=verify-full":       "",
		"postgres://u@127.0.0.1:1/x?sslmode=disable":          "",
		"host=/no/such/socket user=u dbname=x":                "",
		"host=127.0.0.1,db.invalid port=1 sslmode=disable":    "may not be encrypted",
		"postgres://u:p@[::1]:1/x?sslmode=disable&user=other": "",
	} {
		var log bytes.Buffer
		cfg := users.Config{Driver: "postgres", DSN: dsn, AcquireTimeout: 100 * time.Millisecond}
		if s, err := users.Open(t.Context(), cfg, users.Parts{Logger: slog.New(slog.NewTextHandler(&log, nil))}); err == nil {
			_ = s.Close()
		}
		if text := log.String(); (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("%s: want %q, got %s", dsn, want, text)
		}
	}
}

// Replicas of a deployment start at one moment on a new database.
func TestFiveReplicasStartAtOnce(t *testing.T) { userstest.Each(t, testFiveReplicasStartAtOnce) }

func testFiveReplicasStartAtOnce(t *testing.T, place *userstest.Place) {
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			s, err := users.Open(t.Context(), place.Config, users.Parts{Hasher: userstest.Hasher(t)})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.Users(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	table := "goose_db_version"
	if place.IsPostgres() {
		table = "gatehouse_schema"
	}
	var steps, distinct int
	if err := place.Row(t, `SELECT COUNT(*), COUNT(DISTINCT version_id) FROM `+table, &steps, &distinct); err != nil || steps != distinct {
		t.Errorf("%d steps were done, %d of them once (%v)", steps, distinct, err)
	}
}

// An upgrade: the new replica has changed the schema, the old one goes on, and may
// be started again.
func TestOldReplicaOnANewerSchema(t *testing.T) { userstest.Each(t, testOldReplicaOnANewerSchema) }

func testOldReplicaOnANewerSchema(t *testing.T, place *userstest.Place) {
	old := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, old, users.NewUser{Username: "ada", Groups: []string{"a"}})
	token := began(t, old, u, time.Now())
	table := "goose_db_version"
	applied := "1"
	if place.IsPostgres() {
		table, applied = "gatehouse_schema", "true"
	}
	for _, step := range []string{
		`ALTER TABLE users ADD COLUMN shoe_size INTEGER`,
		`ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT ''`,
		`ALTER TABLE tokens ADD COLUMN place TEXT`,
		`INSERT INTO ` + table + ` (version_id, is_applied) VALUES (9999, ` + applied + `)`,
	} {
		place.Exec(t, step)
	}
	var log bytes.Buffer
	again := userstest.Open(t, userstest.In(place), userstest.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	if !strings.Contains(log.String(), "newer gatehouse") {
		t.Errorf("the log does not tell: %s", &log)
	}
	for _, s := range []*users.Store{old, again} {
		r := renewal(token, time.Now(), 0)
		if _, err := s.RenewSession(t.Context(), r); err != nil {
			t.Error(err)
		}
		token = *r.Next
		if _, err := s.UpdateUser(t.Context(), "ada", users.Change{AddGroups: []string{"b"}}); err != nil {
			t.Error(err)
		}
		began(t, s, u, time.Now())
	}
}

// Forty servers exchange one token at one moment: the statement settles who is first.
func TestFortyRotationsHaveOneWinner(t *testing.T) {
	userstest.Each(t, func(t *testing.T, place *userstest.Place) {
		stores := make([]*users.Store, 4)
		for i := range stores {
			stores[i] = userstest.Open(t, userstest.In(place))
		}
		u := userstest.Add(t, stores[0], users.NewUser{Username: "ada"})
		for range 3 {
			old := began(t, stores[0], u, time.Now())
			results := make(chan error, 40)
			start := make(chan struct{})
			for i := range 40 {
				go func() {
					<-start
					_, err := stores[i%4].RenewSession(t.Context(), renewal(old, time.Now(), 0))
					results <- err
				}()
			}
			close(start)
			winners := 0
			for range 40 {
				switch err := <-results; {
				case err == nil:
					winners++
				case !errors.Is(err, users.ErrReused):
					t.Error(err)
				}
			}
			if winners != 1 {
				t.Errorf("%d of 40 were first", winners)
			}
		}
	})
}

// What ends sessions and what begins or renews them at the same moment: afterwards
// nothing goes on that was begun before.
func TestEndingRacesWithBeginning(t *testing.T) {
	userstest.Each(t, func(t *testing.T, place *userstest.Place) {
		a, b := userstest.Open(t, userstest.In(place)), userstest.Open(t, userstest.In(place))
		for round := range 15 {
			name := fmt.Sprint("user", round)
			u := userstest.Add(t, a, users.NewUser{Username: name, Password: "old"})
			made := time.Now().Add(-10 * time.Second)
			elsewhere := users.Token{ID: users.NewFamily().NewTokenID(), UserID: &u.ID, IssuedAt: made, Expires: made.Add(time.Hour)}
			var group sync.WaitGroup
			for i := range 6 {
				group.Go(func() {
					token := refreshToken(users.NewFamily(), u, time.Now())
					err := b.StartSession(t.Context(), u, token, time.Now().Add(time.Minute), users.Client{}, i%2 == 0)
					if err != nil && !errors.Is(err, users.ErrCredentials) {
						t.Error(err)
					}
				})
				if i == 3 {
					group.Go(func() {
						if err := a.SetPassword(t.Context(), name, "new"); err != nil {
							t.Error(err)
						}
					})
					group.Go(func() { // a token that Django made has no session here yet
						_, err := b.RenewSession(t.Context(), renewal(elsewhere, time.Now(), 0))
						if err != nil && !errors.Is(err, users.ErrRevoked) {
							t.Error(err)
						}
					})
				}
			}
			group.Wait()
			if list, err := a.Sessions(t.Context(), u.ID); err != nil || len(list) != 0 {
				t.Fatalf("%d sessions outlive a new password (%v)", len(list), err)
			}
		}
	})
}

// Writers that take the same rows in another order, and each other's changes.
func TestNoUpdateIsLost(t *testing.T) {
	userstest.Each(t, func(t *testing.T, place *userstest.Place) {
		stores := []*users.Store{userstest.Open(t, userstest.In(place)), userstest.Open(t, userstest.In(place))}
		userstest.Add(t, stores[0], users.NewUser{Username: "ada"})
		var want []string
		var group sync.WaitGroup
		for i := range 30 {
			want = append(want, fmt.Sprintf("group%02d", i))
			group.Go(func() {
				if _, err := stores[i%2].UpdateUser(t.Context(), "ada", users.Change{AddGroups: []string{fmt.Sprintf("group%02d", i)}}); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if u, err := stores[0].UserByName(t.Context(), "ada"); err != nil || !slices.Equal(u.Groups, want) {
			t.Errorf("%v, %v", u.Groups, err)
		}
	})
}

// Half a second is promised; what is measured is told. Without a word from the
// database it is a second, and the store must not miss what came meanwhile.
func TestChangesAreHeardOfAtOnce(t *testing.T) {
	place := userstest.Postgres(t)
	server, command := userstest.Open(t, userstest.In(place)), userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, command, users.NewUser{Username: "ada"})
	time.Sleep(300 * time.Millisecond) // it begins to listen
	latency := func() time.Duration {
		t.Helper()
		active := !live(t, server, u.ID).IsActive
		if _, err := command.UpdateUser(t.Context(), "ada", users.Change{Active: &active}); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for live(t, server, u.ID).IsActive != active {
			if time.Since(begin) > 60*time.Second {
				t.Fatal("not seen")
			}
			time.Sleep(time.Millisecond)
		}
		return time.Since(begin)
	}
	var all []time.Duration
	for range 40 {
		all = append(all, latency())
	}
	slices.Sort(all)
	t.Logf("median %v, worst %v", all[20], all[39])
	// On a busy machine the median says nothing, and the quickest are as quick as ever.
	if all[4] > 400*time.Millisecond {
		t.Errorf("the fifth quickest took %v: the feed is only asked every second", all[4])
	}
	// Every connection is cut, the one that listens too.
	place.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	t.Logf("after the connections were cut it takes %v", latency())
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		var listening int
		err := place.Row(t, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`, &listening)
		if err != nil {
			t.Fatal(err)
		}
		if listening == 2 {
			break
		}
		if time.Since(begin) > 60*time.Second {
			t.Fatalf("%d of 2 listen again", listening)
		}
	}
}

// A fail-over cuts connections again and again: calls are done over as long as it is
// certain that they were not done.
func TestConnectionsThatBreakAreReplaced(t *testing.T) {
	place := userstest.Postgres(t)
	s := userstest.Open(t, userstest.In(place))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	ctx, cancel := context.WithCancel(t.Context())
	var cutting sync.WaitGroup
	// At most once for three of the rounds below, however long they take.
	rounds := make(chan bool, 60)
	cutting.Go(func() {
		for ctx.Err() == nil {
			place.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
			time.Sleep(20 * time.Millisecond)
			for range 3 {
				select {
				case <-rounds:
				case <-ctx.Done():
				}
			}
		}
	})
	refused := 0
	for i := range 60 {
		rounds <- true
		token := refreshToken(users.NewFamily(), u, time.Now())
		err := s.StartSession(t.Context(), u, token, time.Now().Add(time.Minute), users.Client{}, i%2 == 0)
		if err == nil {
			_, err = s.RenewSession(t.Context(), renewal(token, time.Now(), 0))
			if errors.Is(err, users.ErrReused) {
				t.Error("a call that was repeated lost against itself")
			}
		}
		if err == nil {
			_, err = s.UserByID(t.Context(), u.ID)
		}
		switch {
		case errors.Is(err, users.ErrUnavailable):
			refused++
			// The next would be told of this one for a moment, without being tried.
			time.Sleep(400 * time.Millisecond)
		case err != nil:
			t.Errorf("%T: %v", errors.Unwrap(err), err)
		}
	}
	cancel()
	cutting.Wait()
	if refused > 30 {
		t.Errorf("%d of 60 were refused", refused)
	}
	t.Logf("%d of 60 were refused while all connections were cut again and again", refused)
}

// deadlocks returns how many the server has broken in a database. It tells a moment
// later than it does so.
func deadlocks(t *testing.T, place *userstest.Place) (n int) {
	t.Helper()
	if err := place.Row(t, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Two writers that wait for each other: somebody who takes locks in another order than
// the store does, by hand, and whom the server lets win.
func TestDeadlocksAreDoneOver(t *testing.T) {
	place := userstest.Postgres(t)
	s := userstest.Open(t, userstest.In(place))
	userstest.Add(t, s, users.NewUser{Username: "ada"})
	var group sync.WaitGroup
	locked := make(chan struct{})
	group.Go(func() {
		defer close(locked)
		for begin := time.Now(); ; time.Sleep(time.Millisecond) {
			var n int
			err := place.Row(t, `SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, &n)
			if err != nil || n > 0 || time.Since(begin) > time.Minute {
				return
			}
		}
	})
	group.Go(func() {
		place.Exec(t, `SET deadlock_timeout = '1min'; BEGIN;
			SELECT 1 FROM users WHERE username = 'ada' FOR UPDATE;
			SELECT pg_advisory_xact_lock(4711);
			DO $$ BEGIN
				FOR i IN 1..6000 LOOP
					EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'users'::regclass AND mode = 'ShareRowExclusiveLock' AND granted);
					PERFORM pg_sleep(0.01);
				END LOOP;
			END $$;
			UPDATE users SET last_name = 'Lovelace' WHERE username = 'ada';
			COMMIT`)
	})
	<-locked
	mustImport(t, s, dumpOf(userRecord(1, "ada", `email="ada@example.com"`)))
	group.Wait()
	if u, err := s.UserByName(t.Context(), "ada"); err != nil || u.Email != "ada@example.com" {
		t.Errorf("%+v, %v", u, err)
	}
	for begin := time.Now(); deadlocks(t, place) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("there was no deadlock to do over")
		}
	}
}

// Writers of the same rows, many at a time, do not come to wait for each other.
func TestWritersTakeLocksInOneOrder(t *testing.T) {
	place := userstest.Postgres(t)
	s := userstest.Open(t, userstest.In(place))
	var all []users.User
	for i := range 8 {
		all = append(all, userstest.Add(t, s, users.NewUser{Username: fmt.Sprint("user", i)}))
	}
	dump := func(email string) string {
		var records []string
		for i := range 8 {
			records = append(records, userRecord(i+1, fmt.Sprint("user", i), fmt.Sprintf("email=%q", email)))
		}
		return dumpOf(records...)
	}
	var group sync.WaitGroup
	for round := range 6 {
		group.Go(func() { mustImport(t, s, dump(fmt.Sprint(round, "@example.com"))) })
		for i := range 8 {
			group.Go(func() {
				if _, err := s.UpdateUser(t.Context(), fmt.Sprint("user", 7-i), users.Change{AddGroups: []string{fmt.Sprint(round)}}); err != nil {
					t.Error(err)
				}
			})
			group.Go(func() {
				u := all[i]
				token := refreshToken(users.NewFamily(), u, time.Now())
				err := s.StartSession(t.Context(), u, token, time.Now().Add(time.Minute), users.Client{}, i%2 == 0)
				if err == nil {
					_, err = s.RenewSession(t.Context(), renewal(token, time.Now(), 0))
				}
				// The import gives everybody another hash.
				if err != nil && !errors.Is(err, users.ErrCredentials) && !errors.Is(err, users.ErrRevoked) {
					t.Error(err)
				}
			})
		}
	}
	group.Wait()
	time.Sleep(time.Second) // the server tells of it within a second
	if n := deadlocks(t, place); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// A statement that takes too long is given up, and not done over.
func TestSlowStatements(t *testing.T) {
	place := userstest.Postgres(t)
	userstest.Add(t, userstest.Open(t, userstest.In(place)), users.NewUser{Username: "ada"})
	cfg := place.Config
	cfg.StatementTimeout = 200 * time.Millisecond
	s := userstest.Open(t, userstest.In(&userstest.Place{Config: cfg}))
	place.Exec(t, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END';
		CREATE TRIGGER slow BEFORE UPDATE ON users EXECUTE FUNCTION slow()`)
	begin := time.Now()
	_, err := s.UpdateUser(t.Context(), "ada", users.Change{Email: new("a@example.com")})
	if took := time.Since(begin); !errors.Is(err, users.ErrUnavailable) || took > 55*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

// A schema of its own in a database that others use, also for who edits by hand with
// another search path.
func TestSchemaOfItsOwn(t *testing.T) {
	server := postgres.Shared(t)
	dsn := server.Database(t)
	server.SQL(t, nameOf(dsn), `CREATE TABLE sessions (theirs int); CREATE SCHEMA gatehouse`)
	cfg := users.Config{Driver: "postgres", DSN: dsn + "&search_path=gatehouse", AcquireTimeout: 30 * time.Second, StatementTimeout: 30 * time.Second}
	s := userstest.Open(t, userstest.In(&userstest.Place{Config: cfg}))
	u := userstest.Add(t, s, users.NewUser{Username: "ada"})
	live(t, s, u.ID)
	server.SQL(t, nameOf(dsn), `UPDATE gatehouse.users SET is_active = 0`)
	for begin := time.Now(); live(t, s, u.ID).IsActive; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 60*time.Second {
			t.Fatal("an edit by hand is not seen")
		}
	}
}

// Texts that a column of PostgreSQL cannot hold are those of nobody.
func TestNamesThatNoColumnHolds(t *testing.T) {
	userstest.Each(t, func(t *testing.T, place *userstest.Place) {
		s := userstest.Open(t, userstest.In(place))
		for _, name := range []string{"a\x00b", "\xff"} {
			for what, err := range map[string]error{
				"UserByName":   second(s.UserByName(t.Context(), name)),
				"UpdateUser":   second(s.UpdateUser(t.Context(), name, users.Change{})),
				"SetPassword":  s.SetPassword(t.Context(), name, "x"),
				"DeleteUser":   s.DeleteUser(t.Context(), name),
				"EndSessionOf": s.EndSessionOf(t.Context(), name, users.NewFamily().String()),
			} {
				if !errors.Is(err, users.ErrNotFound) {
					t.Errorf("%s of %q: %v", what, name, err)
				}
			}
			if _, err := s.Authenticate(t.Context(), name, "x"); !errors.Is(err, users.ErrCredentials) {
				t.Errorf("Authenticate %q: %v", name, err)
			}
		}
		// The id that stands for another in the database is not that other.
		soon := time.Now().Add(time.Hour)
		if err := s.RevokeToken(t.Context(), users.Token{ID: "a\x00", Expires: soon}); err != nil {
			t.Fatal(err)
		}
		if yes, err := s.Revoked(t.Context(), "hex:6100"); yes || err != nil {
			t.Errorf("%t, %v", yes, err)
		}
	})
}
