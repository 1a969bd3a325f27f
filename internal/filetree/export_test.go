package filetree

import "testing"

// LimitFiles bounds trees to fewer files during a test.
func LimitFiles(t *testing.T, most int) {
	before := maxFiles
	maxFiles = most
	t.Cleanup(func() { maxFiles = before })
}

// LimitSpace lets the disk look as full as free says during a test.
func LimitSpace(t *testing.T, free func() int64) {
	before := freeSpace
	freeSpace = func(string) (int64, bool) { return free(), true }
	t.Cleanup(func() { freeSpace = before })
}
