package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// pipeTime bounds how long a line waits for who reads a pipe, while all others wait for
// that line.
const pipeTime = 2 * time.Second

// openFile opens the file at its end, and makes it where there is none. It never waits,
// as opening a pipe that nobody reads would.
//
// Commands run as root in a directory that may be the gateway's: a link that another user
// put there is not followed, and a file that is made there is the directory's owner's,
// or else the gateway could not write to it.
func openFile(path string) (*os.File, error) {
	const flags = os.O_WRONLY | os.O_APPEND | syscall.O_NONBLOCK
	follow := syscall.O_NOFOLLOW
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSymlink {
		if owner, _ := ownerOf(info); owner != 0 && owner != os.Geteuid() {
			return nil, errors.New("it is a symbolic link of another user")
		}
		follow = os.O_CREATE // it may tell of a file that is yet to be made
	}
	for range 3 { // somebody may make it or rename it meanwhile
		file, err := os.OpenFile(path, flags|follow, 0o600)
		if err == nil {
			return file, nil
		}
		switch {
		case errors.Is(err, syscall.ENXIO):
			return nil, errors.New("it is a pipe that nobody reads, or a socket")
		case errors.Is(err, syscall.EISDIR):
			return nil, errors.New("it is a directory")
		}
		if !errors.Is(err, fs.ErrNotExist) || follow == os.O_CREATE {
			return nil, err
		}
		file, err = os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			giveAway(file)
			return file, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return nil, errors.New("others make it and rename it all the time")
}

// giveAway makes a file that root has made that of who has the directory.
func giveAway(file *os.File) {
	dir, err := os.Stat(filepath.Dir(file.Name()))
	if err != nil || os.Geteuid() != 0 {
		return
	}
	if owner, group := ownerOf(dir); owner != 0 {
		_ = file.Chown(owner, group) // who cannot open it says so
	}
}

func ownerOf(info fs.FileInfo) (user, group int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(stat.Uid), int(stat.Gid)
}

// endsTorn tells whether the last line of a file lacks its end, because whoever wrote it
// was killed or the disk was full.
func endsTorn(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	reader, err := os.OpenFile(file.Name(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer func() { _ = reader.Close() }()
	if same, err := reader.Stat(); err != nil || !os.SameFile(same, info) {
		return false
	}
	last := make([]byte, 1)
	if _, err := reader.Seek(-1, io.SeekEnd); err != nil {
		return false
	}
	_, err = io.ReadFull(reader, last)
	return err == nil && last[0] != '\n'
}
