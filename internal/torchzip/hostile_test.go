package torchzip_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/torchzip"
)

// entry is a record of a zip archive to write. The numbers, unless zero, replace
// the true ones in the directory.
type entry struct {
	name, data   string
	header, size uint64
	method, flag uint16
	wide         bool // header and sizes in a zip64 field
}

// archiveOf writes a zip archive as torch does: sizes only in the directory.
func archiveOf(entries ...entry) []byte {
	var out, directory []byte
	le := binary.LittleEndian
	for _, e := range entries {
		header := uint64(len(out))
		out = append(out, "PK\x03\x04"...)
		out = append(out, make([]byte, 22)...)
		out = le.AppendUint16(out, uint16(len(e.name)))
		out = le.AppendUint16(out, 0)
		out = append(append(out, e.name...), e.data...)
		size := uint64(len(e.data))
		if e.header != 0 {
			header = e.header
		}
		if e.size != 0 {
			size = e.size
		}
		var extra []byte
		packed, plain, at := uint32(size), uint32(size), uint32(header)
		if e.wide {
			packed, plain, at = 1<<32-1, 1<<32-1, 1<<32-1
			extra = le.AppendUint16(extra, 99) // a field of no interest
			extra = le.AppendUint16(extra, 2)
			extra = append(extra, 7, 7)
			extra = le.AppendUint16(extra, 1)
			extra = le.AppendUint16(extra, 24)
			extra = le.AppendUint64(extra, size)
			extra = le.AppendUint64(extra, size)
			extra = le.AppendUint64(extra, header)
		}
		directory = append(directory, "PK\x01\x02"...)
		for _, v := range []uint16{0, 0, e.flag, e.method, 0, 0, 0, 0} {
			directory = le.AppendUint16(directory, v)
		}
		directory = le.AppendUint32(directory, packed)
		directory = le.AppendUint32(directory, plain)
		for _, v := range []uint16{uint16(len(e.name)), uint16(len(extra)), 0, 0, 0, 0, 0} {
			directory = le.AppendUint16(directory, v)
		}
		directory = le.AppendUint32(directory, at)
		directory = append(append(directory, e.name...), extra...)
	}
	return append(append(out, directory...), end(len(entries), len(directory), len(out))...)
}

// end writes the structure at the end of an archive.
func end(count, length, offset int) []byte {
	b := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(count))
	b = binary.LittleEndian.AppendUint16(b, uint16(count))
	b = binary.LittleEndian.AppendUint32(b, uint32(length))
	b = binary.LittleEndian.AppendUint32(b, uint32(offset))
	return append(b, 0, 0)
}

// The pickles of the hostile files, put together by hand.

func str(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func num(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func tup(items ...string) string { return "(" + strings.Join(items, "") + "t" }

func nums(list ...int64) string {
	var items []string
	for _, n := range list {
		items = append(items, num(n))
	}
	return tup(items...)
}

func storage(class, key string, elements int64) string {
	return tup(str("storage"), "ctorch\n"+class+"\n", str(key), str("cpu"), num(elements)) + "Q"
}

const noHooks = "ccollections\nOrderedDict\n)R"

func tensor(storage string, offset int64, shape, stride string) string {
	return "ctorch._utils\n_rebuild_tensor_v2\n" + tup(storage, num(offset), shape, stride, "\x89", noHooks) + "R"
}

func dict(pairs ...string) string { return "}(" + strings.Join(pairs, "") + "u" }

func pkl(value string) string { return "\x80\x02" + value + "." }

// floats is an archive whose only storage has 6 float32s.
func floats(value string) []byte {
	return archiveOf(entry{name: "a/data.pkl", data: pkl(value)}, entry{name: "a/data/0", data: strings.Repeat("\x00\x00\x80\x3f", 6)}, entry{name: "a/version", data: "3\n"})
}

func failure(content []byte) error {
	f, err := torchzip.New(bytes.NewReader(content), int64(len(content)), "hostile", torchzip.Options{})
	if err == nil {
		_, err = f.Tensors()
	}
	return err
}

func TestHostilePickles(t *testing.T) {
	six := storage("FloatStorage", "0", 6)
	require.NoError(t, failure(floats(dict(str("w"), tensor(six, 0, nums(2, 3), nums(3, 1))))))
	for want, value := range map[string]string{
		"posix.system": dict(str("w"), "cposix\nsystem\n"+tup(str("id"))+"R"),
		"os.system":    "cos\nsystem\n" + tup(str("id")) + "R",
		"builtins.eval, which is not among the names that are read as data here; nothing of it was run": "c__builtin__\neval\n" + tup(str("1")) + "R",
		"offset 1 reaches beyond the 6 elements of storage 0":                                           dict(str("w"), tensor(six, 1, nums(2, 3), nums(3, 1))),
		"strides [4 1] and offset 0 reaches":                                                            dict(str("w"), tensor(six, 0, nums(2, 3), nums(4, 1))),
		"strides [-3 1]":                                                                                dict(str("w"), tensor(six, 3, nums(2, 3), nums(-3, 1))),
		"offset -1":                                                                                     dict(str("w"), tensor(six, -1, nums(1), nums(1))),
		"negative dimension":                                                                            dict(str("w"), tensor(six, 0, nums(-1), nums(1))),
		"more elements than any file":                                                                   dict(str("w"), tensor(six, 0, nums(1<<62, 1<<62), nums(0, 0))),
		"offset 4611686018427387904":                                                                    dict(str("w"), tensor(six, 1<<62, nums(2), nums(1))),
		"strides [4611686018427387904]":                                                                 dict(str("w"), tensor(six, 0, nums(3), nums(1<<62))),
		"shape [2 3] has strides [1]":                                                                   dict(str("w"), tensor(six, 0, nums(2, 3), nums(1))),
		"storage 0 has 24 bytes, the pickle says 28":                                                    dict(str("w"), tensor(storage("FloatStorage", "0", 7), 0, nums(1), nums(1))),
		"storage 0 has 24 bytes, the pickle says 12":                                                    dict(str("w"), tensor(storage("HalfStorage", "0", 6), 0, nums(1), nums(1))),
		"more elements than any":                                                                        dict(str("w"), tensor(storage("FloatStorage", "0", 1<<62), 0, nums(1), nums(1))),
		"no record data/../../etc/passwd":                                                               dict(str("w"), tensor(storage("FloatStorage", "../../etc/passwd", 6), 0, nums(1), nums(1))),
		"persistent id names no storage":                                                                str("file") + "Q",
		"names no class of storage (torch.Size)":                                                        dict(str("w"), tensor(storage("Size", "0", 6), 0, nums(1), nums(1))),
		"module saved with its source code is not supported":                                            tup(str("module"), "N", str("x.py"), str("source")) + "Q",
		"a tensor without its storage":                                                                  dict(str("w"), "ctorch._utils\n_rebuild_tensor_v2\n"+tup("N", num(0), nums(1), nums(1), "\x89", noHooks)+"R"),
		"2 arguments for a tensor":                                                                      dict(str("w"), "ctorch._utils\n_rebuild_tensor_v2\n"+tup("N", "N")+"R"),
		"a parameter without its tensor":                                                                dict(str("w"), "ctorch._utils\n_rebuild_parameter\n"+tup("N", "\x89", noHooks)+"R"),
		"arguments make no tensor":                                                                      dict(str("w"), "ctorch._tensor\n_rebuild_from_type_v2\n"+tup("ccollections\nOrderedDict\n", "ctorch\nTensor\n", tup(), "}")+"R"),
		"torch.Size is no dtype":                                                                        dict(str("w"), "ctorch._utils\n_rebuild_tensor_v3\n"+tup(six, num(0), nums(1), nums(1), "\x89", noHooks, "ctorch\nSize\n")+"R"),
		"*torchzip.Tensor is given a state":                                                             dict(str("w"), tensor(six, 0, nums(1), nums(1))+"}b"),
		"holds a *pickle.List, not a state dict":                                                        "]",
		"holds no tensors":                                                                              dict(str("w"), num(1)),
		"two tensors are called a.b":                                                                    dict(str("a.b"), tensor(six, 0, nums(1), nums(1)), str("a"), dict(str("b"), tensor(six, 0, nums(1), nums(1)))),
		"a key of the state dict is a <nil>":                                                            dict("N", tensor(six, 0, nums(1), nums(1))),
		"a value contains itself":                                                                       "]q\x00h\x00a",
		"nested more than 200 deep":                                                                     strings.Repeat("]", 300) + strings.Repeat("a", 299),
	} {
		require.ErrorContains(t, failure(floats(value)), want)
	}
}

// A pickle of some bytes whose tree has 2^60 leaves is walked only so far.
func TestSharedDicts(t *testing.T) {
	value := dict(str("w"), tensor(storage("FloatStorage", "0", 6), 0, nums(1), nums(1))) + "q\x00"
	for i := range 60 {
		memo := string([]byte{'h', byte(i)})
		value += "0" + dict(str("a"), memo, str("b"), memo) + "q" + string([]byte{byte(i + 1)})
	}
	require.ErrorContains(t, failure(floats(value)), "more than 262144 entries")
}

func TestHostileArchives(t *testing.T) {
	data := entry{name: "a/data.pkl", data: pkl(dict(str("w"), tensor(storage("FloatStorage", "0", 6), 0, nums(6), nums(1))))}
	bytes24 := entry{name: "a/data/0", data: strings.Repeat("\x00\x00\x80\x3f", 6)}
	change := func(e entry, f func(*entry)) entry { f(&e); return e }
	require.NoError(t, failure(archiveOf(data, bytes24)))
	for _, test := range []struct {
		want    string
		entries []entry
	}{
		{`record "data/0" is compressed (method 8`, []entry{data, change(bytes24, func(e *entry) { e.method = 8 })}},
		{`record "data.pkl" is encrypted`, []entry{change(data, func(e *entry) { e.flag = 1 }), bytes24}},
		{`two records are called "a/data/0"`, []entry{data, bytes24, bytes24}},
		{`overlap`, []entry{change(data, func(e *entry) { e.size = 200 }), bytes24}},
		{`lies outside`, []entry{data, change(bytes24, func(e *entry) { e.size = 1 << 31 })}},
		{`lies outside`, []entry{data, change(bytes24, func(e *entry) { e.size, e.wide = 1<<62, true })}},
		{`lies outside of any file`, []entry{data, change(bytes24, func(e *entry) { e.size, e.wide = 1<<63, true })}},
		{`lies outside`, []entry{data, change(bytes24, func(e *entry) { e.header = 1 << 30 })}},
		{`no record "a/data/0" begins at byte 3`, []entry{bytes24, change(bytes24, func(e *entry) { e.name, e.header = "a/data/0", 3 })}[1:]},
		{`no data.pkl`, []entry{bytes24}},
		{`no data.pkl`, nil},
		{`no record data/0`, []entry{data}},
		{`version "11" is not supported`, []entry{data, bytes24, {name: "a/version", data: "11"}}},
		{`version "x" is not supported`, []entry{data, bytes24, {name: "a/.data/version", data: "x"}}},
		{`record version has 65 bytes`, []entry{data, bytes24, {name: "a/version", data: strings.Repeat("3", 65)}}},
		{`bytes in "big" order are not supported`, []entry{data, bytes24, {name: "a/byteorder", data: "big"}}},
		{`TorchScript`, []entry{data, bytes24, {name: "a/code/x.py"}}},
		{`TorchScript`, []entry{{name: "a/constants.pkl"}}},
		{`the pickle is missing`, []entry{{name: "a/data.pkl"}}},
	} {
		t.Run(test.want, func(t *testing.T) {
			content := archiveOf(test.entries...)
			if test.entries == nil {
				content = append(archiveOf(entry{name: "x"})[:31], end(0, 0, 31)...)
			}
			require.ErrorContains(t, failure(content), test.want)
		})
	}
	for _, name := range []string{"archive", "pytorch_model", "a b", "ä"} {
		renamed := []entry{change(data, func(e *entry) { e.name = name + "/data.pkl" }), change(bytes24, func(e *entry) { e.name, e.wide = name+"/data/0", true })}
		require.NoError(t, failure(archiveOf(renamed...)), name)
	}
}

func TestHostileEnds(t *testing.T) {
	good := floats(dict(str("w"), tensor(storage("FloatStorage", "0", 6), 0, nums(6), nums(1))))
	body, tail := good[:len(good)-22], good[len(good)-22:]
	count, length := int(binary.LittleEndian.Uint16(tail[10:])), int(binary.LittleEndian.Uint32(tail[12:]))
	at := len(body) - length
	require.NoError(t, failure(append(bytes.Clone(body), end(count, length, at)...)))
	commented := append(bytes.Clone(good), "a comment"...)
	commented[len(good)-2] = 9
	require.NoError(t, failure(commented))
	for want, content := range map[string][]byte{
		"no directory at its end (truncated?)": append(bytes.Clone(good), 0),
		"3 records where it says 4":            append(bytes.Clone(body), end(count+1, length, at)...),
		"entry 2 of the directory":             append(bytes.Clone(body), end(count, length-1, at)...),
		"no entry begins there":                append(bytes.Clone(body), end(count, length, at-1)...),
		"is said to be":                        append(bytes.Clone(body), end(count, length, at+1)...),
		"said to be 4294967294 bytes":          append(bytes.Clone(body), end(count, 1<<32-2, 0)...),
		"zip64 end is missing":                 append(bytes.Clone(body), end(1<<16-1, length, at)...),
	} {
		require.ErrorContains(t, failure(content), want)
	}
	// The wide form of the end, and lies in it.
	wide := func(count, length, offset uint64) []byte {
		b := append(bytes.Clone(body), "PK\x06\x06"...)
		b = append(b, make([]byte, 28)...)
		for _, v := range []uint64{count, length, offset} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		b = append(b, "PK\x06\x07\x00\x00\x00\x00"...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
		b = append(b, 1, 0, 0, 0)
		return append(b, end(1<<16-1, 1<<32-1, 1<<32-1)...)
	}
	require.NoError(t, failure(wide(uint64(count), uint64(length), uint64(at))))
	require.ErrorContains(t, failure(wide(1<<40, uint64(length), uint64(at))), "exceeds the 1048576")
	require.ErrorContains(t, failure(wide(uint64(count), 1<<63, uint64(at))), "said to be 9223372036854775808 bytes")
	require.ErrorContains(t, failure(wide(uint64(count), uint64(length), 1<<63)), "at 9223372036854775808")
}

// sparse is a file of zeros but for its last bytes and some others.
type sparse struct {
	parts map[int64][]byte
	size  int64
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), s.size-off))
	clear(p[:n])
	for at, part := range s.parts {
		for i, b := range part {
			if k := at + int64(i) - off; k >= 0 && k < int64(n) {
				p[k] = b
			}
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Records of more than 4 GiB, and behind as many, are found.
func TestLargeArchive(t *testing.T) {
	const large = 5 << 30
	value := pkl(dict(str("w"), tensor(storage("ByteStorage", "0", large), large-2, nums(2), nums(1)), str("v"), tensor(storage("ByteStorage", "1", 3), 0, nums(3), nums(1))))
	entries := []entry{
		{name: "a/data.pkl", data: value},
		{name: "a/data/0", size: large, wide: true},
		{name: "a/data/1", data: "xyz", wide: true},
	}
	small := archiveOf(entries...)
	first := bytes.Index(small, []byte("a/data/0")) + len("a/data/0")
	entries[2].header = uint64(first) + large
	small = archiveOf(entries...)
	tail := small[first:]
	binary.LittleEndian.PutUint32(tail[len(tail)-6:], 1<<32-1)
	length := binary.LittleEndian.Uint32(tail[len(tail)-10:])
	at := uint64(first) + large + uint64(len(tail)-22) - uint64(length)
	wide := append([]byte("PK\x06\x06"), make([]byte, 28)...)
	for _, v := range []uint64{3, uint64(length), at} {
		wide = binary.LittleEndian.AppendUint64(wide, v)
	}
	wide = append(wide, "PK\x06\x07\x00\x00\x00\x00"...)
	wide = binary.LittleEndian.AppendUint64(wide, uint64(first)+large+uint64(len(tail)-22))
	wide = append(wide, 1, 0, 0, 0)
	rest := append(bytes.Clone(tail[:len(tail)-22]), append(wide, tail[len(tail)-22:]...)...)
	file := sparse{map[int64][]byte{0: small[:first], int64(first) + large - 1: {9}, int64(first) + large: rest}, int64(first) + large + int64(len(rest))}
	f, err := torchzip.New(file, file.size, "large", torchzip.Options{})
	require.NoError(t, err)
	dict, err := f.Tensors()
	require.NoError(t, err)
	got := make([]byte, 2)
	_, err = dict.Tensors["w"].ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 9}, got)
	got = make([]byte, 3)
	_, err = dict.Tensors["v"].ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "xyz", string(got))
}

// legacyOf writes the form of before 1.6.
func legacyOf(value, keys string, storages ...string) []byte {
	magic := "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
	info := dict(str("protocol_version"), num(1001), str("little_endian"), "\x88")
	return []byte(pkl(magic) + pkl(num(1001)) + pkl(info) + pkl(value) + pkl(keys) + strings.Join(storages, ""))
}

func TestHostileLegacyFiles(t *testing.T) {
	old := func(elements int64, view string) string {
		return tup(str("storage"), "ctorch\nFloatStorage\n", str("k"), str("cpu"), num(elements), view) + "Q"
	}
	value := dict(str("w"), tensor(old(2, "N"), 0, nums(2), nums(1)))
	keys := "](" + str("k") + "e"
	two := "\x02\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x80\x3f\x00\x00\x00\x40"
	good := legacyOf(value, keys, two)
	require.NoError(t, failure(good))
	require.NoError(t, failure(append(bytes.Clone(good), "more"...)), "another value may follow in the same file")
	for want, content := range map[string][]byte{
		"without PyTorch's magic number":                []byte(pkl(num(7))),
		"protocol 1002 is not supported":                bytes.Replace(good, []byte(pkl(num(1001))), []byte(pkl(num(1002))), 1),
		"big-endian bytes are not supported":            bytes.Replace(good, []byte("\x88u."), []byte("\x89u."), 1),
		"a storage that is a view of another one":       legacyOf(dict(str("w"), tensor(old(2, nums(1)), 0, nums(2), nums(1))), keys, two),
		"the list of storages is none":                  legacyOf(value, "N", two),
		"storage k is not in the file's list":           legacyOf(value, "]"),
		"which no tensor uses or which it has twice":    legacyOf(value, "]("+str("k")+str("k")+"e", two, two),
		"the list of storages has x":                    legacyOf(value, "]("+str("x")+"e", two),
		"the list of storages has <nil>":                legacyOf(value, "](Ne", two),
		"has 3 elements, the pickle says 2":             legacyOf(value, keys, "\x03"+two[1:]),
		"needs 8 bytes":                                 good[:len(good)-1],
		"reading the size of storage k":                 good[:len(good)-9],
		"in a file of":                                  legacyOf(dict(str("w"), tensor(old(1<<40, "N"), 0, nums(2), nums(1))), keys, two),
		"is said to have 8 bytes and 12":                legacyOf(dict(str("w"), tensor(old(2, "N"), 0, nums(2), nums(1)), str("v"), tensor(old(3, "N"), 0, nums(2), nums(1))), keys, two),
		"os.system, which is not among":                 legacyOf("cos\nsystem\n"+tup(str("id"))+"R", keys, two),
		"the saved value: invalid PyTorch file: the pi": good[:bytes.Index(good, []byte(pkl(value)))],
	} {
		require.ErrorContains(t, failure(content), want)
	}
}

func TestOtherFiles(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar")
	for want, content := range map[string][]byte{
		"a tar file, as PyTorch before 0.1.10":      tar,
		"Git LFS pointer":                           []byte("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
		`it begins with "GGUF\x03\x00"`:             []byte("GGUF\x03\x00"),
		`it begins with ""`:                         {},
		"the zip archive has no directory":          []byte("PK\x03\x04"),
		"invalid pickle: it claims 1 bytes where 0": []byte("\x80"),
	} {
		require.ErrorContains(t, failure(content), want)
	}
	_, err := torchzip.Open(t.TempDir(), torchzip.Options{})
	require.ErrorContains(t, err, "not a regular file")
	_, err = torchzip.Open(filepath.Join(t.TempDir(), "none"), torchzip.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// FuzzOpen opens anything; what opens can be read to its last byte.
func FuzzOpen(f *testing.F) {
	names, err := filepath.Glob("testdata/*.pt")
	require.NoError(f, err)
	require.NotEmpty(f, names)
	for _, name := range names {
		content, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add(floats(dict(str("w"), tensor(storage("FloatStorage", "0", 6), 0, nums(2, 3), nums(1, 2)))))
	f.Fuzz(func(t *testing.T, content []byte) {
		limits := pickle.Limits{Values: 1 << 16}
		file, err := torchzip.New(bytes.NewReader(content), int64(len(content)), "fuzz", torchzip.Options{Limits: limits})
		if err != nil {
			return
		}
		dict, err := file.Tensors()
		if err != nil {
			return
		}
		for _, name := range dict.Names {
			tensor := dict.Tensors[name]
			part := make([]byte, min(tensor.Size, 1<<12))
			for _, at := range []int64{0, tensor.Size - int64(len(part))} {
				if n, err := tensor.ReadAt(part, at); err != nil || n != len(part) {
					t.Fatal(fmt.Errorf("%s: %d of %d bytes at %d: %w", name, n, len(part), at, err))
				}
			}
		}
	})
}
