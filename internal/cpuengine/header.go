package cpuengine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// FormatVersion is the version of the file that this package writes and reads.
// It changes whenever the program or a layout changes its meaning.
const FormatVersion = 3 // 2: Op.InputScale; 3: quantised and float16 weights, Op.OutFactor, quantised KV cache

// HeaderSize is the size of the header in bytes; the program begins behind it.
const HeaderSize = 4096

const (
	magic           = "TRTGOCPU"
	headerCRCOffset = 4092     // CRC-32C of all before it
	maxJSON         = 16 << 20 // bytes of program or section table
	maxElements     = 1 << 17  // commas in either, which bounds what decoding allocates
)

var (
	// ErrFormat is wrapped by errors about a file that is no CPU engine or is damaged.
	ErrFormat = errors.New("not a valid CPU engine")
	// ErrVersion is wrapped by errors about a file of another format version.
	ErrVersion = errors.New("CPU engine of another format version")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the start of the file:
//
//	 0  magic           8 bytes
//	 8  format version  uint32
//	12  section count   uint32
//	16  file size       uint64
//	24  program offset  uint64
//	32  program size    uint64
//	40  table offset    uint64
//	48  table size      uint64
//	56  program CRC     uint32
//	60  table CRC       uint32
//	…   zeros
//	4092 header CRC     uint32
type header struct {
	version       uint32
	sections      uint32
	fileSize      int64
	programOffset int64
	programSize   int64
	tableOffset   int64
	tableSize     int64
	programCRC    uint32
	tableCRC      uint32
}

func (h *header) encode() []byte {
	b := make([]byte, HeaderSize)
	copy(b, magic)
	le := binary.LittleEndian
	le.PutUint32(b[8:], h.version)
	le.PutUint32(b[12:], h.sections)
	for i, v := range []int64{h.fileSize, h.programOffset, h.programSize, h.tableOffset, h.tableSize} {
		le.PutUint64(b[16+8*i:], uint64(v))
	}
	le.PutUint32(b[56:], h.programCRC)
	le.PutUint32(b[60:], h.tableCRC)
	le.PutUint32(b[headerCRCOffset:], crc32.Checksum(b[:headerCRCOffset], castagnoli))
	return b
}

// decodeHeader checks all that can be checked without the rest of the file:
// afterwards program and table lie inside size bytes and do not overlap.
func decodeHeader(b []byte, size int64) (*header, error) {
	if len(b) != HeaderSize || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrFormat, magic)
	}
	le := binary.LittleEndian
	h := &header{version: le.Uint32(b[8:]), sections: le.Uint32(b[12:]), programCRC: le.Uint32(b[56:]), tableCRC: le.Uint32(b[60:])}
	if h.version != FormatVersion {
		return nil, fmt.Errorf("%w: it is version %d, this program reads version %d; build it again with: trtgo build --backend cpu --checkpoint_dir CHECKPOINT --output_dir ENGINE",
			ErrVersion, h.version, FormatVersion)
	}
	if got, want := crc32.Checksum(b[:headerCRCOffset], castagnoli), le.Uint32(b[headerCRCOffset:]); got != want {
		return nil, fmt.Errorf("%w: header checksum is %08x, the file says %08x", ErrFormat, got, want)
	}
	for i, v := range []*int64{&h.fileSize, &h.programOffset, &h.programSize, &h.tableOffset, &h.tableSize} {
		u := le.Uint64(b[16+8*i:])
		if u > 1<<56 {
			return nil, fmt.Errorf("%w: header field at offset %d is %d, which no file reaches", ErrFormat, 16+8*i, u)
		}
		*v = int64(u)
	}
	if h.fileSize != size {
		return nil, fmt.Errorf("%w: it has %d bytes, its header says %d: it was cut off or changed", ErrFormat, size, h.fileSize)
	}
	if h.programSize > maxJSON || h.tableSize > maxJSON {
		return nil, fmt.Errorf("%w: program of %d bytes and section table of %d bytes, at most %d are read", ErrFormat, h.programSize, h.tableSize, maxJSON)
	}
	if h.programOffset < HeaderSize || h.programOffset+h.programSize > h.tableOffset || h.tableOffset+h.tableSize > size {
		return nil, fmt.Errorf("%w: program [%d, +%d) and section table [%d, +%d) do not lie in order in %d bytes",
			ErrFormat, h.programOffset, h.programSize, h.tableOffset, h.tableSize, size)
	}
	return h, nil
}
