// Package edge is where connections come in: which addresses are listened on, how
// many connections there may be, who may say on whose behalf they come (PROXY
// protocol), and what TLS shows them.
//
// A connection passes, from the outside in:
//
//	listen.go    a TCP port, a socket file, or a socket that systemd opened
//	bound.go     accepting no more than there is room for
//	crowd.go     server.max_connections and max_connections_per_network: who has a
//	             place, who makes room, who waits and who is refused
//	networks.go  whose connections there are, and who has most
//	proxied.go   the PROXY protocol, read when the connection is first asked
//	             who it is, so that accepting never waits for a client
//	lazy.go      what net/http does for each request, put off until it is needed
//	tls.go       TLS, with certificates that are files (certificates.go) or that an
//	             authority gives (acme.go)
//	edge.go      net/http, HTTP/1.1 and HTTP/2
//	drain.go     who is waited for at the end, and whose connection is closed
//
// What a request may do is no business of this package: it knows neither paths nor
// users. The settings are proxy.Server, which is the section `server` of the file.
package edge
