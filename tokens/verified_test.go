package tokens_test

import (
	"encoding/base64"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users"
)

// held is a gate and an access token that it remembers.
func held(t *testing.T, change func(*tokens.Config), list ...keys.Config) (*gate, string) {
	t.Helper()
	if len(list) == 0 {
		list = []keys.Config{{Algorithm: "EdDSA", PrivateKey: edPair}}
	}
	g := newGate(t, change, list...)
	token := g.issue().Access
	for range 2 {
		if got := g.says(token); got != "" {
			t.Fatalf("its own token is refused: %s", got)
		}
	}
	g.remembers(token, true)
	return g, token
}

func (g *gate) remembers(token string, want bool) {
	g.Helper()
	if got := g.Verifier().Remembers(token); got != want {
		g.Errorf("remembered: %v, want %v", got, want)
	}
}

func TestARememberedTokenExpires(t *testing.T) {
	for _, leeway := range []time.Duration{0, 30 * time.Second} {
		g, token := held(t, func(c *tokens.Config) { c.Leeway = leeway })
		g.after(5*time.Minute + leeway - time.Second)
		if got := g.says(token); got != "" {
			t.Errorf("in its last second: %s", got)
		}
		g.after(time.Second)
		if got := g.says(token); got != "token_expired" {
			t.Errorf("at its end: %q", got)
		}
		g.remembers(token, false)
		if got := g.says(token); got != "token_expired" {
			t.Errorf("once more: %q", got)
		}
		g.remembers(token, false)
	}
}

func TestARememberedTokenIsNotOfTheFuture(t *testing.T) {
	g, token := held(t, nil)
	g.after(-time.Minute) // the clock is set back behind iat
	if got := g.says(token); got != "token_invalid" {
		t.Errorf("got %q", got)
	}
	g.after(time.Minute)
	if got := g.says(token); got != "" {
		t.Errorf("when the clock is right again: %s", got)
	}
}

func TestARememberedTokenEndsWithItsKey(t *testing.T) {
	old := keys.Config{Algorithm: "EdDSA", PublicKey: edHalf, Until: "2026-11-23T12:02:00Z"}
	current := keys.Config{ID: "now", Algorithm: "ES256", PrivateKey: ecPair}
	for _, c := range []struct {
		name string
		keys []keys.Config
		want string
	}{
		{"the key ends", []keys.Config{current, old}, "token_invalid"},
		{"the same key is there under another name, which the token does not say", []keys.Config{current, old, {ID: "again", Algorithm: "EdDSA", PublicKey: edHalf}}, "token_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, token := held(t, nil)
			g.reload(nil, c.keys...)
			g.remembers(token, false)
			if got := g.says(token); got != "" {
				t.Fatalf("before the end: %s", got)
			}
			g.remembers(token, true)
			g.after(2 * time.Minute)
			if got := g.says(token); got != c.want {
				t.Errorf("after the end: %q, want %q", got, c.want)
			}
			g.remembers(token, false)
		})
	}
}

// TestARememberedTokenOutlivesOneOfTwoKeys: of two entries with one secret the first
// ends, and the second still counts.
func TestARememberedTokenOutlivesOneOfTwoKeys(t *testing.T) {
	g := newGate(t, nil, keys.Config{ID: "a", Algorithm: "HS256", Secret: hmacText, Use: "sign"})
	token := g.issue().Access
	g.reload(nil,
		keys.Config{ID: "b", Algorithm: "HS256", Secret: hmacText, Use: "verify", Until: "2026-11-23T12:02:00Z"},
		keys.Config{ID: "c", Algorithm: "HS256", Secret: hmacText, Use: "verify"})
	for range 2 {
		if got := g.says(token); got != "" {
			t.Fatal(got)
		}
		g.remembers(token, true)
		g.after(2 * time.Minute)
	}
}

func TestARememberedTokenEndsWithAnotherKey(t *testing.T) {
	g, token := held(t, nil)
	g.reload(nil, keys.Config{Algorithm: "ES256", PrivateKey: ecPair})
	if got := g.says(token); got != "token_invalid" {
		t.Errorf("got %q", got)
	}
	g.reload(nil, keys.Config{ID: "another name", Algorithm: "EdDSA", PrivateKey: edPair})
	if got := g.says(token); got != "token_invalid" {
		t.Errorf("under another name: %q", got)
	}
}

// TestATokenIsRememberedForItsUserOfTheMoment: the account is looked up each time.
func TestATokenIsRememberedForItsUserOfTheMoment(t *testing.T) {
	g, token := held(t, nil)
	change := func(c users.Change) {
		t.Helper()
		if _, err := g.store.UpdateUser(t.Context(), "carol", c); err != nil {
			t.Fatal(err)
		}
	}
	change(users.Change{Active: new(false)})
	if got := g.says(token); got != "user_inactive" {
		t.Errorf("disabled: %q", got)
	}
	change(users.Change{Active: new(true), AddGroups: []string{"staff"}})
	principal, err := g.Verifier().Verify(t.Context(), token)
	if err != nil || !slices.Equal(principal.User.Groups, []string{"staff"}) {
		t.Errorf("enabled and put into a group: %+v, %v", principal, err)
	}
	if err := g.store.DeleteUser(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	if got := g.says(token); got != "user_not_found" {
		t.Errorf("deleted: %q", got)
	}
}

// TestRefreshTokensAreNeverRemembered, so what is revoked is so at once.
func TestRefreshTokensAreNeverRemembered(t *testing.T) {
	g, _ := held(t, nil)
	refresh := g.issue().Refresh
	body := `{"refresh":"` + refresh + `"}`
	post := func(path string) int {
		return g.ask(http.MethodPost, path, body, "Content-Type: application/json").Code
	}
	if got := g.says(refresh); got != "token_wrong_type" {
		t.Errorf("as a bearer: %q", got)
	}
	if got := post("/api/token/refresh/"); got != http.StatusOK {
		t.Errorf("refresh: %d", got)
	}
	g.remembers(refresh, false)
	if got := post("/api/token/blacklist/"); got != http.StatusOK {
		t.Errorf("blacklist: %d", got)
	}
	if got := post("/api/token/refresh/"); got != http.StatusUnauthorized {
		t.Errorf("refresh of what is revoked: %d", got)
	}
	g.remembers(refresh, false)
}

func TestWhatIsRefusedIsNeverRemembered(t *testing.T) {
	g, token := held(t, nil)
	entries, size := g.Verifier().Remembered()
	head, rest, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(rest, ".")
	other := g.issue().Access
	otherSignature := other[strings.LastIndexByte(other, '.')+1:]
	flip := func(s string) string {
		c := byte('A')
		if s[10] == c {
			c = 'B'
		}
		return s[:10] + string(c) + s[11:]
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for name, wrong := range map[string]string{
		"nothing": "", "dots": "..", "a megabyte": strings.Repeat("a", 1<<20), "no signature": head + "." + body + ".",
		"the signature of another": head + "." + body + "." + otherSignature, "one letter of the signature": head + "." + body + "." + flip(signature),
		"one letter of the payload": head + "." + flip(body) + "." + signature, "one letter more": token + "A", "one letter less": token[:len(token)-1],
		"padding": token + "==", "a space": token + " ", "none": none + "." + body + ".",
	} {
		if got := g.says(wrong); got != "token_invalid" {
			t.Errorf("%s: %q", name, got)
		}
		g.remembers(wrong, false)
	}
	if n, s := g.Verifier().Remembered(); n != entries || s != size {
		t.Errorf("%d entries of %d bytes, before %d of %d", n, s, entries, size)
	}
	g.remembers(token, true)
}

// TestEachConfigurationJudgesForItself: one token, wanted and unwanted by audience
// and issuer, in both orders.
func TestEachConfigurationJudgesForItself(t *testing.T) {
	ours := func(c *tokens.Config) { c.Audience.Names, c.Issuer = []string{"apps"}, "gatehouse" }
	g, token := held(t, ours)
	for name, theirs := range map[string]func(*tokens.Config){
		"another audience": func(c *tokens.Config) { c.Audience.Names, c.Issuer = []string{"others"}, "gatehouse" },
		"another issuer":   func(c *tokens.Config) { c.Audience.Names, c.Issuer = []string{"apps"}, "gatehouse2" },
	} {
		for range 2 {
			g.reload(theirs, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
			if got := g.says(token); got != "token_invalid" {
				t.Errorf("%s: %q", name, got)
			}
			g.remembers(token, false)
			g.reload(ours, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
			if got := g.says(token); got != "" {
				t.Errorf("ours, beside %s: %q", name, got)
			}
		}
	}
}

func TestNothingIsRememberedWithoutBytes(t *testing.T) {
	g := newGate(t, func(c *tokens.Config) { c.CacheBytes = 0 }, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	token := g.issue().Access
	if got := g.says(token); got != "" {
		t.Error(got)
	}
	g.remembers(token, false)
}

func TestSizesOfTheCacheThatAreRefused(t *testing.T) {
	for _, size := range []int64{-1, 1, 1<<20 - 1, 1 << 50} {
		cfg := tokens.DefaultConfig()
		cfg.CacheBytes = size
		cfg.Keys = []keys.Config{{Algorithm: "EdDSA", PrivateKey: edPair}}
		if _, err := tokens.New(cfg, tokens.Parts{}); err == nil || !strings.Contains(err.Error(), "33554432") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestTheCacheIsBoundedInBytes: of many tokens those stay that are used, what is
// counted keeps to the bound, and what is counted is about what it takes.
func TestTheCacheIsBoundedInBytes(t *testing.T) {
	const most = 2 << 20
	g, popular := held(t, func(c *tokens.Config) { c.CacheBytes = most }, keys.Config{ID: "main", Algorithm: "HS256", Secret: hmacText})
	var before, after runtime.MemStats
	collect := func(into *runtime.MemStats) {
		runtime.GC()
		runtime.GC() // pools, such as that of the hashing, live through one
		runtime.ReadMemStats(into)
	}
	collect(&before)
	for i := range 3000 {
		if got := g.says(g.issue().Access); got != "" {
			t.Fatal(got)
		}
		if i%50 == 0 && g.says(popular) != "" {
			t.Fatal("the popular one is refused")
		}
	}
	entries, size := g.Verifier().Remembered()
	collect(&after)
	if size > most || size < most*8/10 || entries < 500 || entries > 2900 {
		t.Errorf("%d entries of %d bytes, with room for %d", entries, size, most)
	}
	g.remembers(popular, true)
	taken := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d entries are counted as %d bytes and take %d", entries, size, taken)
	if taken > most*3/2 {
		t.Errorf("%d bytes are taken, with room for %d", taken, most)
	}

	// What has expired makes room before anything else goes.
	g.after(5 * time.Minute)
	for range 3000 {
		g.says(g.issue().Access)
	}
	g.remembers(popular, false)
}

// TestExpiredTokensGoWithoutBeingAskedFor, also where there is room for them.
func TestExpiredTokensGoWithoutBeingAskedFor(t *testing.T) {
	g, _ := held(t, nil, keys.Config{ID: "main", Algorithm: "HS256", Secret: hmacText})
	for range 500 {
		g.says(g.issue().Access)
	}
	g.after(5 * time.Minute)
	for range 1000 {
		g.says(g.issue().Access)
	}
	if entries, _ := g.Verifier().Remembered(); entries > 1020 {
		t.Errorf("%d entries, of which 1000 can be used", entries)
	}
}

// TestManyAtOnce is for the race detector, and for the answer: a token is good until
// its end and never behind it, whatever the others do.
func TestManyAtOnce(t *testing.T) {
	g, shared := held(t, func(c *tokens.Config) { c.CacheBytes = 1 << 20 })
	end := g.now().Add(5 * time.Minute)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				before := g.now()
				_, err := g.Verifier().Verify(t.Context(), shared)
				if !before.Before(end) && err == nil || g.now().Before(end) && err != nil {
					t.Errorf("between %s and %s: %v", before, g.now(), err)
				}
				_, _ = g.Verifier().Verify(t.Context(), g.issue().Access)
				g.after(600 * time.Millisecond)
			}
		})
	}
	group.Wait()
	if got := g.says(shared); got != "token_expired" {
		t.Errorf("at the end: %q", got)
	}
}
