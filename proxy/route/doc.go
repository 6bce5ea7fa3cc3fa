// Package route knows paths and policies: it gives a request-target its one
// canonical path, and finds the route, and the exception below it, that speaks for
// host, path and method.
//
// In order:
//
//	canonical.go  the request-target becomes one Path, or is refused
//	readings.go   the other paths that a backend may read in the same bytes
//	host.go       Host becomes one spelling, or is refused
//	match.go      Table.Match: the most specific rule
//
// and before the first request, once for a configuration:
//
//	config.go     what an operator may write
//	policy.go     who may pass
//	condition.go  what a claim must be; value.go what it is compared with
//	limit.go      how often one client may ask
//	access.go     how that is put into effect: report, redirect, where tokens are
//	pattern.go    /x and /x/*
//	table.go      routes become a Table, and every fault is found
//	rows.go       the table as a person reads it
//	fault.go      what is wrong with a configuration, and where
//
// # What is matched is what is forwarded
//
// Path.Escaped is sent to the upstream, Path.Decoded is what rules are held
// against, and the first always decodes to the second. Where backends are known to
// read one path in different ways (`/admin;x`, `/admin%3Fx`, `/%2561dmin`,
// `/admin.`, `/ADMIN`), every reading is matched too, and a request whose readings
// do not all get the same route and policy is refused: see readings.go.
//
// # Which rule speaks
//
// Never the first that was written, always the most specific one:
//
//  1. exact host, then the longest wildcard, then routes without a host. A host
//     whose routes do not hold the path leaves the request to the less specific ones;
//  2. the exact path, then the longest subtree, over all routes of that host;
//  3. a rule that names the method, then one without methods. A rule for GET is also
//     one for HEAD, unless another rule for the same path names HEAD.
//
// Two that are equal in all three are a fault of the configuration. What no rule
// speaks for gets the policy of its route, and without route there is no match.
//
// The package is pure: of ours it imports only how a rate is written, and nothing
// that does input or output. How a refusal looks, and where a request is sent, is not its business.
package route
