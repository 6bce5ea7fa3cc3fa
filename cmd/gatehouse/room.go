package main

import (
	"log/slog"
	"math"
	"runtime/debug"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"gatehouse/cmd/gatehouse/internal/config"
)

// room is what the system lets this process have. Where the configuration has no bounds
// of its own they are made from it, so that no flood takes the last file or the last
// memory, and what hangs takes a part.
type room struct {
	files  int64 // that may be open at once
	memory int64 // bytes
}

// What one connection of a client may cost at the most, its buffers, goroutine and a
// head that is as large as it may be; and one request to an upstream.
const (
	clientBytes  = 32 << 10 // and the head
	requestBytes = 64 << 10
)

// fewFiles is how many open files are fewer than anybody wants: Linux's own 1024, with
// which every connection of a client and to an upstream must come about.
const fewFiles = 4096

// garbagePerProcessor is how many tokens that nobody made each processor refuses in a
// second without delay. One takes some hundred microseconds.
const garbagePerProcessor = 1000

// survey asks the system. Go has raised the soft limit of files to the hard one at
// the start of the program.
func survey() room {
	r := room{files: math.MaxInt32, memory: debug.SetMemoryLimit(-1)} // a negative limit only reads
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil && files.Cur < math.MaxInt32 {
		r.files = int64(files.Cur)
	}
	for _, read := range []func() (uint64, error){memlimit.FromCgroup, memlimit.FromSystem} {
		if n, err := read(); err == nil && n > 0 && n < math.MaxInt64 {
			r.memory = min(r.memory, int64(n))
		}
	}
	return r
}

// clients is how many connections clients may have: half of the files, and a quarter of
// the memory.
func (r room) clients(head int) int {
	return int(max(16, min(r.files/2, r.memory/4/int64(clientBytes+head))))
}

// requests is how many requests each of so many upstreams may have at once. Of three
// that hang, or of all where there are fewer, none takes the room of the others.
func (r room) requests(upstreams int) int {
	parts := int64(min(upstreams+1, 4))
	return int(max(16, min(r.files/2/parts, r.memory/4/requestBytes/parts)))
}

// warn says where the system allows less than the configuration, or than anybody wants.
func (r room) warn(loaded *config.Loaded, logger *slog.Logger) {
	wanted := int64(loaded.Server.MaxConnections)
	for _, u := range loaded.Upstreams {
		wanted += int64(u.MaxConnections)
	}
	files := slog.Int64("open_files", r.files)
	const how = "raise it with LimitNOFILE= of systemd, --ulimit nofile= of the container, or ulimit -n"
	switch {
	case wanted > r.files:
		logger.Warn("max_connections of server and upstreams are more together than the files that this process may open; "+how,
			files, slog.Int64("max_connections", wanted))
	case r.files < fewFiles:
		logger.Warn("this process may open few files, and each connection is one; "+how,
			files, slog.Int("connections_of_clients", r.clients(loaded.Server.HardHeaderBytes())), slog.Int("requests_to_each_upstream", r.requests(len(loaded.Upstreams))))
	}
}
