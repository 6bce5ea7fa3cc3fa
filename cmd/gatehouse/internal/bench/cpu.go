package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of utime and stime in /proc/PID/stat on every Linux that Go runs
// on (USER_HZ).
const tick = 10 * time.Millisecond

// cpuTime is what the operating system has charged to a process and its children, those
// that have ended among them, in user and kernel mode.
func cpuTime(pid int) (time.Duration, error) {
	var sum time.Duration
	for _, p := range family(pid) {
		utime, stime, err := ticks(p)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(utime+stime) * tick
	}
	return sum, nil
}

// family is a process and its children: nginx works in those, and gatehouse hashes passwords.
func family(pid int) []int {
	all := []int{pid}
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, family(child)...)
			}
		}
	}
	return all
}

func ticks(pid int) (utime, stime int64, _ error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	// The name of the program is in parentheses and may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	// The third and fourth are of children that were waited for.
	for i, sum := range []*int64{&utime, &stime, &utime, &stime} {
		n, err := strconv.ParseInt(string(fields[11+i]), 10, 64)
		if err != nil {
			return 0, 0, err
		}
		*sum += n
	}
	return utime, stime, nil
}

// resident is the memory of a process and its children in bytes, shared pages once
// for each.
func resident(pid int) int64 {
	var sum int64
	for _, p := range family(pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				sum += kib << 10
			}
		}
	}
	return sum
}

// machine names the processor, or says that it is not known.
func machine() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "model name"); ok {
			return strings.TrimLeft(name, "\t :")
		}
	}
	return "unknown processor"
}
