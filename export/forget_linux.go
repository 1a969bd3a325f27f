package export

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// forget asks the system to drop what it holds of the rank files in memory, so
// that a file written just now is read from the disk. What is not yet on the disk
// stays; a refusal changes nothing but that.
func forget(dir string, ranks int) {
	for r := range ranks {
		f, err := os.Open(filepath.Join(dir, checkpoint.RankName(r)))
		if err != nil {
			continue // the reader has it open, or says why not
		}
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
	}
}
