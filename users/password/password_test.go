package password

import (
	"errors"
	"strings"
	"testing"
)

const unicodePassword = "pässwörd-密码"

// vectors are hashes that Django made, of unicodePassword unless said otherwise.
var vectors = []struct {
	name, algorithm, plain, encoded string
	legacy                          bool
}{
	{"pbkdf2 with sha256", "pbkdf2_sha256", unicodePassword, "pbkdf2_sha256$1000$seasalt1234567890abcdef$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8=", false},
	{"pbkdf2 with sha1", "pbkdf2_sha1", unicodePassword, "pbkdf2_sha1$1000$seasalt1234567890abcdef$5njqNKIZaIe46gFzLdSPxFFYz0A=", false},
	{"argon2id of Django 3.2", "argon2id", unicodePassword, "argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ", false},
	{"bcrypt over sha256", "bcrypt_sha256", unicodePassword, "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuup6nzf4IwubvCuc03vOkT9gH4cyJCApS", false},
	{"bcrypt over sha256 of a long password", "bcrypt_sha256", strings.Repeat("a", 100), "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuugx2ZcUdj4MifIXvs/QwBsAizByf4XWu", false},
	{"bcrypt", "bcrypt", unicodePassword, "bcrypt$$2b$04$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3m", false},
	{"bcrypt written as 2y", "bcrypt", unicodePassword, "bcrypt$$2y$04$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3m", false},
	{"scrypt", "scrypt", unicodePassword, "scrypt$1024$seasalt$8$1$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg==", false},
	{"salted sha1", "sha1", unicodePassword, "sha1$seasalt$5f29bd00090eebb027fcd16029438b8113b3c949", true},
	{"salted md5", "md5", unicodePassword, "md5$seasalt$7d30fbb9b4e214220ee9c82d1410b991", true},
	{"unsalted sha1", "unsalted_sha1", unicodePassword, "sha1$$7729cff36bfeae454eb13dc7a2126f563390368e", true},
	{"unsalted md5", "unsalted_md5", unicodePassword, "fd0dc7425473fe807455ba8a82344b98", true},
	{"unsalted md5 with dollars", "unsalted_md5", unicodePassword, "md5$$fd0dc7425473fe807455ba8a82344b98", true},
}

// malformed can match nothing and must not be computed.
var malformed = []struct{ name, encoded string }{
	{"nothing", ""},
	{"unusable", Unusable()},
	{"plain text", "secret"},
	{"unknown algorithm", "argon3$x$y$z"},
	{"only the name", "pbkdf2_sha256"},
	{"DES crypt", "crypt$$XXXXXXXXXXXXX"},
	{"longer than any form", "pbkdf2_sha256$1$" + strings.Repeat("x", maxEncoded) + "$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 without a salt", "pbkdf2_sha256$1000$$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 without iterations", "pbkdf2_sha256$$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 with no iteration", "pbkdf2_sha256$0$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 with signed iterations", "pbkdf2_sha256$+1000$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 with a leading zero", "pbkdf2_sha256$01000$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 for an hour", "pbkdf2_sha256$999999999$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 past any integer", "pbkdf2_sha256$99999999999999999999$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8="},
	{"pbkdf2 with a short sum", "pbkdf2_sha256$1000$salt$xnsM"},
	{"pbkdf2 with an empty sum", "pbkdf2_sha256$1000$salt$"},
	{"pbkdf2 sum with a line end", "pbkdf2_sha256$1000$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8\n="},
	{"pbkdf2 sum with stray bits", "pbkdf2_sha256$1000$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa9="},
	{"pbkdf2 with a fifth part", "pbkdf2_sha256$1000$salt$xnsMoIoYcXDVMEAnoAnnSZyH30nGeCegKJP4LGotSa8=$x"},
	{"argon2d", "argon2$argon2d$v=19$m=64,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 of an old version", "argon2$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 without a version", "argon2$argon2id$m=64,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with four terabytes", "argon2$argon2id$v=19$m=999999999,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with a gigabyte", "argon2$argon2id$v=19$m=1048576,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with many passes", "argon2$argon2id$v=19$m=102400,t=1000,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 without passes", "argon2$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 without lanes", "argon2$argon2id$v=19$m=64,t=1,p=0$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with 257 lanes", "argon2$argon2id$v=19$m=102400,t=1,p=257$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with less memory than lanes need", "argon2$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with parameters in another order", "argon2$argon2id$v=19$t=1,m=64,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with a missing parameter", "argon2$argon2id$v=19$m=64,t=1$c29tZXNhbHQxMjM0NTY3OA$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with a short salt", "argon2$argon2id$v=19$m=64,t=1,p=1$c29t$N74IcLwnIOt0M5OKrWjekQ"},
	{"argon2 with a sum of four bytes", "argon2$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA$N74IcA"},
	{"argon2 with padding", "argon2$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQxMjM0NTY3OA==$N74IcLwnIOt0M5OKrWjekQ=="},
	{"bcrypt of a broken variant", "bcrypt$$2x$04$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3m"},
	{"bcrypt for a year", "bcrypt$$2b$31$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3m"},
	{"bcrypt with too small a cost", "bcrypt$$2b$03$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3m"},
	{"bcrypt with letters for a cost", "bcrypt$$2b$xx$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3m"},
	{"bcrypt with a strange letter", "bcrypt$$2b$04$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3é"},
	{"bcrypt that was cut", "bcrypt$$2b$04$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3"},
	{"bcrypt without its own dollar", "bcrypt$2b$04$abcdefghijklmnopqrstuulW8Sp6vvGOCIQcEg5cd2mLZLdX6Ff3mx"},
	{"scrypt with a cost that is no power of two", "scrypt$1023$seasalt$8$1$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg=="},
	{"scrypt with a gigabyte", "scrypt$1048576$seasalt$8$1$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg=="},
	{"scrypt whose factors overflow", "scrypt$536870912$seasalt$536870912$536870912$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg=="},
	{"scrypt without a block size", "scrypt$1024$seasalt$0$1$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg=="},
	{"scrypt without a salt", "scrypt$1024$$8$1$eYM8p1xUgWCj/ru9FUNjtQtfg+asD/pc8blb5TguJ8FEqgLtWadWCfc4OUC6gLixWXydyHWv2n1xAysoUJyeEg=="},
	{"scrypt with a short sum", "scrypt$1024$seasalt$8$1$eYM8"},
	{"scrypt with a missing part", "scrypt$1024$seasalt$8$eYM8"},
	{"md5 in capitals", "FD0DC7425473FE807455BA8A82344B98"},
	{"salted md5 in capitals", "md5$seasalt$7D30FBB9B4E214220EE9C82D1410B991"},
	{"salted sha1 that was cut", "sha1$seasalt$5f29bd00"},
	{"sha1 without a sum", "sha1$seasalt"},
}

func TestDjangoHashes(t *testing.T) {
	h := cheap(t, Config{AcceptLegacy: true})
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			match, outdated, err := h.Verify(t.Context(), v.plain, v.encoded)
			if !match || !outdated || err != nil {
				t.Errorf("right password: match %t, outdated %t, error %v; want a match that is outdated", match, outdated, err)
			}
			for _, wrong := range []string{"", v.plain + "x", strings.ToUpper(v.plain), v.plain[:len(v.plain)-1]} {
				if match, _, err := h.Verify(t.Context(), wrong, v.encoded); match || err != nil {
					t.Errorf("wrong password %q: match %t, error %v", wrong, match, err)
				}
			}
			if algorithm, ok := Identify(v.encoded); algorithm != v.algorithm || !ok || !Usable(v.encoded) {
				t.Errorf("identified as %q, %t; want %q", algorithm, ok, v.algorithm)
			}
		})
	}
}

func TestLegacyHashesMatchOnlyWhenAccepted(t *testing.T) {
	h := cheap(t, Config{})
	for _, v := range vectors {
		match, _, err := h.Verify(t.Context(), v.plain, v.encoded)
		if match == v.legacy || err != nil {
			t.Errorf("%s: match %t, error %v", v.name, match, err)
		}
	}
}

func TestMalformedHashesMatchNothing(t *testing.T) {
	h := cheap(t, Config{AcceptLegacy: true})
	for _, m := range malformed {
		t.Run(m.name, func(t *testing.T) {
			if Usable(m.encoded) {
				t.Error("is usable")
			}
			if algorithm, ok := Identify(m.encoded); ok {
				t.Errorf("identified as %q", algorithm)
			}
			for _, plain := range []string{"", unicodePassword, m.encoded} {
				if match, outdated, err := h.Verify(t.Context(), plain, m.encoded); match || outdated || err != nil {
					t.Errorf("match %t, outdated %t, error %v", match, outdated, err)
				}
			}
		})
	}
}

// Only 72 bytes of a password count in plain bcrypt, as everywhere.
func TestPlainBcryptCutsAtSeventyTwoBytes(t *testing.T) {
	long := strings.Repeat("a", 72)
	sum, err := encodeBcryptPlain(long)
	if err != nil {
		t.Fatal(err)
	}
	h := cheap(t, Config{})
	for plain, want := range map[string]bool{long: true, long + "tail": true, long[:71]: false} {
		if match, _, err := h.Verify(t.Context(), plain, sum); match != want || err != nil {
			t.Errorf("%d bytes: match %t, error %v", len(plain), match, err)
		}
	}
}

func TestNewHashes(t *testing.T) {
	for _, tt := range []struct{ preferred, prefix string }{
		{"argon2id", "argon2$argon2id$v=19$m=8,t=1,p=1$"},
		{"pbkdf2_sha256", "pbkdf2_sha256$1$"},
		{"scrypt", "scrypt$2$"},
		{"bcrypt_sha256", "bcrypt_sha256$$2b$04$"},
	} {
		t.Run(tt.preferred, func(t *testing.T) {
			h := cheap(t, Config{Preferred: tt.preferred})
			first, err := h.Hash(t.Context(), unicodePassword)
			if err != nil {
				t.Fatal(err)
			}
			second, err := h.Hash(t.Context(), unicodePassword)
			if err != nil {
				t.Fatal(err)
			}
			if first == second {
				t.Error("two hashes share a salt")
			}
			// The password column of Django holds 128 characters.
			if !strings.HasPrefix(first, tt.prefix) || len(first) > 128 {
				t.Errorf("got %q (%d characters)", first, len(first))
			}
			match, outdated, err := h.Verify(t.Context(), unicodePassword, first)
			if !match || outdated || err != nil {
				t.Errorf("match %t, outdated %t, error %v", match, outdated, err)
			}
			if match, _, err := h.Verify(t.Context(), "other", first); match || err != nil {
				t.Errorf("wrong password: match %t, error %v", match, err)
			}
			for _, other := range []string{"argon2id", "pbkdf2_sha256", "scrypt", "bcrypt_sha256"} {
				_, outdated, err := cheap(t, Config{Preferred: other}).Verify(t.Context(), unicodePassword, first)
				if outdated != (other != tt.preferred) || err != nil {
					t.Errorf("where %s is preferred: outdated %t, error %v", other, outdated, err)
				}
			}
		})
	}
}

func TestDefaultHash(t *testing.T) {
	h, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := h.Hash(t.Context(), "secret")
	if err != nil || !strings.HasPrefix(encoded, "argon2$argon2id$v=19$m=19456,t=2,p=1$") || len(encoded) > 128 {
		t.Errorf("got %q (%d characters), error %v", encoded, len(encoded), err)
	}
}

func TestOutdatedByWork(t *testing.T) {
	for _, tt := range []struct {
		name, preferred, cost, encoded string
		want                           bool
	}{
		{"same iterations", "pbkdf2_sha256", "t=100000", hashOf(t, &pbkdf2SHA256, work{t: 100000}), false},
		{"fewer iterations", "pbkdf2_sha256", "t=100000", hashOf(t, &pbkdf2SHA256, work{t: 1000}), true},
		{"more iterations", "pbkdf2_sha256", "t=100000", hashOf(t, &pbkdf2SHA256, work{t: 100001}), true},
		{"short salt", "pbkdf2_sha256", "t=100000", "pbkdf2_sha256$100000$short$0K2zVYgXQXKLrLEIqzn3GYTWgnJWWRR4KAIvJkXPmK0=", true},
		{"same argon2", "argon2id", "m=19456,t=2,p=1", hashOf(t, &argon2ID, work{19456, 2, 1, 0, 0}), false},
		{"less memory", "argon2id", "m=19456,t=2,p=1", hashOf(t, &argon2ID, work{1024, 2, 1, 0, 0}), true},
		{"other lanes", "argon2id", "m=19456,t=2,p=1", hashOf(t, &argon2ID, work{19456, 2, 2, 0, 0}), true},
		{"lower bcrypt cost", "bcrypt_sha256", "t=10", hashOf(t, &bcryptSHA256, work{t: 5}), true},
		{"same bcrypt cost", "bcrypt_sha256", "t=10", hashOf(t, &bcryptSHA256, work{t: 10}), false},
		{"fewer scrypt lanes", "scrypt", "n=16384,r=8,p=2", hashOf(t, &scryptPlain, work{n: 16384, r: 8, p: 1}), true},
		{"same scrypt", "scrypt", "n=16384,r=8,p=2", hashOf(t, &scryptPlain, work{n: 16384, r: 8, p: 2}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, err := New(Config{Preferred: tt.preferred, Cost: tt.cost})
			if err != nil {
				t.Fatal(err)
			}
			match, outdated, err := h.Verify(t.Context(), "secret", tt.encoded)
			if err != nil || outdated != (tt.want && match) || (!match && tt.name != "short salt") {
				t.Errorf("match %t, outdated %t, error %v; want outdated %t", match, outdated, err, tt.want)
			}
		})
	}
}

func TestShortSaltIsOutdated(t *testing.T) {
	h := cheap(t, Config{Preferred: "pbkdf2_sha256"})
	encoded := "pbkdf2_sha256$1$seasalt$"
	for _, end := range []string{"", "long-enough-a-salt-it-is"} {
		salt := "seasalt" + end
		e := encodedPBKDF2(t, "secret", salt, 1)
		match, outdated, err := h.Verify(t.Context(), "secret", e)
		if !match || outdated != (end == "") || err != nil {
			t.Errorf("salt %q (%s…): match %t, outdated %t, error %v", salt, encoded, match, outdated, err)
		}
	}
}

func TestUnusable(t *testing.T) {
	a, b := Unusable(), Unusable()
	if a == b || len(a) != 41 || a[0] != '!' || Usable(a) {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestFaultsAreReportedTogether(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    Config
		fields []string
	}{
		{"nothing said", Config{}, nil},
		{"a legacy hash for new passwords", Config{Preferred: "md5"}, []string{"preferred"}},
		{"all wrong", Config{Preferred: "rot13", MaxParallel: "many", MaxQueue: -1}, []string{"preferred", "max_parallel", "max_queue"}},
		{"no slot", Config{MaxParallel: "0"}, []string{"max_parallel"}},
		{"slots past reason", Config{MaxParallel: "100000"}, []string{"max_parallel"}},
		{"cost of another kind", Config{Preferred: "argon2id", Cost: "t=2"}, []string{"cost"}},
		{"cost without a part", Config{Preferred: "argon2id", Cost: "m=19456,t=2"}, []string{"cost"}},
		{"cost with a part too many", Config{Preferred: "bcrypt_sha256", Cost: "t=12,p=1"}, []string{"cost"}},
		{"cost in words", Config{Preferred: "bcrypt_sha256", Cost: "high"}, []string{"cost"}},
		{"too little memory", Config{Preferred: "argon2id", Cost: "m=64,t=2,p=1"}, []string{"cost"}},
		{"little memory with many passes", Config{Preferred: "argon2id", Cost: "m=1024,t=100,p=1"}, []string{"cost"}},
		{"too few iterations", Config{Preferred: "pbkdf2_sha256", Cost: "t=1000"}, []string{"cost"}},
		{"more memory than a check may take", Config{Preferred: "argon2id", Cost: "m=4194304,t=3,p=4"}, []string{"cost"}},
		{"a Django 4.2 that may come back", Config{Preferred: "pbkdf2_sha256", Cost: "t=600000"}, nil},
		{"Django's argon2", Config{Preferred: "argon2id", Cost: "m=102400, t=2, p=8"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg)
			var got []string
			for _, f := range faults(err) {
				got = append(got, f.Field())
				if f.Problem == "" || f.Fix == "" || !strings.Contains(f.Error(), f.Fix) {
					t.Errorf("fault without problem or remedy: %#v", f)
				}
			}
			if strings.Join(got, " ") != strings.Join(tt.fields, " ") {
				t.Errorf("faults at %q, want %q: %v", got, tt.fields, err)
			}
		})
	}
}

// FuzzVerify: whatever a row holds, a check neither panics nor asks for more than
// the bounds, and a form that matches is one that is read.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.encoded, v.plain)
	}
	for _, m := range malformed {
		f.Add(m.encoded, "secret")
	}
	h, err := New(Config{InsecureCheap: true, AcceptLegacy: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, encoded, plain string) {
		s, ok := parse(encoded)
		if ok && s.kind.effort != nil {
			if s.work.memory() > maxMemory || s.kind.effort(s.work) > s.kind.most {
				t.Fatalf("%q asks for %+v", encoded, s.work)
			}
			if s.kind.effort(s.work) > s.kind.most/1000 && !strings.HasPrefix(s.kind.name, "bcrypt") || s.work.t > 5 && strings.HasPrefix(s.kind.name, "bcrypt") {
				t.Skip("allowed, but slow")
			}
		}
		match, _, err := h.Verify(t.Context(), plain, encoded)
		if err != nil {
			t.Fatal(err)
		}
		if match && !ok {
			t.Fatalf("%q matches %q and is not a form that is read", encoded, plain)
		}
		if match && ok {
			if other, _, err := h.Verify(t.Context(), plain+"x", encoded); err != nil || (other && s.kind != &bcryptPlain) {
				t.Fatalf("%q matches two passwords", encoded)
			}
		}
	})
}

func cheap(t testing.TB, cfg Config) *Hasher {
	t.Helper()
	cfg.InsecureCheap = true
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func hashOf(t *testing.T, k *kind, w work) string {
	t.Helper()
	encoded, err := k.encode("secret", w)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func faults(err error) []*Fault {
	var all []*Fault
	var f *Fault
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			all = append(all, faults(e)...)
		}
	} else if errors.As(err, &f) {
		all = append(all, f)
	}
	return all
}
