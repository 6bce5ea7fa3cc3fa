package tokens_test

import (
	"testing"

	"gatehouse/tokens"
	"gatehouse/users"
	"gatehouse/users/userstest"
)

// BenchmarkRefuse is what a forged token costs: no claim is read and no store asked.
func BenchmarkRefuse(b *testing.B) {
	a, err := tokens.New(settings(), tokens.Parts{Store: userstest.Open(b)})
	if err != nil {
		b.Fatal(err)
	}
	forged := golden[:len(golden)-2] + "AA"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Verifier().Verify(b.Context(), forged); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkPair is what a login pays beside the password.
func BenchmarkPair(b *testing.B) {
	a, err := tokens.New(settings(), tokens.Parts{Store: userstest.Open(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Issuer().Pair(users.User{ID: 1}, start); err != nil {
			b.Fatal(err)
		}
	}
}
