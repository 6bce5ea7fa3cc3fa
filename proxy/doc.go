// Package proxy stands between clients and upstreams: it admits a request, finds
// its route, holds it against the route's policy, tells the upstream who the user
// is, and forwards it. Or it refuses, and then nothing has been sent anywhere.
//
// The life of a request, in the order of the files:
//
//	gateway.go    ServeHTTP: decide, then act
//	decide.go     the steps below, and the Decision that they make
//	admit.go      what is refused before anything is looked up: odd targets and
//	              hosts, CONNECT, two credentials; one canonical path from here on
//	client.go     who the client is, through the proxies that are trusted
//	local.go      the endpoints that gatehouse answers itself
//	override.go   the method that a backend may take instead of the one that was sent
//	forwardauth.go  the same decision for another proxy that asks
//	limit.go      how often one client may ask (package rate)
//	crossorigin.go  preflights, and what scripts of other origins may read (package cors)
//	authorize.go  the route's policy, on the owner of the credential
//	credential.go where the credential is, and that it is not forwarded
//	origin.go     whether a page of this site made a browser send its cookie
//	login.go      the way to the login page, in place of a 401
//	report.go     what would have been refused, where a policy only reports
//	rewrite.go    the request that the upstream receives
//	location.go   what its answer says about paths, as clients must ask for them
//	body.go       how long a body is waited for, and how large it may be
//	lines.go      the upstreams, with the timeouts of each route and rule
//	forward.go    sending it, and what comes back
//	stream.go     what has no end of its own, and what ends it
//	tunnel.go     WebSockets; frames.go follows their frames
//	refuse.go     the one table of refusals and what a client reads about them
//	grpc.go       the same for clients that speak gRPC
//	access.go     the line in the access log
//
// A Decision is complete before anything is sent, and it does not travel in a
// context: serving, the log and whoever else asks work on the same value. What
// cannot be decided is refused.
//
// # What passes and what does not
//
// The path is made canonical once (package route); what is matched is what is
// forwarded, byte for byte. The query is forwarded as it was sent, also if it holds
// what Go's parser rejects (`a=1;b=2`, `%zz`), but for raw bytes beyond ASCII, which
// are escaped: no decision reads it. Bodies pass unchanged, and answers but for
// what their headers say about paths. Removed are: headers that hold an identity or speak about
// forwarding, under every spelling that a backend may take for them (package
// identity), `Authorization` unless the configuration forwards it, hop-by-hop
// headers, trailers of requests, and
// `Upgrade` to anything but websocket. `OPTIONS *` is
// refused: it is about no path. HTTP/1.1 and 1.0 are spoken with clients.
//
// net/http takes care of framing: a request with Content-Length and
// Transfer-Encoding is read as chunked and sent on as chunked, without the length;
// lengths that contradict each other, unknown codings, white space before a colon
// and bare line feeds in chunk sizes are answered 400; a folded header arrives as one line.
//
// What must not be in here: how tokens are made or read, how paths are matched,
// how users are stored.
package proxy
