//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// A testWeight is a section and its values, row-major.
type testWeight struct {
	section cpuengine.Section
	values  []float32
}

// ReadRows gives rows in the section's dtype.
func (w *testWeight) ReadRows(dst []byte, first, n int) error {
	cols := w.section.Cols
	for i, v := range w.values[first*cols : (first+n)*cols] {
		if w.section.Dtype == cpuengine.DtypeBF16 {
			binary.LittleEndian.PutUint16(dst[2*i:], roundBF16(v))
		} else {
			binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
		}
	}
	return nil
}

func writeEngine(t testing.TB, p *cpuengine.Program, weights []*testWeight) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rank0.engine")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	var sections []cpuengine.Section
	for _, w := range weights {
		require.Len(t, w.values, w.section.Rows*w.section.Cols, w.section.Name)
		sections = append(sections, w.section)
	}
	writer, err := cpuengine.NewWriter(file, p, sections)
	require.NoError(t, err)
	for _, w := range weights {
		require.NoError(t, writer.WriteSection(t.Context(), w))
	}
	require.NoError(t, writer.Close())
	return path
}

func openEngine(t testing.TB, path string, o Options) *Runner {
	t.Helper()
	if o.Threads == 0 {
		o.Threads = 1
	}
	r, err := Open(t.Context(), path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// tableEngine is a model whose logits after token t are exactly factor[t%len]·logits,
// whatever came before: a hidden state of one value, and an attention that nobody reads.
func tableEngine(t testing.TB, logits, factors []float32) string {
	t.Helper()
	vocab := len(logits)
	embedding := make([]float32, vocab)
	for i := range embedding {
		embedding[i] = factors[i%len(factors)]
	}
	const f32 = cpuengine.DtypeF32
	return writeEngine(t, &cpuengine.Program{
		VocabSize: vocab, HiddenSize: 1, NumLayers: 1, MaxPositionEmbeddings: 256, WeightDtype: f32,
		Buffers: []cpuengine.Buffer{
			{Name: "x", Width: 1}, {Name: "qkv", Width: 6}, {Name: "attended", Width: 2},
			{Name: "selected", Width: 1, Selected: true}, {Name: "logits", Width: vocab, Selected: true},
		},
		Ops: []cpuengine.Op{
			{Kind: cpuengine.OpEmbedding, Name: "embedding", In: -1, Out: 0, Weight: 0, Bias: -1, InvFreq: -1, OutFactor: -1, Width: 1},
			{Kind: cpuengine.OpLinear, Name: "qkv", In: 0, Out: 1, Weight: 1, Bias: -1, InvFreq: -1, OutFactor: -1, N: 6, K: 1},
			{Kind: cpuengine.OpAttention, Name: "attention", In: 1, Out: 2, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Heads: 1, KVHeads: 1, HeadSize: 2, Scale: 1},
			{Kind: cpuengine.OpSelect, Name: "select", In: 0, Out: 3, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Width: 1},
			{Kind: cpuengine.OpLinear, Name: "lm_head", In: 3, Out: 4, Weight: 2, Bias: -1, InvFreq: -1, OutFactor: -1, N: vocab, K: 1},
		},
	}, []*testWeight{
		{cpuengine.Section{Name: "embedding.weight", Dtype: f32, Layout: cpuengine.LayoutRows, Rows: vocab, Cols: 1}, embedding},
		{cpuengine.Section{Name: "qkv.weight", Dtype: f32, Layout: cpuengine.LayoutPanel, Rows: 6, Cols: 1}, []float32{1, 2, 3, 4, 5, 6}},
		{cpuengine.Section{Name: "lm_head.weight", Dtype: f32, Layout: cpuengine.LayoutPanel, Rows: vocab, Cols: 1}, logits},
	})
}

// A modelShape is a small transformer with random weights.
type modelShape struct {
	dtype                               string
	vocab, hidden, heads, kvHeads, head int
	ffn, layers, window, maxPositions   int
	embedding                           string // layout of the embedding; "" is rows
	seed                                uint64
	kvDtype                             string // of the KV cache; "" is the runner's choice
	kvScale                             float32
	pairs                               bool // whether kernels multiply keys and values as pairs of bfloat16, for the reference
	weights                             []*testWeight
	program                             *cpuengine.Program
}

func smallModel(dtype string) *modelShape {
	return &modelShape{dtype: dtype, vocab: 61, hidden: 24, heads: 4, kvHeads: 2, head: 6, ffn: 21, layers: 1, maxPositions: 256, seed: 1}
}

func (m *modelShape) add(r *rand.Rand, name, dtype, layout string, rows, cols int) int {
	spread := 1.5 / math.Sqrt(float64(cols))
	if rows == 1 || name == "embedding.weight" {
		spread = 1
	}
	section := cpuengine.Section{Name: name, Dtype: dtype, Layout: layout, Rows: rows, Cols: cols}
	m.weights = append(m.weights, &testWeight{section, normals(r, rows*cols, spread)})
	return len(m.weights) - 1
}

// write builds the program and writes the engine; the same shape and seed gives the
// same weights.
func (m *modelShape) write(t testing.TB) string {
	t.Helper()
	const f32, rows, panel = cpuengine.DtypeF32, cpuengine.LayoutRows, cpuengine.LayoutPanel
	r := newRand(m.seed)
	width := (m.heads + 2*m.kvHeads) * m.head
	m.weights = nil
	layout := rows
	if m.embedding != "" {
		layout = m.embedding
	}
	m.program = &cpuengine.Program{
		VocabSize: m.vocab, HiddenSize: m.hidden, NumLayers: m.layers, MaxPositionEmbeddings: m.maxPositions, WeightDtype: m.dtype, KVCacheDtype: m.kvDtype,
		Buffers: []cpuengine.Buffer{
			{Name: "x", Width: m.hidden}, {Name: "normed", Width: m.hidden, LinearInput: true}, {Name: "qkv", Width: width},
			{Name: "attended", Width: m.heads * m.head, LinearInput: true}, {Name: "gated", Width: 2 * m.ffn},
			{Name: "activated", Width: m.ffn, LinearInput: true}, {Name: "selected", Width: m.hidden, Selected: true},
			{Name: "normed selected", Width: m.hidden, Selected: true, LinearInput: true}, {Name: "logits", Width: m.vocab, Selected: true},
		},
	}
	op := func(o cpuengine.Op) { m.program.Ops = append(m.program.Ops, o) }
	norm := func(name string, in, out int) {
		op(cpuengine.Op{Kind: cpuengine.OpNorm, Name: name, In: in, Out: out, Weight: m.add(r, name, f32, rows, 1, m.hidden), Bias: -1, InvFreq: -1, OutFactor: -1, Norm: cpuengine.NormRMS, Epsilon: 1e-5})
	}
	linear := func(name string, in, out, n, k int, accumulate bool) {
		op(cpuengine.Op{Kind: cpuengine.OpLinear, Name: name, In: in, Out: out, Weight: m.add(r, name+".weight", m.dtype, panel, n, k),
			Bias: m.add(r, name+".bias", f32, rows, 1, n), InvFreq: -1, OutFactor: -1, N: n, K: k, Accumulate: accumulate})
	}
	op(cpuengine.Op{Kind: cpuengine.OpEmbedding, Name: "embedding", In: -1, Out: 0, Weight: m.add(r, "embedding.weight", m.dtype, layout, m.vocab, m.hidden), Bias: -1, InvFreq: -1, OutFactor: -1, Width: m.hidden})
	frequencies := m.add(r, "inv_freq", f32, rows, 1, 2)
	for layer := range m.layers {
		norm("input_layernorm", 0, 1)
		linear("qkv", 1, 2, width, m.hidden, false)
		op(cpuengine.Op{Kind: cpuengine.OpAttention, Name: "attention", In: 2, Out: 3, Weight: -1, Bias: -1, InvFreq: frequencies, OutFactor: -1, Layer: layer,
			Heads: m.heads, KVHeads: m.kvHeads, HeadSize: m.head, RotaryDim: 4, Scale: 0.4, Window: m.window, KVScale: m.kvScale})
		linear("dense", 3, 0, m.hidden, m.heads*m.head, true)
		norm("post_layernorm", 0, 1)
		linear("fc", 1, 4, 2*m.ffn, m.hidden, false)
		op(cpuengine.Op{Kind: cpuengine.OpActivation, Name: "mlp", In: 4, Out: 5, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Function: cpuengine.FunctionSilu, Gated: true, Width: m.ffn})
		linear("proj", 5, 0, m.hidden, m.ffn, true)
	}
	op(cpuengine.Op{Kind: cpuengine.OpSelect, Name: "select", In: 0, Out: 6, Weight: -1, Bias: -1, InvFreq: -1, OutFactor: -1, Width: m.hidden})
	norm("ln_f", 6, 7)
	linear("lm_head", 7, 8, m.vocab, m.hidden, false)
	return writeEngine(t, m.program, m.weights)
}

// piece is tokens[from:] of a sequence, at their positions, over the blocks.
func piece(tokens []int32, from int, blocks ...int32) executor.Sequence {
	s := executor.Sequence{Tokens: tokens[from:], BlockTable: blocks, SeqLen: len(tokens)}
	for i := from; i < len(tokens); i++ {
		s.Positions = append(s.Positions, int32(i))
	}
	return s
}

// wanting asks for the full row after each token.
func wanting(s executor.Sequence, candidates int) executor.Sequence {
	for i := range s.Tokens {
		s.Rows = append(s.Rows, executor.LogitsRow{Index: i, Candidates: candidates, Logits: true})
	}
	return s
}

// wantingLast asks for the full row after the last token.
func wantingLast(s executor.Sequence, candidates int) executor.Sequence {
	s.Rows = []executor.LogitsRow{{Index: len(s.Tokens) - 1, Candidates: candidates, Logits: true}}
	return s
}

func step(t testing.TB, r *Runner, batch ...executor.Sequence) []executor.RowResult {
	t.Helper()
	var out executor.StepResult
	require.NoError(t, r.Step(context.Background(), batch, &out))
	return out.Rows
}

func randomTokens(seed uint64, n, vocab int) []int32 {
	r := newRand(seed)
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(r.IntN(vocab))
	}
	return tokens
}
