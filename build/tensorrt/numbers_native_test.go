package tensorrt_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/compatibility"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// slots lowers the checkpoint in dir without plugins; what the test then compares with others'
// numbers is shown to be right.
func slots(t testing.TB, dir string, changes ...func(o *tensorrt.NativeOptions)) *evaluator.Slots {
	t.Helper()
	o := nativeOptions(changes...)
	net, source, config := loweredNative(t, dir, o)
	c, err := checkpoint.ReadConfig(filepath.Join(dir, checkpoint.ConfigName))
	require.NoError(t, err)
	shown.Passed(t, compatibility.Native(c, o))
	s, err := evaluator.NewSlots(net, source, config, false)
	require.NoError(t, err)
	return s
}

func loweredNative(t testing.TB, dir string, o tensorrt.NativeOptions) (*graph.Network, graph.Source, evaluator.SlotsConfig) {
	t.Helper()
	ckpt, err := checkpoint.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ckpt.Close()) })
	net, err := model.New(ckpt.Config(), 0)
	require.NoError(t, err)
	source, err := tensorrt.OpenSource(ckpt, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, source.Close()) })
	g, err := tensorrt.LowerNative(net, o)
	require.NoError(t, err)
	return g, source, evaluator.SlotsConfig{MaxSeqLen: o.MaxSeqLen, GatherContextLogits: o.GatherContextLogits, VocabSize: int(ckpt.Config().VocabSize)}
}

func gatherNative(o *tensorrt.NativeOptions) { o.GatherContextLogits = true }

// Without plugins, too, each model gives transformers' logits: rows of different length, padded, over
// caches that keep what padding wrote, prompts in chunks beside generations.
func TestNumbersWithoutPlugins(t *testing.T) {
	type form struct{ name, dtype string }
	forms := []form{{"llama-gqa", "float32"}, {"mistral-window", "float32"}, {"mistral-window", "float16"}, {"nemotron", "float16"}}
	for _, name := range testmodel.Names() {
		forms = append(forms, form{name, ""})
	}
	for _, f := range forms {
		t.Run(f.name+" "+f.dtype, func(t *testing.T) {
			t.Parallel()
			with := []func(o *tensorrt.NativeOptions){gatherNative, func(o *tensorrt.NativeOptions) { o.WeightsInside = true }}
			if f.name == "llama-gqa" || f.name == "nemotron" {
				with = nil // the last tokens' logits, weights as inputs
			}
			dir := tinycheckpoint.Dir(t, f.name, func(c *checkpoint.Config) {
				switch {
				case f.dtype != "":
					c.Dtype = f.dtype
				case c.HeadSize%8 != 0:
					c.Dtype = checkpoint.Float32 // no kernel of 16 bits has such heads
				}
			})
			s, want := slots(t, dir, with...), testmodel.Golden(t, f.name)
			got, err := serve(s, want.Prompts, want.GreedyIDs, steps)
			require.NoError(t, err)
			d := got.against(want, steps)
			require.Greater(t, d.compared, 15)
			d.within(t, 1.5e-4, 2e-5, 3e-4)
		})
	}
}

// Quantised, they give torch's: in float32, so that scales and weights are not rounded.
func TestNumbersOfQuantisedFormsWithoutPlugins(t *testing.T) {
	for _, form := range []string{"nemotron.fp8", "llama-gqa.fp8", "nemotron.int8_wo", "llama-gqa.int8_wo", "nemotron.int4_wo", "llama-gqa.int4_wo", "llama-gqa.awq"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s, want := slots(t, exportedAs(t, form, "float32", 1, 1), gatherNative), testmodel.Quantised(t, form)
			got, err := serve(s, want.Prompts, nil, 0)
			require.NoError(t, err)
			count, rms := differ(want.Logits["float32"], got.inOrder(want.Prompts), 2e-3)
			t.Logf("%d rows differ, rms %.2g", count, rms)
			require.Less(t, rms, want.Error["float32"].RMS/10)
			require.Zero(t, count)
		})
	}
}

// In 16 bits, integer weights have scales of 16 bits; FP8 is the same in each type.
func TestNumbersOfQuantisedTypesWithoutPlugins(t *testing.T) {
	for _, c := range []struct {
		name, dtype string
		bits        int
	}{
		{"llama-gqa", "bfloat16", 8}, {"llama-gqa", "float16", 4}, {"mistral-window", "bfloat16", 4}, {"mistral-window", "float16", 8},
		{"mistral-window", "bfloat16", 8}, {"nemotron", "bfloat16", 4}, {"nemotron", "float16", 8}, {"nemotron", "bfloat16", 8},
	} {
		t.Run(fmt.Sprintf("%s.int%d %s", c.name, c.bits, c.dtype), func(t *testing.T) {
			t.Parallel()
			prompts := testmodel.Golden(t, c.name).Prompts[1:3]
			logits := func(dir string) [][]float32 {
				got, err := serve(slots(t, dir, gatherNative), prompts, nil, 0)
				require.NoError(t, err)
				return got.inOrder(prompts)
			}
			dir := tinycheckpoint.Dir(t, c.name, dtype("float32"))
			roundLinears(t, dir, 1, c.bits, checkpoint.SafetensorsDtype(c.dtype))
			count, _ := differ(logits(dir), logits(tinycheckpoint.Dir(t, c.name, divided(1, 1, dtype(c.dtype), integers(c.bits)))), 2e-3)
			require.Zero(t, count)
		})
	}
	for _, c := range []struct{ form, dtype string }{{"nemotron.fp8", "bfloat16"}, {"nemotron.fp8", "float16"}, {"llama-gqa.fp8", "bfloat16"}, {"llama-gqa.fp8", "float16"}} {
		t.Run(c.form+" "+c.dtype, func(t *testing.T) {
			t.Parallel()
			want := testmodel.Quantised(t, c.form)
			got, err := serve(slots(t, exportedAs(t, c.form, c.dtype, 1, 1), gatherNative), want.Prompts, nil, 0)
			require.NoError(t, err)
			count, _ := differ(want.Logits["float32"], got.inOrder(want.Prompts), 2e-3)
			require.LessOrEqual(t, count, len(want.Logits["float32"])/5)
		})
	}
}
