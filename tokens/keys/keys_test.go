package keys

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const long = "0123456789abcdef0123456789abcdef" // 32 bytes

// pem is what is published of a key pair.
const pem = "\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"

func TestFaultsOfTheList(t *testing.T) {
	for _, c := range []struct {
		name   string
		list   []Config
		fields []string
		says   string
	}{
		{"no key at all", nil, []string{"keys"}, "openssl rand"},
		{"no secret", []Config{{ID: "a", Algorithm: "HS256"}}, []string{"keys[0].secret"}, "no secret"},
		{"a secret one byte short of the hash", []Config{{ID: "a", Algorithm: "HS256", Secret: long[1:]}}, []string{"keys[0].secret"}, "31 bytes"},
		{"a secret long enough for HS256 only", []Config{{ID: "a", Algorithm: "HS512", Secret: long}}, []string{"keys[0].secret"}, "needs 64"},
		{"broken base64", []Config{{ID: "a", Algorithm: "HS256", Secret: "base64:***"}}, []string{"keys[0].secret"}, "base64"},
		{"short after base64", []Config{{ID: "a", Algorithm: "HS256", Secret: "base64:" + base64.StdEncoding.EncodeToString([]byte(long[1:]))}}, []string{"keys[0].secret"}, "31 bytes"},
		{"a public key as the secret", []Config{{ID: "a", Algorithm: "HS256", Secret: pem}}, []string{"keys[0].secret"}, "public half"},
		{"a public key in base64", []Config{{ID: "a", Algorithm: "HS256", Secret: "base64:" + base64.StdEncoding.EncodeToString([]byte(pem))}}, []string{"keys[0].secret"}, "public half"},
		{"a public key of SSH", []Config{{ID: "a", Algorithm: "HS256", Secret: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFxg me@host"}}, []string{"keys[0].secret"}, "public half"},
		{"the algorithm none", []Config{{ID: "a", Algorithm: "none", Secret: long}}, []string{"keys[0].alg"}, "HS256"},
		{"an algorithm in small letters", []Config{{ID: "a", Algorithm: "hs256", Secret: long}}, []string{"keys[0].alg"}, "HS256"},
		{"no algorithm", []Config{{ID: "a", Secret: long}}, []string{"keys[0].alg"}, "no algorithm"},
		{"no ID", []Config{{Algorithm: "HS256", Secret: long}}, []string{"keys[0].kid"}, "kid: main"},
		{"an ID twice", []Config{{ID: "a", Algorithm: "HS256", Secret: long}, {ID: "a", Algorithm: "HS256", Secret: long}}, []string{"keys[1].kid"}, "keys[0]"},
		{"an unknown use", []Config{{ID: "a", Algorithm: "HS256", Secret: long, Use: "encrypt"}}, []string{"keys[0].use"}, "sign or verify"},
		{"two that sign", []Config{{ID: "a", Algorithm: "HS256", Secret: long, Use: "sign"}, {ID: "b", Algorithm: "HS256", Secret: long, Use: "sign"}}, []string{"keys[1].use"}, "signs already"},
		{"none that signs", []Config{{ID: "a", Algorithm: "HS256", Secret: long, Use: "verify"}}, []string{"keys"}, "use: sign"},
		{"no such date", []Config{{ID: "a", Algorithm: "HS256", Secret: long, Until: "tomorrow"}}, []string{"keys[0].until"}, "2026-12-31"},
		{"an end for the key that signs", []Config{{ID: "a", Algorithm: "HS256", Secret: long, Until: "2026-12-31"}}, []string{"keys[0].until"}, "use: verify"},
		{
			"several at once",
			[]Config{{ID: "a", Algorithm: "HS256"}, {Algorithm: "RS1"}},
			[]string{"keys[0].secret", "keys[1].kid", "keys[1].alg"},
			"",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := New(c.list)
			if err == nil || set != nil {
				t.Fatalf("got %v, %v; want a refusal", set, err)
			}
			var fields []string
			faults := []error{err}
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				faults = joined.Unwrap()
			}
			for _, e := range faults {
				f, ok := errors.AsType[*Fault](e)
				if !ok {
					t.Fatalf("%v is no *Fault", e)
				}
				fields = append(fields, f.Field())
			}
			if !slices.Equal(fields, c.fields) {
				t.Errorf("got faults at %v, want %v", fields, c.fields)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %q, want it to say %q", err, c.says)
			}
			if strings.Contains(err.Error(), long[1:]) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

func TestWhichKeySigns(t *testing.T) {
	one := Config{ID: "one", Algorithm: "HS256", Secret: long}
	two := Config{ID: "two", Algorithm: "HS256", Secret: strings.ToUpper(long)}
	with := func(c Config, use string) Config { c.Use = use; return c }
	for _, c := range []struct {
		name string
		list []Config
		want string
	}{
		{"one key", []Config{one}, "one"},
		{"the first of two", []Config{one, two}, "one"},
		{"the second, where it says so", []Config{one, with(two, "sign")}, "two"},
		{"the second, where the first verifies", []Config{with(one, "verify"), with(two, "sign")}, "two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, err := New(c.list)
			if err != nil {
				t.Fatal(err)
			}
			if got := set.Signing().ID(); got != c.want {
				t.Errorf("%s signs, want %s", got, c.want)
			}
			for k := range set.Candidates("HS256", time.Now()) {
				if _, err := k.Sign("input"); (err == nil) != (k.ID() == c.want) {
					t.Errorf("key %s signing: %v", k.ID(), err)
				}
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	set, err := New([]Config{
		{ID: "main", Algorithm: "HS256", Secret: long},
		{ID: "old", Algorithm: "HS256", Secret: "base64:" + base64.StdEncoding.EncodeToString([]byte(long)), Until: "2026-12-31"},
		{ID: "moment", Algorithm: "HS256", Secret: long, Until: "2026-12-31T12:00:00Z"},
		{ID: "wide", Algorithm: "HS512", Secret: long + long},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, alg string
		now       time.Time
		want      []string
	}{
		{"while all count", "HS256", end.Add(-13 * time.Hour), []string{"main", "old", "moment"}},
		{"at the moment of an end", "HS256", end.Add(-12 * time.Hour), []string{"main", "old"}},
		{"in the last second of the day", "HS256", end.Add(-time.Second), []string{"main", "old"}},
		{"after the day", "HS256", end, []string{"main"}},
		{"another algorithm", "HS512", end, []string{"wide"}},
		{"none", "none", end, nil},
		{"an algorithm without a key", "HS384", end, nil},
		{"an algorithm in small letters", "hs256", end, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for k := range set.Candidates(c.alg, c.now) {
				got = append(got, k.ID())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSignatures(t *testing.T) {
	set, err := New([]Config{{ID: "a", Algorithm: "HS256", Secret: long}, {ID: "b", Algorithm: "HS256", Secret: strings.ToUpper(long)}})
	if err != nil {
		t.Fatal(err)
	}
	signature, err := set.Signing().Sign("header.payload")
	if err != nil {
		t.Fatal(err)
	}
	for k := range set.Candidates("HS256", time.Now()) {
		if err := k.Verify("header.payload", signature); (err == nil) != (k.ID() == "a") {
			t.Errorf("key %s: %v", k.ID(), err)
		}
		if k.Verify("header.payloae", signature) == nil || k.Verify("header.payload", nil) == nil || k.Verify("header.payload", signature[:31]) == nil {
			t.Errorf("key %s accepts what nobody signed", k.ID())
		}
	}
}

// The signatures were made with Python's hmac.
func TestEachAlgorithm(t *testing.T) {
	for alg, want := range map[string]string{
		"HS256": "Jxee05BG-VEWVsB3uDLkJ4wUXrPGJjRohcE_pp-O0PU",
		"HS384": "sWltfjMo9onsvn9764Ll90fCUxgcDBzl1CeAAzcFuPVva-cIdiscWnIsScLnZi1K",
		"HS512": "9IroizMgKRp_J887dhQMy_MkhVLSeNgrYRjijew_9ZVQAzxQUdAeNoB-FqVFFsfNq1UyjU3bjQSTtb5371344w",
	} {
		set, err := New([]Config{{ID: "a", Algorithm: alg, Secret: long + long}})
		if err != nil {
			t.Fatal(err)
		}
		signature, err := set.Signing().Sign("header.payload")
		if err != nil {
			t.Fatal(err)
		}
		if got := base64.RawURLEncoding.EncodeToString(signature); got != want {
			t.Errorf("%s: got %s, want %s", alg, got, want)
		}
		if err := set.Signing().Verify("header.payload", signature); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
