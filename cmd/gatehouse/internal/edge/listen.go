package edge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"gatehouse/proxy"
)

// Listen opens one address, which is not systemd's; the error has a Field method
// that returns key.
func Listen(ctx context.Context, key, text string, mode uint32) (net.Listener, error) {
	address, err := proxy.ParseAddress(text)
	if err == nil && address.Network == "systemd" {
		err = errors.New("systemd's sockets are for clients")
	}
	if err != nil {
		return nil, &listenFault{key, text, err}
	}
	opened, err := open(ctx, address, mode)
	if err != nil {
		return nil, &listenFault{key, text, err}
	}
	return opened[0], nil
}

func open(ctx context.Context, address proxy.Address, mode uint32) ([]net.Listener, error) {
	switch address.Network {
	case "systemd":
		return inherited(address.Name)
	case "unix":
		l, err := openFile(ctx, address.Name, fs.FileMode(mode))
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address.Name)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// openFile listens on a socket file. One that is left from a process that was killed
// is removed; one on which somebody answers is not.
func openFile(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		l, err = new(net.ListenConfig).Listen(ctx, "unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// abandoned tells whether path is a socket on which nobody listens any more.
func abandoned(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return false
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// listenFault is an address that cannot be listened on.
type listenFault struct {
	key     string
	address string
	err     error
}

// Field is the key inside the section `server`.
func (f *listenFault) Field() string { return f.key }

// Error says why and what to do.
func (f *listenFault) Error() string {
	switch {
	case errors.Is(f.err, syscall.EADDRINUSE):
		if parsed, err := proxy.ParseAddress(f.address); err == nil && parsed.Network == "unix" {
			return f.address + " is in use by another program, or is no socket; stop that program, remove the file, or choose another path"
		}
		return f.address + " is in use by another program; stop that program, or choose another port"
	case errors.Is(f.err, syscall.EACCES):
		if parsed, err := proxy.ParseAddress(f.address); err == nil && parsed.Network == "unix" {
			return "this user may not make " + f.address + "; choose a directory that it may write to"
		}
		return "this user may not listen on " + f.address + "; choose a port from 1024 up"
	case errors.Is(f.err, fs.ErrNotExist):
		return f.address + " is in a directory that does not exist; create it, or choose another path"
	case errors.Is(f.err, syscall.EADDRNOTAVAIL):
		return f.address + " is no address of this machine; write :8080 to listen on every address"
	case errors.Is(f.err, errNoSocket):
		return f.address + " is no socket that systemd has opened for this process; start it by its .socket unit, with FileDescriptorName= set to the name"
	}
	cause := f.err
	if op, ok := errors.AsType[*net.OpError](f.err); ok {
		cause = op.Err
	}
	return fmt.Sprintf("%s cannot be listened on: %v; write host:port, or :8080 for every address", f.address, cause)
}
