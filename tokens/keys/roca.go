package keys

import "math/big"

// rocaPrimes are the primes below 168, all of which the moduli of CVE-2017-15361 are
// made with.
var rocaPrimes = []int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
	101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
}

// isROCA tells whether an RSA modulus has the form of those that a widespread chip made
// (CVE-2017-15361, "ROCA"), which can be factored: modulo each small prime it is a power
// of 65537. Of other keys one in some hundred million looks so.
func isROCA(n *big.Int) bool {
	for _, prime := range rocaPrimes {
		rest := new(big.Int).Mod(n, big.NewInt(prime)).Int64()
		power, found := int64(1), false
		for range prime {
			found = found || power == rest
			power = power * (65537 % prime) % prime
		}
		if !found {
			return false
		}
	}
	return true
}
