package users_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/users"
	"gatehouse/users/userstest"
)

// forgetful stands between a store and its database, until it forgets the connections
// that there are: nothing comes back any more, and nobody is told. New ones work.
type forgetful struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	servers  []net.Conn
}

func (f *forgetful) serve() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", f.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		f.mu.Lock()
		f.servers = append(f.servers, server)
		f.mu.Unlock()
		go func() { _, _ = io.Copy(client, server) }() // the client's side stays when the server's ends
		go func() {
			_, _ = io.Copy(server, client)
			_, _ = io.Copy(io.Discard, client)
			_ = client.Close()
			_ = server.Close()
		}()
	}
}

func (f *forgetful) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, server := range f.servers {
		_ = server.Close()
	}
	f.servers = nil
}

// A pool full of connections that are dead, and do not say so, costs one call or two,
// not one for each.
func TestDeadConnectionsAreNotTriedOneByOne(t *testing.T) {
	place := userstest.Postgres(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, rest, _ := strings.Cut(place.Config.DSN, "@")
	target, _, _ := strings.Cut(rest, "/")
	between := &forgetful{listener: listener, target: target}
	go between.serve()
	cfg := users.Config{Driver: "postgres", DSN: strings.Replace(place.Config.DSN, target, listener.Addr().String(), 1), MaxConnections: 64}
	s := userstest.Open(t, userstest.In(&userstest.Place{Config: cfg}))
	u := userstest.Add(t, userstest.Open(t, userstest.In(place)), users.NewUser{Username: "ada"})
	crowd := func(n int) (failed, tried int) {
		var all sync.WaitGroup
		var mu sync.Mutex
		for i := range n {
			all.Go(func() {
				if _, err := s.UpdateUser(t.Context(), u.Username, users.Change{FirstName: new(fmt.Sprint(i))}); err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed++
					if !strings.Contains(err.Error(), "tried a moment ago") {
						tried++
					}
				}
			})
		}
		all.Wait()
		return failed, tried
	}
	crowd(128) // thirty-two connections that write
	between.forget()
	time.Sleep(1100 * time.Millisecond)
	all := 0
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		// After one that tried, others are told at once for a moment; those do not count.
		failed, tried := crowd(1)
		if failed == 0 {
			break
		}
		all += tried
		if time.Since(begin) > 2*time.Minute { // for each of them it takes twice that
			t.Fatalf("it does not heal: %d calls tried, one after the other", all)
		}
	}
	t.Logf("%d calls tried, and failed", all)
}
