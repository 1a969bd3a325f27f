package export_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// variant is one way to export a model, with the golden of an independent
// transform in Python.
type variant struct {
	dtype  string
	tp, pp int
	embed  int // -1: whole on every rank
}

var everyDtype = []variant{{"float32", 1, 1, -1}, {"float16", 1, 1, -1}, {"bfloat16", 1, 1, -1}}

var divided = map[string][]variant{
	"llama-gqa":  {{"bfloat16", 2, 1, -1}, {"bfloat16", 4, 1, -1}, {"bfloat16", 2, 1, 0}, {"bfloat16", 2, 1, 1}},
	"llama-bias": {{"bfloat16", 2, 1, -1}},
	"nemotron":   {{"bfloat16", 1, 2, -1}, {"bfloat16", 2, 1, -1}, {"bfloat16", 2, 2, -1}},
}

func (v variant) options(out string) export.Options {
	return export.Options{
		OutputDir: out, Dtype: v.dtype, TPSize: v.tp, PPSize: v.pp, Workers: 2,
		UseParallelEmbedding: v.embed >= 0, EmbeddingShardingDim: max(v.embed, 0),
	}
}

func (v variant) golden(t *testing.T, name string) testmodel.Checkpoint {
	if v.embed >= 0 {
		return testmodel.ListingParallelEmbedding(t, name, v.dtype, v.tp, v.pp, v.embed)
	}
	return testmodel.Listing(t, name, v.dtype, v.tp, v.pp)
}

// TestGoldens compares names, dtypes, shapes, every byte and the config of what is
// written for each tiny model. A swapped gate, a forgotten +1, heads cut at the
// wrong place, an untied head or a wrong epsilon all fail here.
func TestGoldens(t *testing.T) {
	for _, name := range testmodel.Names() {
		dir := testmodel.Dir(t, name)
		for _, v := range append(slices.Clone(everyDtype), divided[name]...) {
			out := filepath.Join(t.TempDir(), "ckpt")
			report, err := export.Convert(context.Background(), dir, v.options(out))
			require.NoError(t, err, name)
			require.Empty(t, report.Notes, name)
			requireGolden(t, out, v.golden(t, name), name)
			requireReport(t, out, report, v)
		}
	}
}

func requireGolden(t *testing.T, out string, want testmodel.Checkpoint, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "config.json"))
	require.NoError(t, err)
	var config map[string]any
	require.NoError(t, json.Unmarshal(text, &config))
	producer, _ := config["producer"].(map[string]any)
	require.Equal(t, "trtgo", producer["name"], name)
	require.NotEmpty(t, producer["version"])
	delete(config, "producer")
	require.Equal(t, want.Config, config, name)

	for r, tensors := range want.Ranks {
		require.Equal(t, tensors, listing(t, filepath.Join(out, checkpoint.RankName(r))), "%s rank %d", name, r)
	}
	require.NoFileExists(t, filepath.Join(out, checkpoint.RankName(len(want.Ranks))))
	opened, err := checkpoint.Open(out)
	require.NoError(t, err)
	require.NoError(t, opened.Close())
}

func listing(t *testing.T, path string) []testmodel.Tensor {
	t.Helper()
	f, err := safetensors.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var list []testmodel.Tensor
	for _, info := range f.Header().Tensors {
		tensor, _ := f.Tensor(info.Name)
		data := make([]byte, info.Size)
		_, err := tensor.ReadAt(data, 0)
		require.NoError(t, err)
		sum := sha256.Sum256(data)
		list = append(list, testmodel.Tensor{Name: info.Name, Dtype: info.Dtype, Shape: info.Shape, SHA256: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(list, func(a, b testmodel.Tensor) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func requireReport(t *testing.T, out string, report *export.Report, v variant) {
	t.Helper()
	require.Equal(t, export.FormatHF, report.Format)
	require.Equal(t, v.dtype, report.Dtype)
	require.Equal(t, v.tp*v.pp, report.Ranks)
	bytes := int64(0)
	for r := range report.Ranks {
		stat, err := os.Stat(filepath.Join(out, checkpoint.RankName(r)))
		require.NoError(t, err)
		bytes += stat.Size()
	}
	require.Equal(t, bytes, report.Bytes)
	for _, file := range report.Files {
		require.FileExists(t, filepath.Join(out, file))
	}
}

// Transformers 4 and 5 spell the same facts differently.
func TestConfigSpellings(t *testing.T) {
	for _, name := range testmodel.Names() {
		for _, config := range testmodel.Configs(t, name) {
			dir := testmodel.DirWithConfig(t, name, config)
			out := filepath.Join(t.TempDir(), "ckpt")
			_, err := export.Convert(context.Background(), dir, export.Options{OutputDir: out, Dtype: "float32"})
			require.NoError(t, err, "%s %s", name, config)
			requireGolden(t, out, testmodel.Listing(t, name, "float32", 1, 1), name+" "+config)
		}
	}
}

// auto keeps the source's dtype, float32 included, and tokenizer files travel.
func TestAutoDtypeAndTokenizerFiles(t *testing.T) {
	for name, dtype := range map[string]string{"llama-f32": "float32", "llama-f16": "float16", "llama-text": "bfloat16"} {
		dir := testmodel.Dir(t, name)
		for _, asked := range []string{"", "auto"} {
			out := filepath.Join(t.TempDir(), "ckpt")
			report, err := export.Convert(context.Background(), dir, export.Options{OutputDir: out, Dtype: asked})
			require.NoError(t, err)
			require.Equal(t, dtype, report.Dtype)
			requireGolden(t, out, testmodel.Listing(t, name, dtype, 1, 1), name)
			for _, file := range checkpoint.TokenizerNames() {
				want, err := os.ReadFile(filepath.Join(dir, file))
				if os.IsNotExist(err) {
					require.NoFileExists(t, filepath.Join(out, file))
					continue
				}
				require.NoError(t, err)
				got, err := os.ReadFile(filepath.Join(out, file))
				require.NoError(t, err)
				require.Equal(t, want, got, file)
				require.Contains(t, report.Files, file)
			}
		}
	}
}

func TestDivisionsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		tp, pp  int
		message string
	}{
		{"llama-gqa", 3, 1, "num_attention_heads 4 cannot be divided among tp_size 3"},
		{"nemotron", 3, 1, "intermediate_size 104 cannot be divided among tp_size 3"},
		{"llama-linear-rope", 4, 1, "num_attention_heads 6"},
		{"llama-tied-llama3", 1, 2, "num_hidden_layers 3 is no multiple of pp_size 2"},
		{"llama-gqa", 1, 4, "num_hidden_layers 3 are fewer than pp_size 4"},
		{"llama-gqa", 1 << 20, 1, "tp_size"},
	} {
		out := filepath.Join(t.TempDir(), "ckpt")
		_, err := export.Convert(context.Background(), testmodel.Dir(t, test.name), export.Options{OutputDir: out, TPSize: test.tp, PPSize: test.pp})
		require.ErrorIs(t, err, export.ErrMapping)
		require.ErrorContains(t, err, test.message)
		require.NoDirExists(t, out)
	}
}

// GGUF files: every type that is read, permuted heads, rope factors, and
// tokenizers of both kinds.
func TestGGUFGoldens(t *testing.T) {
	for _, name := range append(testmodel.GGUFNames(), "gguf-rope-freqs") {
		path := testmodel.GGUF(t, name)
		for _, v := range everyDtype {
			out := filepath.Join(t.TempDir(), "ckpt")
			report, err := export.Convert(context.Background(), path, v.options(out))
			require.NoError(t, err, name)
			require.Equal(t, export.FormatGGUF, report.Format)
			requireGolden(t, out, v.golden(t, name), name)
			if name == "gguf-spm" {
				require.FileExists(t, filepath.Join(out, "tokenizer.model"))
				require.NoFileExists(t, filepath.Join(out, "tokenizer.json"))
				require.NoFileExists(t, filepath.Join(out, checkpoint.GGUFTokenizerName))
			}
		}
	}
	for name, dtype := range map[string]string{"gguf-f32": "float32", "gguf-f16": "float16", "gguf-bf16": "bfloat16", "gguf-q4_1": "bfloat16", "gguf-mixed": "bfloat16"} {
		report, err := export.Convert(context.Background(), testmodel.GGUF(t, name), export.Options{OutputDir: filepath.Join(t.TempDir(), "ckpt")})
		require.NoError(t, err)
		require.Equal(t, dtype, report.Dtype, name)
	}
	_, err := export.Convert(context.Background(), testmodel.GGUF(t, "gguf-unsupported-q5_0"), export.Options{OutputDir: filepath.Join(t.TempDir(), "ckpt")})
	require.ErrorIs(t, err, export.ErrUnsupported)
	require.ErrorContains(t, err, "Q5_0")
}
