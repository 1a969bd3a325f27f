//go:build linux || darwin

package filetree

import "golang.org/x/sys/unix"

// diskSpace gives the bytes that this process may still write to dir's disk.
func diskSpace(dir string) (int64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true
}
