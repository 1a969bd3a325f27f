package outputdir

import "golang.org/x/sys/unix"

// mountPoint tells whether a file system is mounted at dir, which then cannot be
// renamed. Kernels before 5.8 do not say.
func mountPoint(dir string) bool {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_BASIC_STATS, &stat)
	return err == nil && stat.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && stat.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
