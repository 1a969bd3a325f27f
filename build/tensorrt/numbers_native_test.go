package tensorrt_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/export"
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
	return g, source, evaluator.SlotsConfig{MaxBatchSize: o.MaxBatchSize, MaxSeqLen: o.MaxSeqLen,
		GatherContextLogits: o.GatherContextLogits, VocabSize: int(ckpt.Config().VocabSize)}
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
			name, kind, _ := strings.Cut(form, ".")
			dir := exportedFloat32(t, name, kind)
			s, want := slots(t, dir, gatherNative), testmodel.Quantised(t, form)
			got, err := serve(s, want.Prompts, nil, 0)
			require.NoError(t, err)
			count, rms := differ(want.Logits["float32"], got.inOrder(want.Prompts), 2e-3)
			t.Logf("%d rows differ, rms %.2g", count, rms)
			require.Less(t, rms, want.Error["float32"].RMS/10)
			require.Zero(t, count)
		})
	}
}

// exportedFloat32 exports a form in float32.
func exportedFloat32(t testing.TB, name, kind string) string {
	t.Helper()
	o := export.Options{Dtype: "float32", KVCacheDtype: "none", OutputDir: filepath.Join(t.TempDir(), "checkpoint")}
	source := testmodel.Dir(t, name)
	switch kind {
	case "fp8", "awq":
		source = testmodel.QuantisedDir(t, name+"."+kind)
	default:
		o.QFormat = kind
	}
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return o.OutputDir
}
