// Package socket reads and writes connections without telling Go's scheduler of each
// system call.
//
// Package net tells it, before and behind: a processor can be taken away from a call that
// lasts. For that a thread of the runtime (sysmon) wakes up each 50 microseconds for as
// long as it finds calls that last, and on a busy machine it always does, since the kernel
// lets other programs run within a call. But a call that never blocks is only a calculation, and
// is over as soon. Here the system is told with each call not to block, whatever mode the
// connection is in; who must wait does so as with package net, without a thread.
//
// What must not be in here: what the bytes mean.
package socket
