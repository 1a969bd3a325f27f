package torchzip

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Package archive/zip would reserve memory for as many records as the file
// claims to have, and knows neither the overlap of records nor the limits below.
// The format is PKWARE's APPNOTE.TXT; torch writes it with miniz
// (caffe2/serialize/inline_container.cc).
const (
	maxDirectory = 256 << 20 // bytes of the directory
	maxRecords   = 1 << 20

	endSize, end64Size, locatorSize = 22, 56, 20
	entrySize, localSize            = 46, 30

	maxComment = 1<<16 - 1
	wide16     = 1<<16 - 1 // the value that refers to the zip64 field
	wide32     = 1<<32 - 1
)

// record is one stored record of an archive.
type record struct {
	name   string
	header int64 // offset of its local header
	start  int64 // offset of its first byte
	size   int64 // in the file
	// packing is what was done to the bytes, as a sentence's end; empty for none.
	packing string
}

// directory finds the records of the archive in the first size bytes of r.
func directory(r io.ReaderAt, size int64) ([]record, error) {
	at, length, count, err := directoryRange(r, size)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(io.NewSectionReader(r, at, length), raw); err != nil {
		return nil, fmt.Errorf("reading the directory at byte %d: %w", at, err)
	}
	var records []record
	for len(raw) > 0 {
		rec, rest, err := parseEntry(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d of the directory: %w", ErrFormat, len(records), err)
		}
		records, raw = append(records, rec), rest
	}
	if uint64(len(records)) != count {
		return nil, fmt.Errorf("%w: the directory has %d records where it says %d", ErrFormat, len(records), count)
	}
	return records, locate(r, records, at)
}

// directoryRange reads the end of the archive: where its directory lies, and how
// many records it has.
func directoryRange(r io.ReaderAt, size int64) (at, length int64, count uint64, err error) {
	end, limit, err := archiveEnd(r, size)
	if err != nil {
		return 0, 0, 0, err
	}
	count = uint64(binary.LittleEndian.Uint16(end[10:]))
	n, offset := uint64(binary.LittleEndian.Uint32(end[12:])), uint64(binary.LittleEndian.Uint32(end[16:]))
	if count == wide16 || n == wide32 || offset == wide32 {
		count, n, offset, limit, err = zip64End(r, limit)
		if err != nil {
			return 0, 0, 0, err
		}
	}
	switch {
	case offset > uint64(limit) || n > uint64(limit)-offset:
		err = fmt.Errorf("%w: the directory is said to be %d bytes at %d, and only %d lie before the archive's end", ErrFormat, n, offset, limit)
	case n > maxDirectory || count > maxRecords:
		err = fmt.Errorf("%w: a directory of %d records and %d bytes exceeds the %d and %d allowed", ErrFormat, count, n, maxRecords, maxDirectory)
	}
	return int64(offset), int64(n), count, err
}

// archiveEnd finds the last structure of the archive and where it begins, which
// is the directory's limit. It is the last thing in the file, but for a comment,
// which torch does not write.
func archiveEnd(r io.ReaderAt, size int64) ([]byte, int64, error) {
	for _, most := range []int64{endSize, endSize + maxComment} {
		tail := make([]byte, min(size, most))
		base := size - int64(len(tail))
		if n, err := r.ReadAt(tail, base); n < len(tail) {
			return nil, 0, fmt.Errorf("reading the end of the archive: %w", err)
		}
		for i := len(tail) - endSize; i >= 0; i-- {
			if bytes.HasPrefix(tail[i:], []byte("PK\x05\x06")) && i+endSize+int(binary.LittleEndian.Uint16(tail[i+20:])) == len(tail) {
				return tail[i:], base + int64(i), nil
			}
		}
	}
	return nil, 0, fmt.Errorf("%w: the zip archive has no directory at its end (truncated?)", ErrFormat)
}

// zip64End reads the wide form of the archive's end, which lies before it.
func zip64End(r io.ReaderAt, end int64) (count, n, offset uint64, limit int64, err error) {
	bad := func() (uint64, uint64, uint64, int64, error) {
		return 0, 0, 0, 0, fmt.Errorf("%w: the archive's zip64 end is missing or broken", ErrFormat)
	}
	var locator [locatorSize]byte
	if end < locatorSize {
		return bad()
	}
	if _, err := r.ReadAt(locator[:], end-locatorSize); err != nil {
		return 0, 0, 0, 0, fmt.Errorf("reading the end of the archive: %w", err)
	}
	at := binary.LittleEndian.Uint64(locator[8:])
	if !bytes.HasPrefix(locator[:], []byte("PK\x06\x07")) || end < locatorSize+end64Size || at > uint64(end-locatorSize-end64Size) {
		return bad()
	}
	var wide [end64Size]byte
	if _, err := r.ReadAt(wide[:], int64(at)); err != nil {
		return 0, 0, 0, 0, fmt.Errorf("reading the end of the archive: %w", err)
	}
	if !bytes.HasPrefix(wide[:], []byte("PK\x06\x06")) {
		return bad()
	}
	u64 := binary.LittleEndian.Uint64
	return u64(wide[32:]), u64(wide[40:]), u64(wide[48:]), int64(at), nil
}

// parseEntry reads one entry of the directory, but for where its bytes begin.
func parseEntry(b []byte) (record, []byte, error) {
	if len(b) < entrySize || !bytes.HasPrefix(b, []byte("PK\x01\x02")) {
		return record{}, nil, fmt.Errorf("no entry begins there")
	}
	u16 := func(i int) int { return int(binary.LittleEndian.Uint16(b[i:])) }
	u32 := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[i:])) }
	flags, method := u16(8), u16(10)
	packed, size, header := u32(20), u32(24), u32(42)
	names, extras, comments := u16(28), u16(30), u16(32)
	rest := b[entrySize:]
	if len(rest) < names+extras+comments {
		return record{}, nil, fmt.Errorf("it is cut off")
	}
	name, extra := string(rest[:names]), rest[names:names+extras]
	widen(extra, &size, &packed, &header)
	if packed > 1<<62 || header > 1<<62 {
		return record{}, nil, fmt.Errorf("%q of %d bytes at %d lies outside of any file", name, packed, header)
	}
	rec := record{name: name, header: int64(header), size: int64(packed)}
	switch {
	case flags&1 != 0:
		rec.packing = "is encrypted"
	case method != 0 || packed != size:
		rec.packing = fmt.Sprintf("is compressed (method %d, %d bytes for %d)", method, packed, size)
	}
	return rec, rest[names+extras+comments:], nil
}

// widen takes from the zip64 field what did not fit into an entry, in the
// format's order. Without the field the values stay, too large for any file.
func widen(extra []byte, values ...*uint64) {
	for len(extra) >= 4 {
		id, n := binary.LittleEndian.Uint16(extra), int(binary.LittleEndian.Uint16(extra[2:]))
		extra = extra[4:]
		if n > len(extra) {
			return
		}
		if id != 1 {
			extra = extra[n:]
			continue
		}
		field := extra[:n]
		for _, v := range values {
			if *v == wide32 && len(field) >= 8 {
				*v, field = binary.LittleEndian.Uint64(field), field[8:]
			}
		}
		return
	}
}

// locate reads each record's local header, which says where its bytes begin, and
// checks that the records lie side by side before the directory. A local header's
// sizes are zero in torch's files and are not looked at.
func locate(r io.ReaderAt, records []record, limit int64) error {
	seen := make(map[string]bool, len(records))
	order := make([]*record, len(records))
	for i := range records {
		rec := &records[i]
		if seen[rec.name] {
			return fmt.Errorf("%w: two records are called %q", ErrFormat, rec.name)
		}
		seen[rec.name] = true
		order[i] = rec
	}
	slices.SortFunc(order, func(a, b *record) int { return cmp.Compare(a.header, b.header) })
	var end int64
	previous := ""
	for _, rec := range order {
		if rec.header < end {
			return fmt.Errorf("%w: records %q and %q overlap", ErrFormat, previous, rec.name)
		}
		if rec.header > limit-localSize {
			return fmt.Errorf("%w: record %q at byte %d lies outside of the %d before the directory", ErrFormat, rec.name, rec.header, limit)
		}
		if err := rec.begin(r); err != nil {
			return err
		}
		if rec.start > limit || rec.size > limit-rec.start {
			return fmt.Errorf("%w: record %q of %d bytes at %d lies outside of the %d before the directory", ErrFormat, rec.name, rec.size, rec.start, limit)
		}
		end, previous = rec.start+rec.size, rec.name
	}
	return nil
}

// begin finds a record's first byte.
func (rec *record) begin(r io.ReaderAt) error {
	local := make([]byte, localSize+len(rec.name))
	if n, err := r.ReadAt(local, rec.header); n < len(local) {
		return fmt.Errorf("reading the header of record %q at byte %d: %w", rec.name, rec.header, err)
	}
	names, extras := binary.LittleEndian.Uint16(local[26:]), binary.LittleEndian.Uint16(local[28:])
	if !bytes.HasPrefix(local, []byte("PK\x03\x04")) || int(names) != len(rec.name) || string(local[localSize:]) != rec.name {
		return fmt.Errorf("%w: no record %q begins at byte %d, where the directory has it", ErrFormat, rec.name, rec.header)
	}
	rec.start = rec.header + int64(localSize) + int64(names) + int64(extras)
	return nil
}
