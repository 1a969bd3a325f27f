package bigmodel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"math"
	"slices"
	"strconv"
)

// torchZip is a file of torch.save: a zip of records that are not compressed, each
// beginning at a multiple of 64 (caffe2/serialize/inline_container.cc and miniz,
// as PyTorch 2.9 has them).
type torchZip struct {
	prefix  string // of the records' names: the file's own name, or archive
	records []record
}

// record is one file of the zip.
type record struct {
	name string
	size int64
	io.WriterTo
}

func textRecord(name, text string) record {
	return record{name, int64(len(text)), memory(text)}
}

// memory is an io.WriterTo that can be written again and again.
type memory string

func (m memory) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(m))
	return int64(n), err
}

// newTorchZip is the file of a pickle and its storages, which are called 0, 1, ….
func newTorchZip(prefix string, pickle []byte, storages []content) *torchZip {
	z := &torchZip{prefix: prefix, records: []record{
		textRecord("data.pkl", string(pickle)), textRecord(".format_version", "1"), textRecord(".storage_alignment", "64"), textRecord("byteorder", "little"),
	}}
	for i, c := range storages {
		z.records = append(z.records, record{"data/" + strconv.Itoa(i), c.size(), c})
	}
	names := fnv.New64a()
	for _, r := range z.records {
		names.Write([]byte(r.name))
	}
	z.records = append(z.records, textRecord("version", "3\n"), textRecord(".data/serialization_id", fmt.Sprintf("%020d%020d", names.Sum64(), len(storages))))
	return z
}

// emptyTorchZip is torch.save of an empty dict, as the common.pt of a checkpoint
// that has weights alone.
func emptyTorchZip(prefix string) *torchZip {
	p := newPickler(2)
	p.dict(0, nil)
	return newTorchZip(prefix, p.end(), nil)
}

const (
	alignment = 64
	flags     = 0x0808 // a data descriptor follows; names are UTF-8
	tail      = 56 + 20 + 22
)

// wide tells whether a value has to be in a zip64 field.
func wide(n int64) bool { return n >= math.MaxUint32 }

func (z *torchZip) nameOf(r record) string { return z.prefix + "/" + r.name }

// localHeader gives a record's header, padding included, for a record at offset.
// It has neither sizes nor checksum: these follow the data.
func (z *torchZip) localHeader(r record, offset int64) []byte {
	name, extra := z.nameOf(r), zip64Extra(r, offset)
	data := offset + 30 + int64(len(name)+len(extra)) + 4
	padding := (alignment - data%alignment) % alignment
	h := []byte("PK\x03\x04\x00\x00")
	h = binary.LittleEndian.AppendUint16(h, flags)
	h = append(h, make([]byte, 18)...)
	h = binary.LittleEndian.AppendUint16(h, uint16(len(name)))
	h = binary.LittleEndian.AppendUint16(h, uint16(int64(len(extra))+4+padding))
	h = append(append(h, name...), extra...)
	h = binary.LittleEndian.AppendUint16(append(h, "FB"...), uint16(padding))
	return append(h, bytes.Repeat([]byte{'Z'}, int(padding))...)
}

// zip64Extra has what does not fit 32 bits.
func zip64Extra(r record, offset int64) []byte {
	var values []byte
	if wide(r.size) {
		values = binary.LittleEndian.AppendUint64(values, uint64(r.size))
		values = binary.LittleEndian.AppendUint64(values, uint64(r.size))
	}
	if wide(offset) {
		values = binary.LittleEndian.AppendUint64(values, uint64(offset))
	}
	if values == nil {
		return nil
	}
	return append(binary.LittleEndian.AppendUint16([]byte{1, 0}, uint16(len(values))), values...)
}

// descriptor follows a record's data.
func descriptor(r record, offset int64, crc uint32) []byte {
	d := binary.LittleEndian.AppendUint32([]byte("PK\x07\x08"), crc)
	if zip64Extra(r, offset) != nil {
		d = binary.LittleEndian.AppendUint64(d, uint64(r.size))
		return binary.LittleEndian.AppendUint64(d, uint64(r.size))
	}
	d = binary.LittleEndian.AppendUint32(d, uint32(r.size))
	return binary.LittleEndian.AppendUint32(d, uint32(r.size))
}

// entry is a record's place in the directory.
func (z *torchZip) entry(r record, offset int64, crc uint32) []byte {
	narrow := func(n int64) uint32 { return uint32(min(n, math.MaxUint32)) }
	name, extra := z.nameOf(r), zip64Extra(r, offset)
	e := []byte("PK\x01\x02\x00\x00\x00\x00")
	e = binary.LittleEndian.AppendUint16(e, flags)
	e = append(e, make([]byte, 6)...)
	e = binary.LittleEndian.AppendUint32(e, crc)
	e = binary.LittleEndian.AppendUint32(e, narrow(r.size))
	e = binary.LittleEndian.AppendUint32(e, narrow(r.size))
	e = binary.LittleEndian.AppendUint16(e, uint16(len(name)))
	e = binary.LittleEndian.AppendUint16(e, uint16(len(extra)))
	e = append(e, make([]byte, 10)...)
	e = binary.LittleEndian.AppendUint32(e, narrow(offset))
	return append(append(e, name...), extra...)
}

// end is what follows the directory, which zip64 repeats.
func (z *torchZip) end(directory, at int64) []byte {
	n := uint64(len(z.records))
	e := binary.LittleEndian.AppendUint64([]byte("PK\x06\x06"), 44)
	e = append(e, 0x1e, 3, 0x2d, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range []uint64{n, n, uint64(directory), uint64(at)} {
		e = binary.LittleEndian.AppendUint64(e, v)
	}
	e = append(e, "PK\x06\x07\x00\x00\x00\x00"...)
	e = binary.LittleEndian.AppendUint64(e, uint64(at+directory))
	e = append(e, 1, 0, 0, 0)
	e = append(e, "PK\x05\x06\x00\x00\x00\x00"...)
	e = binary.LittleEndian.AppendUint16(e, uint16(min(n, math.MaxUint16)))
	e = binary.LittleEndian.AppendUint16(e, uint16(min(n, math.MaxUint16)))
	e = binary.LittleEndian.AppendUint32(e, uint32(min(directory, math.MaxUint32)))
	e = binary.LittleEndian.AppendUint32(e, uint32(min(at, math.MaxUint32)))
	return append(e, 0, 0)
}

// size is how long the file will be.
func (z *torchZip) size() int64 {
	offset, directory := int64(0), int64(0)
	for _, r := range z.records {
		directory += int64(len(z.entry(r, offset, 0)))
		offset += int64(len(z.localHeader(r, offset))) + r.size + int64(len(descriptor(r, offset, 0)))
	}
	return offset + directory + tail
}

// WriteTo implements io.WriterTo.
func (z *torchZip) WriteTo(w io.Writer) (int64, error) {
	var offset int64
	var directory []byte
	write := func(p []byte) error {
		n, err := w.Write(p)
		offset += int64(n)
		return err
	}
	for _, r := range z.records {
		at, crc := offset, crc32.NewIEEE()
		if err := write(z.localHeader(r, at)); err != nil {
			return offset, err
		}
		n, err := r.WriteTo(io.MultiWriter(w, crc))
		offset += n
		if err != nil {
			return offset, err
		}
		if err := write(descriptor(r, at, crc.Sum32())); err != nil {
			return offset, err
		}
		directory = append(directory, z.entry(r, at, crc.Sum32())...)
	}
	end := z.end(int64(len(directory)), offset)
	return offset, write(slices.Concat(directory, end))
}
