// Package tokens is what gatehouse computes: it makes tokens, checks them, and
// answers the endpoints at which clients obtain, refresh, verify and revoke them.
// The contract is that of SimpleJWT with its settings (config.go and simplejwt.go);
// the deviations are few, on the strict side, and listed in docs/simplejwt.md.
//
// An [Authority] is made of the configuration (New). It holds
//
//   - the [Issuer], which makes a pair of tokens for a user and an access token of
//     a refresh token. Claims keep their order and their JSON type.
//   - the [Verifier], which takes a bearer token through these steps, of which the
//     first that fails is the answer: size and structure, the header, the signature
//     by a key of that algorithm, the payload, the times, issuer and audience, the
//     type, whether it was revoked where its type can be, and the user as the store has
//     them now. A refusal is a [*Rejection];
//     any other error means that it could not be decided, and nobody gets in. Of an
//     access token that comes again, the steps up to the payload are remembered.
//   - the endpoints, as rows of path and handler, and the JWKS.
//
// Tokens are taken apart here and not by a JWT library, because the order of the
// steps and their texts are the contract, and because the libraries pass over what
// must be refused (crit, duplicate members, trailing data). Signatures are the
// library's work.
//
// What must not be in here: routes, policies, where in a request a token is found,
// SQL. Only endpoints.go, jwks.go and the answer of a Rejection know HTTP.
package tokens
