//go:build !race

// The race detector would find nothing here that it does not in the comparisons, and be slow.

package tensorrt_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// Mistakes in networks without plugins are noticed as well.
func TestNumbersNoticeWithoutPlugins(t *testing.T) {
	operation := func(part string, from, to graph.ElementWiseOperation) func(t testing.TB, net *graph.Network) {
		return func(t testing.TB, net *graph.Network) {
			found := false
			mutate("ElementWise", part, func(l *graph.Layer) {
				if l.Op.(graph.ElementWise).Operation == from {
					l.Op, found = graph.ElementWise{Operation: to}, true
				}
			})(t, net)
			require.True(t, found)
		}
	}
	exchange := func(kind string, i, j int) func(t testing.TB, net *graph.Network) {
		return mutate(kind, "", func(l *graph.Layer) { l.Inputs[i], l.Inputs[j] = l.Inputs[j], l.Inputs[i] })
	}
	for _, m := range []struct {
		what, model string
		mutate      func(t testing.TB, net *graph.Network)
	}{
		{"nothing", "mistral-window", nil},
		{"no mask", "mistral-window", mutate("Attention", "", func(l *graph.Layer) { l.Inputs = l.Inputs[:3] })},
		{"a token does not see itself", "llama-gqa", operation("", graph.Greater, graph.Less)},
		{"keys for values", "llama-gqa", exchange("Attention", 1, 2)},
		{"cosine for sine", "llama-gqa", exchange("RotaryEmbedding", 1, 2)},
		{"neighbours turn", "llama-gqa", mutate("RotaryEmbedding", "", func(l *graph.Layer) { l.Op = graph.RotaryEmbedding{Interleaved: true} })},
		{"keys of the update for the cache", "llama-gqa", mutate("KVCacheUpdate", "layers.1.", func(l *graph.Layer) { l.Inputs[1] = l.Inputs[0] })},
		{"queries not scaled", "llama-gqa", operation("layers.0.attention/", graph.Prod, graph.Max)},
		{"the window is one shorter", "mistral-window", operation("layers.0.attention/", graph.Sub, graph.Max)},
		{"the token after the last", "llama-gqa", operation("select_last_tokens", graph.Sub, graph.Sum)},
		{"outputs of caches exchanged", "llama-gqa", func(_ testing.TB, net *graph.Network) {
			net.Outputs[0].Name, net.Outputs[1].Name = net.Outputs[1].Name, net.Outputs[0].Name
		}},
		{"heads beside one another", "llama-gqa", mutate("Shuffle", "layers.2.attention", func(l *graph.Layer) {
			if o := l.Op.(graph.Shuffle); slices.Equal(o.First, []int{0, 2, 1, 3}) {
				l.Op, l.Inputs = graph.Cast{To: l.Outputs[0].Type}, l.Inputs[:1]
			}
		})},
	} {
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			net, source, config := loweredNative(t, tinycheckpoint.Dir(t, m.model, nil), nativeOptions())
			if m.mutate != nil {
				m.mutate(t, net)
			}
			s, err := evaluator.NewSlots(net, source, config, false)
			require.NoError(t, err)
			want := testmodel.Golden(t, m.model)
			got, err := serve(s, want.Prompts, want.GreedyIDs, 2)
			if m.mutate != nil && err != nil {
				t.Logf("noticed: %v", err)
				return
			}
			require.NoError(t, err)
			d := got.against(want, 2)
			require.Equal(t, m.mutate != nil, !(d.most <= 1.5e-4 && d.logProb <= 3e-4), "greatest difference %g", d.most)
		})
	}
}

// Mistakes with scales and orders of quantised weights are noticed.
func TestNumbersNoticeInQuantisedForms(t *testing.T) {
	fp8 := "fp8"
	gemm := []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.GemmPlugin = &fp8 })}
	exchange := func(kind string, i, j int) func(t testing.TB, net *graph.Network) {
		return mutate(kind, "layers.1.", func(l *graph.Layer) { l.Inputs[i], l.Inputs[j] = l.Inputs[j], l.Inputs[i] })
	}
	for _, m := range []struct {
		what, form string
		with       []func(o *tensorrt.Options)
		mutate     func(t testing.TB, net *graph.Network)
	}{
		{"alpha", "nemotron.fp8", gemm, field("Gemm", "alpha", times(1.1))},
		{"scales of two linears exchanged", "nemotron.fp8", nil, func(t testing.TB, net *graph.Network) {
			list := ofKind(net, "Dequantize") // input and weight, linear by linear
			require.Greater(t, len(list), 4)
			list[1].Inputs[1], list[3].Inputs[1] = list[3].Inputs[1], list[1].Inputs[1]
		}},
		{"scales of the cache exchanged", "nemotron.fp8_kv", nil, exchange("GPTAttention", 12, 13)},
		{"output by the cache's scale", "nemotron.fp8_kv", nil, exchange("GPTAttention", 12, 14)},
		{"another capability's order", "llama-gqa.int8_wo", []func(o *tensorrt.Options){func(o *tensorrt.Options) { o.ComputeCapability = 90 }}, nil},
		{"another capability's order of 4 bits", "nemotron.int4_wo", []func(o *tensorrt.Options){func(o *tensorrt.Options) { o.ComputeCapability = 90 }}, nil},
		{"4 bits for 8", "llama-gqa.int8_wo", nil, field("WeightOnlyQuantMatmul", "weight_type_id", set(2))},
		{"other groups", "llama-gqa.awq", nil, field("WeightOnlyGroupwiseQuantMatmul", "group_size", set(8))},
		{"input not scaled", "llama-gqa.awq", nil, field("WeightOnlyGroupwiseQuantMatmul", "quant_algo", set(0))},
	} {
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			want := testmodel.Quantised(t, m.form)
			unfused := plugins(func(p *engineconfig.Plugin) { p.UseFusedMLP = false })
			e := lowered(t, exported(t, m.form, 1, 1), options(append([]func(o *tensorrt.Options){small, gather, unfused}, m.with...)...))
			if m.mutate != nil {
				m.mutate(t, e.networks[0])
			}
			got, err := serve(e.load(t, false), want.Prompts, nil, 0)
			if err != nil {
				t.Logf("noticed: %v", err)
				return
			}
			dtype := "bfloat16"
			if strings.Contains(m.form, ".fp8") {
				dtype = "float32"
			}
			_, rms := differ(want.Logits[dtype], got.inOrder(want.Prompts), 0)
			t.Logf("rms %.2g", rms)
			require.Greater(t, rms, want.Error[dtype].RMS/10)
		})
	}
}
