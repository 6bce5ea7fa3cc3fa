package password

import (
	"fmt"
	"testing"
)

// Names are like users: as many of them, and the same ones again.
func TestWhoIsLikeWhom(t *testing.T) {
	h, err := New(Config{Preferred: "argon2id"})
	if err != nil {
		t.Fatal(err)
	}
	encode := func(text string, n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = text
		}
		return all
	}
	const (
		many   = "pbkdf2_sha256$870000$abcdefghijklmnopqrstuv$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		few    = "pbkdf2_sha256$260000$abcdefghijklmnopqrstuv$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
		own    = "argon2$argon2id$v=19$m=19456,t=2,p=1$YWJjZGVmZ2hpamtsbW5vcA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
		none   = "!nothing"
		legacy = "md5$salt$0123456789abcdef0123456789abcdef"
	)
	shares := func(m *Mix) map[int]int {
		counts := map[int]int{}
		for i := range 2000 {
			s, _ := m.of(fmt.Sprintf("name-%d", i))
			counts[s.work.t]++ // 0: the preferred one
		}
		return counts
	}
	about := func(name string, got, percent int) {
		t.Helper()
		if want := 20 * percent; got < want-150 || got > want+150 {
			t.Errorf("%s: %d of 2000 names, want about %d", name, got, want)
		}
	}
	mixed := append(append(append(encode(many, 50), encode(few, 20)...), encode(own, 20)...), encode(none, 10)...)
	m := h.NewMix([]byte("secret"), mixed)
	got := shares(m)
	// Of those who have one: who has none is looked at as long as nobody is.
	about("870,000 iterations", got[870000], 56)
	about("260,000 iterations", got[260000], 22)
	about("preferred", got[0], 22)
	if got := shares(h.NewMix(nil, append(encode(none, 12), encode(many, 2)...))); got[870000] != 2000 {
		t.Errorf("most have no password: %v", got)
	}
	if one, _ := m.of("bob"); one != must(h.NewMix([]byte("secret"), mixed).of("bob")) {
		t.Error("the same name is like another user the next time")
	}

	// A site that is moving: no name goes back.
	later := h.NewMix([]byte("secret"), append(encode(many, 20), encode(own, 80)...))
	for i := range 2000 {
		name := fmt.Sprintf("name-%d", i)
		if _, was := m.of(name); !was {
			if _, is := later.of(name); is {
				t.Fatalf("%s was as one who has moved, and is not any more", name)
			}
		}
	}
	for name, all := range map[string][]string{"nobody": nil, "all are preferred": encode(own, 10), "nobody has a password": encode(none, 10), "what may not be checked": encode(legacy, 10)} {
		if got := shares(h.NewMix(nil, all)); got[0] != 2000 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := shares(h.NewMix(nil, encode(many, 3))); got[870000] != 2000 {
		t.Errorf("all have the same: %v", got)
	}
}

func must(s stored, ok bool) stored {
	if !ok {
		panic("none")
	}
	return s
}
