package trtllm_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/trtllm"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// archive is a checkpoint of a few kilobytes as a tar, its weights zero but for scales.
func archive(t testing.TB, q checkpoint.Quantization) []byte {
	t.Helper()
	c := &checkpoint.Config{
		Architecture: "LlamaForCausalLM", Dtype: checkpoint.BFloat16, LogitsDtype: checkpoint.Float32,
		VocabSize: 5, HiddenSize: 8, NumHiddenLayers: 2, NumAttentionHeads: 2, NumKeyValueHeads: 1, HeadSize: 4,
		IntermediateSize: 8, MaxPositionEmbeddings: 8, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping: checkpoint.Mapping{WorldSize: 4, TPSize: 2, PPSize: 2}, Quantization: q,
		Producer: &checkpoint.Producer{Name: checkpoint.ProducerName, Version: "test"},
	}
	dir := filepath.Join(t.TempDir(), "ckpt")
	w, err := checkpoint.Create(dir, c)
	require.NoError(t, err)
	for r := range 4 {
		for _, tensor := range c.RankTensors(r) {
			if tensor.Dtype == "F32" && len(tensor.Shape) == 1 {
				require.NoError(t, w.WriteAt(r, tensor.Name, []byte{0, 0, 0x80, 0x3f}, 0))
			}
		}
	}
	require.NoError(t, w.Commit())
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, name := range []string{"config.json", "rank0.safetensors", "rank1.safetensors", "rank2.safetensors", "rank3.safetensors"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, tw.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(data))}))
		_, err = tw.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, tw.Close())
	return b.Bytes()
}

var forms = []checkpoint.Quantization{
	{}, {QuantAlgo: checkpoint.FP8, KVCacheQuantAlgo: checkpoint.KVCacheFP8}, {QuantAlgo: checkpoint.W4A16AWQ, GroupSize: 4, PreQuantScale: true},
}

// readAll reads every weight of a model, 4-bit ones in both forms.
func readAll(m *trtllm.Model) (tensors int, err error) {
	c := m.Config().Clone()
	for range 2 {
		for _, w := range c.Weights() {
			t, err := m.Tensor(w.Name, w.Shape)
			if err != nil {
				return tensors, err
			}
			size := int64(max(floatformat.Size(t.Dtype), 1))
			for _, n := range t.Shape {
				size *= n
			}
			if size > 1<<20 {
				continue
			}
			if err := t.Rows.ReadRows(make([]byte, size), 0); err != nil {
				return tensors, err
			}
			tensors++
		}
		c.Quantization = checkpoint.Quantization{}
	}
	return tensors, nil
}

func open(t testing.TB, data []byte) (*trtllm.Model, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.qnemo")
	require.NoError(t, os.WriteFile(path, data, 0o644))
	return trtllm.Open(t.Context(), path, trtllm.Options{TempDir: t.TempDir()})
}

func TestEveryTensorIsRead(t *testing.T) {
	for i, q := range forms {
		m, err := open(t, archive(t, q))
		require.NoError(t, err)
		n, err := readAll(m)
		require.NoError(t, err)
		require.Equal(t, []int{2 * 21, 21 + 21 + 2*11, 21 + 21 + 2*12}[i], n)
		require.Equal(t, checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1}, m.Config().Mapping)
		require.NoError(t, m.Close())
	}
}

// FuzzOpen: whatever an archive holds, it is read or refused.
func FuzzOpen(f *testing.F) {
	for _, q := range forms {
		f.Add(archive(f, q))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := open(t, data)
		if err != nil {
			return
		}
		_, _ = readAll(m)
		_ = m.Inventory()
		_, _ = m.Files()
		require.NoError(t, m.Close())
	})
}
