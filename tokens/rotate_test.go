package tokens_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/tokens/remote"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// replicas are gateways on one key directory and one store, with a clock that the
// test moves. They look at the directory when the test says so, one after the other.
type replicas struct {
	*testing.T
	dir   *keys.Directory
	store *users.Store
	alice users.User
	all   []*tokens.Authority
	clock atomic.Int64
}

func (r *replicas) now() time.Time { return time.Unix(0, r.clock.Load()) }

func newReplicas(t *testing.T, n int, change func(*tokens.Config)) *replicas {
	t.Helper()
	r := &replicas{T: t, dir: keys.NewDirectory(filepath.Join(t.TempDir(), "keys"))}
	r.clock.Store(start.UnixNano())
	r.add()
	r.store = userstest.Open(t, userstest.Now(r.now))
	r.alice = userstest.Add(t, r.store, users.NewUser{Username: "testuser", Password: "testpassword"})
	cfg := tokens.DefaultConfig()
	cfg.KeyDir = r.dir.Path()
	if change != nil {
		change(&cfg)
	}
	for range n {
		a, err := tokens.New(cfg, tokens.Parts{Store: r.store, Now: r.now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.Close)
		r.all = append(r.all, a)
	}
	return r
}

// add makes a key, which signs if none does.
func (r *replicas) add() (id string) {
	r.Helper()
	m, err := keys.Make("ES256", r.now())
	if err != nil {
		r.Fatal(err)
	}
	r.change(func(b *keys.Book) ([]*keys.Made, error) { b.Add(m, r.now()); return []*keys.Made{m}, nil })
	return m.ID
}

func (r *replicas) change(f func(*keys.Book) ([]*keys.Made, error)) {
	r.Helper()
	if err := r.dir.Change(r.now(), f); err != nil {
		r.Fatal(err)
	}
}

func (r *replicas) states() string {
	r.Helper()
	b, err := r.dir.Read()
	if err != nil {
		r.Fatal(err)
	}
	states := make([]string, len(b.Keys))
	for i, e := range b.Keys {
		states[i] = string(e.State(b, r.now()))
	}
	return strings.Join(states, " ")
}

func (r *replicas) look() {
	r.Helper()
	for i, a := range r.all {
		if err := a.Look(); err != nil {
			r.Errorf("replica %d: %v", i, err)
		}
	}
}

// published is the JWKS of a replica.
func published(a *tokens.Authority) string {
	for _, e := range a.Endpoints() {
		if e.Path == "/.well-known/jwks.json" {
			out := httptest.NewRecorder()
			e.Handler.ServeHTTP(out, httptest.NewRequest(http.MethodGet, e.Path, nil))
			return out.Body.String()
		}
	}
	return ""
}

// TestARotationLogsNobodyOut goes through a whole rotation while clients log in, call
// and refresh on two gateways at once, and a third party checks their tokens with a
// JWKS that it keeps for five minutes. Nobody is ever refused.
func TestARotationLogsNobodyOut(t *testing.T) {
	const step = 20 * time.Second
	r := newReplicas(t, 2, func(cfg *tokens.Config) {
		cfg.AccessLifetime, cfg.RefreshLifetime = 5*time.Minute, 30*time.Minute
		cfg.Rotation.Enabled = true
	})

	// What clients hold. A token is checked while it is good, with a step to spare, as the
	// clock may move while it is on its way.
	var mu sync.Mutex
	type held struct {
		access, refresh string
		until           time.Time // of access
	}
	var all []held
	third := struct {
		sync.Mutex
		*remote.Source
	}{}
	fetch := func() {
		source, err := remote.New(remote.Config{Issuer: "x", JWKS: published(r.all[0]), Algorithms: []string{"ES256"}}, remote.Parts{})
		if err != nil {
			t.Error(err)
			return
		}
		third.Lock()
		third.Source = source
		third.Unlock()
	}
	fetch()

	stop := make(chan struct{})
	var crowd sync.WaitGroup
	var asked atomic.Int64 // requests that were let in
	var signedBy sync.Map
	// one is what a client does next. It reports whether there is more to come.
	one := func(client, i int) bool {
		a := r.all[(client+i)%len(r.all)]
		switch i % 8 {
		case 0: // a login
			now := r.now()
			pair, err := a.Issuer().Pair(r.alice, now)
			if err == nil {
				err = r.store.StartSession(t.Context(), r.alice, pair.RefreshToken, pair.AccessUntil, users.Client{}, false)
			}
			if err != nil {
				t.Errorf("login: %v", err)
				return false
			}
			mu.Lock()
			all = append(all, held{pair.Access, pair.Refresh, now.Add(5 * time.Minute)})
			mu.Unlock()
		case 4: // a refresh, of who came first
			mu.Lock()
			if len(all) == 0 {
				mu.Unlock()
				return true
			}
			h := all[0]
			all = all[1:]
			mu.Unlock()
			now := r.now()
			if now.After(h.until.Add(25*time.Minute - 2*step)) {
				return true // expired
			}
			status, body := call(a, "/api/token/refresh/", url.Values{"refresh": {h.refresh}})
			if status != http.StatusOK {
				t.Errorf("refresh: %d %v", status, body)
				return false
			}
			mu.Lock()
			all = append(all, held{body["access"], body["refresh"], now.Add(5 * time.Minute)})
			mu.Unlock()
		default:
			mu.Lock()
			if len(all) == 0 {
				mu.Unlock()
				return true
			}
			h := all[(client*7+i)%len(all)]
			mu.Unlock()
			if r.now().After(h.until.Add(-2 * step)) {
				return true
			}
			if _, err := a.Verifier().Verify(t.Context(), h.access); err != nil {
				t.Errorf("a request: %v", err)
				return false
			}
			third.Lock()
			source := third.Source
			third.Unlock()
			signed, signature, id := taken(t, h.access)
			key, err := source.Signer(t.Context(), "ES256", id, func(k *keys.Key) bool { return k.Verify(signed, signature) == nil })
			if key == nil || err != nil {
				t.Errorf("a third party: the key %s is not known: %v", id, err)
				return false
			}
			signedBy.Store(id, true)
			asked.Add(1)
		}
		return true
	}
	// The clock stands while a request is on its way: that would be late on a slow machine.
	var underWay sync.RWMutex
	for client := range 6 {
		crowd.Go(func() {
			for i, more := 0, true; more; i++ {
				select {
				case <-stop:
					return
				default:
				}
				underWay.RLock()
				more = one(client, i)
				underWay.RUnlock()
			}
		})
	}
	// The clock moves on when clients have been let in with it; the gateways look at the
	// directory one after the other, and the third party fetches the JWKS every five minutes.
	moved := 0
	move := func(d time.Duration) {
		for ; d > 0; d -= step {
			underWay.Lock()
			r.clock.Add(int64(step))
			underWay.Unlock()
			for i := range r.all {
				for until := asked.Load() + 4; asked.Load() < until && !t.Failed(); {
					time.Sleep(time.Millisecond)
				}
				if err := r.all[(moved+i)%len(r.all)].Look(); err != nil {
					t.Error(err)
				}
			}
			if moved++; moved%int(5*time.Minute/step) == 0 {
				fetch()
			}
			if moved%6 == 0 { // clients with nothing but expired tokens log in anew
				mu.Lock()
				all = slices.DeleteFunc(all, func(h held) bool { return r.now().After(h.until.Add(20 * time.Minute)) })
				mu.Unlock()
			}
		}
	}
	expect := func(want string) {
		t.Helper()
		if got := r.states(); got != want {
			t.Errorf("the keys are %s, want %s", got, want)
		}
	}
	move(6 * time.Minute)
	expect("signing")
	r.add()
	expect("signing next")
	r.change(func(b *keys.Book) ([]*keys.Made, error) {
		_, err := b.Rotate(false, 31*time.Minute, r.now())
		return nil, err
	})
	move(4 * time.Minute)
	expect("signing next")
	move(4 * time.Minute)
	expect("verifying signing")
	move(25 * time.Minute)
	expect("verifying signing")
	move(15 * time.Minute)
	expect("retired signing")
	move(2 * time.Minute)
	close(stop)
	crowd.Wait()
	var ids int
	signedBy.Range(func(any, any) bool { ids++; return true })
	if ids != 2 {
		t.Errorf("%d keys were seen in %d requests, want 2", ids, asked.Load())
	}
	t.Logf("%d requests, logins and refreshes, none refused", asked.Load())
}

// taken takes a token apart.
func taken(t *testing.T, token string) (signed string, signature []byte, id string) {
	t.Helper()
	cut := strings.LastIndexByte(token, '.')
	var header struct{ Kid string }
	head, _, _ := strings.Cut(token, ".")
	if err := json.Unmarshal([]byte(unbase64(t, head)), &header); err != nil {
		t.Error(err)
	}
	return token[:cut], []byte(unbase64(t, token[cut+1:])), header.Kid
}

func TestATokenOfARetiredKeyIsRefused(t *testing.T) {
	r := newReplicas(t, 2, nil)
	pair, err := r.all[0].Issuer().Pair(r.alice, r.now())
	if err != nil {
		t.Fatal(err)
	}
	says := func(a *tokens.Authority) string {
		_, err := a.Verifier().Verify(t.Context(), pair.Access)
		if err == nil {
			return ""
		}
		return err.Error()
	}
	for _, a := range r.all {
		if got := says(a); got != "" {
			t.Fatal(got)
		}
	}
	r.add()
	r.change(func(b *keys.Book) ([]*keys.Made, error) { return nil, b.Retire(0, true, r.now()) })
	r.look()
	for i, a := range r.all {
		if a.Verifier().Remembers(pair.Access) && says(a) != "Token is invalid" || says(a) != "Token is invalid" {
			t.Errorf("replica %d: %q", i, says(a))
		}
		if status, body := call(a, "/api/token/refresh/", url.Values{"refresh": {pair.Refresh}}); status != http.StatusUnauthorized {
			t.Errorf("replica %d: refresh: %d %v", i, status, body)
		}
	}
}

// TestARotationKeepsWhatIsRemembered: the token of a key that signs no more costs no
// signature check for that.
func TestARotationKeepsWhatIsRemembered(t *testing.T) {
	r := newReplicas(t, 1, nil)
	a := r.all[0]
	pair, err := a.Issuer().Pair(r.alice, r.now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verifier().Verify(t.Context(), pair.Access); err != nil {
		t.Fatal(err)
	}
	r.add()
	r.change(func(b *keys.Book) ([]*keys.Made, error) {
		_, err := b.Rotate(true, time.Hour, r.now())
		return nil, err
	})
	r.clock.Add(int64(keys.Soon))
	r.look()
	if got := r.states(); got != "verifying signing" {
		t.Fatal(got)
	}
	if !a.Verifier().Remembers(pair.Access) {
		t.Error("it is forgotten")
	}
	if _, err := a.Verifier().Verify(t.Context(), pair.Access); err != nil {
		t.Error(err)
	}
	if !a.Verifier().Remembers(pair.Access) {
		t.Error("it was checked anew")
	}
}

// TestADirectoryThatGoesBadChangesNothing: the keys stay as they were, the clock goes
// on, and what is wrong is told.
func TestADirectoryThatGoesBadChangesNothing(t *testing.T) {
	r := newReplicas(t, 1, nil)
	a := r.all[0]
	meta := filepath.Join(r.dir.Path(), "keys.json")
	good, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	works := func(name string) {
		t.Helper()
		pair, err := a.Issuer().Pair(r.alice, r.now())
		if err == nil {
			_, err = a.Verifier().Verify(t.Context(), pair.Access)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func() error{
		"nonsense":    func() error { return os.WriteFile(meta, []byte("{"), 0o600) },
		"no keys":     func() error { return os.WriteFile(meta, []byte(`{"version":1,"keys":[]}`), 0o600) },
		"no file":     func() error { return os.Remove(meta) },
		"read by all": func() error { return errors.Join(os.WriteFile(meta, append(good, ' '), 0o600), os.Chmod(meta, 0o644)) },
		"a key is gone": func() error {
			return os.WriteFile(meta, []byte(strings.Replace(string(good), `"kid": "`, `"kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "alg": "EdDSA", "created": "2026-01-01T00:00:00Z" }, { "kid": "`, 1)), 0o600)
		},
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if err := a.Look(); err == nil {
			t.Errorf("%s: nobody noticed", name)
		}
		works(name)
		if err := errors.Join(os.WriteFile(meta, good, 0o600), os.Chmod(meta, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := a.Look(); err != nil {
			t.Errorf("%s: mended, and still %v", name, err)
		}
	}
	// A change that is planned comes also where the directory has gone away meanwhile.
	next := r.add()
	r.change(func(b *keys.Book) ([]*keys.Made, error) {
		_, err := b.Rotate(false, time.Hour, r.now())
		return nil, err
	})
	r.look()
	if err := os.RemoveAll(r.dir.Path()); err != nil {
		t.Fatal(err)
	}
	r.clock.Add(int64(keys.Announce))
	if err := a.Look(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if got := a.Keys().Signing().ID(); got != next {
		t.Errorf("%s signs, want %s", got, next)
	}
	works("after it")
}

func TestADirectoryIsFollowedWhileTheGatewayRuns(t *testing.T) {
	dir := keys.NewDirectory(t.TempDir())
	make := func() *keys.Made {
		m, err := keys.Make("EdDSA", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	add := func(m *keys.Made) {
		t.Helper()
		if err := dir.Change(time.Now(), func(b *keys.Book) ([]*keys.Made, error) { b.Add(m, time.Now()); return []*keys.Made{m}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	cfg := tokens.DefaultConfig()
	cfg.KeyDir = dir.Path()
	store := userstest.Open(t)
	var fault *tokens.Fault
	if _, err := tokens.New(cfg, tokens.Parts{Store: store}); !errors.As(err, &fault) || fault.At != "key_dir" || !strings.Contains(fault.Fix, "gatehouse keys new") {
		t.Errorf("an empty directory: %v", err)
	}
	add(make())
	cfg.Keys = []keys.Config{{ID: "a", Algorithm: "HS256", Secret: secret}}
	if _, err := tokens.New(cfg, tokens.Parts{Store: store}); !errors.As(err, &fault) || fault.At != "keys[0].use" {
		t.Errorf("two that sign: %v", err)
	}
	cfg.Keys[0].Use = "verify"
	a, err := tokens.New(cfg, tokens.Parts{Store: store, Poll: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	a.Start()
	a.Start()
	next := make()
	add(next)
	for deadline := time.Now().Add(60 * time.Second); !strings.Contains(published(a), next.ID); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the next key is not published")
		}
	}
	a.Close()
	a.Close()
	if got := fmt.Sprint(a.KeyTrouble()); got != "" {
		t.Error(got)
	}
}

func unbase64(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}
