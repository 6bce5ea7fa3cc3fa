//go:build race

package password

const raced = true // the race detector is on
