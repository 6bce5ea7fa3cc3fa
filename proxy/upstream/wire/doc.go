// Package wire sends HTTP/1.1 requests on the goroutine of whoever sends them.
//
// http.Transport has two goroutines for each connection, one that writes and one that
// reads, because a server may answer while the body of a request is still on its way.
// Each request so wakes two goroutines and then the caller again, which costs more
// than the rest of forwarding it. Most requests have no body. For these this package
// writes the head, byte for byte as the standard library's Request.Write does, and reads
// the answer, with its ReadResponse, one after the other.
//
// Whatever else a server may do is as with http.Transport, and a test holds both
// against the same servers: informational answers, answers without a length, with
// trailers, over HTTP/1.0, cut off anywhere, malformed, too long, too late or
// unasked. Only that a request was canceled may be noticed a tenth of a second later. What cannot be done alike on one goroutine is handed on: requests with a
// body, upgrades, `Expect`, heads beyond 16 KiB, and whatever is not plain HTTP.
//
// In the order of the files: transport.go sends, suits.go says what is handed on,
// head.go writes heads, exchange.go has one request and its answer on a connection, cancel.go ends
// one that nobody waits for, body.go is the body of the answer, pool.go keeps connections for the next request.
//
// # A connection that is used again
//
// On a connection that nobody uses nothing may arrive: the end of the
// connection, or bytes that would be taken for the answer to the next request, which may be
// somebody else's. http.Transport has a goroutine that waits for that. Here
// each connection is looked at when the next request is about to be written, and about every second while
// it waits; one on which anything has happened is closed. An answer with anything
// behind it ends its connection too.
//
// What must not be in here: which server is asked, users, timeouts other than that
// of the head.
package wire
