// Package remote keeps the public keys of issuers elsewhere, whose tokens are taken
// here: a JWK Set (RFC 7517) that is fetched from them and fetched again.
//
// A Source is made of the operator's words (New) and does nothing until Start. What
// it then promises:
//
//   - Keys are fetched in the background, every refresh interval; requests wait for a
//     fetch only where there are no keys yet, or where a token names a key that is
//     not known. Such fetches are one at a time, shared by all who wait, and at least
//     some seconds apart, whatever clients send.
//   - While the source is away the keys that were fetched last go on to count, for a
//     bounded time. Behind it nothing can be decided ([ErrUnavailable]).
//   - A fetch is bounded in time and size, and follows redirects to the same server
//     alone. Nothing that a token says is ever fetched, nor what a key points to (x5u).
//   - Of a set only public keys that sign, and that are for an algorithm that was
//     configured, become [keys.Key]; the others are as if they were not there.
//
// The JWKs themselves are read by MicahParks/jwkset, which knows what issuers publish
// in practice; the fetching is done here (docs/decisions/0006-keys-of-others.md).
//
// What must not be in here: tokens, claims, users.
package remote
