package export_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// fakeModel is a source in memory: every weight is float32 zeros but where rows
// says otherwise.
type fakeModel struct {
	config *checkpoint.Config
	rows   func(name string, dst []byte, row int64) error
	files  []source.File
	lacks  string
}

func newFake() *fakeModel {
	return &fakeModel{config: &checkpoint.Config{
		Architecture: "LlamaForCausalLM", Dtype: checkpoint.Float32, LogitsDtype: checkpoint.Float32,
		VocabSize: 64, HiddenSize: 32, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2, HeadSize: 8,
		IntermediateSize: 48, MaxPositionEmbeddings: 64, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
	}}
}

type fakeRows struct {
	m    *fakeModel
	name string
}

func (r fakeRows) ReadRows(dst []byte, row int64) error {
	clear(dst)
	if r.m.rows != nil {
		return r.m.rows(r.name, dst, row)
	}
	return nil
}

func (m *fakeModel) Format() string                { return "fake" }
func (m *fakeModel) Config() *checkpoint.Config    { return m.config }
func (m *fakeModel) Inventory() []source.Info      { return nil }
func (m *fakeModel) Files() ([]source.File, error) { return m.files, nil }
func (m *fakeModel) Notes() []string               { return []string{"a fake"} }
func (m *fakeModel) Close() error                  { return nil }
func (m *fakeModel) Tensor(name string, shape []int64) (source.Tensor, error) {
	if name == m.lacks {
		return source.Tensor{}, errors.New("there is no " + name)
	}
	return source.Tensor{Origin: "fake/" + name, Dtype: "F32", Shape: shape, Rows: fakeRows{m, name}}, nil
}

// requireNothing checks that no checkpoint, whole or in part, is in dir.
func requireNothing(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestConvertModel(t *testing.T) {
	m := newFake()
	m.files = []source.File{{Name: "tokenizer.json", Data: []byte("{}")}}
	out := filepath.Join(t.TempDir(), "a", "b", "ckpt")
	report, err := export.ConvertModel(context.Background(), m, export.Options{OutputDir: out})
	require.NoError(t, err)
	require.Equal(t, "fake", report.Format)
	require.Equal(t, "float32", report.Dtype)
	require.Equal(t, []string{"a fake"}, report.Notes)
	require.Equal(t, []string{"tokenizer.json"}, report.Files)
	require.Equal(t, 3+2*7, report.Tensors)
	require.Positive(t, report.Elapsed)
	c, err := checkpoint.Open(out)
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestProgress(t *testing.T) {
	m := newFake()
	m.config.VocabSize, m.config.HiddenSize = 5000, 1024 // several blocks
	var mu sync.Mutex
	last, total, calls := int64(0), int64(0), 0
	seen := map[string]bool{}
	_, err := export.ConvertModel(context.Background(), m, export.Options{
		OutputDir: filepath.Join(t.TempDir(), "ckpt"), Dtype: "bfloat16", TPSize: 2, Workers: 4,
		Progress: func(done, all int64, tensor string) {
			require.True(t, mu.TryLock(), "calls overlap")
			defer mu.Unlock()
			require.Greater(t, done, last)
			last, total = done, all
			seen[tensor] = true
			calls++
		},
	})
	require.NoError(t, err)
	require.Equal(t, total, last)
	require.Greater(t, calls, 30) // 21 weights, the large ones in pieces
	require.True(t, seen["lm_head.weight"])
}

func TestOverflowNamesTensorAndLargestValue(t *testing.T) {
	m := newFake()
	m.rows = func(name string, dst []byte, row int64) error {
		if name == "transformer.layers.1.mlp.proj.weight" {
			for i := range len(dst) / 4 {
				binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(-1000*float32(row)-float32(i)*50))
			}
		}
		return nil
	}
	parent := t.TempDir()
	o := export.Options{OutputDir: filepath.Join(parent, "ckpt"), Dtype: "float16"}
	_, err := export.ConvertModel(context.Background(), m, o)
	require.ErrorIs(t, err, export.ErrOverflow)
	require.ErrorContains(t, err, "fake/transformer.layers.1.mlp.proj.weight has values up to 76750, which float16 cannot hold: choose bfloat16 or float32")
	requireNothing(t, parent)
	o.Dtype = "bfloat16"
	_, err = export.ConvertModel(context.Background(), m, o)
	require.NoError(t, err)

	m.rows = func(_ string, dst []byte, _ int64) error {
		binary.LittleEndian.PutUint32(dst, math.Float32bits(math.MaxFloat32))
		return nil
	}
	_, err = export.ConvertModel(context.Background(), m, o)
	require.ErrorIs(t, err, export.ErrOverflow)
	require.ErrorContains(t, err, "which bfloat16 cannot hold: choose float32")
}

// A tokenizer that cannot be read is found before hours of weights are written.
func TestFilesComeFirst(t *testing.T) {
	m := newFake()
	m.files = []source.File{{Name: "tokenizer.json", Path: filepath.Join(t.TempDir(), "tokenizer.json")}}
	m.rows = func(string, []byte, int64) error { panic("a weight was read") }
	_, err := export.ConvertModel(context.Background(), m, export.Options{OutputDir: filepath.Join(t.TempDir(), "c")})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "tokenizer.json")
}

// Infinities and NaN that the source has are its own affair.
func TestNonFiniteValuesPass(t *testing.T) {
	m := newFake()
	m.rows = func(_ string, dst []byte, _ int64) error {
		binary.LittleEndian.PutUint32(dst, math.Float32bits(float32(math.Inf(-1))))
		return nil
	}
	_, err := export.ConvertModel(context.Background(), m, export.Options{OutputDir: filepath.Join(t.TempDir(), "c"), Dtype: "float16"})
	require.NoError(t, err)
}

func TestErrorsLeaveNothing(t *testing.T) {
	broken := errors.New("bad sector")
	for name, spoil := range map[string]func(m *fakeModel){
		"read": func(m *fakeModel) {
			m.rows = func(name string, _ []byte, _ int64) error {
				if name == "lm_head.weight" {
					return broken
				}
				return nil
			}
		},
		"missing":        func(m *fakeModel) { m.lacks = "lm_head.weight" },
		"file name":      func(m *fakeModel) { m.files = []source.File{{Name: "../escape", Data: []byte("x")}} },
		"file not there": func(m *fakeModel) { m.files = []source.File{{Name: "x", Path: "/does/not/exist"}} },
		"twice":          func(m *fakeModel) { m.files = []source.File{{Name: "x"}, {Name: "x"}} },
	} {
		t.Run(name, func(t *testing.T) {
			m := newFake()
			spoil(m)
			parent := t.TempDir()
			_, err := export.ConvertModel(context.Background(), m, export.Options{OutputDir: filepath.Join(parent, "out", "ckpt")})
			require.Error(t, err)
			if name == "read" {
				require.ErrorIs(t, err, broken)
				require.ErrorContains(t, err, "fake/lm_head.weight")
			}
			requireNothing(t, parent+map[bool]string{true: "", false: "/out"}[name == "missing"])
		})
	}
}

func TestCancel(t *testing.T) {
	m := newFake()
	ctx, cancel := context.WithCancelCause(context.Background())
	reads := atomic.Int64{}
	m.rows = func(string, []byte, int64) error {
		if reads.Add(1) == 5 {
			cancel(context.Canceled)
		}
		return nil
	}
	parent := t.TempDir()
	_, err := export.ConvertModel(ctx, m, export.Options{OutputDir: filepath.Join(parent, "ckpt"), Workers: 2})
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, reads.Load(), int64(10))
	requireNothing(t, parent)

	_, err = export.ConvertModel(ctx, newFake(), export.Options{OutputDir: filepath.Join(parent, "ckpt")})
	require.ErrorIs(t, err, context.Canceled)
	requireNothing(t, parent)
}

// A failed export leaves the former checkpoint as it was.
func TestFailureKeepsTheFormerCheckpoint(t *testing.T) {
	out := filepath.Join(t.TempDir(), "ckpt")
	_, err := export.ConvertModel(context.Background(), newFake(), export.Options{OutputDir: out, TPSize: 2})
	require.NoError(t, err)
	m := newFake()
	m.rows = func(string, []byte, int64) error { return errors.New("bad sector") }
	_, err = export.ConvertModel(context.Background(), m, export.Options{OutputDir: out})
	require.Error(t, err)
	c, err := checkpoint.Open(out)
	require.NoError(t, err)
	require.Equal(t, 2, c.Config().Mapping.TPSize)
	require.NoError(t, c.Close())
}

func TestOptions(t *testing.T) {
	for message, o := range map[string]export.Options{
		"no output directory":      {},
		`dtype "fp16"`:             {OutputDir: "x", Dtype: "fp16"},
		"must not be negative":     {OutputDir: "x", TPSize: -1},
		"embedding_sharding_dim 2": {OutputDir: "x", EmbeddingShardingDim: 2},
	} {
		_, err := export.ConvertModel(context.Background(), newFake(), o)
		require.ErrorIs(t, err, export.ErrOption)
		require.ErrorContains(t, err, message)
	}
}

func TestSourceAndOutputStayApart(t *testing.T) {
	dir := testmodel.Dir(t, "llama-f32")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	for _, out := range []string{dir, filepath.Join(dir, "ckpt"), filepath.Join(dir, "a", "b"), filepath.Dir(dir), link, filepath.Join(link, "ckpt")} {
		_, err := export.Convert(context.Background(), dir, export.Options{OutputDir: out})
		require.ErrorIs(t, err, export.ErrOption, out)
		require.ErrorContains(t, err, "inside each other")
	}
	require.NoDirExists(t, filepath.Join(dir, "ckpt"))
	beside := dir + "-ckpt" // a common prefix is no nesting
	_, err := export.Convert(context.Background(), dir, export.Options{OutputDir: beside})
	require.NoError(t, err)
}

func TestOutputThatMustNotBeReplaced(t *testing.T) {
	dir := testmodel.Dir(t, "llama-f32")
	out := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(out, "thesis.tex"), nil, 0o644))
	_, err := export.Convert(context.Background(), dir, export.Options{OutputDir: out})
	require.ErrorIs(t, err, export.ErrOutput)
	require.ErrorContains(t, err, out)
	require.FileExists(t, filepath.Join(out, "thesis.tex"))

	file := filepath.Join(out, "thesis.tex")
	_, err = export.Convert(context.Background(), dir, export.Options{OutputDir: file})
	require.ErrorIs(t, err, export.ErrOutput)
	_, err = export.Convert(context.Background(), dir, export.Options{OutputDir: filepath.Join(file, "ckpt")})
	require.ErrorContains(t, err, filepath.Join(file, "ckpt"))

	empty := t.TempDir()
	for range 2 { // an empty directory, then a checkpoint of ours
		_, err = export.Convert(context.Background(), dir, export.Options{OutputDir: empty})
		require.NoError(t, err)
	}
}

// Memory does not grow with the model: 50 MB are converted within 16 MB.
func TestMemoryIsBounded(t *testing.T) {
	m := newFake()
	c := m.config
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumAttentionHeads, c.NumKeyValueHeads, c.HeadSize = 2000, 1024, 2048, 16, 16, 64
	runtime.GC()
	var start, now runtime.MemStats
	runtime.ReadMemStats(&start)
	peak, calls := uint64(0), 0
	report, err := export.ConvertModel(context.Background(), m, export.Options{
		OutputDir: filepath.Join(t.TempDir(), "ckpt"), Dtype: "bfloat16", Workers: 2,
		Progress: func(int64, int64, string) {
			if calls++; calls%2 == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
			}
		},
	})
	require.NoError(t, err)
	require.Greater(t, report.Bytes, int64(45<<20))
	require.Less(t, peak, start.HeapAlloc+16<<20)
}

func TestMissingSource(t *testing.T) {
	_, err := export.Convert(context.Background(), filepath.Join(t.TempDir(), "none"), export.Options{OutputDir: filepath.Join(t.TempDir(), "c")})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
