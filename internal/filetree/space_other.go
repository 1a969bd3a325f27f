//go:build !linux && !darwin

package filetree

// diskSpace is not known here: writing fails when the disk is full.
func diskSpace(string) (int64, bool) { return 0, false }
