package main

import (
	"bufio"
	"slices"
	"strings"
	"testing"
)

// What was written to is gone when it is left, so such a part stays whole.
func TestOnlyUntouchedPagesAreLeft(t *testing.T) {
	part := func(at, mode, file, anonymous, swap string) string {
		return at + " " + mode + " 00000000 fe:00 42    " + file + "\nSize: 8 kB\nRss: 8 kB\nAnonymous:        " + anonymous + " kB\nSwap:            " + swap + " kB\nVmFlags: rd\n"
	}
	const file = "/usr/bin/gate house"
	text := part("00400000-00402000", "r-xp", file, "0", "0") +
		part("00402000-00403000", "r--p", file, "0", "0") +
		part("00403000-00404000", "r--p", file, "4", "0") + // moved when it was loaded
		part("00404000-00405000", "r--p", file, "0", "4") +
		part("00405000-00406000", "rw-p", file, "0", "0") +
		part("00406000-00407000", "r--s", file, "0", "0") +
		part("c000000000-c000400000", "rw-p", "", "4096", "0") +
		part("7f0000000000-7f0000001000", "r-xp", "/lib/libc.so.6", "0", "0")
	got := untouched(bufio.NewScanner(strings.NewReader(text)), file)
	if want := []pages{{0x400000, 0x402000}, {0x402000, 0x403000}}; !slices.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestTheProgramRunsOnWithoutThem(t *testing.T) {
	for range 3 {
		leaveStart()
	}
}
