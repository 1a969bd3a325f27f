package tensorrt_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/engineconfig"
)

// TestPluginFields pins name, type, order and value of every field that each release's creators
// get.
func TestPluginFields(t *testing.T) {
	for _, release := range tensorrt.Releases {
		o := options(gemmPlugin, func(o *tensorrt.Options) { o.Release = release })
		all := firstPlugins(lower(t, rank(t, "llama-gqa", 0), o))
		maps.Copy(all, release.CollectiveFields([]int{2, 3}, 5, graph.BF16))
		var s strings.Builder
		for _, creator := range slices.Sorted(maps.Keys(all)) {
			fmt.Fprintf(&s, "%s\n", creator)
			for _, f := range all[creator] {
				fmt.Fprintf(&s, "\t%s %s\n", f.Type, f)
			}
		}
		golden(t, "plugins-"+release.Version+".txt", s.String())
	}
}

// TestFieldsOfCases: what the fields of attention are where the usual ones do not apply.
func TestFieldsOfCases(t *testing.T) {
	attention := func(model string, config configs, changes ...func(o *tensorrt.Options)) map[string]string {
		return text(firstPlugins(lower(t, rank(t, model, 0, config...), options(changes...)))["GPTAttention"])
	}
	f := attention("llama-tied-llama3", nil)
	require.Equal(t, "rotary_embedding_scale_type=4", f["rotary_embedding_scale_type"])
	require.Equal(t, "rotary_embedding_scale=8", f["rotary_embedding_scale"])
	f = attention("llama-headdim", configs{yarn})
	require.Equal(t, "rotary_embedding_scale_type=5", f["rotary_embedding_scale_type"])
	require.Equal(t, "position_embedding_type=2", f["position_embedding_type"])
	f = attention("nemotron", nil)
	require.Equal(t, "rotary_embedding_dim=8", f["rotary_embedding_dim"])
	require.Equal(t, "q_scaling=1", f["q_scaling"])
	f = attention("llama-gqa", configs{func(c *checkpoint.Config) { c.HeadSize = 96 }})
	require.Equal(t, "q_scaling=1", f["q_scaling"], "1/√96 is rounded")
	f = attention("mistral-headdim", configs{mapped(4, 1)})
	require.Equal(t, []string{"num_heads=1", "num_kv_heads=1", "num_kv_heads_origin=2", "tp_size=4"}, []string{f["num_heads"], f["num_kv_heads"], f["num_kv_heads_origin"], f["tp_size"]})
	f = attention("llama-gqa", configs{quantisedCache})
	require.Equal(t, "kv_cache_quant_mode=128", f["kv_cache_quant_mode"])
	for algo, mode := range map[string]string{checkpoint.FP8: "256", checkpoint.W8A16: "2", checkpoint.W4A16: "1", checkpoint.W4A16AWQ: "33"} {
		f = attention("llama-gqa", configs{quantised(algo)})
		require.Equal(t, "kv_cache_quant_mode="+mode, f["kv_cache_quant_mode"], algo)
	}
	f = attention("llama-gqa", configs{quantised(checkpoint.FP8), quantisedCache})
	require.Equal(t, "kv_cache_quant_mode=384", f["kv_cache_quant_mode"])
	// Beyond what the model was made for, the tables go on.
	f = attention("llama-gqa", nil, func(o *tensorrt.Options) { o.MaxSeqLen = 1000 })
	require.Equal(t, "rotary_embedding_max_positions=1000", f["rotary_embedding_max_positions"])
}

// TestScale: what a model multiplies scores by beside 1/√head_size.
func TestScale(t *testing.T) {
	net := rank(t, "llama-gqa", 0, layers(1))
	net.Ops[3].(*network.Attention).Scale = 0.125
	require.Equal(t, "q_scaling=2", text(firstPlugins(lower(t, net, options()))["GPTAttention"])["q_scaling"])
}

// TestEightBitOutput: attention gives E4M3 where the linear behind it takes it, context FMHA is on and
// use_fp8_context_fmha is set; the scale comes behind those of the cache.
func TestEightBitOutput(t *testing.T) {
	without := func(change func(p *engineconfig.Plugin)) func(o *tensorrt.Options) {
		return func(o *tensorrt.Options) { change(&o.Plugins) }
	}
	const scale = "transformer.layers.0.attention.attention_output_orig_quant_scale"
	for name, c := range map[string]struct {
		config  configs
		options choices
		want    graph.DataType
		inputs  []string // behind host_kv_cache_pool_mapping, before the rotary tables
	}{
		"fp8":              {configs{quantised(checkpoint.FP8)}, nil, graph.FP8, []string{scale}},
		"fp8 and cache":    {configs{quantised(checkpoint.FP8), quantisedCache}, nil, graph.FP8, []string{"transformer.layers.0.attention.kv_cache_rcp_scaling_factor", "transformer.layers.0.attention.kv_cache_scaling_factor", scale}},
		"fp8, tp 2":        {configs{quantised(checkpoint.FP8), mapped(2, 1)}, nil, graph.FP8, []string{scale}},
		"plain":            {nil, nil, graph.BF16, nil},
		"W8A16":            {configs{quantised(checkpoint.W8A16)}, nil, graph.BF16, nil},
		"not asked for":    {configs{quantised(checkpoint.FP8)}, choices{without(func(p *engineconfig.Plugin) { p.UseFP8ContextFMHA = false })}, graph.BF16, nil},
		"no context FMHA":  {configs{quantised(checkpoint.FP8)}, choices{without(func(p *engineconfig.Plugin) { p.ContextFMHA = false })}, graph.BF16, nil},
		"dense is not FP8": {configs{quantised(checkpoint.FP8), func(c *checkpoint.Config) { c.Quantization.ExcludeModules = []string{"lm_head", "*dense"} }}, nil, graph.BF16, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := lower(t, rank(t, "llama-gqa", 0, append(configs{layers(1)}, c.config...)...), options(c.options...))
			names := map[*graph.Tensor]string{}
			for _, l := range g.Layers {
				if op, ok := l.Op.(graph.Constant); ok {
					names[l.Outputs[0]] = op.Weights.Name
				}
				if op, ok := l.Op.(graph.Plugin); ok && op.Creator == "GPTAttention" {
					require.Equal(t, c.want, l.Outputs[0].Type)
					var got []string
					for _, in := range l.Inputs[12 : len(l.Inputs)-5] {
						got = append(got, names[in])
					}
					require.Equal(t, c.inputs, got)
					require.Equal(t, map[bool]string{true: "use_fp8_context_fmha=1", false: "use_fp8_context_fmha=0"}[c.want == graph.FP8], text(op.Attributes)["use_fp8_context_fmha"])
				}
			}
		})
	}
	net := rank(t, "llama-gqa", 0, layers(1), quantised(checkpoint.FP8))
	data, err := weights(t, lower(t, net, options()), scale).Values(tensors{"transformer.layers.0.attention.dense.activation_scaling_factor": stored(t, "F32", 0.125, 1)})
	require.NoError(t, err)
	require.Equal(t, []float32{8}, floats(t, data, "F32"))
}

// TestWithoutRotary: no table and no dimension where positions are not turned; the plugin
// wants both or neither.
func TestWithoutRotary(t *testing.T) {
	net := rank(t, "llama-gqa", 0, layers(1))
	withoutRotary(net)
	g := lower(t, net, options())
	f := text(firstPlugins(g)["GPTAttention"])
	require.Equal(t, "position_embedding_type=0", f["position_embedding_type"])
	require.Equal(t, "rotary_embedding_dim=0", f["rotary_embedding_dim"])
	for _, w := range g.Weights() {
		require.NotContains(t, w.Name, "rotary")
	}
	for _, l := range g.Layers {
		if op, ok := l.Op.(graph.Plugin); ok && op.Creator == "GPTAttention" {
			require.Len(t, l.Inputs, 15)
		}
	}
}

func TestFieldDifferences(t *testing.T) {
	for _, release := range tensorrt.Releases {
		sent := firstPlugins(lower(t, rank(t, "llama-gqa", 0), options(gemmPlugin)))
		maps.Copy(sent, release.CollectiveFields([]int{0, 1}, 1, graph.Half))
		for creator, fields := range sent {
			names := slices.Collect(maps.Keys(text(fields)))
			d := release.FieldDifferences(creator)
			for _, name := range d.Unlisted {
				require.Contains(t, names, name, creator)
			}
			for _, name := range d.Unsent {
				require.NotContains(t, names, name, creator)
			}
		}
		require.Equal(t, []string{"layer_idx_in_cache_pool"}, release.FieldDifferences("GPTAttention").Unsent)
		require.Empty(t, release.FieldDifferences("Recv"))
	}
}
