package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

// rows is a weight of float32, row-major.
type rows struct {
	section cpuengine.Section
	values  []float32
}

// ReadRows implements cpuengine.Source.
func (r *rows) ReadRows(dst []byte, first, n int) error {
	for i, v := range r.values[first*r.section.Cols : (first+n)*r.section.Cols] {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
	return nil
}

// probeLogits are what the small engine answers.
var probeLogits = []float32{-1, 0.5, 3, 2}

// ProbeCPU runs one step of a small engine on the CPU backend, in a temporary directory.
func ProbeCPU(ctx context.Context) CPU {
	found, err := probeCPU(ctx)
	if err != nil {
		found.Error = err.Error()
	}
	return found
}

func probeCPU(ctx context.Context) (found CPU, err error) {
	dir, err := os.MkdirTemp("", "trtgo-doctor-")
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "rank0.engine")
	if err := writeProbe(ctx, path); err != nil {
		return found, err
	}
	runner, err := cpu.Open(ctx, path, cpu.Options{MaxBatchSize: 1, MaxNumTokens: 4, MaxSeqLen: 32})
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	d := runner.Describe()
	found = CPU{ISA: d.ISA, Threads: d.Threads, AvailableMemory: runner.Limits().Memory.Available}
	var out executor.StepResult
	err = runner.Step(ctx, []executor.Sequence{{
		Tokens: []int32{1}, Positions: []int32{0}, BlockTable: []int32{0}, SeqLen: 1, Rows: []executor.LogitsRow{{Index: 0, Candidates: 1}},
	}}, &out)
	if err != nil {
		return found, err
	}
	if best := out.Rows[0].Candidates[0]; best.Token != 2 || best.Logit != probeLogits[2] {
		return found, fmt.Errorf("a small engine answered token %d with logit %v, want token 2 with %v", best.Token, best.Logit, probeLogits[2])
	}
	return found, nil
}

// writeProbe writes an engine whose logits are probeLogits after every token: a hidden state of one value, and an attention
// that nobody reads.
func writeProbe(ctx context.Context, path string) error {
	const f32, panel = cpuengine.DtypeF32, cpuengine.LayoutPanel
	vocab := len(probeLogits)
	program := &cpuengine.Program{
		VocabSize: vocab, HiddenSize: 1, NumLayers: 1, MaxPositionEmbeddings: 32, WeightDtype: f32,
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
	}
	weights := []*rows{
		{cpuengine.Section{Name: "embedding.weight", Dtype: f32, Layout: cpuengine.LayoutRows, Rows: vocab, Cols: 1}, []float32{1, 1, 1, 1}},
		{cpuengine.Section{Name: "qkv.weight", Dtype: f32, Layout: panel, Rows: 6, Cols: 1}, []float32{1, 2, 3, 4, 5, 6}},
		{cpuengine.Section{Name: "lm_head.weight", Dtype: f32, Layout: panel, Rows: vocab, Cols: 1}, probeLogits},
	}
	var sections []cpuengine.Section
	for _, w := range weights {
		sections = append(sections, w.section)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	writer, err := cpuengine.NewWriter(file, program, sections)
	if err != nil {
		return err
	}
	for _, w := range weights {
		if err := writer.WriteSection(ctx, w); err != nil {
			return err
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return file.Close()
}
