package hf_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/hf"
	"github.com/trtgo/trtgo/internal/pickle"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// Every model has the same tensors with the same bytes in each form.
func TestPyTorchWeights(t *testing.T) {
	for _, name := range []string{"llama-gqa", "llama-tied-llama3", "nemotron"} {
		want, err := hf.Open(testmodel.Dir(t, name))
		require.NoError(t, err)
		defer want.Close()
		require.Equal(t, "hf-safetensors", want.Format())
		for _, form := range testmodel.PyTorchForms {
			got, err := hf.Open(testmodel.PyTorch(t, name, form))
			require.NoError(t, err, form)
			defer got.Close()
			require.Equal(t, "hf-pytorch", got.Format())
			require.Empty(t, got.Notes())
			for _, w := range want.Config().Weights() {
				a, err := want.Tensor(w.Name, w.Shape)
				require.NoError(t, err)
				b, err := got.Tensor(w.Name, w.Shape)
				require.NoError(t, err)
				require.Equal(t, a.Dtype, b.Dtype)
				if a.Rows == nil {
					require.Nil(t, b.Rows)
					continue
				}
				size := map[string]int64{"BF16": 2, "F16": 2, "F32": 4}[a.Dtype]
				for _, n := range a.Shape {
					size *= n
				}
				x, y := make([]byte, size), make([]byte, size)
				require.NoError(t, a.Rows.ReadRows(x, 0))
				require.NoError(t, b.Rows.ReadRows(y, 0))
				require.Equal(t, x, y, "%s %s %s", name, form, w.Name)
			}
		}
	}
}

func TestDescribePyTorch(t *testing.T) {
	want, err := hf.Describe(testmodel.Dir(t, "llama-gqa"))
	require.NoError(t, err)
	for _, form := range testmodel.PyTorchForms {
		d, err := hf.Describe(testmodel.PyTorch(t, "llama-gqa", form))
		require.NoError(t, err)
		require.Equal(t, "hf-pytorch", d.Format)
		require.Empty(t, d.Problems)
		require.Empty(t, d.Notes)
		require.Equal(t, want.Config, d.Config)
		for i := range d.Tensors {
			require.Contains(t, d.Tensors[i].File, ".bin")
			d.Tensors[i].File = want.Tensors[0].File
		}
		require.ElementsMatch(t, want.Tensors, d.Tensors)
	}
	// What there is, is listed even when it does not fit.
	dir := testmodel.PyTorch(t, "llama-gqa", "zip")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"architectures":["GemmaForCausalLM"]}`), 0o644))
	d, err := hf.Describe(dir)
	require.NoError(t, err)
	require.Len(t, d.Problems, 1)
	require.Len(t, d.Tensors, len(want.Tensors))
}

func TestSafetensorsComeFirst(t *testing.T) {
	dir := testmodel.Dir(t, "llama-gqa")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), []byte("no pickle"), 0o644))
	m, err := hf.Open(dir)
	require.NoError(t, err)
	defer m.Close()
	require.Equal(t, "hf-safetensors", m.Format())
	require.Equal(t, []string{"there are safetensors and PyTorch pickles: the safetensors are read"}, m.Notes())
}

// A pickle that wants to run something is refused by that name.
func TestHostilePickle(t *testing.T) {
	dir := testmodel.PyTorch(t, "llama-gqa", "zip")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), []byte("\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."), 0o644))
	_, err := hf.Open(dir)
	require.ErrorIs(t, err, pickle.ErrGlobal)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "posix.system")
	require.ErrorContains(t, err, "pytorch_model.bin")

	tar := make([]byte, 512)
	copy(tar[257:], "ustar")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pytorch_model.bin"), tar, 0o644))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrUnsupported)
}

func TestPyTorchIndex(t *testing.T) {
	const first, second = "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"
	good := testmodel.PyTorch(t, "llama-gqa", "sharded")
	text, err := os.ReadFile(filepath.Join(good, "pytorch_model.bin.index.json"))
	require.NoError(t, err)
	for _, test := range []struct {
		name   string
		change func(weightMap map[string]string)
		want   string
	}{
		{"escape", func(m map[string]string) { m["x"] = "../" + first }, `tensor "x": shard "../` + first + `" is not a file name in this directory`},
		{"absolute", func(m map[string]string) { m["x"] = "/etc/passwd" }, `shard "/etc/passwd" is not a file name`},
		{"folder", func(m map[string]string) { m["x"] = "." }, `shard "." is not a file name`},
		{"missing", func(m map[string]string) { m["x"] = "third.bin" }, "shard third.bin, which "},
		{"moved", func(m map[string]string) { m["model.embed_tokens.weight"] = second }, `tensor "model.embed_tokens.weight" should be in ` + second + ", which lacks it"},
		{"promised", func(m map[string]string) { m["x"] = first }, `tensor "x" should be in ` + first + ", which lacks it"},
		{"empty", func(m map[string]string) { clear(m) }, "weight_map is missing or empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var index struct {
				WeightMap map[string]string `json:"weight_map"`
			}
			require.NoError(t, json.Unmarshal(text, &index))
			test.change(index.WeightMap)
			changed, err := json.Marshal(index)
			require.NoError(t, err)
			dir := testmodel.PyTorch(t, "llama-gqa", "sharded")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "pytorch_model.bin.index.json"), changed, 0o644))
			_, err = hf.Open(dir)
			require.ErrorIs(t, err, checkpoint.ErrInvalid)
			require.ErrorContains(t, err, test.want)
		})
	}
	dir := testmodel.PyTorch(t, "llama-gqa", "sharded")
	require.NoError(t, os.Remove(filepath.Join(dir, second)))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, second)

	content, err := os.ReadFile(filepath.Join(dir, first))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, second), content, 0o644))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
	require.ErrorContains(t, err, "is in both "+first+" and "+second)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "pytorch_model.bin.index.json"), []byte("{"), 0o644))
	_, err = hf.Open(dir)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)
}
