// Package upstream knows where requests go: one tuned http.Transport for each
// upstream that the configuration names, and what a failure of it means.
//
// In order: New checks the URL and makes the transport; the proxy sends through
// Transport; whatever comes back as an error is put into words by Explain, which
// says what happened (refused, which timeout, cut off) and never an address.
//
// What must not be in here: routes, users, the form of an answer to the client.
//
// # Connections that the backend closes
//
// A backend drops idle connections when it likes. Three things keep that from
// becoming a 502: connections idle for longer than keep_alive are closed from
// our side first; net/http notices most closings before it reuses a connection;
// and what still goes wrong between the two is sent again by net/http on a new
// connection, once for every dead one, if the request has no body and its method
// is GET, HEAD, OPTIONS or TRACE (or it carries an Idempotency-Key). A request
// with a body, or a POST, is never sent twice: the backend may have acted on it.
package upstream
