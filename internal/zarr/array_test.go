package zarr_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/testmodel"
	"github.com/trtgo/trtgo/internal/zarr"
)

// fixture opens one of testdata in place (scripts/distributed_fixtures.py).
func fixture(t *testing.T, name string) filetree.Tree {
	t.Helper()
	tree, err := filetree.OpenTar(filepath.Join("testdata", name+".tar"))
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// unpacked writes one of testdata to a directory.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	archive, err := os.ReadFile(filepath.Join("testdata", name+".tar"))
	require.NoError(t, err)
	dir := t.TempDir()
	testmodel.Unpack(t, archive, dir)
	return dir
}

func directory(t *testing.T, dir string) filetree.Tree {
	t.Helper()
	tree, err := filetree.OpenDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// requireCounted checks that bytes are what the script gives an array: the
// elements' numbers.
func requireCounted(t *testing.T, dtype string, got []byte) {
	t.Helper()
	if size := floatformat.Size(dtype); size > 0 {
		values := make([]float32, len(got)/size)
		floatformat.Decode(values, got, dtype)
		for i, v := range values {
			require.Equal(t, float32(i%251), v, "element %d", i)
		}
		return
	}
	width := map[string]int{"I64": 8, "U8": 1, "BOOL": 1}[dtype]
	require.NotZero(t, width, "dtype %s", dtype)
	for i, b := range got {
		switch n := i / width; {
		case i%width > 0:
			require.Zero(t, b)
		case dtype == "BOOL":
			require.Equal(t, byte(n%2), b)
		default:
			require.Equal(t, byte(n%251), b)
		}
	}
}

type array struct {
	dtype         string
	shape, chunks []int64
}

// gpt has the arrays of mcore_state in the script.
func gpt(ranks int64) map[string]array {
	layer := "model.decoder.layers."
	return map[string]array{
		"model.embedding.word_embeddings.weight":              {"BF16", []int64{10, 8}, []int64{10 / ranks, 8}},
		layer + "self_attention.linear_qkv.layer_norm_weight": {"BF16", []int64{3, 8}, []int64{1, 8}},
		layer + "mlp.linear_fc1.weight":                       {"BF16", []int64{3, 24, 8}, []int64{1, 12 / ranks, 8}},
		layer + "mlp.linear_fc2.weight":                       {"BF16", []int64{3, 8, 12}, []int64{1, 8, 12 / ranks}},
		"model.decoder.final_layernorm.weight":                {"F32", []int64{8}, []int64{8}},
		"model.decoder.half.weight":                           {"F16", []int64{4, 6}, []int64{4, 6 / ranks}},
	}
}

func TestArraysOfRealWriters(t *testing.T) {
	own := map[string]array{
		"edge":   {"F32", []int64{5, 7}, []int64{2, 3}},
		"nested": {"I64", []int64{4, 6}, []int64{2, 6}},
		"scalar": {"F64", []int64{}, []int64{}},
		"bytes":  {"U8", []int64{6}, []int64{4}},
		"flags":  {"BOOL", []int64{6}, []int64{4}},
		"void":   {"BF16", []int64{4, 3}, []int64{2, 3}},
	}
	refused := map[string]string{
		"big":        `big/.zarray: dtype ">f4" is not supported`,
		"fortran":    `fortran/.zarray: order "F" is not supported`,
		"compressed": `compressed/.zarray: compressor "blosc" is not supported`,
		"filtered":   "filtered/.zarray: filters",
	}
	for _, c := range []struct {
		fixture string
		arrays  map[string]array
		refused map[string]string
	}{{"zarr", gpt(1), nil}, {"zarr-tp2", gpt(2), nil}, {"zarr-own", own, refused}} {
		for _, tree := range []filetree.Tree{fixture(t, c.fixture), directory(t, unpacked(t, c.fixture))} {
			require.Equal(t, slices.Sorted(maps.Keys(merged(c.arrays, c.refused))), zarr.Names(tree))
			for name, want := range c.arrays {
				m, err := zarr.ReadMetadata(tree, name)
				require.NoError(t, err)
				require.Equal(t, want, array{m.Dtype, m.Shape, m.Chunks})
				a, err := zarr.Open(tree, name)
				require.NoError(t, err)
				require.Equal(t, want.shape, a.Shape())
				data := make([]byte, a.Size())
				n, err := a.ReadAt(data, 0)
				require.NoError(t, err)
				require.Equal(t, len(data), n)
				requireCounted(t, want.dtype, data)
			}
			for name, want := range c.refused {
				_, err := zarr.Open(tree, name)
				require.ErrorIs(t, err, zarr.ErrUnsupported)
				require.ErrorContains(t, err, want)
			}
		}
	}
}

func merged(arrays map[string]array, refused map[string]string) map[string]bool {
	out := map[string]bool{}
	for name := range arrays {
		out[name] = true
	}
	for name := range refused {
		out[name] = true
	}
	return out
}

func TestChunksThatAreMissingOrCut(t *testing.T) {
	dir := unpacked(t, "zarr-tp2")
	name := "model.decoder.layers.mlp.linear_fc2.weight"
	chunk := filepath.Join(dir, name, "2.0.1")
	require.NoError(t, os.Truncate(chunk, 95))
	_, err := zarr.Open(directory(t, dir), name)
	require.ErrorIs(t, err, zarr.ErrFormat)
	require.ErrorContains(t, err, "chunk "+name+"/2.0.1 has 95 bytes, not the 96 of a chunk of shape [1 8 6] and dtype BF16")
	require.NoError(t, os.Remove(chunk))
	_, err = zarr.Open(directory(t, dir), name)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, err, zarr.ErrFormat)
	require.ErrorContains(t, err, "array "+name+" of shape [3 8 12] in chunks of [1 8 6] has no chunk 2.0.1")
	_, err = zarr.Open(directory(t, dir), "model.other.weight")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// memory is a tree of files in memory.
type memory map[string]string

type memoryFile struct{ *strings.Reader }

func (m memory) Names() []string { return slices.Sorted(maps.Keys(m)) }
func (m memory) Close() error    { return nil }

func (m memory) Open(name string) (filetree.File, error) {
	text, ok := m[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return memoryFile{strings.NewReader(text)}, nil
}

// zarray is a .zarray file with some fields replaced, or left out where the new
// value is empty.
func zarray(replace ...string) string {
	fields := map[string]string{
		"zarr_format": "2", "shape": "[4, 4]", "chunks": "[2, 4]", "dtype": `"<f4"`,
		"compressor": "null", "filters": "null", "fill_value": "null", "order": `"C"`,
	}
	for i := 0; i < len(replace); i += 2 {
		fields[replace[i]] = replace[i+1]
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] != "" {
			out = append(out, fmt.Sprintf("%q: %s", name, fields[name]))
		}
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func withChunks(text string) memory {
	return memory{"a/.zarray": text, "a/0.0": strings.Repeat("x", 32), "a/1.0": strings.Repeat("x", 32)}
}

func TestMetadataThatIsRefused(t *testing.T) {
	_, err := zarr.Open(withChunks(zarray("filters", "[]", "fill_value", `"NaN"`, "dimension_separator", "null", "more", "{}")), "a")
	require.NoError(t, err)
	for _, c := range []struct {
		text string
		is   error
		want string
	}{
		{"", zarr.ErrFormat, "a/.zarray: "},
		{"{", zarr.ErrFormat, "unexpected end"},
		{"[]", zarr.ErrFormat, `has the wrong type: array`},
		{"{}", zarr.ErrUnsupported, "zarr_format (missing) is not supported"},
		{zarray("zarr_format", "3"), zarr.ErrUnsupported, "zarr_format 3 is not supported: 2 is"},
		{zarray("shape", ""), zarr.ErrFormat, "shape, chunks or dtype is missing"},
		{zarray("chunks", "null"), zarr.ErrFormat, "shape, chunks or dtype is missing"},
		{zarray("dtype", ""), zarr.ErrFormat, "shape, chunks or dtype is missing"},
		{zarray("dtype", `">f4"`), zarr.ErrUnsupported, `dtype ">f4" is not supported`},
		{zarray("dtype", `[["a", "<f4"]]`), zarr.ErrUnsupported, `dtype [["a", "<f4"]] is not supported`},
		{zarray("compressor", `{"id": "zlib", "level": 1}`), zarr.ErrUnsupported, `compressor "zlib" is not supported`},
		{zarray("compressor", "7"), zarr.ErrUnsupported, `compressor "" is not supported`},
		{zarray("filters", `[{"id": "delta"}]`), zarr.ErrUnsupported, `filters [{"id": "delta"}] are not supported`},
		{zarray("order", `"F"`), zarr.ErrUnsupported, `order "F" is not supported`},
		{zarray("order", ""), zarr.ErrUnsupported, `order "" is not supported`},
		{zarray("dimension_separator", `"-"`), zarr.ErrFormat, `dimension_separator is "-"`},
		{zarray("dimension_separator", `"../"`), zarr.ErrFormat, `dimension_separator is "../"`},
		{zarray("shape", "[4]"), zarr.ErrFormat, "an array of 1 dimensions has chunks of 2"},
		{zarray("shape", "[-4, 4]"), zarr.ErrFormat, "shape [-4 4] and chunks [2 4] are impossible"},
		{zarray("chunks", "[0, 4]"), zarr.ErrFormat, "chunks [0 4] are impossible"},
		{zarray("shape", "[1.5, 4]"), zarr.ErrFormat, `the value of "shape" that ends at byte 119 has the wrong type: number 1.5`},
		{zarray("shape", "[9223372036854775807, 4]"), zarr.ErrFormat, "has no chunk 2.0"},
		{zarray("chunks", "[9223372036854775807, 9223372036854775807]"), zarr.ErrFormat, "more elements than any file can hold"},
		{zarray("shape", "["+strings.Repeat("1,", 99)+"1]", "chunks", "["+strings.Repeat("1,", 99)+"1]"), zarr.ErrFormat, "an array of 100 dimensions"},
		{zarray("dtype", `"<f8"`), zarr.ErrFormat, "chunk a/0.0 has 32 bytes, not the 64"},
		{strings.Repeat(" ", 2<<20), filetree.ErrRefused, "a/.zarray refused: it has 2097152 bytes"},
	} {
		_, err := zarr.Open(withChunks(c.text), "a")
		require.ErrorIs(t, err, c.is, c.text)
		require.ErrorContains(t, err, c.want)
		require.Less(t, len(err.Error()), 400)
	}
}

func TestArraysWithoutElements(t *testing.T) {
	a, err := zarr.Open(memory{"a/.zarray": zarray("shape", "[0, 4]")}, "a")
	require.NoError(t, err)
	require.Zero(t, a.Size())
}

func FuzzZarray(f *testing.F) {
	for _, seed := range []string{
		zarray(), zarray("dtype", `"bfloat16"`), zarray("compressor", `{"id": "blosc"}`), zarray("dimension_separator", `"/"`),
		zarray("shape", "[3, 3]"), zarray("shape", "[]", "chunks", "[]"), zarray("shape", "[1000000000000]", "chunks", "[1]"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if a, err := zarr.Open(withChunks(text), "a"); err == nil {
			a.ReadAt(make([]byte, min(a.Size(), 1000)), 0)
		}
	})
}
