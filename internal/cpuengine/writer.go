package cpuengine

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
)

// A worker packs about blockBytes at a time, so that memory does not grow with
// the number of rows of a weight.
const blockBytes = 1 << 20

// Output is what a [Writer] writes to; *os.File is one.
type Output interface {
	io.Writer
	io.WriterAt
}

// Source gives the rows of a weight.
type Source interface {
	// ReadRows fills dst with n rows from row first on: row-major, little-endian,
	// of the section's dtype. Several goroutines call it at once.
	ReadRows(dst []byte, first, n int) error
}

// PackedSource is a Source that can give a weight as it lies in the file, so that it
// need not be packed.
type PackedSource interface {
	Source
	// ReadPacked fills dst with the panels (or rows) that hold n rows from row first
	// on, which begins one. Several goroutines call it at once.
	ReadPacked(dst []byte, first, n int) error
}

// Writer writes an engine file from front to back. It is used by one goroutine;
// the caller owns the file, and removes it after an error.
type Writer struct {
	// Workers is the number of goroutines that read and pack; 0 means GOMAXPROCS.
	Workers int
	// Progress, when set, is told how many bytes of sections were written.
	Progress func(done int64)

	file     Output
	buffered *bufio.Writer
	offset   int64
	header   header
	sections []Section
	next     int
	done     int64
}

// NewWriter plans the file and writes its program. The Offset, Size and CRC32C of
// sections are ignored; sections are then written by [Writer.WriteSection] in
// that order. The file must be empty. An invalid program is an error here.
func NewWriter(file Output, program *Program, sections []Section) (*Writer, error) {
	w := &Writer{file: file, buffered: bufio.NewWriterSize(file, blockBytes), sections: slices.Clone(sections)}
	encoded, err := json.Marshal(program)
	if err != nil {
		return nil, fmt.Errorf("encoding the program: %w", err)
	}
	w.header = header{version: FormatVersion, sections: uint32(len(sections)), programOffset: HeaderSize, programSize: int64(len(encoded)),
		programCRC: crc32.Checksum(encoded, castagnoli)}
	offset := alignUp(HeaderSize+int64(len(encoded)), smallAlignment)
	for i := range w.sections {
		s := &w.sections[i]
		s.CRC32C = 0
		if s.Size, err = PackedSize(*s); err != nil {
			return nil, fmt.Errorf("section %q: %w", s.Name, err)
		}
		s.Offset = alignUp(offset, Alignment(s.Size))
		offset = alignUp(s.Offset+s.Size, smallAlignment)
	}
	w.header.tableOffset = offset
	if err := program.Validate(w.sections); err != nil {
		return nil, err
	}
	if err := w.write(make([]byte, HeaderSize)); err != nil {
		return nil, err
	}
	return w, w.write(encoded)
}

// Size is the size of the sections together, in bytes.
func (w *Writer) Size() int64 {
	var n int64
	for i := range w.sections {
		n += w.sections[i].Size
	}
	return n
}

func (w *Writer) write(b []byte) error {
	n, err := w.buffered.Write(b)
	w.offset += int64(n)
	return err
}

func (w *Writer) pad(offset int64) error {
	var zeros [bigAlignment]byte
	for w.offset < offset {
		if err := w.write(zeros[:min(int64(len(zeros)), offset-w.offset)]); err != nil {
			return err
		}
	}
	return nil
}

// block is a run of rows on its way through a worker.
type block struct {
	first, rows int
	packed      []byte
	err         error
}

// WriteSection packs and writes the next section. It ends early with ctx's error
// or the first error of source or file.
func (w *Writer) WriteSection(ctx context.Context, source Source) error {
	if w.next == len(w.sections) {
		return fmt.Errorf("all %d sections are written", len(w.sections))
	}
	s := &w.sections[w.next]
	if err := w.pad(s.Offset); err != nil {
		return err
	}
	for b := range w.pack(ctx, s, source) {
		if b.err != nil {
			return fmt.Errorf("section %q, rows %d to %d: %w", s.Name, b.first, b.first+b.rows-1, b.err)
		}
		s.CRC32C = crc32.Update(s.CRC32C, castagnoli, b.packed)
		if err := w.write(b.packed); err != nil {
			return err
		}
		w.done += int64(len(b.packed))
		if w.Progress != nil {
			w.Progress(w.done)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.offset != s.Offset+s.Size {
		return fmt.Errorf("section %q: wrote up to offset %d, planned %d", s.Name, w.offset, s.Offset+s.Size)
	}
	w.next++
	return nil
}

// Close writes the padding behind the sections, the section table and, last,
// the header: a file without header is refused by [Open]. It does not close the file.
func (w *Writer) Close() error {
	if w.next != len(w.sections) {
		return fmt.Errorf("%d of %d sections are written", w.next, len(w.sections))
	}
	if err := w.pad(w.header.tableOffset); err != nil {
		return err
	}
	table, err := json.Marshal(w.sections)
	if err != nil {
		return fmt.Errorf("encoding the section table: %w", err)
	}
	w.header.tableSize = int64(len(table))
	w.header.tableCRC = crc32.Checksum(table, castagnoli)
	w.header.fileSize = w.header.tableOffset + w.header.tableSize
	if err := w.write(table); err != nil {
		return err
	}
	if err := w.buffered.Flush(); err != nil {
		return err
	}
	_, err = w.file.WriteAt(w.header.encode(), 0)
	return err
}

// pack returns the packed blocks of a section in order. Blocks are packed by
// workers; a few wait at a time. When the loop over it ends, so have the workers.
func (w *Writer) pack(ctx context.Context, s *Section, source Source) func(yield func(block) bool) {
	shape := *s // the caller goes on to change s
	s = &shape
	rows := blockRows(s)
	workers := w.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return func(yield func(block) bool) {
		ctx, cancel := context.WithCancel(ctx)
		queue := make(chan chan block, workers) // in order of rows
		go func() {
			defer close(queue)
			for first := 0; first < s.Rows; first += rows {
				result := make(chan block, 1)
				select {
				case queue <- result:
				case <-ctx.Done():
					return
				}
				b := block{first: first, rows: min(rows, s.Rows-first)}
				go func() { result <- packBlock(s, source, b) }()
			}
		}()
		defer func() {
			cancel()
			for result := range queue {
				<-result
			}
		}()
		for result := range queue {
			if !yield(<-result) || ctx.Err() != nil {
				return
			}
		}
	}
}

// blockRows is the number of rows in a block: whole panels of about blockBytes.
func blockRows(s *Section) int {
	bytes := max(1, s.sizeOf(s.Layout, PanelRows))
	return int(max(1, blockBytes/bytes)) * PanelRows
}

func packBlock(s *Section, source Source, b block) block {
	if packed, ok := source.(PackedSource); ok {
		b.packed = make([]byte, s.sizeOf(s.Layout, b.rows))
		b.err = packed.ReadPacked(b.packed, b.first, b.rows)
		return b
	}
	width := plainSize(s.Dtype)
	if width == 0 {
		b.err = fmt.Errorf("weights of %s have to come packed", s.Dtype)
		return b
	}
	read := make([]byte, int64(b.rows)*int64(s.Cols)*width)
	if b.err = source.ReadRows(read, b.first, b.rows); b.err != nil {
		return b
	}
	if s.Layout == LayoutRows {
		b.packed = read
		return b
	}
	b.packed = make([]byte, s.sizeOf(s.Layout, b.rows))
	switch s.Dtype {
	case DtypeF32:
		PackPanelsF32(b.packed, read, b.rows, s.Cols)
	case DtypeBF16:
		PackPanelsBF16(b.packed, read, b.rows, s.Cols)
	case DtypeF16:
		PackPanelsF16(b.packed, read, b.rows, s.Cols)
	}
	return b
}

// sizeOf is the size of so many rows of a valid section, in a layout.
func (s Section) sizeOf(layout string, rows int) int64 {
	s.Layout, s.Rows = layout, rows
	size, _ := PackedSize(s)
	return size
}
