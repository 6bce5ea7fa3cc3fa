// Package probe asks a backend how it reads requests: headers in other spellings, paths
// that may mean the same, large heads, slow bodies, framing and hosts. It talks to the
// backend itself, past any gateway, over plain connections, because what is asked is
// what an HTTP library would never send.
//
// In order: Around (who can come here, and whom is believed), then the headers that name
// a user, paths, sizes, bodies, framing, hosts. Each question is one or a few requests
// that change nothing (GET, OPTIONS), one after the other and with a bound in time.
//
// What the backend made of a request shows in its answer: an endpoint that tells what it
// received (Target.Echo) shows it exactly, else an answer that differs with the header
// of a user does, and where neither is there a Finding says that it is not known.
//
// It knows nothing of the configuration: what of this a gateway lets through is told to
// it.
package probe
