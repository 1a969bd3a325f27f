package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/internal/regularfile"
	"github.com/trtgo/trtgo/internal/safetensors"
)

// encode makes a file of a header's text and n bytes of data 0, 1, 2 …
func encode(header string, n int) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	file = append(file, header...)
	for i := range n {
		file = append(file, byte(i))
	}
	return file
}

func open(file []byte) (*safetensors.File, error) {
	return safetensors.New(bytes.NewReader(file), int64(len(file)), "x.safetensors")
}

func TestRead(t *testing.T) {
	f, err := open(encode(`{"__metadata__":{"format":"pt"},
		"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},
		"a":{"shape":[],"dtype":"F32","data_offsets":[0,4],"comment":{"x":[1]}},
		"empty":{"dtype":"F16","shape":[0,7],"data_offsets":[16,16]}}  `, 16))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"format": "pt"}, f.Header().Metadata)
	var names []string
	for _, info := range f.Header().Tensors {
		names = append(names, info.Name)
	}
	require.Equal(t, []string{"a", "b", "empty"}, names)

	b, ok := f.Tensor("b")
	require.True(t, ok)
	require.Equal(t, []int64{2, 3}, b.Shape)
	require.Equal(t, int64(6), b.RowBytes())
	row := make([]byte, 6)
	n, err := b.ReadAt(row, 6)
	require.NoError(t, err)
	require.Equal(t, 6, n)
	require.Equal(t, []byte{10, 11, 12, 13, 14, 15}, row)

	n, err = b.ReadAt(row, 8)
	require.Equal(t, 4, n)
	require.ErrorIs(t, err, io.EOF)
	_, err = b.ReadAt(row, 13)
	require.ErrorContains(t, err, "x.safetensors: tensor b")
	_, err = b.ReadAt(row, -1)
	require.Error(t, err)

	a, _ := f.Tensor("a")
	require.Equal(t, int64(4), a.RowBytes())
	_, ok = f.Tensor("c")
	require.False(t, ok)
	require.NoError(t, f.Close())
}

func TestMalformed(t *testing.T) {
	const good = `{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]}}`
	_, err := open(encode(good, 8))
	require.NoError(t, err)
	change := func(from, to string) []byte {
		require.Contains(t, good, from)
		return encode(strings.Replace(good, from, to, 1), 8)
	}
	long := encode(good, 8)
	binary.LittleEndian.PutUint64(long, 1<<62)
	beyond := encode(good, 8)
	binary.LittleEndian.PutUint64(beyond, uint64(len(beyond)))
	for _, test := range []struct {
		name    string
		file    []byte
		message string
	}{
		{"empty", nil, "0 bytes"},
		{"short", []byte{1, 2, 3}, "3 bytes"},
		{"header too long", long, "more than the 104857600 allowed"},
		{"header beyond the file", beyond, "truncated"},
		{"no object", encode(`[]`, 0), "{"},
		{"cut header", encode(good[:40], 8), "EOF"},
		{"trailing text", encode(good+"{}", 8), "follows"},
		{"truncated data", encode(good, 7), `tensor "b" ends at byte`},
		{"surplus data", encode(good, 9), "1 bytes follow the last tensor"},
		{"twice", change(`"b"`, `"a"`), `"a" occurs twice`},
		{"twice in an entry", change(`"shape":[4]`, `"shape":[4],"shape":[4]`), "shape"},
		{"overlap", change(`[4,8]`, `[3,7]`), `"b" begins at 3 inside "a", which ends at 4`},
		{"gap", change(`[4,8]`, `[5,9]`), "no tensor covers the bytes from 4 to 5"},
		{"gap at the front", change(`[0,4]`, `[1,5]`), "from 0 to 1"},
		{"backwards", change(`[4,8]`, `[8,4]`), "not a range"},
		{"negative", change(`[0,4]`, `[-4,0]`), "not a range"},
		{"size", change(`[2,2]`, `[2,3]`), "takes 6 bytes, data_offsets [4, 8] give 4"},
		{"shape overflow", change(`[2,2]`, `[4294967296,4294967296]`), "more elements"},
		{"shape overflow 2", change(`[2,2]`, `[9223372036854775807]`), "more elements"},
		{"negative shape", change(`[2,2]`, `[-2,-2]`), "negative"},
		{"fraction", change(`[2,2]`, `[2,2.5]`), "integers"},
		{"too large an integer", change(`[2,2]`, `[18446744073709551616]`), "integers"},
		{"unknown dtype", change(`U8`, `F12`), `unknown dtype "F12"`},
		{"dtype of another case", change(`"dtype"`, `"DTYPE"`), "missing"},
		{"dtype no text", change(`"U8"`, `8`), "dtype"},
		{"three offsets", change(`[0,4]`, `[0,4,4]`), "pair"},
		{"metadata no text", change(`{"a"`, `{"__metadata__":{"k":1},"a"`), `metadata "k"`},
		{"half a byte", change(`"U8","shape":[4]`, `"F4","shape":[7]`), "whole bytes"},
		{"many dimensions", change(`[2,2]`, `[`+strings.Repeat("1,", 40)+`1]`), "at most 32"},
		{"null entry", change(`{"dtype":"U8","shape":[4],"data_offsets":[0,4]}`, `null`), `tensor "a"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := open(test.file)
			require.ErrorIs(t, err, safetensors.ErrFormat)
			require.ErrorContains(t, err, test.message)
			require.ErrorContains(t, err, "x.safetensors")
		})
	}
}

func TestPointer(t *testing.T) {
	_, err := open([]byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"))
	require.ErrorIs(t, err, safetensors.ErrPointer)
	require.ErrorContains(t, err, "not weights")
}

// A header may claim anything; memory follows the file's own size.
func TestClaimsAllocateNothing(t *testing.T) {
	header := `{"a":{"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,4611686018427387904]}}`
	file := encode(header, 8)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		_, err := open(file)
		require.Error(t, err)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100*64<<10))
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	infos := []safetensors.Info{{Name: "scalar", Dtype: "F32"}}
	for i := range 20 {
		infos = append(infos, safetensors.Info{Name: fmt.Sprintf("t%d \"é", i), Dtype: "BF16", Shape: []int64{int64(i), 3}})
	}
	w, err := safetensors.Create(path, infos, map[string]string{"format": "pt"})
	require.NoError(t, err)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() { // in two halves, from the end
			data := bytes.Repeat([]byte{byte(i)}, 6*i)
			for _, half := range [][2]int{{3 * i, 6 * i}, {0, 3 * i}} {
				if err := w.WriteAt(infos[i+1].Name, data[half[0]:half[1]], int64(half[0])); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.ErrorContains(t, w.WriteAt("scalar", make([]byte, 5), 0), "do not fit")
	require.ErrorContains(t, w.WriteAt("scalar", make([]byte, 1), 4), "do not fit")
	require.Error(t, w.WriteAt("scalar", nil, -1))
	require.ErrorContains(t, w.WriteAt("other", nil, 0), "no tensor")
	require.NoError(t, w.Close())

	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, map[string]string{"format": "pt"}, f.Header().Metadata)
	require.Len(t, f.Header().Tensors, 21)
	require.Zero(t, f.Header().Tensors[0].Offset%8)
	scalar, _ := f.Tensor("scalar")
	require.Empty(t, scalar.Shape)
	for i := range 20 {
		tensor, ok := f.Tensor(infos[i+1].Name)
		require.True(t, ok)
		require.Equal(t, infos[i+1].Shape, tensor.Shape)
		data := make([]byte, 6*i)
		_, err := tensor.ReadAt(data, 0)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, 6*i), data)
	}
	stat, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, w.Size(), stat.Size())
}

func TestCreateRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	for message, infos := range map[string][]safetensors.Info{
		"occurs twice":  {{Name: "a", Dtype: "U8"}, {Name: "a", Dtype: "U8"}},
		"reserved":      {{Name: "__metadata__", Dtype: "U8"}},
		"unknown dtype": {{Name: "a", Dtype: "?"}},
		"negative":      {{Name: "a", Dtype: "U8", Shape: []int64{-1}}},
	} {
		_, err := safetensors.Create(path, infos, nil)
		require.ErrorContains(t, err, message)
		require.NoFileExists(t, path)
	}
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o644))
	_, err := safetensors.Create(path, nil, nil)
	require.ErrorIs(t, err, fs.ErrExist)
}

func shards(t *testing.T, index string, files map[string]string) string {
	dir := t.TempDir()
	if index != "" {
		require.NoError(t, os.WriteFile(filepath.Join(dir, safetensors.IndexName), []byte(index), 0o644))
	}
	for name, tensor := range files {
		w, err := safetensors.Create(filepath.Join(dir, name), []safetensors.Info{{Name: tensor, Dtype: "U8", Shape: []int64{1}}}, nil)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	return dir
}

func TestModel(t *testing.T) {
	two := map[string]string{"1.safetensors": "a", "2.safetensors": "b"}
	m, err := safetensors.OpenModel(shards(t, `{"metadata":{},"weight_map":{"b":"2.safetensors","a":"1.safetensors"}}`, two))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, m.Names())
	require.Len(t, m.Files(), 2)
	b, ok := m.Tensor("b")
	require.True(t, ok)
	require.Equal(t, "2.safetensors", filepath.Base(b.File()))
	_, ok = m.Tensor("c")
	require.False(t, ok)
	require.NoError(t, m.Close())

	m, err = safetensors.OpenModel(shards(t, "", map[string]string{"model.safetensors": "x"}))
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, m.Names())
	require.NoError(t, m.Close())

	m, err = safetensors.OpenModel(shards(t, `{"weight_map":{"a":"gone.safetensors"}}`, map[string]string{"model.safetensors": "x"}))
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, m.Names())
	require.NoError(t, m.Close())

	_, err = safetensors.OpenModel(t.TempDir())
	require.ErrorIs(t, err, fs.ErrNotExist)

	for _, test := range []struct{ index, message string }{
		{`{"weight_map":{"a":"../1.safetensors"}}`, "not a file name in this directory"},
		{`{"weight_map":{"a":"/etc/passwd"}}`, "not a file name in this directory"},
		{`{"weight_map":{"a":"sub/1.safetensors"}}`, "not a file name in this directory"},
		{`{"weight_map":{"a":""}}`, "not a file name in this directory"},
		{`{"weight_map":{"a":"1.safetensors","b":"3.safetensors"}}`, `shard "3.safetensors"`},
		{`{"weight_map":{"a":"1.safetensors","c":"2.safetensors"}}`, `"c" should be in 2.safetensors`},
		{`{"weight_map":{"a":"2.safetensors","b":"1.safetensors"}}`, "which lacks it"},
		{`{"weight_map":{}}`, "empty"},
		{`{`, "unexpected end"},
		{`{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}} more`, "after top-level value"},
		{`{"weight_map":{"a":"."}}`, "not a file name in this directory"},
		{`{"weight_map":{"a":"a\u0000b"}}`, "not a file name in this directory"},
		{`{"weight_map":{"a":"b\n"}}`, `shard "b\n" is not a file name in this directory`},
		{`{"weight_map":{"a":"` + strings.Repeat("x", 256) + `"}}`, "not a file name in this directory"},
	} {
		_, err := safetensors.OpenModel(shards(t, test.index, two))
		require.ErrorContains(t, err, test.message, test.index)
	}
	_, err = safetensors.OpenModel(shards(t, `{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}`, map[string]string{"1.safetensors": "a", "2.safetensors": "a"}))
	require.ErrorContains(t, err, "is in both")

	for _, name := range []string{"model.safetensors", safetensors.IndexName} {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		_, err = safetensors.OpenModel(dir)
		require.ErrorIs(t, err, regularfile.ErrRefused)
		require.ErrorContains(t, err, name)
	}
}

func TestSize(t *testing.T) {
	for dtype, want := range map[string]int64{"F64": 48, "F32": 24, "BF16": 12, "F8_E4M3": 6, "F8_E5M2": 6, "BOOL": 6, "I8": 6, "F4": 3} {
		n, err := safetensors.Size(dtype, []int64{2, 3})
		require.NoError(t, err)
		require.Equal(t, want, n, dtype)
	}
	n, err := safetensors.Size("F32", []int64{1 << 40, 0, 3})
	require.NoError(t, err)
	require.Zero(t, n)
}

func FuzzSafetensors(f *testing.F) {
	f.Add(encode(`{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8))
	f.Add(encode(`{"a":{"dtype":"BF16","shape":[2,0],"data_offsets":[0,0]},"b":{"dtype":"BOOL","shape":[],"data_offsets":[0,1]}}`, 1))
	f.Add(encode(`{"a":{"dtype":"U8","shape":[4611686018427387904,8],"data_offsets":[0,9223372036854775807]}}`, 3))
	f.Add([]byte("version https://git-lfs.github.com/spec/v1\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		opened, err := open(file)
		if err != nil {
			return
		}
		covered := int64(0)
		for _, info := range opened.Header().Tensors {
			tensor, ok := opened.Tensor(info.Name)
			require.True(t, ok)
			data := make([]byte, tensor.Size)
			_, err := tensor.ReadAt(data, 0)
			require.NoError(t, err)
			covered += tensor.Size
		}
		require.LessOrEqual(t, covered, int64(len(file)))
	})
}

func TestPlace(t *testing.T) {
	file := encode(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]}}`, 6)
	f, err := open(file)
	require.NoError(t, err)
	b, _ := f.Tensor("b")
	in, at := b.Place()
	require.Nil(t, in, "a reader is no file")
	require.Equal(t, []byte{4, 5}, file[at:])

	path := filepath.Join(t.TempDir(), "x.safetensors")
	require.NoError(t, os.WriteFile(path, file, 0o644))
	f, err = safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	b, _ = f.Tensor("b")
	in, at = b.Place()
	got := make([]byte, 2)
	_, err = in.ReadAt(got, at)
	require.NoError(t, err)
	require.Equal(t, []byte{4, 5}, got)
}
