package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// leaveStart takes the pages of the program's file out of the process that only the start
// has needed: reading the configuration, preparing the store. The system brings back what is
// called again, from its memory of the file, sixteen pages at a time.
//
// Only what nobody has written to is left, so that what comes back is the same.
func leaveStart() {
	file, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for _, r := range untouched(bufio.NewScanner(maps), file) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, r.start, r.end-r.start, syscall.MADV_DONTNEED)
	}
}

// pages is a part of the memory of the process.
type pages struct{ start, end uintptr }

// untouched are the parts that only show a file and that cannot be written to, without those that
// hold a page that was written to before: of a program that was moved when it was loaded.
func untouched(smaps *bufio.Scanner, file string) (all []pages) {
	var now pages
	wanted, clean := false, 0
	done := func() {
		if wanted && clean == 2 {
			all = append(all, now)
		}
		wanted, clean = false, 0
	}
	for smaps.Scan() {
		line := smaps.Text()
		switch name, rest, _ := strings.Cut(line, " "); name {
		case "Anonymous:", "Swap:":
			if strings.TrimSpace(rest) == "0 kB" {
				clean++
			}
		default:
			if strings.HasSuffix(name, ":") {
				continue
			}
			done()
			fields := strings.Fields(line)
			from, to, ok := strings.Cut(name, "-")
			start, err1 := strconv.ParseUint(from, 16, 64)
			end, err2 := strconv.ParseUint(to, 16, 64)
			if !ok || err1 != nil || err2 != nil || len(fields) < 6 || strings.Join(fields[5:], " ") != file {
				continue
			}
			now = pages{uintptr(start), uintptr(end)}
			wanted = fields[1] == "r-xp" || fields[1] == "r--p"
		}
	}
	done()
	if smaps.Err() != nil {
		return nil
	}
	return all
}
