// Command bench measures what gatehouse costs beside what it is made of:
//
//	go run ./cmd/gatehouse/internal/bench
//
// It builds the gateway, starts it, a bare httputil.ReverseProxy without any
// authentication and a backend, and loads them in turn, so that whatever else the
// machine is doing meets all of them alike. It counts the processor time that the
// operating system has charged to the processes of each, and prints ratios. HAProxy,
// nginx and Caddy join where they are installed. docs/performance.md has the results.
//
// In the order of the files: main.go says what is measured; subject.go starts the
// programs, bare.go and backend.go are two of them and peer.go
// has those of others; token.go makes good and bad
// tokens; load.go sends requests; streams.go lets pass what has no quick end, which streamserver.go is for the backend; sessions.go logs in and refreshes; floods.go asks beside
// the floods of attacker.go, on a gateway of its own (special.go), with servers that hang (hang.go); cpu.go asks the operating system; report.go
// prints.
//
// With -also OLD=FILE another build of gatehouse stands in the same rounds, which is how
// a change is compared with what was before it.
//
// It is Linux alone, because of /proc. It is no part of the program: nothing imports it.
package main
