//go:build !race

// The race detector would find nothing here that it does not in the comparisons, and be slow.

package tensorrt_test

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// noticed tells whether the comparison with transformers fails, by numbers or by an error.
func noticed(t testing.TB, e *engine, name string) bool {
	t.Helper()
	want := testmodel.Golden(t, name)
	got, err := serve(e.load(t, false), want.Prompts[1:3], want.GreedyIDs[1:3], 2)
	if err != nil {
		t.Logf("noticed: %v", err)
		return true
	}
	want.Prompts, want.Logits, want.GreedyIDs, want.LogProbs = want.Prompts[1:3], want.Logits[1:3], want.GreedyIDs[1:3], want.LogProbs[1:3]
	d := got.against(want, 2)
	t.Logf("greatest difference %.2g", d.most)
	return !(d.most <= 1.5e-4 && d.logProb <= 3e-4)
}

// ofKind gives the layers of a kind, or of a plugin.
func ofKind(net *graph.Network, kind string) []*graph.Layer {
	var list []*graph.Layer
	for i := range net.Layers {
		l := &net.Layers[i]
		if p, ok := l.Op.(graph.Plugin); ok && p.Creator == kind || !ok && l.Op.Kind() == kind {
			list = append(list, l)
		}
	}
	return list
}

// mutate changes layers of a kind whose name has a part, and fails where there is none.
func mutate(kind, part string, change func(l *graph.Layer)) func(t testing.TB, net *graph.Network) {
	return func(t testing.TB, net *graph.Network) {
		t.Helper()
		found := false
		for _, l := range ofKind(net, kind) {
			if strings.Contains(l.Name, part) {
				change(l)
				found = true
			}
		}
		require.True(t, found, "no layer %s of kind %s", part, kind)
	}
}

// field changes a field of plugins.
func field(plugin, name string, change func(f *graph.Field)) func(t testing.TB, net *graph.Network) {
	return mutate(plugin, "", func(l *graph.Layer) {
		p := l.Op.(graph.Plugin)
		p.Attributes = slices.Clone(p.Attributes)
		i := slices.IndexFunc(p.Attributes, func(f graph.Field) bool { return f.Name == name })
		f := p.Attributes[i]
		f.Ints, f.Floats = slices.Clone(f.Ints), slices.Clone(f.Floats)
		change(&f)
		p.Attributes[i] = f
		l.Op = p
	})
}

func set(v int64) func(f *graph.Field) { return func(f *graph.Field) { f.Ints[0] = v } }

func times(v float32) func(f *graph.Field) { return func(f *graph.Field) { f.Floats[0] *= v } }

// swapped exchanges the sources of two layers' constants by the names of their weights.
func swapped(a, b string) func(t testing.TB, net *graph.Network) {
	return func(t testing.TB, net *graph.Network) {
		t.Helper()
		var found [2]*graph.Weights
		for _, w := range net.Weights() {
			if w.Name == a {
				found[0] = w
			}
			if w.Name == b {
				found[1] = w
			}
		}
		require.NotNil(t, found[0], a)
		require.NotNil(t, found[1], b)
		found[0].Read, found[1].Read = found[1].Read, found[0].Read
	}
}

// scaled multiplies float32 weights whose name has a part.
func scaled(part string, by float32) func(t testing.TB, net *graph.Network) {
	return func(t testing.TB, net *graph.Network) {
		t.Helper()
		found := false
		for _, w := range net.Weights() {
			if !strings.Contains(w.Name, part) || w.Type != graph.Float {
				continue
			}
			read := w.Read
			found = true
			w.Read = func(source graph.Source) ([]byte, error) {
				data, err := read(source)
				data = slices.Clone(data)
				for i := 0; i < len(data); i += 4 {
					v := math.Float32frombits(binary.LittleEndian.Uint32(data[i:]))
					binary.LittleEndian.PutUint32(data[i:], math.Float32bits(v*by))
				}
				return data, err
			}
		}
		require.True(t, found, "no weights %s", part)
	}
}

type mutation struct {
	what   string
	model  string
	change func(c *checkpoint.Config)
	with   []func(o *tensorrt.Options)
	mutate func(t testing.TB, net *graph.Network)
}

// Each mistake in a recorded network, one at a time, is noticed: otherwise the comparisons
// above would prove nothing.
func TestNumbersNotice(t *testing.T) {
	auto := "auto"
	gemm := []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.GemmPlugin = &auto })}
	unfused := []func(o *tensorrt.Options){plugins(func(p *engineconfig.Plugin) { p.UseFusedMLP = false })}
	drop := func(name string) func(t testing.TB, net *graph.Network) {
		return mutate("GPTAttention", "", func(l *graph.Layer) {
			p := l.Op.(graph.Plugin)
			p.Attributes = slices.DeleteFunc(slices.Clone(p.Attributes), func(f graph.Field) bool { return f.Name == name })
			l.Op = p
		})
	}
	operation := func(part string, op graph.ElementWiseOperation) func(t testing.TB, net *graph.Network) {
		return mutate("ElementWise", part, func(l *graph.Layer) { l.Op = graph.ElementWise{Operation: op} })
	}
	pass := func(l *graph.Layer) { // the layer does nothing
		l.Op, l.Inputs = graph.Cast{To: l.Outputs[0].Type}, l.Inputs[:1]
	}
	for _, m := range []mutation{
		{"nothing", "llama-gqa", nil, nil, nil},
		{"nothing, divided", "llama-gqa", divided(2, 2, embeddingDivided(0)), nil, nil},

		{"scores not scaled", "llama-gqa", nil, nil, field("GPTAttention", "q_scaling", times(2))},
		{"a layer's cache in another's place", "llama-gqa", nil, nil, field("GPTAttention", "layer_idx", set(0))},
		{"heads of half the size", "llama-gqa", nil, nil, field("GPTAttention", "head_size", set(8))},
		{"KV heads as many as heads", "llama-gqa", nil, nil, field("GPTAttention", "num_kv_heads", set(4))},
		{"heads exchanged with KV heads", "llama-gqa", nil, nil, field("GPTAttention", "num_heads", set(2))},
		{"half of a head turns", "llama-gqa", nil, nil, field("GPTAttention", "rotary_embedding_dim", set(8))},
		{"all of a head turns", "nemotron", nil, nil, field("GPTAttention", "rotary_embedding_dim", set(16))},
		{"neighbours turn", "llama-gqa", nil, nil, field("GPTAttention", "position_embedding_type", set(1))},
		{"nothing turns", "llama-gqa", nil, nil, field("GPTAttention", "position_embedding_type", set(0))},
		{"a shorter table", "llama-gqa", nil, nil, field("GPTAttention", "rotary_embedding_max_positions", set(64))},
		{"larger blocks", "llama-gqa", nil, nil, field("GPTAttention", "tokens_per_block", set(16))},
		{"an FP8 cache", "llama-gqa", nil, nil, field("GPTAttention", "kv_cache_quant_mode", set(128))},
		{"float16", "llama-gqa", nil, nil, field("GPTAttention", "type_id", set(1))},
		{"FP8 from attention", "llama-gqa", nil, nil, field("GPTAttention", "use_fp8_context_fmha", set(1))},
		{"softcapping", "llama-gqa", nil, nil, field("GPTAttention", "attn_logit_softcapping_scale", func(f *graph.Field) { f.Floats[0] = 30 })},
		{"a flag of another type", "llama-gqa", nil, nil, field("GPTAttention", "remove_input_padding", func(f *graph.Field) { f.Type = graph.FieldInt32 })},
		{"a number of another type", "llama-gqa", nil, nil, field("GPTAttention", "tokens_per_block", func(f *graph.Field) { f.Type = graph.FieldInt8 })},
		{"a field of two values", "llama-gqa", nil, nil, field("GPTAttention", "num_heads", func(f *graph.Field) { f.Ints = append(f.Ints, 4) })},
		{"a field that no plugin has", "llama-gqa", nil, nil, field("GPTAttention", "skip_attn", func(f *graph.Field) { f.Name = "skip_attention" })},
		{"an input too few", "llama-gqa", nil, nil, mutate("GPTAttention", "", func(l *graph.Layer) { l.Inputs = l.Inputs[:len(l.Inputs)-1] })},
		{"an input too many", "llama-gqa", nil, nil, mutate("GPTAttention", "", func(l *graph.Layer) { l.Inputs = append(l.Inputs, l.Inputs[len(l.Inputs)-1]) })},
		{"another version", "llama-gqa", nil, nil, mutate("GPTAttention", "", func(l *graph.Layer) {
			p := l.Op.(graph.Plugin)
			p.Version = "2"
			l.Op = p
		})},
		{"cosines and sines of other positions", "llama-gqa", nil, nil, scaled("rotary_inv_freq", 1.001)},
		{"longer turns", "llama-gqa", nil, nil, scaled("rotary_cos_sin", 1.01)},

		{"gate and up exchanged", "llama-gqa", nil, unfused, swapped("transformer.layers.0.mlp.fc.weight", "transformer.layers.0.mlp.gate.weight")},
		{"norms exchanged", "llama-gqa", nil, nil, swapped("transformer.layers.1.input_layernorm.weight", "transformer.layers.1.post_layernorm.weight")},
		{"layers exchanged", "nemotron", nil, nil, swapped("transformer.layers.1.attention.dense.weight", "transformer.layers.2.attention.dense.weight")},
		{"biases exchanged", "llama-bias", nil, nil, swapped("transformer.layers.0.attention.dense.bias", "transformer.layers.0.mlp.proj.bias")},
		{"head and embedding exchanged", "llama-gqa", nil, nil, swapped("lm_head.weight", "transformer.vocab_embedding.weight")},
		{"another activation", "llama-gqa", nil, nil, mutate("Activation", "", func(l *graph.Layer) { l.Op = graph.Activation{Type: graph.Tanh} })},
		{"ReLU not squared", "nemotron", nil, nil, operation("mlp.activation", graph.Max)},
		{"a residual subtracted", "llama-gqa", nil, nil, operation("layers.0.mlp.residual", graph.Sub)},
		{"a norm by the sum", "llama-gqa", nil, nil, mutate("Reduce", "ln_f", func(l *graph.Layer) {
			l.Op = graph.Reduce{Operation: graph.ReduceSum, Axes: l.Op.(graph.Reduce).Axes}
		})},
		{"a norm without root", "llama-gqa", nil, nil, mutate("Unary", "layers.0.input_layernorm", pass)},
		{"another epsilon", "nemotron", nil, nil, mutate("Normalization", "", func(l *graph.Layer) {
			o := l.Op.(graph.Normalization)
			o.Epsilon *= 100
			l.Op = o
		})},
		{"scale and bias of a norm exchanged", "nemotron", nil, nil, mutate("Normalization", "layers.1.", func(l *graph.Layer) { l.Inputs[1], l.Inputs[2] = l.Inputs[2], l.Inputs[1] })},
		{"the token before the last", "llama-gqa", nil, nil, operation("select_last_tokens", graph.Sum)},
		{"columns of a fused MLP exchanged", "llama-bias", nil, nil, mutate("Slice", "mlp", func(l *graph.Layer) {
			o := l.Op.(graph.Slice)
			if last := len(o.Start) - 1; last == 1 {
				o.Start = []int64{0, map[bool]int64{true: o.To[1].Size, false: 0}[o.Start[1] == 0]}
				l.Op = o
			}
		})},
		{"a GEMM's alpha", "llama-gqa", nil, gemm, field("Gemm", "alpha", times(1.01))},
		{"a GEMM not transposed", "llama-gqa", nil, gemm, field("Gemm", "transb", set(0))},
		{"a GEMM of FP8", "llama-gqa", nil, gemm, field("Gemm", "use_fp8", set(1))},

		{"a sum not over ranks", "llama-gqa", divided(2, 1), nil, mutate("AllReduce", "layers.1.mlp", pass)},
		{"a sum over other ranks", "llama-gqa", divided(2, 2), nil, field("AllReduce", "group", func(f *graph.Field) { f.Ints = []int64{0, 1} })},
		{"a strategy with a workspace", "llama-gqa", divided(2, 1), nil, field("AllReduce", "strategy", set(3))},
		{"a fused sum", "llama-gqa", divided(2, 1), nil, field("AllReduce", "fusion_op", set(1))},
		{"columns of ranks exchanged", "llama-gqa", divided(2, 1), nil, field("AllGather", "group", func(f *graph.Field) { slices.Reverse(f.Ints) })},
		{"to itself", "nemotron", divided(1, 2), nil, func(t testing.TB, net *graph.Network) {
			if len(ofKind(net, "Send")) > 0 {
				field("Send", "tgt_rank", set(0))(t, net)
			}
		}},
		{"from nobody", "nemotron", divided(1, 2), nil, func(t testing.TB, net *graph.Network) {
			if len(ofKind(net, "Recv")) > 0 {
				mutate("Recv", "", pass)(t, net)
			}
		}},
		{"ids of another rank", "llama-gqa", divided(2, 1, embeddingDivided(0)), nil, operation("vocab_embedding/ElementWise", graph.Sum)},
		{"zeros not chosen", "llama-gqa", divided(2, 1, embeddingDivided(0)), nil, mutate("Select", "vocab_embedding", func(l *graph.Layer) { l.Inputs[2] = l.Inputs[1] })},
	} {
		t.Run(m.what, func(t *testing.T) {
			t.Parallel()
			e := lowered(t, tinycheckpoint.Dir(t, m.model, m.change), options(append([]func(o *tensorrt.Options){small}, m.with...)...))
			if m.mutate == nil {
				require.False(t, noticed(t, e, m.model))
				return
			}
			for _, net := range e.networks {
				m.mutate(t, net)
			}
			require.True(t, noticed(t, e, m.model))
		})
	}
	dir := tinycheckpoint.Dir(t, "llama-f32", nil)
	for _, f := range ofKind(lowered(t, dir, options(small)).networks[0], "GPTAttention")[0].Op.Fields() {
		t.Run("without "+f.Name, func(t *testing.T) {
			t.Parallel()
			e := lowered(t, dir, options(small))
			drop(f.Name)(t, e.networks[0])
			require.True(t, noticed(t, e, "llama-f32"))
		})
	}
}

// No two inputs of attention can change places, whatever their types are.
func TestAttentionInputsCannotChangePlaces(t *testing.T) {
	dir := exported(t, "nemotron.fp8_kv", 1, 1)
	e := lowered(t, dir, options(small))
	n := len(ofKind(e.networks[0], "GPTAttention")[0].Inputs)
	require.Equal(t, 20, n)
	prompts := testmodel.Quantised(t, "nemotron.fp8_kv").Prompts[1:2]
	output := [][]int32{{7, 8}}
	want, err := serve(e.load(t, false), prompts, output, 2)
	require.NoError(t, err)
	for i := range n {
		for j := range i {
			e := lowered(t, dir, options(small))
			mutate("GPTAttention", "", func(l *graph.Layer) { l.Inputs[i], l.Inputs[j] = l.Inputs[j], l.Inputs[i] })(t, e.networks[0])
			got, err := serve(e.load(t, false), prompts, output, 2)
			if err != nil {
				continue
			}
			same := true
			for position, row := range want[0] {
				same = same && slices.Equal(row, got[0][position])
			}
			require.False(t, same, "inputs %d and %d", j, i)
		}
	}
}
