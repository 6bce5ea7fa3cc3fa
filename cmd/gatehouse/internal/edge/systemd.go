package edge

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// errNoSocket is a name that systemd did not pass.
var errNoSocket = errors.New("not passed by systemd")

// firstSocket is the number of the first file that systemd passes (sd_listen_fds(3)).
const firstSocket = 3

// inherited returns the listeners that systemd opened under the name; "" is all of them.
// Their files are not closed here: another call, or another process, finds them again.
func inherited(name string) ([]net.Listener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, errNoSocket // meant for a parent of ours
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count < 1 || count > 1000 {
		return nil, errNoSocket
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	var found []net.Listener
	for i := range count {
		if name != "" && (i >= len(names) || names[i] != name) {
			continue
		}
		syscall.CloseOnExec(firstSocket + i)
		// FileListener works on a copy, which is closed with the listener.
		copied, err := syscall.Dup(firstSocket + i)
		if err != nil {
			return nil, errors.Join(err, closeAll(found))
		}
		file := os.NewFile(uintptr(copied), "systemd:"+name)
		l, err := net.FileListener(file)
		_ = file.Close()
		if err != nil {
			return nil, errors.Join(err, closeAll(found))
		}
		if unix, ok := l.(*net.UnixListener); ok {
			unix.SetUnlinkOnClose(false) // it is systemd's
		}
		found = append(found, l)
	}
	if len(found) == 0 {
		return nil, errNoSocket
	}
	return found, nil
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}
