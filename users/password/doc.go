// Package password hashes passwords and checks them against hashes in the
// encoded forms of Django's auth_user table, so that an account moved here
// keeps its password and can move back.
//
// A check goes through these steps, in this order:
//
//  1. The encoded form is parsed (encoded.go, algorithms.go), strictly, and
//     every cost it names is held against a limit before anything is computed: a mangled row
//     can neither allocate gigabytes nor keep a core for an hour.
//  2. A place in the pool is taken (pool.go). The pool leaves a core to the
//     forwarding of requests and knows how much memory there is; when its queue
//     is full the answer is [ErrBusy], at once.
//  3. The hash is computed and compared in constant time (errand.go), by this process
//     or by one of a lower priority (aside.go, [Hasher.Isolate]). What can
//     match nothing (no user, an unusable or malformed hash) costs as much as a
//     preferred hash, so that time tells nothing about it.
//
// It holds no state about users and does not know where hashes are kept. It
// does not normalise passwords: the bytes that were set are the bytes that match.
package password
