package tokens_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"gatehouse/tokens"
	"gatehouse/tokens/keys"
	"gatehouse/users/userstest"
)

// The flood: tokens that nobody made, no two alike, in every shape that gets as far as a
// look at it. None is let in, none is remembered, and none pushes out a good one.
func TestAttackVeryManyGarbageTokens(t *testing.T) {
	many := 100_000
	if asked, err := strconv.Atoi(os.Getenv("GATEHOUSE_TEST_GARBAGE")); err == nil {
		many = asked // a million takes minutes under the race detector
	}
	if testing.Short() {
		many = 10_000
	}
	g, good := held(t, func(c *tokens.Config) { c.CacheBytes = 1 << 20 },
		keys.Config{ID: "ed", Algorithm: "EdDSA", PrivateKey: edPair}, keys.Config{ID: "ec", Algorithm: "ES256", PrivateKey: ecPair, Use: "verify"})
	text := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	var random [32]byte
	next := func(i int) string {
		_, _ = rand.Read(random[:])
		id := hex.EncodeToString(random[:])
		claims := text(`{"token_type":"access","exp":4102444800,"jti":"` + id + `","user_id":"1"}`)
		signature := text(string(random[:])) + text(string(random[:]))[:43]
		switch {
		case i%50 == 0:
			return text(`{"alg":"EdDSA","kid":"ed"}`) + "." + claims + "." + base64.RawURLEncoding.EncodeToString(append(random[:], random[:]...))
		case i%50 == 1:
			return text(`{"alg":"ES256","kid":"ec"}`) + "." + claims + "." + base64.RawURLEncoding.EncodeToString(append(random[:], random[:]...))
		case i%50 == 2:
			return text(`{"alg":"EdDSA"}`) + "." + text(`{"a":"`+strings.Repeat(id, 150)+`"}`) + "." + signature
		case i%5 == 0:
			return text(`{"alg":"EdDSA","kid":"`+id+`"}`) + "." + claims + "." + signature
		case i%5 == 1:
			return text(`{"alg":"none"}`) + "." + claims + "."
		case i%5 == 2:
			return id + "." + id + "." + id
		case i%5 == 3:
			return good + id
		}
		return id
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range many {
		if _, err := g.Verifier().Verify(t.Context(), next(i)); err == nil {
			t.Fatalf("token %d passes", i)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d bytes more are held than before", grown)
	}
	g.remembers(good, true)
	if got := g.says(good); got != "" {
		t.Errorf("the good one is refused: %s", got)
	}
}

// The budget of the cache is what it really takes, and not less.
func TestTheCacheTakesWhatItIsGiven(t *testing.T) {
	if userstest.Raced {
		t.Skip("measures memory")
	}
	const budget = 4 << 20
	g := newGate(t, func(c *tokens.Config) { c.CacheBytes = budget }, keys.Config{Algorithm: "EdDSA", PrivateKey: edPair})
	g.says(g.issue().Access)
	held := func() int64 {
		for range 3 { // what is pooled goes with the second
			runtime.GC()
		}
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		return int64(now.HeapAlloc)
	}
	before := held()
	for range 12_000 {
		if got := g.says(g.issue().Access); got != "" {
			t.Fatal(got)
		}
	}
	grown := held() - before
	t.Logf("%d KiB for a budget of %d KiB", grown>>10, budget>>10)
	if grown > budget*5/4 || grown < budget/2 {
		t.Errorf("%d bytes, of a budget of %d", grown, budget)
	}
}
