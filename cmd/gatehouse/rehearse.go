package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gatehouse/cmd/gatehouse/internal/config"
	"gatehouse/proxy"
	"gatehouse/tokens"
	"gatehouse/tokens/drf"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// rehearsal is the gateway of a configuration with another cast: a key and users
// that exist for the `tests` of the file alone. Routes, policies and the code that
// decides are the real ones.
type rehearsal struct {
	loaded *config.Loaded
	g      *generation
	store  *users.Store
	known  map[string]users.User // by all that is said about them
	dir    string
}

// rehearse tries the `tests` of a configuration that has no fault, and returns an
// error that joins those that fail. endpoints are what its gateway answers itself: the
// key of the rehearsal would add some where none signs.
func rehearse(ctx context.Context, loaded *config.Loaded, endpoints []tokens.Endpoint) error {
	if len(loaded.Tests) == 0 {
		return nil
	}
	r, err := newRehearsal(ctx, *loaded, endpoints)
	if err != nil {
		return fmt.Errorf("the tests of the configuration cannot be tried: %w", err)
	}
	defer r.close()
	var failures []error
	for i := range loaded.Tests {
		if err := r.try(ctx, &loaded.Tests[i]); err != nil {
			at := config.Item("tests", i)
			failures = append(failures, fmt.Errorf("%s: %s: %s: %w", loaded.Where(at), at, loaded.Tests[i].Request, err))
		}
	}
	return errors.Join(failures...)
}

func newRehearsal(ctx context.Context, loaded config.Loaded, endpoints []tokens.Endpoint) (_ *rehearsal, err error) {
	r := &rehearsal{loaded: &loaded, known: map[string]users.User{}}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.dir, err = os.MkdirTemp("", "gatehouse-check-"); err != nil {
		return nil, err
	}
	if r.store, err = users.Open(ctx, users.Config{Driver: "sqlite", DSN: filepath.Join(r.dir, "cast.db")}, users.Parts{}); err != nil {
		return nil, err
	}
	key, err := stageKey()
	if err != nil {
		return nil, err
	}
	loaded.Tokens = loaded.Tokens.Rehearsal(key)
	r.g, err = build(&loaded, parts{store: r.store, logger: slog.New(slog.DiscardHandler), endpoints: endpoints})
	return r, err
}

// stageKey is a key of the kind that can do all that any other can.
func stageKey() (keys.Config, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keys.Config{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return keys.Config{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return keys.Config{ID: "rehearsal", Algorithm: "EdDSA", PrivateKey: string(text), Use: "sign"}, nil
}

func (r *rehearsal) close() {
	if r.g != nil {
		r.g.close()
	}
	if r.store != nil {
		_ = r.store.Close()
	}
	_ = os.RemoveAll(r.dir)
}

// try returns what is not as the test says.
func (r *rehearsal) try(ctx context.Context, test *config.Test) error {
	method, url, ok := strings.Cut(strings.TrimSpace(test.Request), " ")
	if !ok {
		return errors.New("the request is not a method and a URL; write it as GET https://app.example.com/x")
	}
	q := question{method: method, url: strings.TrimSpace(url), headers: test.Headers, from: cmp.Or(test.From, "192.0.2.1")}
	in, err := q.request(ctx)
	if err != nil {
		return err
	}
	if test.As != nil {
		token, err := r.token(ctx, test.As)
		if err != nil {
			return err
		}
		r.g.gateway.Carry(in, token)
	}
	return r.compare(test, r.g.gateway.Explain(in))
}

// token makes one for a user who is like as.
func (r *rehearsal) token(ctx context.Context, as *config.As) (string, error) {
	like := fmt.Sprintf("%q %q %q", as.User, as.Email, as.Groups)
	user, ok := r.known[like]
	if !ok {
		name := cmp.Or(as.User, "somebody")
		if len(r.known) > 0 {
			// The same name with other groups is another user, in another test.
			if _, err := r.store.UserByName(ctx, name); err == nil {
				if err := r.store.DeleteUser(ctx, name); err != nil {
					return "", err
				}
				clear(r.known)
			}
		}
		email := as.Email
		if email == "" && r.loaded.Tokens.UserIDField == string(users.ByEmail) {
			email = "somebody@test.invalid" // tokens are about an address, and the test about none
		}
		var err error
		user, err = r.store.CreateUser(ctx, users.NewUser{Username: name, Email: email, Groups: as.Groups})
		if err != nil {
			return "", err
		}
		r.known[like] = user
	}
	var more drf.Object
	for _, claim := range as.Claims {
		var value any = claim.Value
		if claim.Values != nil {
			value = claim.Values
		}
		more = append(more, drf.Member{Name: claim.Name, Value: value})
	}
	return r.g.mint(user, more)
}

// compare says what came out instead of what is expected.
func (r *rehearsal) compare(test *config.Test, e *proxy.Explanation) error {
	t := explanationOf(r.loaded, question{}, e)
	var right bool
	switch status, err := strconv.Atoi(test.Expect); {
	case test.Expect == "upstream":
		right = t.Upstream != ""
	case err != nil || status < 100 || status > 599:
		return fmt.Errorf("expect is %q; write upstream, 200, or the status of a refusal", test.Expect)
	case status == 200:
		right = t.Status == 0
	default:
		right = t.Status == status
	}
	switch {
	case !right:
		return fmt.Errorf("expected %s, but it is %s", test.Expect, t.inShort())
	case test.To != "" && !strings.EqualFold(test.To, t.Upstream):
		return fmt.Errorf("expected to reach %s, but it is %s", test.To, t.inShort())
	case test.Target != "" && test.Target != e.Target:
		return fmt.Errorf("expected the target %s, but it is %s", test.Target, cmp.Or(e.Target, t.inShort()))
	}
	return nil
}

// inShort is an explanation within a sentence.
func (t explanation) inShort() string {
	what := "answered by gatehouse itself"
	switch {
	case t.Status != 0:
		what = fmt.Sprintf("refused with %d (%s)", t.Status, t.Decision)
	case t.Upstream != "":
		what = "forwarded to " + t.Upstream
	}
	if where := cmp.Or(t.RuleAt, t.Written); where != "" {
		what += " by " + where + " (" + cmp.Or(t.Rule, t.Route) + ", " + t.Policy + ")"
	}
	return what
}
