// Package keys holds the keys that tokens are signed and checked with.
//
// A Set is made of the operator's list (New): each entry becomes a Key that is
// bound to one algorithm. What a token says of its algorithm only chooses among
// the keys that are for it (Set.Candidates); it can never make a key serve
// another algorithm than its own (RFC 8725, section 3.1).
//
// What must not be in here: claims, users, HTTP.
package keys
