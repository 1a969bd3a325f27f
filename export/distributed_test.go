package export_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/internal/testmodel"
)

func rank0(t *testing.T, path string, o export.SourceOptions) (*export.Report, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "checkpoint")
	report, err := export.Convert(t.Context(), path, export.Options{OutputDir: dir, Source: o})
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(dir, "rank0.safetensors"))
	require.NoError(t, err)
	return report, string(data)
}

// A path is recognised whatever form the model has, and each gives the bytes of
// the Hugging Face directory. The forms one by one are tested in package nemo.
func TestConvertNemoAndDistributed(t *testing.T) {
	for name, format := range map[string]string{"nemotron-f32.zarr-tp2": "nemo-zarr", "nemotron-f32.gzip": "nemo-ckpt", "nemotron-f32.nemo2": "nemo2"} {
		_, want := rank0(t, testmodel.Dir(t, "nemotron-f32"), export.SourceOptions{})
		report, got := rank0(t, testmodel.Nemo(t, name), export.SourceOptions{})
		require.Equal(t, format, report.Format)
		require.Equal(t, want, got, name)
	}
	_, want := rank0(t, testmodel.Dir(t, "llama-f16"), export.SourceOptions{})
	dir := filepath.Join(testmodel.NemoDir(t, "llama-f16.hf-dcp"), "iter")
	config := filepath.Join(testmodel.Dir(t, "llama-f16"), "config.json")
	report, got := rank0(t, dir, export.SourceOptions{Config: config})
	require.Equal(t, "torch-dcp", report.Format)
	require.Equal(t, want, got)

	_, err := export.Convert(t.Context(), dir, export.Options{OutputDir: filepath.Join(t.TempDir(), "c")})
	require.ErrorContains(t, err, "--config")
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600))
	_, got = rank0(t, dir, export.SourceOptions{})
	require.Equal(t, want, got, "config.json may lie beside the shards")
}

func TestInspectNemoAndDistributed(t *testing.T) {
	d, err := export.Inspect(t.Context(), testmodel.Nemo(t, "nemotron.zarr"), export.SourceOptions{})
	require.NoError(t, err)
	require.Equal(t, "nemo-zarr", d.Format)
	require.Equal(t, "MegatronGPTModel", d.Architecture)
	require.Empty(t, d.Problems)
	require.Contains(t, names(d), "model.decoder.layers.mlp.linear_fc1.weight")

	bare := filepath.Join(testmodel.NemoDir(t, "nemotron-f32.mcore"), "iter")
	d, err = export.Inspect(t.Context(), bare, export.SourceOptions{})
	require.NoError(t, err)
	require.Equal(t, "mcore-dist", d.Format)
	require.Len(t, d.Problems, 1)
	require.Contains(t, d.Problems[0], "--config")

	broken := testmodel.NemoDir(t, "nemotron.ckpt")
	require.NoError(t, os.Remove(filepath.Join(broken, "model_weights.ckpt")))
	d, err = export.Inspect(t.Context(), broken, export.SourceOptions{})
	require.NoError(t, err)
	require.Equal(t, "nemo-ckpt", d.Format)
	require.Equal(t, 6.0, toFloat(d.Config.(map[string]any)["num_attention_heads"]), "the config as it is, when it was not understood")
	require.Contains(t, d.Problems[0], "there are no weights")

	dcp := filepath.Join(testmodel.NemoDir(t, "llama-f16.hf-dcp"), "iter")
	d, err = export.Inspect(t.Context(), dcp, export.SourceOptions{Config: filepath.Join(testmodel.Dir(t, "llama-f16"), "config.json")})
	require.NoError(t, err)
	require.Equal(t, "torch-dcp", d.Format)
	require.Empty(t, d.Problems)
	alone, err := export.Inspect(t.Context(), dcp, export.SourceOptions{})
	require.NoError(t, err)
	require.Equal(t, d.Tensors, alone.Tensors)
	require.Len(t, alone.Problems, 1)
	require.Contains(t, alone.Problems[0], "--config")
	require.Contains(t, names(d), "model.layers.0.mlp.gate_proj.weight")
}

func toFloat(v any) float64 {
	n, _ := v.(int64)
	return float64(n)
}

func names(d *export.Description) []string {
	var list []string
	for _, t := range d.Tensors {
		list = append(list, t.Name)
	}
	return list
}

// An archive is inflated beside the output; a source that is none makes no
// directory.
func TestNothingIsMadeForABadSource(t *testing.T) {
	root := t.TempDir()
	bad := filepath.Join(t.TempDir(), "bad.nemo")
	require.NoError(t, os.WriteFile(bad, []byte("\x1f\x8bnothing"), 0o600))
	_, err := export.Convert(t.Context(), bad, export.Options{OutputDir: filepath.Join(root, "a", "b", "c")})
	require.ErrorIs(t, err, export.ErrInvalid)
	left, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = export.Convert(t.Context(), testmodel.Nemo(t, "nemotron-f32.gzip"), export.Options{OutputDir: filepath.Join(root, "a", "b", "c")})
	require.NoError(t, err)
}
