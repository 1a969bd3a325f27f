//go:build unix

package outputdir

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// lock holds a directory against cleaning by another process; the system lets go
// of it when the process ends, however it ends. It returns nil and false when
// another process holds it. Where a file system has no locks, the directory
// counts as ours but never as abandoned.
func lock(dir string) (held *os.File, ours bool) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, !errors.Is(err, fs.ErrNotExist)
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		f.Close()
		return nil, false
	case err != nil:
		f.Close()
		return nil, true
	}
	if _, err := os.Stat(dir); err != nil { // removed before we held it
		f.Close()
		return nil, false
	}
	return f, true
}

// hold keeps others from checking or renaming in parent until its result is
// called.
func hold(parent string) (release func()) {
	f, err := os.Open(parent)
	if err != nil {
		return func() {} // it does not exist yet
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX) // where there are no locks, the file system is alone responsible
	}
	return func() { f.Close() }
}
