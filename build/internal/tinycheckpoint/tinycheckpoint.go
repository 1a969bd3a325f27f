// Package tinycheckpoint gives the tests of build the tiny models of
// internal/testmodel as TensorRT-LLM checkpoints. It converts them by itself,
// not with package export, so that a fault of either shows. Only tests import it.
//
//	dir := tinycheckpoint.Dir(t, "llama-gqa", nil)
package tinycheckpoint

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// huggingFace has what the tiny models' config.json says.
type huggingFace struct {
	Architectures         []string `json:"architectures"`
	Dtype                 string   `json:"dtype"`
	HeadDim               int64    `json:"head_dim"`
	HiddenSize            int64    `json:"hidden_size"`
	HiddenAct             string   `json:"hidden_act"`
	IntermediateSize      int64    `json:"intermediate_size"`
	MaxPositionEmbeddings int64    `json:"max_position_embeddings"`
	NumAttentionHeads     int64    `json:"num_attention_heads"`
	NumHiddenLayers       int64    `json:"num_hidden_layers"`
	NumKeyValueHeads      int64    `json:"num_key_value_heads"`
	RMSNormEps            float64  `json:"rms_norm_eps"`
	NormEps               float64  `json:"norm_eps"`
	SlidingWindow         int64    `json:"sliding_window"`
	TieWordEmbeddings     bool     `json:"tie_word_embeddings"`
	VocabSize             int64    `json:"vocab_size"`
	AttentionBias         bool     `json:"attention_bias"`
	MLPBias               bool     `json:"mlp_bias"`
	RopeParameters        struct {
		RopeType            string  `json:"rope_type"`
		RopeTheta           float64 `json:"rope_theta"`
		PartialRotaryFactor float64 `json:"partial_rotary_factor"`
		Factor              float64 `json:"factor"`
		LowFreqFactor       float64 `json:"low_freq_factor"`
		HighFreqFactor      float64 `json:"high_freq_factor"`
		OriginalMax         int64   `json:"original_max_position_embeddings"`
		MScale              float64 `json:"mscale"`
		MScaleAllDim        float64 `json:"mscale_all_dim"`
		BetaFast            float64 `json:"beta_fast"`
		Truncate            *bool   `json:"truncate"`
	} `json:"rope_parameters"`
}

func (h *huggingFace) config() *checkpoint.Config {
	c := &checkpoint.Config{
		Architecture: h.Architectures[0], Dtype: h.Dtype, LogitsDtype: checkpoint.Float32, VocabSize: h.VocabSize, HiddenSize: h.HiddenSize,
		NumHiddenLayers: h.NumHiddenLayers, NumAttentionHeads: h.NumAttentionHeads, NumKeyValueHeads: h.NumKeyValueHeads, HeadSize: h.HeadDim,
		IntermediateSize: h.IntermediateSize, MaxPositionEmbeddings: h.MaxPositionEmbeddings, HiddenAct: h.HiddenAct, NormEpsilon: h.RMSNormEps,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: h.RopeParameters.RopeTheta, AttnBias: h.AttentionBias, MLPBias: h.MLPBias,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1}, Producer: &checkpoint.Producer{Name: checkpoint.ProducerName, Version: "test"},
	}
	if c.HeadSize == 0 {
		c.HeadSize = h.HiddenSize / h.NumAttentionHeads
	}
	if r := h.RopeParameters; r.RopeType != "default" {
		c.RotaryScaling = &checkpoint.RotaryScaling{Type: r.RopeType, Factor: r.Factor, LowFreqFactor: r.LowFreqFactor, HighFreqFactor: r.HighFreqFactor,
			OriginalMaxPositionEmbeddings: r.OriginalMax}
		if y := c.RotaryScaling; r.RopeType == checkpoint.RotaryYarn {
			y.BetaFast, y.BetaSlow, y.Truncate = checkpoint.DefaultBetaFast, checkpoint.DefaultBetaSlow, r.Truncate == nil || *r.Truncate
			if r.BetaFast > 0 {
				y.BetaFast = r.BetaFast
			}
			y.MScale, y.MScaleAllDim = r.MScale, r.MScaleAllDim
		}
	}
	if h.SlidingWindow > 0 {
		c.RuntimeDefaults = &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{h.SlidingWindow}}
	}
	if c.Architecture == "NemotronForCausalLM" {
		c.HiddenAct, c.NormEpsilon, c.RotaryPct = "squared-relu", h.NormEps, h.RopeParameters.PartialRotaryFactor
	}
	return c
}

// source names the Hugging Face tensor of a weight of the whole model.
func (h *huggingFace) source(name string) string {
	switch name = strings.TrimPrefix(name, "transformer."); name {
	case "vocab_embedding.weight":
		return "model.embed_tokens.weight"
	case "lm_head.weight":
		if h.TieWordEmbeddings {
			return "model.embed_tokens.weight"
		}
		return name
	}
	replace := []string{"attention.q.", "self_attn.q_proj.", "attention.k.", "self_attn.k_proj.", "attention.v.", "self_attn.v_proj.",
		"attention.dense.", "self_attn.o_proj.", "post_layernorm.", "post_attention_layernorm.", "ln_f.", "norm.", "mlp.proj.", "mlp.down_proj."}
	if h.HiddenAct == "relu2" {
		replace = append(replace, "mlp.fc.", "mlp.up_proj.")
	} else {
		replace = append(replace, "mlp.fc.", "mlp.gate_proj.", "mlp.gate.", "mlp.up_proj.")
	}
	return "model." + strings.NewReplacer(replace...).Replace(name)
}

// Config returns a tiny model's config, for one rank.
func Config(t testing.TB, name string) *checkpoint.Config {
	t.Helper()
	return read(t, testmodel.Dir(t, name)).config()
}

func read(t testing.TB, dir string) *huggingFace {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	var h huggingFace
	require.NoError(t, json.Unmarshal(text, &h))
	return &h
}

// Dir writes the tiny model called name as a checkpoint into a temporary
// directory of the test and returns its path. change, which may be nil, edits
// the config first; weights are converted to its dtype.
func Dir(t testing.TB, name string, change func(c *checkpoint.Config)) string {
	t.Helper()
	return Convert(t, testmodel.Dir(t, name), change)
}

// Convert is [Dir] for a tiny model's Hugging Face directory with another config.json.
func Convert(t testing.TB, hf string, change func(c *checkpoint.Config)) string {
	t.Helper()
	h := read(t, hf)
	c := h.config()
	if change != nil {
		change(c)
	}
	model, err := safetensors.OpenModel(hf)
	require.NoError(t, err)
	defer func() { require.NoError(t, model.Close()) }()
	dir := filepath.Join(t.TempDir(), "checkpoint")
	w, err := checkpoint.Create(dir, c)
	require.NoError(t, err)
	for _, weight := range c.Weights() {
		if strings.HasSuffix(weight.Name, checkpoint.KVCacheScale) {
			for _, p := range weight.Placements {
				place(t, w, checkpoint.Float32, p, []float32{1}, 1)
			}
			continue
		}
		source, ok := model.Tensor(h.source(weight.Name))
		require.True(t, ok, "%s for %s", h.source(weight.Name), weight.Name)
		values := decode(t, source)
		if h.HiddenAct == "relu2" && strings.Contains(weight.Name, "norm.weight") || weight.Name == "transformer.ln_f.weight" && h.HiddenAct == "relu2" {
			for i := range values {
				values[i]++ // LayerNorm1P
			}
		}
		columns := int64(1)
		if len(weight.Shape) == 2 {
			columns = weight.Shape[1]
		}
		for _, p := range weight.Placements {
			place(t, w, c.Dtype, p, values, columns)
		}
	}
	files, err := checkpoint.TokenizerFiles(hf)
	require.NoError(t, err)
	for _, f := range files {
		require.NoError(t, w.CopyFile(f))
	}
	require.NoError(t, w.Commit())
	return dir
}

func decode(t testing.TB, tensor safetensors.Tensor) []float32 {
	t.Helper()
	raw := make([]byte, tensor.Size)
	_, err := tensor.ReadAt(raw, 0)
	require.NoError(t, err)
	values := make([]float32, len(raw)/floatformat.Size(tensor.Dtype))
	floatformat.Decode(values, raw, tensor.Dtype)
	return values
}

// place writes the rows and columns of a placement to the tensor that takes them.
func place(t testing.TB, w *checkpoint.Writer, dtype string, p checkpoint.Placement, values []float32, columns int64) {
	t.Helper()
	var out []float32
	for row := p.Row; row < p.Row+p.Rows; row++ {
		out = append(out, values[row*columns+p.Column:][:p.Columns]...)
	}
	format := checkpoint.SafetensorsDtype(dtype)
	raw := make([]byte, len(out)*floatformat.Size(format))
	require.False(t, floatformat.Encode(raw, out, format), "%s overflows %s", p.Tensor, dtype)
	require.NoError(t, w.WriteAt(p.Rank, p.Tensor, raw, p.At*p.Columns*int64(floatformat.Size(format))))
}

// Edit changes the values of a tensor in a rank file of a checkpoint, to make
// what a test needs. Values are rounded to the tensor's dtype.
func Edit(t testing.TB, dir, tensor string, change func(values []float32)) {
	t.Helper()
	path := filepath.Join(dir, checkpoint.RankName(0))
	file, err := safetensors.Open(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	found, ok := file.Tensor(tensor)
	require.True(t, ok, tensor)
	values := decode(t, found)
	change(values)
	raw := make([]byte, found.Size)
	require.False(t, floatformat.Encode(raw, values, found.Dtype))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.EqualValues(t, len(raw), copy(data[found.Offset:], raw))
	require.NoError(t, os.WriteFile(path, data, 0o644))
	after := make([]byte, found.Size)
	_, err = found.ReadAt(after, 0)
	require.NoError(t, err)
	require.Equal(t, raw, after)
}
