package password

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"gatehouse/users/password/worker"
)

// beHasher is the argument with which the test program is the process that hashes.
const beHasher = "be-the-hasher"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == beHasher {
		if err := Serve(os.Stdin, os.Stdout, 4); err != nil {
			os.Exit(1) //nolint:forbidigo // this is a main
		}
		os.Exit(0) //nolint:forbidigo // this is a main
	}
	os.Exit(m.Run()) //nolint:forbidigo // this is a main
}

func isolated(t *testing.T, cfg Config) *Hasher {
	t.Helper()
	if !worker.Supported {
		t.Skip("there is no such process on this system")
	}
	cfg.Isolation = isolationProcess
	h := cheap(t, cfg)
	if err := h.Isolate(t.Context(), []string{"password-test", beHasher}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// Whatever is asked, the other process says what this one would.
func TestIsolatedHashesAreTheSame(t *testing.T) {
	for _, preferred := range []string{"argon2id", "pbkdf2_sha256", "scrypt", "bcrypt_sha256"} {
		t.Run(preferred, func(t *testing.T) {
			cfg := Config{Preferred: preferred, AcceptLegacy: true, MaxParallel: "2"}
			here, there := cheap(t, cfg), isolated(t, cfg)
			encoded, err := there.Hash(t.Context(), "secret")
			if err != nil {
				t.Fatal(err)
			}
			type check struct{ plain, encoded string }
			checks := []check{{"secret", encoded}, {"other", encoded}, {"", encoded}, {strings.Repeat("long", 20_000), encoded}, {strings.Repeat("longer", 400_000), encoded}}
			for _, v := range vectors {
				checks = append(checks, check{v.plain, v.encoded}, check{v.plain + "x", v.encoded})
			}
			for _, m := range malformed {
				checks = append(checks, check{"secret", m.encoded})
			}
			for _, c := range checks {
				match, outdated, err := there.Verify(t.Context(), c.plain, c.encoded)
				wantMatch, wantOutdated, wantErr := here.Verify(t.Context(), c.plain, c.encoded)
				if match != wantMatch || outdated != wantOutdated || err != nil || wantErr != nil {
					t.Errorf("%.20q with %.60q: match %t, outdated %t, error %v; here %t, %t, %v", c.plain, c.encoded, match, outdated, err, wantMatch, wantOutdated, wantErr)
				}
			}
			if err := there.VerifyNobody(t.Context(), there.NewMix([]byte("x"), []string{vectors[0].encoded}), "bob", "secret"); err != nil {
				t.Error(err)
			}
			if u := there.aside.Usage(); u.Starts != 1 || u.Deaths != 0 {
				t.Errorf("usage is %+v", u)
			}
			if len(there.pool.places) != 0 {
				t.Errorf("%d places are still taken", len(there.pool.places))
			}
		})
	}
}

func TestIsolationThatCannotBe(t *testing.T) {
	h := cheap(t, Config{Isolation: isolationProcess})
	err := h.Isolate(t.Context(), []string{"password-test", "-test.run=NONE"}, nil) // says "PASS"
	if f, ok := errors.AsType[*Fault](err); !ok || f.At != "isolation" {
		t.Errorf("got %v", err)
	}
	h = cheap(t, Config{Isolation: isolationAuto})
	if err := h.Isolate(t.Context(), []string{"password-test", "-test.run=NONE"}, nil); err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	encoded, err := h.Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	if match, _, err := h.Verify(t.Context(), "secret", encoded); !match || err != nil {
		t.Errorf("match %t, error %v", match, err)
	}
}

// A lost process is neither a right nor a wrong password.
func TestAfterTheEndNothingIsKnown(t *testing.T) {
	h := isolated(t, Config{})
	encoded, err := h.Hash(t.Context(), "secret")
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if match, _, err := h.Verify(t.Context(), "secret", encoded); match || !errors.Is(err, ErrUnavailable) {
		t.Errorf("match %t, error %v", match, err)
	}
	if len(h.pool.places) != 0 {
		t.Errorf("%d places are still taken", len(h.pool.places))
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	check := errand{encoded: vectors[0].encoded, preferred: &argon2ID, work: argon2ID.cheapest}
	make1 := errand{preferred: &argon2ID, work: argon2ID.cheapest}
	for _, test := range []struct {
		name, answer string
		of           errand
	}{
		{"nothing", "", check},
		{"half a word", answerMatch[:5], check},
		{"more than the word", answerMatch + "!", check},
		{"a hash for a check", answerEncoded + vectors[0].encoded, check},
		{"a check for a hash", answerMatch, make1},
		{"no hash", answerEncoded, make1},
		{"a hash of another kind", answerEncoded + hashOf(t, &pbkdf2SHA256, work{t: 1}), make1},
		{"a hash of less work", answerEncoded + hashOf(t, &argon2ID, work{16, 1, 1, 0, 0}), make1},
	} {
		if o, ok := unmarshalOutcome([]byte(test.answer), test.of); ok || o.match {
			t.Errorf("%s: %+v", test.name, o)
		}
	}
}

func TestIsolationFaults(t *testing.T) {
	if _, err := New(Config{Isolation: "thread"}); len(faults(err)) != 1 || faults(err)[0].Field() != "isolation" {
		t.Errorf("got %v", err)
	}
}

func TestServeEndsOverNonsense(t *testing.T) {
	if err := worker.Serve(strings.NewReader("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), io.Discard, 1, nil); err == nil {
		t.Error("no error")
	}
}

// FuzzErrand: what is read is what was written, and asks for no more than a check may take.
func FuzzErrand(f *testing.F) {
	for _, v := range vectors {
		f.Add(errand{encoded: v.encoded, plain: v.plain, preferred: &argon2ID, work: argon2ID.usual, makeUp: true}.marshal())
	}
	f.Add(errand{plain: "secret", preferred: &bcryptSHA256, work: bcryptSHA256.usual, legacy: true}.marshal())
	f.Fuzz(func(t *testing.T, request []byte) {
		e, ok := unmarshalErrand(request)
		if !ok {
			return
		}
		if !e.preferred.bearable(e.work) || len(e.encoded) > maxEncoded {
			t.Fatalf("%q asks for %+v", request, e.work)
		}
		if again := e.marshal(); !bytes.Equal(again, request) {
			t.Fatalf("%q was read as %q", request, again)
		}
	})
}

// How much of what a core can hash is left on the way to the other process.
func BenchmarkVerifyIsolated(b *testing.B) {
	cfg := DefaultConfig()
	cfg.MaxParallel, cfg.Isolation = "1", isolationProcess
	h, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := h.Isolate(b.Context(), []string{"password-test", beHasher}, nil); err != nil {
		b.Skip(err)
	}
	defer h.Close()
	encoded, err := h.Hash(b.Context(), "secret")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := h.Verify(b.Context(), "secret", encoded); err != nil {
			b.Fatal(err)
		}
	}
}
