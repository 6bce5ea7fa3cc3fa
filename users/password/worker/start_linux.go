package worker

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Supported tells whether this system lets one process have a lower priority than another
// in the way that is needed here.
const Supported = true

// self is the file of this process, also where another has taken its name since.
const self = "/proc/self/exe"

// Lower is by how much the process is nicer than this one (setpriority(2)). A hash that
// competes with somebody who never sleeps gets about a thirtieth of a core. With 10 requests
// waited noticeably longer, with 19 not noticeably less.
const Lower = 15

// slice is how long the process runs when nobody else wants the core. Since Linux 6.12
// whoever wakes up and asks for less, which is everybody, takes the core from it at once,
// instead of after a slice of some milliseconds that every thread was to have in peace.
const slice = 100e6 // ns, the most that there is

// start starts the program at a lower priority. The thread that does it has that priority
// before, and ends afterwards, so that there is no moment at which a thread of the new
// process has another.
func start(program string, args []string, attributes *os.ProcAttr) (*os.Process, error) {
	if program == "" {
		program = self
	}
	type started struct {
		process *os.Process
		err     error
	}
	result := make(chan started, 1)
	var try func()
	try = func() {
		// Never unlocked: a thread can be lowered and not be raised, and ends with its goroutine.
		runtime.LockOSThread()
		if syscall.Gettid() == os.Getpid() {
			// But the first one does not end, and ps would tell its priority for that of all.
			// It is busy here until another has done it.
			done := make(chan struct{})
			go func() { defer close(done); try() }()
			<-done
			runtime.UnlockOSThread()
			return
		}
		if err := lower(); err != nil {
			result <- started{nil, err}
			return
		}
		process, err := os.StartProcess(program, args, attributes)
		result <- started{process, err}
	}
	go try()
	r := <-result
	return r.process, r.err
}

// lower lowers the priority of this thread for good.
func lower() error {
	// The system call counts from 40 down to 1, so that nothing is negative.
	now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return os.NewSyscallError("getpriority", err)
	}
	nice := min(20-now+Lower, 19)
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice); err != nil {
		return os.NewSyscallError("setpriority", err)
	}
	// What an older kernel does not know, or a filter does not let through, is only not as good.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_BATCH, Nice: int32(nice), Runtime: slice}, 0) //nolint:gosec // at most 19
	return nil
}

// Settle is for the process itself, before anything else: a name for ps, and to be the first
// that goes when there is no memory left, since there can be another.
func Settle(name string) {
	// New threads have the name of the one that starts them.
	threads, _ := os.ReadDir("/proc/self/task")
	for _, thread := range threads {
		_ = os.WriteFile("/proc/self/task/"+thread.Name()+"/comm", []byte(name), 0)
	}
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0)
}

// used is what the system says of a process.
func used(process *os.Process) Usage {
	u := Usage{PID: process.Pid}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", u.PID)); err == nil {
		// The name is in parentheses and may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 21 {
			user, _ := strconv.ParseInt(fields[11], 10, 64)
			system, _ := strconv.ParseInt(fields[12], 10, 64)
			pages, _ := strconv.ParseInt(fields[21], 10, 64)
			u.CPU, u.Resident = time.Duration(user+system)*tick, pages*int64(os.Getpagesize())
		}
	}
	return u
}

// tick is the unit of processor time in /proc on every Linux that Go runs on (USER_HZ).
const tick = 10 * time.Millisecond
