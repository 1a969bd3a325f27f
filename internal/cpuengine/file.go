package cpuengine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/trtgo/trtgo/internal/regularfile"
)

// File is an engine file that was opened and checked. Its fields must not be
// changed; it may be used by several goroutines. It holds no descriptor.
type File struct {
	Path     string
	Size     int64
	Program  *Program
	Sections []Section
}

// Open reads header, program and section table of the file and checks them: the
// checksums, that sections lie inside the file, and that every operation fits
// the buffers and sections it names, so that a runner may trust them. Errors
// wrap [ErrFormat] or [ErrVersion], or are those of the file system.
func Open(path string) (*File, error) {
	f, size, err := regularfile.Open(path)
	if errors.Is(err, regularfile.ErrRefused) {
		return nil, fmt.Errorf("%s: %w: it is not a regular file", path, ErrFormat)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := Read(f, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file.Path = path
	return file, nil
}

// Read is [Open] for an open file of size bytes.
func Read(r io.ReaderAt, size int64) (*File, error) {
	if size < HeaderSize {
		return nil, fmt.Errorf("%w: %d bytes are less than a header of %d", ErrFormat, size, HeaderSize)
	}
	b := make([]byte, HeaderSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	h, err := decodeHeader(b, size)
	if err != nil {
		return nil, err
	}
	file := &File{Size: size, Program: new(Program)}
	if err := readJSON(r, "program", h.programOffset, h.programSize, h.programCRC, file.Program); err != nil {
		return nil, err
	}
	if err := readJSON(r, "section table", h.tableOffset, h.tableSize, h.tableCRC, &file.Sections); err != nil {
		return nil, err
	}
	if len(file.Sections) != int(h.sections) {
		return nil, fmt.Errorf("%w: the section table has %d entries, the header says %d", ErrFormat, len(file.Sections), h.sections)
	}
	if err := checkSections(file.Sections, h.programOffset+h.programSize, h.tableOffset); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := file.Program.Validate(file.Sections); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return file, nil
}

func readJSON(r io.ReaderAt, what string, offset, size int64, crc uint32, into any) error {
	b := make([]byte, size)
	if _, err := r.ReadAt(b, offset); err != nil {
		return fmt.Errorf("reading the %s at offset %d: %w", what, offset, err)
	}
	if got := crc32.Checksum(b, castagnoli); got != crc {
		return fmt.Errorf("%w: %s checksum is %08x, the header says %08x", ErrFormat, what, got, crc)
	}
	if n := bytes.Count(b, []byte{','}); n > maxElements {
		return fmt.Errorf("%w: %s has %d elements, at most %d are read", ErrFormat, what, n, maxElements)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %s at offset %d: %w", ErrFormat, what, offset, err)
	}
	return nil
}

// Verify reads every section and compares its CRC-32C. It takes as long as
// reading the file does; progress, which may be nil, is told the bytes done so
// far. The error names the first section that differs, or is ctx's.
func (f *File) Verify(ctx context.Context, progress func(done int64)) error {
	r, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer r.Close()
	buffer := make([]byte, 1<<20)
	var done int64
	for i := range f.Sections {
		s := &f.Sections[i]
		var crc uint32
		for offset := int64(0); offset < s.Size; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(int64(len(buffer)), s.Size-offset)
			if _, err := r.ReadAt(buffer[:n], s.Offset+offset); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("%s: section %q at offset %d: %w", f.Path, s.Name, s.Offset+offset, err)
			}
			crc = crc32.Update(crc, castagnoli, buffer[:n])
			offset += n
			done += n
			if progress != nil {
				progress(done)
			}
		}
		if crc != s.CRC32C {
			return fmt.Errorf("%s: %w: section %q at offset %d has checksum %08x, the table says %08x", f.Path, ErrFormat, s.Name, s.Offset, crc, s.CRC32C)
		}
	}
	return nil
}
