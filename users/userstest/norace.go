//go:build !race

package userstest

// Raced tells whether the race detector is on: what time and memory are taken then says
// nothing.
const Raced = false
