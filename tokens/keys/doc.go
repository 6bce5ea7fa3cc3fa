// Package keys holds the keys that tokens are signed and checked with.
//
// A Set is made of the operator's list (New): each entry becomes a Key that is
// bound to one algorithm. Its text is read first (PEM, JWK, secret), then held
// against the algorithm, and every fault says what was found and what would be
// right. What a token says of its algorithm and key ID only chooses among the keys
// that are for it (Set.Candidates); it can never make a key serve another algorithm
// than its own (RFC 8725, section 3.1).
//
// PEM and JWK are read here, above the standard library's parsers: a JWK is a dozen
// members, and the libraries for it bring their own HTTP client and let pass what
// must be refused here, such as a member that occurs twice.
//
// What must not be in here: claims, users, HTTP.
package keys
