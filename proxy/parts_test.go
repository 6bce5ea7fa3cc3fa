package proxy_test

import (
	"log/slog"
	"testing"

	"gatehouse/proxy"
	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// parts are real ones: a store with alice, who is in staff, and bob, who is in
// nothing, and an authority with the default settings.
func parts(t testing.TB, logger *slog.Logger) proxy.Parts {
	t.Helper()
	p, _ := partsAndStore(t, logger)
	return p
}

func partsAndStore(t testing.TB, logger *slog.Logger) (proxy.Parts, *users.Store) {
	t.Helper()
	store := userstest.Open(t)
	for _, user := range []users.NewUser{
		{Username: "alice", Email: "alice@example.com", Groups: []string{"staff"}},
		{Username: "bob", Email: "bob@example.com"},
	} {
		user.Password = password
		userstest.Add(t, store, user)
	}
	cfg := tokens.DefaultConfig()
	cfg.Keys = []keys.Config{{ID: "main", Algorithm: "HS256", Secret: "an-example-signing-key-of-32-bytes!!"}}
	authority, err := tokens.New(cfg, tokens.Parts{Store: store, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Parts{Verifier: authority.Verifier(), Endpoints: authority.Endpoints(), Logger: logger}, store
}
