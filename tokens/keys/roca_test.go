package keys

import (
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"testing"
)

func TestKeysThatAChipMadeBadly(t *testing.T) {
	// A modulus of that form: modulo the product of the primes, a power of 65537.
	product := big.NewInt(2)
	for _, p := range rocaPrimes {
		product.Mul(product, big.NewInt(p))
	}
	n := new(big.Int).Exp(big.NewInt(65537), big.NewInt(0xC0FFEE), product)
	n.Add(n, new(big.Int).Mul(product, new(big.Int).Lsh(big.NewInt(1), 1800)))
	if !isROCA(n) {
		t.Error("one of that form is not recognized")
	}
	for range 3 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		if isROCA(key.N) {
			t.Error("a good key is refused")
		}
	}
}
