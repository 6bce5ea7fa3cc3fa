// Package worker keeps a process beside this one for work that must not be in the way:
// the same program once more, at a lower priority, with a heap of its own. It knows
// requests and answers as bytes, and nothing of what they mean.
//
// A hash of a password keeps a core for tens of milliseconds, and the scheduler lets a
// thread of the same priority run on for some of them before another that wakes up has its
// turn. Threads of a lower priority inside one process do not help: goroutines move between
// threads, and whatever stops the world waits for the slowest of them.
//
//  1. [Worker.Call] starts the process when there is none (child.go), from a thread whose
//     priority was lowered before (start_linux.go), so that every thread that it will ever have
//     has that priority.
//  2. Requests and answers go over two pipes as frames with a number, a bound and a checksum
//     (frame.go). Either side ends over one that is not as it should be.
//  3. The process serves ([Serve]) until its standard input ends: when nothing was asked for a
//     while, when the gateway stops, and when that is killed.
//  4. When it dies, what was asked is asked once more of another, and then [ErrLost].
//
// Nothing of a request is ever in an argument, in the environment, or in a file.
package worker
