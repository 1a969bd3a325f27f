package export_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestWhatIsNoSource(t *testing.T) {
	for _, test := range []struct {
		name    string // of the path
		files   map[string]string
		is      error
		message string
	}{
		{"model.nemo", map[string]string{"model.nemo": ""}, export.ErrInvalid, "model.nemo"},
		{"archive", map[string]string{"archive": strings.Repeat("\x00", 257) + "ustar\x0000" + strings.Repeat("\x00", 300)}, export.ErrInvalid, "archive"},
		{"dir", map[string]string{"dir/model_config.yaml": ""}, export.ErrInvalid, "model_config.yaml"},
		{"dir", map[string]string{"dir/weights/x": "", "dir/context/y": ""}, export.ErrInvalid, "context/model.yaml is missing"},
		{"dir", map[string]string{"dir/.metadata": ""}, export.ErrInvalid, "--config"},
		{"pytorch_model.bin", map[string]string{"pytorch_model.bin": "PK\x03\x04"}, export.ErrUnknownFormat, "PyTorch weights without their config"},
		{"dir", map[string]string{"dir/config.json": `{"architectures":["LlamaForCausalLM"],"vocab_size":1,"hidden_size":8,"intermediate_size":8,"num_hidden_layers":1,"num_attention_heads":1}`, "dir/pytorch_model.bin": ""}, export.ErrInvalid, "pytorch_model.bin"},
		{"x.gz", map[string]string{"x.gz": "\x1f\x8b\x08"}, export.ErrInvalid, "x.gz"},
		{"pointer.gguf", map[string]string{"pointer.gguf": "version https://git-lfs.github.com/spec/v1\n"}, safetensors.ErrPointer, "pointer.gguf"},
		{"model.safetensors", map[string]string{"model.safetensors": "x"}, export.ErrUnknownFormat, "give the directory"},
		{"notes.txt", map[string]string{"notes.txt": "Dear diary"}, export.ErrUnknownFormat, `begins with "Dear dia"`},
		{"empty", map[string]string{"empty": ""}, export.ErrUnknownFormat, `begins with ""`},
		{"dir", map[string]string{"dir/m.gguf": "GGUF"}, export.ErrUnknownFormat, "give the file"},
		{"dir", map[string]string{"dir/readme": ""}, export.ErrUnknownFormat, "found readme"},
		{"dir", map[string]string{"dir/config.json": `{"version":"1.2.1","pretrained_config":{}}`}, export.ErrUnknownFormat, "engine"},
		{"dir", map[string]string{"dir/config.json": `{"architecture":"LlamaForCausalLM"}`}, export.ErrInvalid, `dtype "" is none of`},
		{"dir", map[string]string{"dir/config.json": `{`}, export.ErrInvalid, "config.json"},
		{"none", nil, fs.ErrNotExist, "none"},
	} {
		t.Run(test.message, func(t *testing.T) {
			root := t.TempDir()
			for name, text := range test.files {
				path := filepath.Join(root, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			_, err := export.Convert(context.Background(), filepath.Join(root, test.name), export.Options{OutputDir: filepath.Join(t.TempDir(), "c")})
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.message)
			require.ErrorContains(t, err, root)
		})
	}
	_, err := export.Convert(context.Background(), t.TempDir(), export.Options{OutputDir: filepath.Join(t.TempDir(), "c")})
	require.ErrorContains(t, err, "it is empty")
}

func TestInspect(t *testing.T) {
	keys := func(d *export.Description) map[string]any {
		text, err := json.Marshal(d)
		require.NoError(t, err)
		var m map[string]any
		require.NoError(t, json.Unmarshal(text, &m))
		for _, key := range []string{"format", "architecture", "config", "tensors", "problems"} {
			require.Contains(t, m, key)
			require.NotNil(t, m[key], key)
		}
		return m
	}
	dir := testmodel.Dir(t, "nemotron")
	d, err := export.Inspect(t.Context(), dir, export.SourceOptions{})
	require.NoError(t, err)
	m := keys(d)
	require.Equal(t, "hf-safetensors", m["format"])
	require.Equal(t, "NemotronForCausalLM", m["architecture"])
	require.Equal(t, "GPTForCausalLM", m["config"].(map[string]any)["architecture"])
	require.Equal(t, []any{}, m["problems"])
	first := m["tensors"].([]any)[0].(map[string]any)
	for _, key := range []string{"name", "dtype", "shape", "bytes"} {
		require.Contains(t, first, key)
	}

	out := filepath.Join(t.TempDir(), "ckpt")
	_, err = export.Convert(context.Background(), dir, export.Options{OutputDir: out, TPSize: 2})
	require.NoError(t, err)
	d, err = export.Inspect(t.Context(), out, export.SourceOptions{})
	require.NoError(t, err)
	m = keys(d)
	require.Equal(t, "trtllm-checkpoint", m["format"])
	require.Equal(t, "GPTForCausalLM", m["architecture"])
	require.Equal(t, "rank1.safetensors", d.Tensors[len(d.Tensors)-1].File)

	require.NoError(t, os.Truncate(filepath.Join(out, "rank1.safetensors"), 100))
	d, err = export.Inspect(t.Context(), out, export.SourceOptions{})
	require.NoError(t, err)
	require.Len(t, d.Problems, 1)
	require.Contains(t, d.Problems[0], "rank1.safetensors")

	_, err = export.Inspect(t.Context(), t.TempDir(), export.SourceOptions{})
	require.ErrorIs(t, err, export.ErrUnknownFormat)
}
