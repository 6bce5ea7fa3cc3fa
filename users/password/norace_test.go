//go:build !race

package password

const raced = false // the race detector is off
