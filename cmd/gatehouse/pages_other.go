//go:build !linux

package main

// leaveStart is for Linux alone.
func leaveStart() {}
