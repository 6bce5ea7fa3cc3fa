package tokens_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// hmacText is the secret of tests that need one, long enough for each hash.
const hmacText = "an-example-signing-key-of-64-bytes-which-is-enough-for-all-three"

// edPair is the key of RFC 8037, appendix A.1, and edHalf its public half.
const (
	edPair = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	edHalf = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// ecPair is the key of RFC 7515, appendix A.3.
const ecPair = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`

// gate is an authority with keys of its own, a user, and a clock that stands still.
type gate struct {
	testing.TB
	*tokens.Authority
	store *users.Store
	user  users.User
	clock atomic.Int64 // unix nanoseconds
}

func newGate(t testing.TB, change func(*tokens.Config), list ...keys.Config) *gate {
	t.Helper()
	g := &gate{TB: t}
	g.clock.Store(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC).UnixNano())
	g.store = userstest.Open(t, userstest.Now(g.now))
	g.user = userstest.Add(t, g.store, users.NewUser{Username: "carol", Password: "carols password"})
	g.reload(change, list...)
	return g
}

// reload makes an authority anew on the same store, as a changed configuration does.
func (g *gate) reload(change func(*tokens.Config), list ...keys.Config) {
	g.Helper()
	cfg := tokens.DefaultConfig()
	cfg.Keys = list
	if change != nil {
		change(&cfg)
	}
	var err error
	if g.Authority, err = tokens.New(cfg, tokens.Parts{Store: g.store, Now: g.now}); err != nil {
		g.Fatal(err)
	}
}

func (g *gate) now() time.Time        { return time.Unix(0, g.clock.Load()) }
func (g *gate) after(d time.Duration) { g.clock.Add(int64(d)) }

func (g *gate) issue() tokens.Pair {
	g.Helper()
	pair, err := g.Issuer().Pair(g.user, g.now())
	if err != nil {
		g.Fatal(err)
	}
	return pair
}

// says is "" for a token that opens a route, and else why it does not.
func (g *gate) says(token string) string {
	g.Helper()
	principal, err := g.Verifier().Verify(g.Context(), token)
	if err == nil {
		if principal.User.ID != g.user.ID {
			g.Errorf("the token is of user %d, want %d", principal.User.ID, g.user.ID)
		}
		return ""
	}
	rejection, ok := errors.AsType[*tokens.Rejection](err)
	if !ok {
		g.Fatalf("undecided: %v", err)
	}
	return rejection.Reason
}

// ask sends a request to an endpoint.
func (g *gate) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	g.Helper()
	in := httptest.NewRequestWithContext(g.Context(), method, path, strings.NewReader(body))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		in.Header.Set(name, value)
	}
	out := httptest.NewRecorder()
	for _, endpoint := range g.Endpoints() {
		if endpoint.Path == path {
			endpoint.Handler.ServeHTTP(out, in)
			return out
		}
	}
	out.WriteHeader(http.StatusNotFound)
	return out
}
