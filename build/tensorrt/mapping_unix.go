//go:build unix

package tensorrt

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapping is a file in memory, for reading.
type mapping struct{ data []byte }

// mapFile maps a whole file. Its pages are shared with all processes that read it.
func mapFile(f *os.File) (*mapping, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if int64(int(info.Size())) != info.Size() {
		return nil, fmt.Errorf("%w: it has %d bytes", errUnmapped, info.Size())
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &mapping{data}, nil
}

func (m *mapping) close() error { return unix.Munmap(m.data) }
