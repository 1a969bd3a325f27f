package export_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// A plan gives the files, tensors, bytes and memory of the export.
func TestPlanIsWhatConvertDoes(t *testing.T) {
	for _, name := range testmodel.Names() {
		dir := testmodel.Dir(t, name)
		for _, v := range append(slices.Clone(everyDtype), divided[name]...) {
			o := v.options(filepath.Join(t.TempDir(), "ckpt"))
			o.Workers = 1
			planned, err := export.Plan(t.Context(), dir, o)
			require.NoError(t, err)
			require.NoDirExists(t, o.OutputDir)
			written, err := export.Convert(t.Context(), dir, o)
			require.NoError(t, err)
			require.Equal(t, written.Bytes, planned.BytesOut)
			require.Equal(t, written.Tensors, planned.Tensors)
			require.Equal(t, written.PeakBytes, planned.PeakBytes, "one worker meets every block")
			require.Positive(t, planned.PeakBytes)
			for _, r := range planned.Ranks {
				stat, err := os.Stat(filepath.Join(o.OutputDir, r.File))
				require.NoError(t, err)
				require.Equal(t, stat.Size(), r.Bytes)
				for _, tensor := range r.Tensors {
					rows := int64(0)
					for _, p := range tensor.Parts {
						require.Equal(t, rows, p.At, "%s: the parts follow each other", tensor.Name)
						require.NotEmpty(t, p.Transform)
						rows += p.Rows
					}
					require.Equal(t, tensor.Shape[0], rows, tensor.Name)
				}
			}
		}
	}
}

// TestMeasuredMemory checks that several workers stay below the plan.
func TestMeasuredMemory(t *testing.T) {
	o := export.Options{OutputDir: filepath.Join(t.TempDir(), "ckpt"), Dtype: "float16", TPSize: 2, Workers: 3}
	dir := testmodel.Dir(t, "llama-gqa")
	planned, err := export.Plan(t.Context(), dir, o)
	require.NoError(t, err)
	written, err := export.Convert(t.Context(), dir, o)
	require.NoError(t, err)
	require.LessOrEqual(t, written.PeakBytes, planned.PeakBytes)
	require.Positive(t, written.PeakBytes)
}

func TestPlanTransforms(t *testing.T) {
	plan := func(path string, o export.Options) func(rank int, tensor string) []string {
		p, err := export.Plan(t.Context(), path, o)
		require.NoError(t, err)
		return func(rank int, tensor string) (lines []string) {
			for _, have := range p.Ranks[rank].Tensors {
				if have.Name == tensor {
					for _, part := range have.Parts {
						lines = append(lines, fmt.Sprint(part.Source, " ", part.Dtype, ": ", part.Transform))
					}
				}
			}
			return lines
		}
	}
	const layer = "transformer.layers.0."
	p := plan(testmodel.Dir(t, "nemotron"), export.Options{})
	require.Equal(t, []string{"model.layers.0.input_layernorm.weight BF16: +1"}, p(0, layer+"input_layernorm.weight"))
	require.Equal(t, []string{"model.layers.0.mlp.up_proj.weight BF16: copy"}, p(0, layer+"mlp.fc.weight"))
	p = plan(testmodel.Dir(t, "nemotron"), export.Options{Dtype: "float16", PPSize: 2})
	require.Equal(t, []string{"model.norm.weight BF16: +1, cast BF16->F16"}, p(1, "transformer.ln_f.weight"))
	p = plan(testmodel.Dir(t, "llama-gqa"), export.Options{TPSize: 2})
	require.Equal(t, []string{
		"model.layers.0.self_attn.q_proj.weight BF16: rows 32-63", "model.layers.0.self_attn.k_proj.weight BF16: rows 16-31",
		"model.layers.0.self_attn.v_proj.weight BF16: rows 16-31",
	}, p(1, layer+"attention.qkv.weight"))
	require.Equal(t, []string{"model.layers.0.self_attn.o_proj.weight BF16: columns 32-63"}, p(1, layer+"attention.dense.weight"))
	require.Equal(t, []string{"lm_head.weight BF16: rows 129-256", " : zeros (padding)"}, p(1, "lm_head.weight"))
	p = plan(testmodel.Dir(t, "llama-tied-llama3"), export.Options{})
	require.Contains(t, p(0, "lm_head.weight")[0], "model.embed_tokens.weight ")
	require.Contains(t, p(0, "lm_head.weight")[0], ": tied copy")

	p = plan(testmodel.Nemo(t, "nemotron-f32.zarr-tp2"), export.Options{Dtype: "bfloat16"})
	require.Equal(t, []string{
		"model.decoder.layers.self_attention.linear_qkv.weight[0] F32: query heads of each group, cast F32->BF16",
		"model.decoder.layers.self_attention.linear_qkv.weight[0] F32: key heads of each group, cast F32->BF16",
		"model.decoder.layers.self_attention.linear_qkv.weight[0] F32: value heads of each group, cast F32->BF16",
	}, p(0, layer+"attention.qkv.weight"))
	p = plan(testmodel.Nemo(t, "llama-f16.tp2"), export.Options{})
	require.Contains(t, p(0, layer+"mlp.gate.weight")[0], "F16: 2 ranks concatenated, second half")
	p = plan(testmodel.GGUF(t, "q8_0"), export.Options{})
	require.Equal(t, []string{"blk.0.attn_q.weight Q8_0: dequantised, rows unpaired, cast F32->BF16"}, p(0, layer+"attention.qkv.weight")[:1])
	p = plan(testmodel.QuantisedDir(t, "llama-gqa.fp8"), export.Options{})
	require.Equal(t, []string{" F32: largest scale of the linear's weights or inputs"}, p(0, layer+"mlp.fc.weights_scaling_factor"))
	p = plan(testmodel.QuantisedDir(t, "llama-gqa.fp8"), export.Options{QFormat: "full_prec"})
	require.Contains(t, p(0, layer+"mlp.fc.weight")[0], "F8_E4M3: dequantised F8_E4M3->BF16")
}

// A checkpoint as the source: bytes are those of its tensors, whatever their form.
func TestPlanOfCheckpoint(t *testing.T) {
	dir := testmodel.QuantisedDir(t, "llama-gqa.awq")
	d, err := export.Inspect(t.Context(), dir, export.SourceOptions{})
	require.NoError(t, err)
	stored := int64(0)
	for _, tensor := range d.Tensors {
		stored += tensor.Bytes
	}
	kept, err := export.Plan(t.Context(), dir, export.Options{TPSize: 2})
	require.NoError(t, err)
	require.Equal(t, stored, kept.BytesIn)
	divided := mustConvert(t, dir, export.Options{TPSize: 2})
	joined, err := export.Plan(t.Context(), divided, export.Options{})
	require.NoError(t, err)
	for i, transform := range map[int]string{0: "copy", 1: "copy", 2: "2 ranks concatenated"} {
		require.Equal(t, transform, joined.Ranks[0].Tensors[i].Parts[0].Transform, joined.Ranks[0].Tensors[i].Name)
	}
	undone, err := export.Plan(t.Context(), dir, export.Options{QFormat: "full_prec"})
	require.NoError(t, err)
	for _, tensor := range undone.Ranks[0].Tensors {
		if strings.Contains(tensor.Name, "mlp") || strings.Contains(tensor.Name, "attention") {
			require.Equal(t, tensor.Bytes/4, tensor.BytesIn, "%s: 4 bits of 16", tensor.Name)
			require.Equal(t, "I8", tensor.Parts[0].Dtype)
			require.Equal(t, "4 bits by groups, cast F32->BF16", tensor.Parts[0].Transform)
		}
	}
}

// Options and models are refused as Convert refuses them.
func TestPlanRefuses(t *testing.T) {
	_, err := export.Plan(t.Context(), testmodel.Dir(t, "llama-gqa"), export.Options{TPSize: 3})
	require.ErrorIs(t, err, export.ErrMapping)
	_, err = export.Plan(t.Context(), testmodel.Dir(t, "llama-gqa"), export.Options{Dtype: "int8"})
	require.ErrorIs(t, err, export.ErrOption)
	_, err = export.Plan(t.Context(), filepath.Join(t.TempDir(), "none"), export.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
}

// published are the shapes of the models that docs/conversion.md has commands for,
// with the bytes of the bfloat16 weights.
var published = map[string]struct {
	bytes  int64
	config map[string]any
}{
	"Minitron-8B-Base":                 {16543399936, nemotron(4096, 32, 48, 16384)},
	"Minitron-4B-Base":                 {8381018112, nemotron(3072, 32, 24, 9216)},
	"Llama-3.1-Minitron-4B-Width-Base": {9025492992, llama("LlamaForCausalLM", 3072, 32, 9216, 128256)},
	"Llama-3.1-Minitron-4B-Depth-Base": {9080938496, llama("LlamaForCausalLM", 4096, 16, 14336, 128256)},
	"Mistral-NeMo-Minitron-8B-Base":    {16828211200, llama("MistralForCausalLM", 4096, 40, 11520, 131072)},
}

func nemotron(hidden, layers, heads, intermediate int) map[string]any {
	return map[string]any{
		"architectures": []string{"NemotronForCausalLM"}, "model_type": "nemotron", "hidden_act": "relu2", "norm_eps": 1e-5,
		"partial_rotary_factor": 0.5, "rope_theta": 10000, "max_position_embeddings": 4096, "vocab_size": 256000,
		"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": intermediate,
		"num_key_value_heads": 8, "head_dim": 128, "torch_dtype": "bfloat16", "tie_word_embeddings": false,
	}
}

func llama(architecture string, hidden, layers, intermediate, vocab int) map[string]any {
	return map[string]any{
		"architectures": []string{architecture}, "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
		"rope_theta": 500000, "max_position_embeddings": 8192, "vocab_size": vocab,
		"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 32, "intermediate_size": intermediate,
		"num_key_value_heads": 8, "head_dim": 128, "torch_dtype": "bfloat16", "tie_word_embeddings": false,
	}
}

// hollow writes a Hugging Face directory whose weights are one hole: it has every
// tensor of the config's model, and takes no room.
func hollow(t *testing.T, config map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600))
	n := func(name string) int64 { return int64(config[name].(int)) }
	h, f, heads, kv := n("hidden_size"), n("intermediate_size"), n("num_attention_heads")*n("head_dim"), n("num_key_value_heads")*n("head_dim")
	var infos []safetensors.Info
	add := func(name string, shape ...int64) {
		infos = append(infos, safetensors.Info{Name: name, Dtype: "BF16", Shape: shape})
	}
	nemotron := config["model_type"] == "nemotron"
	norm := func(name string) {
		add(name+".weight", h)
		if nemotron {
			add(name+".bias", h)
		}
	}
	add("model.embed_tokens.weight", n("vocab_size"), h)
	for i := range n("num_hidden_layers") {
		layer := fmt.Sprintf("model.layers.%d.", i)
		norm(layer + "input_layernorm")
		norm(layer + "post_attention_layernorm")
		add(layer+"self_attn.q_proj.weight", heads, h)
		add(layer+"self_attn.k_proj.weight", kv, h)
		add(layer+"self_attn.v_proj.weight", kv, h)
		add(layer+"self_attn.o_proj.weight", h, heads)
		add(layer+"mlp.up_proj.weight", f, h)
		if !nemotron {
			add(layer+"mlp.gate_proj.weight", f, h)
		}
		add(layer+"mlp.down_proj.weight", h, f)
	}
	norm("model.norm")
	add("lm_head.weight", n("vocab_size"), h)
	w, err := safetensors.Create(filepath.Join(dir, "model.safetensors"), infos, nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return dir
}

// The published models have the bytes that their shapes give, and any number of
// ranks holds them.
func TestPlanOfPublishedModels(t *testing.T) {
	page, err := os.ReadFile("../docs/conversion.md")
	require.NoError(t, err)
	for name, model := range published {
		dir := hollow(t, model.config)
		p, err := export.Plan(t.Context(), dir, export.Options{})
		require.NoError(t, err, name)
		require.Equal(t, model.bytes, p.Ranks[0].TensorBytes, name)
		require.Equal(t, model.bytes, p.BytesIn, name)
		require.Regexp(t, fmt.Sprintf(`(?m)^\| %s\b.*\| %d \| %d \|$`, regexp.QuoteMeta(name), model.bytes, p.Ranks[0].Bytes), string(page), "docs/conversion.md")
		require.Less(t, p.PeakBytes/int64(p.Workers), int64(8<<20), "whatever the size")
		p, err = export.Plan(t.Context(), dir, export.Options{TPSize: 8, PPSize: 2})
		require.NoError(t, err, name)
		require.Len(t, p.Ranks, 16)
		require.Equal(t, model.bytes, p.BytesIn, "each weight is read once")
	}
}
