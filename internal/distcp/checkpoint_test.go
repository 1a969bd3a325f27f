package distcp_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/distcp"
	"github.com/trtgo/trtgo/internal/filetree"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// fixture opens one of testdata in place (scripts/distributed_fixtures.py).
func fixture(t testing.TB, name string) filetree.Tree {
	t.Helper()
	tree, err := filetree.OpenTar(filepath.Join("testdata", name+".tar"))
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// unpacked writes one of testdata to a directory, without the files that keep
// refuses.
func unpacked(t *testing.T, name string, keep func(name string) bool) string {
	t.Helper()
	archive, err := os.ReadFile(filepath.Join("testdata", name+".tar"))
	require.NoError(t, err)
	dir := t.TempDir()
	testmodel.Unpack(t, archive, dir)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		if !keep(f.Name()) {
			require.NoError(t, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return dir
}

func all(string) bool { return true }

func directory(t *testing.T, dir string) filetree.Tree {
	t.Helper()
	tree, err := filetree.OpenDir(dir)
	require.NoError(t, err)
	t.Cleanup(func() { tree.Close() })
	return tree
}

// The first values of each tensor in 8-bit floats: 0 to 8.
var eights = map[string][]byte{
	"F8_E4M3": {0, 0x38, 0x40, 0x44, 0x48, 0x4a, 0x4c, 0x4e, 0x50},
	"F8_E5M2": {0, 0x3c, 0x40, 0x42, 0x44, 0x45, 0x46, 0x47, 0x48},
}

// requireCounted checks that bytes are what the script gives a tensor: the
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
	width := map[string]int{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}[dtype]
	require.NotZero(t, width, "dtype %s", dtype)
	for i, b := range got {
		switch n := i / width; {
		case i%width > 0:
			require.Zero(t, b)
		case dtype == "BOOL":
			require.Equal(t, byte(n%2), b)
		case eights[dtype] != nil:
			require.Equal(t, eights[dtype][n%9], b)
		default:
			require.Equal(t, byte(n%251), b)
		}
	}
}

// gpt has the tensors of mcore_state in the script, with one process.
func gpt(ranks int) map[string]distcp.Info {
	layer := "model.decoder.layers."
	return map[string]distcp.Info{
		"model.embedding.word_embeddings.weight":              {Dtype: "BF16", Shape: []int64{10, 8}, Parts: ranks},
		layer + "self_attention.linear_qkv.layer_norm_weight": {Dtype: "BF16", Shape: []int64{3, 8}, Parts: 3},
		layer + "mlp.linear_fc1.weight":                       {Dtype: "BF16", Shape: []int64{3, 24, 8}, Parts: 6 * ranks},
		layer + "mlp.linear_fc2.weight":                       {Dtype: "BF16", Shape: []int64{3, 8, 12}, Parts: 3 * ranks},
		"model.decoder.final_layernorm.weight":                {Dtype: "F32", Shape: []int64{8}, Parts: 1},
		"model.decoder.half.weight":                           {Dtype: "F16", Shape: []int64{4, 6}, Parts: ranks},
	}
}

var extra = []string{
	"model.decoder.layers.mlp.linear_fc1._extra_state/shard_0_3",
	"model.decoder.layers.mlp.linear_fc1._extra_state/shard_1_3",
	"model.decoder.layers.mlp.linear_fc1._extra_state/shard_2_3",
}

func plainDCP() map[string]distcp.Info {
	out := map[string]distcp.Info{
		"scalar":     {Dtype: "F32", Shape: []int64{}, Parts: 1},
		"empty":      {Dtype: "F32", Shape: []int64{0, 4}, Parts: 1},
		"transposed": {Dtype: "BF16", Shape: []int64{4, 6}, Parts: 1},
		"part":       {Dtype: "BF16", Shape: []int64{3, 10}, Parts: 1},
		"tied.0":     {Dtype: "BF16", Shape: []int64{6, 10}, Parts: 1},
		"tied.1":     {Dtype: "BF16", Shape: []int64{6, 10}, Parts: 1},
	}
	for torch, dtype := range map[string]string{
		"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
		"int8": "I8", "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex128": "complex128",
	} {
		out["dtypes."+torch] = distcp.Info{Dtype: dtype, Shape: []int64{3, 5}, Parts: 1}
	}
	return out
}

func TestCheckpointsOfRealWriters(t *testing.T) {
	bf16 := func(parts int, shape ...int64) distcp.Info {
		return distcp.Info{Dtype: "BF16", Shape: shape, Parts: parts}
	}
	moment := "optimizer.state.exp_avg.decoder.layers.mlp.linear_fc2.weight"
	for _, c := range []struct {
		fixture string
		tensors map[string]distcp.Info
		objects []string
		refused map[string]string
	}{
		{"torch-dist", gpt(1), extra, nil},
		{"torch-dist-tp2", gpt(2), extra, nil},
		{"torch-dist-flat", map[string]distcp.Info{"decoder.layers.norm.weight": bf16(3, 3, 8), moment: {Dtype: "F32", Shape: []int64{3, 1, 1, 96}, Parts: 6}}, nil,
			map[string]string{moment: "tensor " + moment + ": flattened ranges of a distributed optimizer, here of a tensor of shape [3 8 12], are not supported"}},
		{"dcp", plainDCP(), []string{"arguments.name", "arguments.parts", "step"}, map[string]string{"dtypes.complex128": "dtype complex128 is not supported"}},
		{"dcp-dtensor", map[string]distcp.Info{
			"rows": bf16(2, 7, 6), "columns": bf16(2, 6, 8), "one": bf16(2, 1, 6), "replicated": {Dtype: "F32", Shape: []int64{5}, Parts: 1},
		}, nil, nil},
		{"dcp-transformed", map[string]distcp.Info{"weight": bf16(1, 3, 4)}, nil,
			map[string]string{"weight": "__0_0.distcp, bytes 0 to 1577: a part stored through \"stream.none/1\" is not supported"}},
	} {
		for _, tree := range []filetree.Tree{fixture(t, c.fixture), directory(t, unpacked(t, c.fixture, all))} {
			require.True(t, distcp.IsCheckpoint(tree))
			open, err := distcp.Open(tree)
			require.NoError(t, err, c.fixture)
			require.Equal(t, slices.Sorted(maps.Keys(c.tensors)), open.Names())
			require.Equal(t, c.objects, open.Objects())
			for name, want := range c.tensors {
				info, ok := open.Info(name)
				require.True(t, ok)
				require.Equal(t, want, info, name)
				a, err := open.Tensor(name)
				if c.refused[name] != "" {
					require.ErrorIs(t, err, distcp.ErrUnsupported)
					require.ErrorContains(t, err, c.refused[name])
					continue
				}
				require.NoError(t, err, name)
				require.Equal(t, want.Shape, a.Shape())
				data := make([]byte, a.Size())
				n, err := a.ReadAt(data, 0)
				require.NoError(t, err, name)
				require.Equal(t, len(data), n)
				requireCounted(t, want.Dtype, data)
			}
		}
	}
}

// counter is a tree that counts the bytes read of each file.
type counter struct {
	filetree.Tree
	mu   sync.Mutex
	read map[string]int
}

type countedFile struct {
	filetree.File
	name string
	c    *counter
}

func (c *counter) Open(name string) (filetree.File, error) {
	f, err := c.Tree.Open(name)
	return countedFile{f, name, c}, err
}

func (f countedFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	f.c.read[f.name] += len(p)
	f.c.mu.Unlock()
	return f.File.ReadAt(p, off)
}

func TestPartsAreOpenedWhenTheyAreRead(t *testing.T) {
	tree := &counter{Tree: fixture(t, "torch-dist-tp2"), read: map[string]int{}}
	c, err := distcp.Open(tree)
	require.NoError(t, err)
	for _, name := range c.Names() {
		_, err := c.Tensor(name)
		require.NoError(t, err)
	}
	require.Equal(t, []string{".metadata"}, slices.Collect(maps.Keys(tree.read)))

	a, err := c.Tensor("model.embedding.word_embeddings.weight") // five rows of each process
	require.NoError(t, err)
	row := make([]byte, a.RowBytes())
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() { a.ReadAt(make([]byte, a.RowBytes()), 2*a.RowBytes()) })
	}
	wait.Wait()
	_, err = a.ReadAt(row, 2*a.RowBytes())
	require.NoError(t, err)
	require.Len(t, tree.read, 2)
	opened := maps.Clone(tree.read)
	_, err = a.ReadAt(row, 3*a.RowBytes())
	require.NoError(t, err)
	for file, n := range tree.read {
		if file != ".metadata" {
			require.Equal(t, opened[file]+len(row), n, "a second read of a part reads its bytes alone")
		}
	}
}

func TestFilesThatAreMissingOrCut(t *testing.T) {
	_, err := distcp.Open(directory(t, unpacked(t, "dcp", func(name string) bool { return name != ".metadata" })))
	require.ErrorIs(t, err, fs.ErrNotExist)

	dir := unpacked(t, "dcp", func(name string) bool { return name == ".metadata" })
	c, err := distcp.Open(directory(t, dir))
	require.NoError(t, err)
	_, err = c.Tensor("tied.0")
	require.ErrorIs(t, err, distcp.ErrFormat)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "tensor tied.0: invalid distributed checkpoint: the part at [0 0] is in a file that is missing")
	_, err = c.Tensor("tied.2")
	require.ErrorIs(t, err, fs.ErrNotExist)

	dir = unpacked(t, "dcp", all)
	file := filepath.Join(dir, "__0_0.distcp")
	require.NoError(t, os.Truncate(file, 20000))
	c, err = distcp.Open(directory(t, dir))
	require.NoError(t, err)
	failed := 0
	for _, name := range c.Names() {
		if _, err := c.Tensor(name); err != nil && !errors.Is(err, distcp.ErrUnsupported) {
			require.ErrorIs(t, err, distcp.ErrFormat)
			require.ErrorContains(t, err, "but the file ends at 20000: it is incomplete")
			failed++
		}
	}
	require.Positive(t, failed)

	require.NoError(t, os.Rename(filepath.Join(dir, ".metadata"), filepath.Join(dir, "__0.metadata")))
	_, err = distcp.Open(directory(t, dir))
	require.ErrorIs(t, err, distcp.ErrUnsupported)
	require.ErrorContains(t, err, "use_collectives=False")
}
