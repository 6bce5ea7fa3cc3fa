// Gatehouse lets only those who belong through to backends that know nothing of
// tokens.
//
// This package is the switchboard: it reads settings, puts the rooms together,
// listens, and stops in order. What a request may do is decided in proxy, what a
// token says in tokens, and what is remembered in users; no rule of theirs
// belongs here.
//
// Exit codes: 0 done, 1 the thing asked about is not so, 2 wrong usage or
// configuration.
package main
