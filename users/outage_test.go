package users_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
	"gatehouse/users/userstest/postgres"
)

// wire stands between a store and its server, and can be cut: what is sent is then
// lost, and nobody is told.
type wire struct {
	address string
	mu      sync.Mutex
	cut     bool
	ends    []net.Conn
}

func newWire(t *testing.T, port int) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: listener.Addr().String()}
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range w.ends {
			_ = c.Close()
		}
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.mu.Lock()
			w.ends = append(w.ends, client)
			cut := w.cut
			w.mu.Unlock()
			if cut {
				continue // open, and silent
			}
			server, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				_ = client.Close()
				continue
			}
			w.mu.Lock()
			w.ends = append(w.ends, server)
			w.mu.Unlock()
			go w.carry(client, server)
			go w.carry(server, client)
		}
	}()
	return w
}

func (w *wire) carry(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		cut := w.cut
		w.mu.Unlock()
		if cut {
			if err == nil {
				continue
			}
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = to.Close()
			if !errors.Is(err, io.EOF) {
				_ = from.Close()
			}
			return
		}
	}
}

func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if !cut { // what was lost in between does not come again
		for _, c := range w.ends {
			_ = c.Close()
		}
		w.ends = nil
	}
}

// The database is stopped, killed, or cut off, and comes back.
func TestOutage(t *testing.T) {
	server := postgres.New(t)
	w := newWire(t, server.Port())
	dsn := func(name string) string {
		return fmt.Sprintf("postgres://gatehouse@%s/%s?sslmode=disable", w.address, name)
	}
	for _, o := range []struct {
		name       string
		away, back func()
	}{
		{"stopped", func() { server.Stop(t) }, func() { server.Start(t) }},
		{"killed", func() { server.Kill(t) }, func() { server.Start(t) }},
		{"cut off", func() { w.setCut(true) }, func() { w.setCut(false) }},
	} {
		t.Run(o.name, func(t *testing.T) {
			database := nameOf(server.Database(t))
			clock := time.Now()
			var mu sync.Mutex
			now := userstest.Now(func() time.Time { mu.Lock(); defer mu.Unlock(); return clock })
			later := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); clock = clock.Add(d) }
			open := func(outage users.Outage) *users.Store {
				return userstest.Open(t, userstest.In(&userstest.Place{Config: users.Config{Driver: "postgres", DSN: dsn(database), Outage: outage}}), now)
			}
			strict, lenient := open(users.Outage{}), open(users.Outage{Mode: "serve_stale", For: 5 * time.Minute})
			command := userstest.Open(t, userstest.In(&userstest.Place{Config: users.Config{
				Driver: "postgres", DSN: server.DSN(database) + "&connect_timeout=30", AcquireTimeout: 30 * time.Second, StatementTimeout: 30 * time.Second,
			}}), now)
			ada := userstest.Add(t, command, users.NewUser{Username: "ada", Password: "secret"})
			eve := userstest.Add(t, command, users.NewUser{Username: "eve", Password: "secret"})
			token, over := began(t, command, ada, clock), began(t, command, ada, clock)
			if err := command.EndSession(t.Context(), over); err != nil {
				t.Fatal(err)
			}
			heard(t, func(change string) { server.SQL(t, database, change) }, strict, lenient)
			for _, s := range []*users.Store{strict, lenient} {
				patiently(t, func() error { return second(s.LiveUser(t.Context(), ada.ID)) })
			}

			o.away()
			// Whoever comes first may wait; then everybody is told at once.
			for begin := time.Now(); ; {
				if _, err := strict.UserByID(t.Context(), ada.ID); errors.Is(err, users.ErrUnavailable) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				if time.Since(begin) > 60*time.Second {
					t.Fatal("the outage is not seen")
				}
			}
			_, _ = lenient.UserByID(t.Context(), ada.ID)
			for _, s := range []*users.Store{strict, lenient} {
				_ = s.RevokeToken(t.Context(), token) // the writers' turn to find out
			}
			begin := time.Now()
			var group sync.WaitGroup
			for i := range 300 {
				s := []*users.Store{strict, lenient}[i%2]
				group.Go(func() {
					if _, err := s.Authenticate(t.Context(), "ada", "secret"); !errors.Is(err, users.ErrUnavailable) {
						t.Errorf("login: %v", err)
					}
					if _, err := s.RenewSession(t.Context(), renewal(token, clock, 0)); !errors.Is(err, users.ErrUnavailable) {
						t.Errorf("refresh: %v", err)
					}
				})
			}
			group.Wait()
			took := time.Since(begin)
			t.Logf("300 logins and refreshes were told within %v", took)
			if took > 60*time.Second {
				t.Errorf("300 logins and refreshes were told within %v: they wait one after the other", took)
			}

			live(t, strict, ada.ID) // for ten seconds
			later(10 * time.Second)
			if _, err := strict.LiveUser(t.Context(), ada.ID); !errors.Is(err, users.ErrUnavailable) {
				t.Errorf("refuse, after ten seconds: %v", err)
			}
			live(t, lenient, ada.ID)
			if _, err := lenient.LiveUser(t.Context(), eve.ID); !errors.Is(err, users.ErrUnavailable) {
				t.Errorf("serve_stale, somebody who was not known: %v", err)
			}
			if !ended(t, lenient, over) || ended(t, lenient, token) {
				t.Error("what had ended is not what was known to have ended")
			}
			if serving, err := lenient.Condition(t.Context()); err == nil || !serving {
				t.Errorf("serve_stale: serving %t, %v", serving, err)
			}
			if serving, err := strict.Condition(t.Context()); err == nil || serving {
				t.Errorf("refuse: serving %t, %v", serving, err)
			}
			later(5 * time.Minute)
			if _, err := lenient.LiveUser(t.Context(), ada.ID); !errors.Is(err, users.ErrUnavailable) {
				t.Errorf("serve_stale, after its time: %v", err)
			}

			o.back()
			begin = time.Now()
			for _, s := range []*users.Store{strict, lenient} {
				for {
					u, err := s.Authenticate(t.Context(), "ada", "secret")
					if err == nil {
						err = s.StartSession(t.Context(), u, refreshToken(users.NewFamily(), u, clock), clock, users.Client{}, false)
					}
					if err == nil {
						break
					}
					if time.Since(begin) > 60*time.Second {
						t.Fatalf("it does not heal: %v", err)
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
			t.Logf("healed after %v", time.Since(begin))
			patiently(t, func() error {
				return second(strict.UpdateUser(t.Context(), "ada", users.Change{Active: new(false)}))
			})
			for begin, active := time.Now(), true; active; time.Sleep(5 * time.Millisecond) {
				if time.Since(begin) > 60*time.Second {
					t.Fatal("changes are not heard of any more")
				}
				patiently(t, func() error {
					u, err := lenient.LiveUser(t.Context(), ada.ID)
					active = err != nil || u.IsActive
					return err
				})
			}
		})
	}
}

func TestOutageIsSaidInOneWord(t *testing.T) {
	for text, want := range map[string]users.Outage{
		"refuse": {Mode: "refuse"}, "serve_stale for 5m": {Mode: "serve_stale", For: 5 * time.Minute}, "serve_stale": {Mode: "serve_stale"}, "x": {Mode: "x"},
	} {
		var got users.Outage
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	var o users.Outage
	if err := o.UnmarshalText([]byte("serve_stale for ever")); err == nil {
		t.Error("for ever is taken")
	}
	for _, c := range []struct {
		driver string
		outage users.Outage
		want   string
	}{
		{"postgres", users.Outage{}, ""},
		{"postgres", users.Outage{Mode: "refuse"}, ""},
		{"sqlite", users.Outage{Mode: "refuse"}, ""},
		{"postgres", users.Outage{Mode: "serve_stale", For: time.Minute}, ""},
		{"postgres", users.Outage{Mode: "serve_stale"}, "for how long"},
		{"postgres", users.Outage{Mode: "serve_stale", For: 2 * time.Hour}, "too long"},
		{"postgres", users.Outage{For: time.Minute}, "no duration"},
		{"postgres", users.Outage{Mode: "stale"}, `"stale" is not known`},
		{"sqlite", users.Outage{Mode: "serve_stale", For: time.Minute}, "sqlite"},
	} {
		dsn := map[string]string{"sqlite": "x.db", "postgres": "postgres://a@b/c"}[c.driver]
		err := users.Check(users.Config{Driver: c.driver, DSN: dsn, Outage: c.outage})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v, want %q", c.driver, c.outage, err, c.want)
		}
	}
}
