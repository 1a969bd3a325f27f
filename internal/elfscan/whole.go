package elfscan

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// want is how ELF files of 64 bits, little-endian, begin.
const want = elf.ELFMAG + string(rune(elf.ELFCLASS64)) + string(rune(elf.ELFDATA2LSB))

// maxSegments is more than the largest libraries have.
const maxSegments = 1024

// Whole tells whether the library at path ends before a segment that it loads: the loader maps such a file all the same,
// and the process dies by SIGBUS when it looks at what is missing. It reads the headers only, whatever the file's size,
// and passes over what is no ELF file of 64 bits, which the loader refuses by itself. The error wraps ErrInvalid and names
// the path.
func Whole(path string) error {
	f, size, err := regularfile.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := io.NewSectionReader(f, 0, size)
	var header elf.Header64
	if binary.Read(r, binary.LittleEndian, &header) != nil || string(header.Ident[:elf.EI_DATA+1]) != want {
		return nil
	}
	for i := range min(int64(header.Phnum), maxSegments) {
		var segment elf.Prog64
		at := io.NewSectionReader(r, int64(header.Phoff)+i*int64(header.Phentsize), int64(binary.Size(segment)))
		if err := binary.Read(at, binary.LittleEndian, &segment); err != nil {
			return fmt.Errorf("%s: %w", path, invalidf("it has %d bytes and ends before its table of segments", size))
		}
		if end := segment.Off + segment.Filesz; elf.ProgType(segment.Type) == elf.PT_LOAD && (end < segment.Off || end > uint64(size)) {
			return fmt.Errorf("%s: %w", path, invalidf("it has %d bytes and loads %d: copy it again", size, end))
		}
	}
	return nil
}
