package nemo_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/hf"
	"github.com/trtgo/trtgo/export/nemo"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// edit replaces a text in a file.
func edit(t *testing.T, file, old, with string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), old, with, 1)), 0o600))
}

// TestRefusedCheckpoints damages unpacked checkpoints, each in one way.
func TestRefusedCheckpoints(t *testing.T) {
	config := func(old, with string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { edit(t, filepath.Join(dir, "model_config.yaml"), old, with) }
	}
	remove := func(names ...string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			for _, name := range names {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
			}
		}
	}
	for name, test := range map[string]struct {
		fixture string
		damage  func(*testing.T, string)
		want    error
		text    string
	}{
		"rank missing":      {"nemotron-f32.tp2-pp2", remove("tp_rank_01_pp_rank_001"), checkpoint.ErrInvalid, "the weights of 3 ranks are there, the config has tensor_model_parallel_size 2 × pipeline_model_parallel_size 2"},
		"other ranks":       {"nemotron-f32.tp2-pp2", config("tensor_model_parallel_size: 2\npipeline_model_parallel_size: 2", "tensor_model_parallel_size: 4\npipeline_model_parallel_size: 1"), checkpoint.ErrInvalid, "rank 2 of stage 0 are missing"},
		"layers":            {"nemotron-f32.tp2-pp2", config("num_layers: 2", "num_layers: 3"), checkpoint.ErrInvalid, "num_layers 3 is no multiple of pipeline_model_parallel_size 2"},
		"no weights":        {"nemotron.ckpt", remove("model_weights.ckpt"), checkpoint.ErrInvalid, "there are no weights: neither model_weights.ckpt nor"},
		"fewer layers":      {"nemotron.ckpt", config("num_layers: 4", "num_layers: 3"), checkpoint.ErrInvalid, "decoder.layers.3.mlp.linear_fc1.layer_norm_bias is beyond the 3 layers of a stage"},
		"more layers":       {"nemotron.zarr", config("num_layers: 4", "num_layers: 5"), checkpoint.ErrInvalid, "4 layers are stored, num_layers is 5"},
		"heads":             {"nemotron.ckpt", config("num_attention_heads: 6", "num_attention_heads: 8"), checkpoint.ErrInvalid, "linear_qkv.weight has shape [160 48], the config gives [192 48]"},
		"hidden size":       {"nemotron.zarr", config("hidden_size: 48", "hidden_size: 64"), checkpoint.ErrInvalid, "word_embeddings.weight has shape [193 48], the config gives [193 64]"},
		"gate":              {"nemotron.zarr", config("activation: squared-relu", "activation: fast-swiglu"), checkpoint.ErrInvalid, "linear_fc1.weight[0] has shape [104 48], the config gives [208 48]"},
		"tied":              {"llama-tied-llama3.ckpt", config("share_embeddings_and_output_weights: true", "share_embeddings_and_output_weights: false"), checkpoint.ErrInvalid, "missing parameter output_layer.weight"},
		"parameter":         {"nemotron.zarr", remove("model_weights/model.decoder.layers.mlp.linear_fc2.weight"), checkpoint.ErrInvalid, "missing parameter decoder.layers.0.mlp.linear_fc2.weight"},
		"norm":              {"nemotron.zarr", remove("model_weights/model.decoder.final_layernorm.bias"), checkpoint.ErrInvalid, "missing parameter decoder.final_layernorm.bias"},
		"embedding":         {"nemotron.zarr", remove("model_weights/model.embedding.word_embeddings.weight"), checkpoint.ErrInvalid, "there is no embedding.word_embeddings.weight"},
		"chunk":             {"nemotron.zarr", remove("model_weights/model.decoder.layers.mlp.linear_fc2.weight/2.0.0"), checkpoint.ErrInvalid, "2.0.0"},
		"bias":              {"nemotron.zarr", config("bias: false", "bias: true"), checkpoint.ErrInvalid, "missing parameter decoder.layers.0.self_attention.linear_qkv.bias"},
		"rms norm has more": {"nemotron.zarr", config("normalization: layernorm1p\n", "normalization: rmsnorm\n"), checkpoint.ErrUnsupported, "RMSNorm with activation squared-relu"},
		"unknown backend": {"nemotron.zarr", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "model_weights", "metadata.json"), "zarr", "fsdp_dtensor")
		}, checkpoint.ErrUnsupported, `sharded_backend "fsdp_dtensor"`},
		"bad metadata": {"nemotron.zarr", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, "model_weights", "metadata.json"), "{", "[")
		}, checkpoint.ErrInvalid, "metadata.json"},
		"fsdp": {"nemotron.ckpt", func(t *testing.T, dir string) {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "mp_rank_00_fsdp_shard_00000"), 0o755))
			require.NoError(t, os.Rename(filepath.Join(dir, "model_weights.ckpt"), filepath.Join(dir, "mp_rank_00_fsdp_shard_00000", "model_weights.ckpt")))
		}, checkpoint.ErrUnsupported, "FSDP"},
		"no ranks":       {"nemotron-f32.tp2-pp2", config("pipeline_model_parallel_size: 2", "pipeline_model_parallel_size: 0"), checkpoint.ErrInvalid, "pipeline_model_parallel_size 0 are not between 1"},
		"virtual stages": {"nemotron-f32.tp2-pp2", config("pipeline_model_parallel_size: 2", "pipeline_model_parallel_size: 2\nvirtual_pipeline_model_parallel_size: 2"), checkpoint.ErrUnsupported, "virtual_pipeline_model_parallel_size 2"},
		"truncated": {"nemotron.ckpt", func(t *testing.T, dir string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, "model_weights.ckpt"), 5000))
		}, checkpoint.ErrInvalid, "model_weights.ckpt"},
		"no pickle": {"nemotron.ckpt", func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "model_weights.ckpt"), []byte("version https://git-lfs.github.com/spec/v1\n"), 0o600))
		}, checkpoint.ErrInvalid, "model_weights.ckpt"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testmodel.NemoDir(t, test.fixture)
			test.damage(t, dir)
			m, err := nemo.Open(t.Context(), dir, nemo.Options{})
			require.Nil(t, m)
			require.ErrorIs(t, err, test.want)
			require.ErrorContains(t, err, test.text)
			require.ErrorContains(t, err, dir, "the message says which checkpoint")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestBareDirectoriesNeedAConfig(t *testing.T) {
	dir := testmodel.NemoDir(t, "nemotron-f32.mcore")
	_, err := nemo.Open(t.Context(), filepath.Join(dir, "iter"), nemo.Options{})
	require.ErrorContains(t, err, "--config")
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	_, err = nemo.Open(t.Context(), filepath.Join(dir, "iter"), nemo.Options{Config: filepath.Join(dir, "nowhere.yaml")})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = nemo.Open(t.Context(), t.TempDir(), nemo.Options{})
	require.ErrorContains(t, err, "it has no model_config.yaml")
}

// TestDirectoriesAboveTheWeights opens directories that have no config, but the
// weights below them.
func TestDirectoriesAboveTheWeights(t *testing.T) {
	dir := testmodel.NemoDir(t, "nemotron-f32.mcore")
	o := nemo.Options{Config: filepath.Join(dir, "model_config.yaml")}
	for _, name := range []string{"weights", "model_weights", "iter_0000100"} {
		above := t.TempDir()
		require.NoError(t, os.CopyFS(filepath.Join(above, name), os.DirFS(filepath.Join(dir, "iter"))))
		require.NoError(t, os.WriteFile(filepath.Join(above, "latest_checkpointed_iteration.txt"), []byte("100\n"), 0o600))
		m, err := nemo.Open(t.Context(), above, o)
		require.NoError(t, err)
		require.Equal(t, nemo.FormatMcore, m.Format())
		require.NoError(t, m.Close())
	}
}

// TestDescribeWhatIsRefused describes a config with numbers that JSON has not.
func TestDescribeWhatIsRefused(t *testing.T) {
	dir := testmodel.NemoDir(t, "nemotron.ckpt")
	edit(t, filepath.Join(dir, "model_config.yaml"), "num_layers: 4", "num_layers: 3\nlimits: [.inf, {least: -.inf, other: .nan}]")
	d, err := nemo.Describe(t.Context(), dir, nemo.Options{})
	require.NoError(t, err)
	require.Len(t, d.Problems, 1)
	require.Equal(t, "MegatronGPTModel", d.Architecture)
	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.Contains(t, string(text), `["+Inf",{"least":"-Inf","other":"NaN"}]`)
}

// A directory that was packed with its name in front is entered.
func TestArchiveOfADirectory(t *testing.T) {
	dir := testmodel.NemoDir(t, "nemotron.ckpt")
	above := t.TempDir()
	require.NoError(t, os.Rename(dir, filepath.Join(above, "minitron")))
	m, err := nemo.Open(t.Context(), above, nemo.Options{})
	require.NoError(t, err)
	require.NoError(t, m.Close())
}

// A file that was merged from ranks keeps their number in its config.
func TestMergedFile(t *testing.T) {
	dir := testmodel.NemoDir(t, "nemotron.ckpt")
	edit(t, filepath.Join(dir, "model_config.yaml"), "tensor_model_parallel_size: 1", "tensor_model_parallel_size: 8")
	m, err := nemo.Open(t.Context(), dir, nemo.Options{})
	require.NoError(t, err)
	require.NoError(t, m.Close())
}

// TestOtherWeights opens directories whose weights are in a form that is not read
// here, or that ModelOpt has changed.
func TestOtherWeights(t *testing.T) {
	put := func(dir, name string) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
	}
	dir := t.TempDir()
	put(dir, "latest_checkpointed_iteration.txt")
	put(dir, "iter_0000100/mp_rank_00/model_optim_rng.pt")
	_, err := nemo.Open(t.Context(), dir, nemo.Options{})
	require.ErrorIs(t, err, checkpoint.ErrUnsupported)
	require.ErrorContains(t, err, "model_optim_rng.pt")

	dir = testmodel.NemoDir(t, "nemotron-f32.nemo2")
	put(dir, "weights/modelopt_state/modelopt_state.pt")
	m, err := nemo.Open(t.Context(), dir, nemo.Options{})
	require.NoError(t, err)
	require.Contains(t, strings.Join(m.Notes(), "\n"), "ModelOpt changed the model")
	require.NoError(t, m.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "weights")))
	put(dir, "hf_weights/model.safetensors")
	_, err = nemo.Open(t.Context(), dir, nemo.Options{})
	require.ErrorContains(t, err, "in hf_weights: export that directory")
}

func TestCompressedArchive(t *testing.T) {
	path := testmodel.Nemo(t, "nemotron-f32.gzip")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	temp := t.TempDir()
	_, err := nemo.Open(ctx, path, nemo.Options{TempDir: temp})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
	var heard int64
	m, err := nemo.Open(t.Context(), path, nemo.Options{TempDir: temp, Inflating: func(done int64) { heard = done }})
	require.NoError(t, err)
	require.Positive(t, heard)
	require.NoError(t, m.Close())
}

// TestTokenizerTravels puts artefacts where NeMo puts them.
func TestTokenizerTravels(t *testing.T) {
	const none = "library: megatron\n  type: GPT2BPETokenizer\n  model: null\n  vocab_file: null\n  merge_file: null"
	for name, test := range map[string]struct {
		config string            // in place of none
		files  map[string]string // artefacts and contents
		want   map[string]string
		note   string
	}{
		"hashed":            {"library: sentencepiece\n  model: nemo:8223bf_megatron_2.model", map[string]string{"8223bf_megatron_2.model": "right", "eb5528_megatron_2.model": "other copy"}, map[string]string{"tokenizer.model": "right"}, ""},
		"megatron's class":  {"library: megatron\n  type: GPTSentencePieceTokenizer\n  model: nemo:a_x.model", map[string]string{"a_x.model": "sp"}, map[string]string{"tokenizer.model": "sp"}, ""},
		"training path":     {"library: sentencepiece\n  model: /home/someone/spm/x.model", map[string]string{"0f_x.model": "sp"}, map[string]string{"tokenizer.model": "sp"}, ""},
		"other name":        {"library: sentencepiece\n  model: /artifacts/x.model", map[string]string{"y.model": "sp"}, map[string]string{"tokenizer.model": "sp"}, ""},
		"byte-level":        {"library: megatron\n  type: GPT2BPETokenizer\n  vocab_file: nemo:1_vocab.json\n  merge_file: nemo:2_merges.txt", map[string]string{"1_vocab.json": "{}", "2_merges.txt": "#"}, map[string]string{"vocab.json": "{}", "merges.txt": "#"}, ""},
		"missing":           {"library: sentencepiece\n  model: nemo:gone.model", nil, map[string]string{}, `"nemo:gone.model" is not here`},
		"escaping":          {"library: sentencepiece\n  model: nemo:../../etc/passwd", nil, map[string]string{}, "is not here"},
		"hugging face's id": {"library: huggingface\n  type: meta-llama/Llama-3.1-8B", nil, map[string]string{}, `"meta-llama/Llama-3.1-8B" and is not here`},
		"tiktoken":          {"library: tiktoken\n  model: nemo:t.json", map[string]string{"t.json": "[]"}, map[string]string{}, "library tiktoken"},
		"none":              {"library: null", nil, map[string]string{}, "names no tokenizer"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := testmodel.NemoDir(t, "nemotron.ckpt")
			edit(t, filepath.Join(dir, "model_config.yaml"), none, test.config)
			for file, text := range test.files {
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
			}
			m, err := nemo.Open(t.Context(), dir, nemo.Options{})
			require.NoError(t, err)
			defer m.Close()
			files, err := m.Files()
			require.NoError(t, err)
			got := map[string]string{}
			for _, f := range files {
				got[f.Name] = string(f.Data)
			}
			require.Equal(t, test.want, got)
			if test.note == "" {
				require.Empty(t, m.Notes())
			} else {
				require.Contains(t, strings.Join(m.Notes(), "\n"), test.note)
			}
		})
	}
}

// TestWithoutModelYAML opens a NeMo 2 directory that has an io.json alone.
func TestWithoutModelYAML(t *testing.T) {
	dir := testmodel.NemoDir(t, "nemotron-f32.nemo2")
	yaml := filepath.Join(dir, "context", "model.yaml")
	require.NoError(t, os.Remove(yaml))
	_, err := nemo.Open(t.Context(), dir, nemo.Options{})
	require.ErrorContains(t, err, "--config")
	text, err := os.ReadFile("testdata/io.json")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(yaml), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(yaml), "io.json"), text, 0o600))
	m, err := nemo.Open(t.Context(), dir, nemo.Options{})
	require.NoError(t, err)
	require.Equal(t, "GPTForCausalLM", m.Config().Architecture)
	require.NoError(t, m.Close())
}

// TestHuggingFaceConfig opens bare Megatron checkpoints with the config.json of
// the same weights in Hugging Face's form: given, and lying beside the weights.
func TestHuggingFaceConfig(t *testing.T) {
	for _, form := range []string{"mcore", "dcp"} {
		dir := filepath.Join(testmodel.NemoDir(t, "nemotron-f32."+form), "iter")
		model := testmodel.Dir(t, "nemotron-f32")
		config := filepath.Join(model, "config.json")
		reference, err := hf.Open(model)
		require.NoError(t, err)
		want := convert(t, reference, "auto", 2)
		require.NoError(t, reference.Close())
		m, err := nemo.Open(t.Context(), dir, nemo.Options{Config: config})
		require.NoError(t, err)
		require.Equal(t, "NemotronForCausalLM", m.Architecture())
		requireSame(t, want, convert(t, m, "auto", 2), "nemotron-f32")
		require.NoError(t, m.Close())

		// A vocabulary that is padded in Megatron is cut to the config's.
		edit(t, config, `"vocab_size": 128`, `"vocab_size": 120`)
		text, err := os.ReadFile(config)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600))
		m, err = nemo.Open(t.Context(), dir, nemo.Options{})
		require.NoError(t, err)
		require.EqualValues(t, 120, m.Config().VocabSize)
		require.Contains(t, strings.Join(m.Notes(), "\n"), "has 128 rows, of which the last 8 pad it")
		convert(t, m, "auto", 1)
		require.NoError(t, m.Close())
		edit(t, filepath.Join(dir, "config.json"), `"vocab_size": 120`, `"vocab_size": 136`)
		_, err = nemo.Open(t.Context(), dir, nemo.Options{})
		require.ErrorContains(t, err, "has 128 rows, vocab_size of the config.json is 136")
	}
}
