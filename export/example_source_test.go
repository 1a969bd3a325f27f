package export_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/source"
)

// waves is a model whose weights are computed, row by row, when they are asked
// for. It implements source.Model.
type waves struct{ config *checkpoint.Config }

func (m waves) Format() string                { return "waves" }
func (m waves) Config() *checkpoint.Config    { return m.config }
func (m waves) Inventory() []source.Info      { return nil } // nothing is stored
func (m waves) Files() ([]source.File, error) { return nil, nil }
func (m waves) Notes() []string               { return []string{"weights of waves say nothing"} }
func (m waves) Close() error                  { return nil }

// Tensor is asked for each weight of the undivided model by the checkpoint's name,
// with the shape that the config gives; dividing is the exporter's business.
func (m waves) Tensor(name string, shape []int64) (source.Tensor, error) {
	columns := int64(1)
	if len(shape) == 2 {
		columns = shape[1]
	}
	return source.Tensor{Origin: name, Dtype: "F32", Shape: shape, Rows: waveRows(columns)}, nil
}

// waveRows gives rows of so many columns.
type waveRows int64

func (columns waveRows) ReadRows(dst []byte, row int64) error {
	first := row * int64(columns)
	for i := range int64(len(dst) / 4) {
		v := float32(math.Sin(float64(first + i)))
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
	return nil
}

// A source of one's own: what the exporter needs to know of a model.
func ExampleConvertModel() {
	model := waves{&checkpoint.Config{
		Architecture: "LlamaForCausalLM", Dtype: checkpoint.Float32, LogitsDtype: checkpoint.Float32,
		VocabSize: 100, HiddenSize: 32, NumHiddenLayers: 2, NumAttentionHeads: 4, NumKeyValueHeads: 2, HeadSize: 8,
		IntermediateSize: 64, MaxPositionEmbeddings: 128, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
	}}
	parent, err := os.MkdirTemp("", "waves")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "checkpoint")

	report, err := export.ConvertModel(context.Background(), model, export.Options{OutputDir: dir, Dtype: "bfloat16", TPSize: 2})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(report.Architecture, report.Dtype, report.Ranks, "ranks", report.Tensors, "tensors")
	for _, note := range report.Notes {
		fmt.Println(note)
	}
	verified, err := export.VerifyModel(context.Background(), model, dir, export.VerifyOptions{})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Printf("%d tensors rounded, by %.4f at most\n", len(verified.Rounded), verified.Worst.Absolute)
	// Output:
	// LlamaForCausalLM bfloat16 2 ranks 34 tensors
	// weights of waves say nothing
	// 34 tensors rounded, by 0.0020 at most
}
