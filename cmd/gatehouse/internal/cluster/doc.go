// Package cluster has tests and nothing else: several gatehouse processes in front of
// one PostgreSQL with a standby, in which parts are killed and cut off while clients
// account for the answer to every request.
//
// In the order of the files: link_test.go is the network between a replica and a server
// of PostgreSQL, which can break in every way that networks do; cluster_test.go starts
// and kills the parts; client_test.go is what clients do, and which answers are right;
// fault_test.go is what goes wrong. The other files are the tests:
// docs/high-availability.md has what they found, and docs/development.md how the one
// that takes long is run.
package cluster
