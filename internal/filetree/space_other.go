//go:build !linux && !darwin

package filetree

// freeSpace is not known here: writing fails when the disk is full.
func freeSpace(string) (int64, bool) { return 0, false }
