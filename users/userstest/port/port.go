// Package port finds ports for the programs that tests start.
//
// What must not be in it: what listens there.
package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// Free returns a port of the loopback interface on which nothing listens, another one each
// time. It is none of those that the system gives to whoever asks for any, such as to clients, and,
// on Linux, none that another test program has found, until this one ends. So nobody takes it before
// somebody listens there, nor while a server that was stopped is started again. It is
// safe for concurrent use.
func Free() (int, error) {
	for range 1000 {
		port := first + (os.Getpid()*37+int(taken.Add(1)))%many
		if runtime.GOOS == "linux" {
			name, err := net.Listen("unix", fmt.Sprintf("@gatehouse-test-port-%d", port)) //nolint:noctx // at once
			if err != nil {
				continue
			}
			held.Store(port, name)
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil { //nolint:noctx // at once
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("%w between %d and %d", errNone, first, first+many)
}

const first, many = 12_000, 20_000

var errNone = errors.New("no port is free")

// taken is how many Free has looked at, and held what keeps other test programs off them.
var (
	taken atomic.Int64
	held  sync.Map
)
