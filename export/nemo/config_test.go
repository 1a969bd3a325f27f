package nemo

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
)

// minitronYAML has the keys of a Minitron-8B's model_config.yaml that matter, in
// NeMo 1's spelling.
const minitronYAML = `
mcore_gpt: true
micro_batch_size: 1
tensor_model_parallel_size: 8
pipeline_model_parallel_size: 1
encoder_seq_length: 4096
max_position_embeddings: ${.encoder_seq_length}
num_layers: 32
hidden_size: 4096
ffn_hidden_size: 16384
num_attention_heads: 48
num_query_groups: 8
kv_channels: 128
init_method_std: 0.0063
hidden_dropout: 0.0
normalization: layernorm1p
layernorm_epsilon: 1e-05
make_vocab_size_divisible_by: 128
bias: false
activation: squared-relu
transformer_block_type: pre_ln
position_embedding_type: rope
rotary_percentage: 0.5
share_embeddings_and_output_weights: false
precision: bf16
tokenizer:
  library: megatron
  type: GPTSentencePieceTokenizer
  model: nemo:8223bf8eaa194eb8920af568bb52e2d0_megatron_2.model
  vocab_file: null
  merge_file: null
target: nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel
nemo_version: 2.0.0rc0
`

// edited replaces lines of minitronYAML ("key: value"; an empty value removes the
// line), or adds them.
func edited(lines ...string) string {
	text := minitronYAML
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ":")
		before, after, found := strings.Cut(text, "\n"+key+":")
		if found {
			_, rest, _ := strings.Cut(after, "\n")
			text = before + "\n" + rest
		}
		if strings.TrimSpace(value) != "" {
			text += line + "\n"
		}
	}
	return text
}

func config1(t *testing.T, text string) *checkpoint.Config {
	t.Helper()
	s, err := parseConfig1([]byte(text))
	require.NoError(t, err)
	c, err := s.config(256000)
	require.NoError(t, err)
	return c
}

// TestMinitronConfig compares with the published facts of Minitron-8B.
func TestMinitronConfig(t *testing.T) {
	c := config1(t, minitronYAML)
	require.Equal(t, &checkpoint.Config{
		Architecture: "GPTForCausalLM", Dtype: "bfloat16", LogitsDtype: "float32", VocabSize: 256000, HiddenSize: 4096, NumHiddenLayers: 32,
		NumAttentionHeads: 48, NumKeyValueHeads: 8, HeadSize: 128, IntermediateSize: 16384, MaxPositionEmbeddings: 4096,
		HiddenAct: "squared-relu", NormEpsilon: 1e-5, PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 0.5, RotaryBase: 10000,
		Mapping: checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
	}, c)
	s, err := parseConfig1([]byte(minitronYAML))
	require.NoError(t, err)
	require.True(t, s.zeroCentred && s.mcore && !s.tied && !s.gated)
	require.EqualValues(t, 8, s.tensorParallel)
	require.Equal(t, "nemo:8223bf8eaa194eb8920af568bb52e2d0_megatron_2.model", s.tokenizer.model)
}

func llamaYAML(lines ...string) string {
	return edited(append([]string{
		"normalization: rmsnorm", "activation: fast-swiglu", "rotary_percentage: 1.0", "rotary_base: 500000.0", "kv_channels: 128",
		"hidden_size: 3072", "num_attention_heads: 32", "ffn_hidden_size: 9216", "encoder_seq_length: 131072",
	}, lines...)...)
}

func TestLlamaConfig(t *testing.T) {
	c := config1(t, llamaYAML("scale_positional_embedding: true"))
	require.Equal(t, "LlamaForCausalLM", c.Architecture)
	require.Equal(t, "silu", c.HiddenAct)
	require.EqualValues(t, 128, c.HeadSize)
	require.EqualValues(t, 131072, c.MaxPositionEmbeddings)
	require.Equal(t, &checkpoint.RotaryScaling{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192}, c.RotaryScaling)
	c = config1(t, llamaYAML("seq_len_interpolation_factor: 4"))
	require.Equal(t, &checkpoint.RotaryScaling{Type: "linear", Factor: 4}, c.RotaryScaling)
	require.Nil(t, config1(t, llamaYAML()).RotaryScaling)
	require.Equal(t, []int64{4096}, config1(t, llamaYAML("window_size: [4096, 0]")).RuntimeDefaults.MaxAttentionWindow)
}

func TestConfig1Defaults(t *testing.T) {
	s, err := parseConfig1([]byte("num_layers: 2\nhidden_size: 8\nnum_attention_heads: 2\nencoder_seq_length: 16\nposition_embedding_type: rope\n"))
	require.NoError(t, err)
	require.Equal(t, &settings{
		numLayers: 2, hiddenSize: 8, ffnHiddenSize: 32, numAttentionHeads: 2, numQueryGroups: 2, kvChannels: 4, positions: 16, activation: "gelu",
		epsilon: 1e-5, bias: true, mlpBias: true, rotaryPercent: 1, rotaryBase: 10000, tied: true, tensorParallel: 1, pipelineParallel: 1,
	}, s)
	under, err := parseConfig1([]byte("trainer: {x: 1}\nmodel:\n  num_layers: 2\n  hidden_size: 8\n  num_attention_heads: 2\n  encoder_seq_length: 16\n  position_embedding_type: rope\n"))
	require.NoError(t, err)
	require.Equal(t, s, under)
	for text, want := range map[string]string{"bf16": "bfloat16", "bf16-mixed": "bfloat16", "16": "float16", "16-mixed": "float16", "32": "float32", "32-true": "float32", "torch.bfloat16": "bfloat16", "8": ""} {
		require.Equal(t, want, dtypeOf(text), text)
	}
}

func TestConfig1Refusals(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want error
		text string
	}{
		"layers":         {"num_layers:", checkpoint.ErrInvalid, "num_layers is missing"},
		"layers as text": {"num_layers: many", checkpoint.ErrInvalid, "num_layers: many is no whole number"},
		"half a layer":   {"num_layers: 2.5", checkpoint.ErrInvalid, "num_layers"},
		"no layers":      {"num_layers: 0", checkpoint.ErrInvalid, "num_layers: 0 is no number above 0"},
		"layers below 0": {"num_layers: -4", checkpoint.ErrInvalid, "num_layers: -4 is no number above 0"},
		"mapping":        {"num_layers: ${x}\nx: {y: \"${x}\"}", checkpoint.ErrInvalid, "num_layers: a mapping is no whole number"},
		"bias 2":         {"bias: 2", checkpoint.ErrInvalid, "bias: 2 is no boolean"},
		"base":           {"rotary_base: .nan", checkpoint.ErrInvalid, "rotary_base: NaN is no number"},
		"positions":      {"max_position_embeddings: ${.gone}", checkpoint.ErrInvalid, "max_position_embeddings: ${.gone} cannot be resolved"},
		"head size":      {"kv_channels:", checkpoint.ErrInvalid, "kv_channels is missing and hidden_size 4096 is no multiple of num_attention_heads 48"},
		"bias":           {"bias: maybe", checkpoint.ErrInvalid, "bias: maybe is no boolean"},
		"activation":     {"activation: mish", checkpoint.ErrUnsupported, `activation "mish"`},
		"norm":           {"normalization: batchnorm", checkpoint.ErrUnsupported, `normalization "batchnorm"`},
		"positions kind": {"position_embedding_type: alibi", checkpoint.ErrUnsupported, `position_embedding_type "alibi"`},
		"experts":        {"num_moe_experts: 8", checkpoint.ErrUnsupported, "mixture of 8 experts"},
		"hybrid":         {"hybrid_override_pattern: M-M*", checkpoint.ErrUnsupported, "hybrid Mamba-2"},
		"adapters":       {"peft: {peft_scheme: lora}", checkpoint.ErrUnsupported, "lora adapters"},
		"block":          {"transformer_block_type: post_ln", checkpoint.ErrUnsupported, "post_ln"},
		"mamba's class":  {"target: a.b.MegatronMambaModel", checkpoint.ErrUnsupported, "MegatronMambaModel, a hybrid Mamba-2 model, is not supported"},
		"not scaled":     {"normalize_attention_scores: false", checkpoint.ErrUnsupported, "normalize_attention_scores false"},
		"interleaved":    {"rotary_interleaved: true", checkpoint.ErrUnsupported, "rotary_interleaved"},
		"qk norm":        {"qk_layernorm: true", checkpoint.ErrUnsupported, "qk_layernorm"},
		"partial llama":  {"normalization: rmsnorm", checkpoint.ErrUnsupported, "RMSNorm"},
		"heads":          {"num_query_groups: 7", checkpoint.ErrInvalid, "num_key_value_heads 7"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parseConfig1([]byte(edited(test.line)))
			if err == nil {
				_, err = s.config(256000)
			}
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
		})
	}
}

// nemotron2YAML is a NeMo 2 context/model.yaml of a Nemotron, shortened.
const nemotron2YAML = `
_target_: nemo.collections.llm.gpt.model.nemotron.NemotronModel
config:
  _target_: nemo.collections.llm.gpt.model.nemotron.Nemotron3Config4B
  num_layers: 32
  hidden_size: 3072
  num_attention_heads: 24
  num_query_groups: 8
  ffn_hidden_size: 9216
  kv_channels: 128
  seq_length: 4096
  layernorm_epsilon: 1.0e-05
  layernorm_zero_centered_gamma: true
  normalization: LayerNorm
  add_bias_linear: false
  add_qkv_bias: false
  gated_linear_unit: false
  activation_func:
    _target_: nemo.collections.llm.fn.activation.squared_relu
    _call_: false
  position_embedding_type: rope
  rotary_percent: 0.5
  rotary_base: 10000
  share_embeddings_and_output_weights: false
  params_dtype:
    _target_: torch.bfloat16
    _call_: false
tokenizer:
  _target_: nemo.collections.common.tokenizers.sentencepiece_tokenizer.SentencePieceTokenizer
  model_path: megatron_2.model
`

func TestNemo2Config(t *testing.T) {
	s, err := parseConfig2([]byte(nemotron2YAML))
	require.NoError(t, err)
	c, err := s.config(256000)
	require.NoError(t, err)
	want := config1(t, edited("hidden_size: 3072", "num_attention_heads: 24", "ffn_hidden_size: 9216"))
	require.Equal(t, want, c)
	require.Equal(t, tokenizerSettings{library: "sentencepiece", model: "megatron_2.model"}, s.tokenizer)
}

// TestNemo2Nested puts the model below the key of a whole context, with values that
// PyYAML has written once and refers to.
func TestNemo2Nested(t *testing.T) {
	want, err := parseConfig2([]byte(nemotron2YAML))
	require.NoError(t, err)
	text := strings.Replace(nemotron2YAML, "  params_dtype:\n", "  autocast_dtype: &id001\n    _call_: false\n    _target_: torch.bfloat16\n  params_dtype: *id001\n  unused:\n", 1)
	got, err := parseConfig2([]byte("_target_: nemo.lightning.io.pl.TrainerContext\nmodel:" + strings.ReplaceAll(text, "\n", "\n  ") + "\n"))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// TestNemo2Activations reads the ways in which PyTorch's functions are named.
func TestNemo2Activations(t *testing.T) {
	for value, want := range map[string]string{
		"{_target_: torch._C._nn.gelu, _call_: false}":                              "gelu",
		"{_target_: torch._C._nn.gelu, _partial_: true, approximate: tanh}":         "gelu_new",
		"{_target_: torch._C._nn.gelu, _partial_: true, approximate: none}":         "gelu",
		"{_target_: torch.nn.functional.relu, _call_: false}":                       "relu",
		"{_target_: nemo.collections.llm.fn.activation.openai_gelu, _call_: false}": "gelu_new",
		"nemo.collections.nlp.modules.common.megatron.utils.squared_relu":           "squared-relu",
		"null": "gelu",
	} {
		s, err := parseConfig2([]byte(strings.Replace(nemotron2YAML, "\n    _target_: nemo.collections.llm.fn.activation.squared_relu\n    _call_: false", " "+value, 1)))
		require.NoError(t, err, value)
		require.Equal(t, want, s.activation, value)
	}
}

func TestNemo2Llama(t *testing.T) {
	text := strings.NewReplacer(
		"nemotron.NemotronModel", "mistral.MistralModel", "Nemotron3Config4B", "Llama31Config8B", "normalization: LayerNorm", "normalization: RMSNorm",
		"zero_centered_gamma: true", "zero_centered_gamma: false", "gated_linear_unit: false", "gated_linear_unit: true", "nemo.collections.llm.fn.activation.squared_relu", "torch.nn.functional.silu",
		"rotary_percent: 0.5", "rotary_percent: 1.0\n  scale_factor: 32\n  low_freq_factor: 1\n  high_freq_factor: 4\n  old_context_len: 8192",
		"sentencepiece_tokenizer.SentencePieceTokenizer\n  model_path: megatron_2.model", "huggingface.auto_tokenizer.AutoTokenizer\n  pretrained_model_name: {_target_: str, attr: meta-llama/Llama-3.2-1B}",
	).Replace(nemotron2YAML)
	s, err := parseConfig2([]byte(text))
	require.NoError(t, err)
	c, err := s.config(128256)
	require.NoError(t, err)
	require.Equal(t, "MistralForCausalLM", c.Architecture)
	require.Equal(t, &checkpoint.RotaryScaling{Type: "llama3", Factor: 32, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192}, c.RotaryScaling)
	require.Equal(t, tokenizerSettings{library: "huggingface", kind: "meta-llama/Llama-3.2-1B"}, s.tokenizer)
}

func TestNemo2Refusals(t *testing.T) {
	for name, test := range map[string]struct {
		old, new string
		want     error
		text     string
	}{
		"hybrid":     {"nemotron.NemotronModel", "ssm.MambaModel", checkpoint.ErrUnsupported, "hybrid Mamba-2"},
		"experts":    {"  num_layers: 32", "  num_layers: 32\n  num_moe_experts: 4", checkpoint.ErrUnsupported, "mixture of 4"},
		"no config":  {"config:", "other:", checkpoint.ErrInvalid, "no config"},
		"activation": {"squared_relu", "<lambda>", checkpoint.ErrUnsupported, "activation"},
		"length":     {"  seq_length: 4096\n", "", checkpoint.ErrInvalid, "seq_length is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseConfig2([]byte(strings.Replace(nemotron2YAML, test.old, test.new, 1)))
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
		})
	}
}
