//go:build !linux

package worker

import (
	"errors"
	"io"
	"os"
)

// Supported tells whether this system lets one process have a lower priority than another
// in the way that is needed here.
const Supported = false

func start(string, []string, *os.ProcAttr) (*os.Process, error) {
	return nil, errors.New("there is no such process on this system")
}

// Settle does nothing here.
func Settle(string) {}

func used(process *os.Process) Usage { return Usage{PID: process.Pid} }

func polled(in io.Reader) (out io.Reader, release func()) { return in, func() {} }
