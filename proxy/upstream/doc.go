// Package upstream knows where requests go: the servers of each upstream that the
// configuration names, which of them gets a request, and what a failure means.
//
// In order: New checks the configuration; Line is the way to the upstream with the
// timeouts of a route; a Call sends one request: it takes a slot (slots.go), picks
// a server (balance.go), sends through the server's transport (transport.go, and package wire), asks
// another server if nothing can happen twice by that (call.go, body.go), and bounds
// the pauses of the answer's body (idle.go). Health checks run beside it (health.go).
// What comes back as an error is put into words by Explain (failure.go), which says
// what happened (refused, which timeout, cut off) and never an address.
//
// What must not be in here: routes, users, the form of an answer to the client.
//
// # Servers that break
//
// Two things take a server out. Its health checks, if there are any, are believed:
// when they call every server down, requests are refused. Requests that break on it,
// three in a row, are a weaker sign, for which a server is left out for five seconds
// and, if it goes on, up to a minute; when no other server is left, it is asked all
// the same. A server that returns gets a tenth of its part and after ten seconds all
// of it. The only server of an upstream is never left out for what requests say.
//
// # Connections that the backend closes
//
// A backend drops idle connections when it likes. Three things keep that from
// becoming a 502: connections idle for longer than keep_alive are closed from
// our side first; most closings are noticed before a connection is used again;
// and what still goes wrong between the two is sent again on a new
// connection, once for every dead one: any request of which nothing was written,
// and those without a body and with the method GET, HEAD, OPTIONS or TRACE (or with
// an Idempotency-Key). Another request of which something was written is never sent
// twice: the backend may have acted on it.
package upstream
