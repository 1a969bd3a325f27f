package export_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// whole lists all rank files and config.json without the producer.
func whole(t *testing.T, dir string) (ranks [][]testmodel.Tensor, config map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &config))
	delete(config, "producer")
	paths, err := filepath.Glob(filepath.Join(dir, "rank*.safetensors"))
	require.NoError(t, err)
	for r := range paths {
		ranks = append(ranks, listing(t, filepath.Join(dir, checkpoint.RankName(r))))
	}
	return ranks, config
}

func requireSame(t *testing.T, want, got string, message string) {
	t.Helper()
	wantRanks, wantConfig := whole(t, want)
	ranks, config := whole(t, got)
	require.Equal(t, wantConfig, config, message)
	require.Equal(t, wantRanks, ranks, message)
}

// TestReshard: a checkpoint that was divided in any way and is put together or divided
// in another is, byte for byte, what comes of the model itself: plain, FP8 and 4-bit
// weights, padded vocabularies, repeated heads, renumbered stages.
func TestReshard(t *testing.T) {
	for name, test := range map[string]struct {
		source string
		tp, pp []int
	}{
		"llama-gqa":     {testmodel.Dir(t, "llama-gqa"), []int{1, 2, 4}, []int{1, 3}},
		"llama-bias":    {testmodel.Dir(t, "llama-bias"), []int{1, 2}, []int{1}},
		"nemotron":      {testmodel.Dir(t, "nemotron"), []int{1, 2}, []int{1, 2, 4}},
		"nemotron.fp8":  {testmodel.QuantisedDir(t, "nemotron.fp8"), []int{1, 2}, []int{1, 2}},
		"llama-gqa.fp8": {testmodel.QuantisedDir(t, "llama-gqa.fp8"), []int{1, 4}, []int{1}},
		"llama-gqa.awq": {testmodel.QuantisedDir(t, "llama-gqa.awq"), []int{1, 2}, []int{1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			base := mustConvert(t, test.source, export.Options{})
			last := test.tp[len(test.tp)-1]
			other := mustConvert(t, test.source, export.Options{TPSize: last, UseParallelEmbedding: true})
			for _, tp := range test.tp {
				for _, pp := range test.pp {
					for embedding := -1; embedding <= 1; embedding++ {
						if embedding >= 0 && (tp == 1 || pp > 1) {
							continue
						}
						o := export.Options{TPSize: tp, PPSize: pp, UseParallelEmbedding: embedding >= 0, EmbeddingShardingDim: max(embedding, 0)}
						divided := mustConvert(t, test.source, o)
						message := fmt.Sprint(tp, pp, embedding)
						requireSame(t, base, mustConvert(t, divided, export.Options{}), message)
						requireSame(t, other, mustConvert(t, divided, export.Options{TPSize: last, UseParallelEmbedding: true}), message)
					}
				}
			}
		})
	}
}

// The same checkpoint as ModelOpt writes it: FP8 as I8, scales without dimensions, a
// divided embedding, keys of its own.
func TestModelOptsCheckpoint(t *testing.T) {
	base := mustConvert(t, testmodel.QuantisedDir(t, "nemotron.fp8"), export.Options{})
	theirs := mustConvert(t, testmodel.QuantisedDir(t, "nemotron.fp8"), export.Options{TPSize: 2, UseParallelEmbedding: true})
	for r := range 2 {
		path := filepath.Join(theirs, checkpoint.RankName(r))
		tensors := load(t, path)
		for name, tensor := range tensors {
			if tensor.dtype == "F8_E4M3" {
				tensor.dtype = "I8"
			}
			if tensor.dtype == "F32" {
				tensor.shape = nil
			}
			tensors[name] = tensor
		}
		save(t, path, tensors)
	}
	path := filepath.Join(theirs, "config.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text = bytes.Replace(text, []byte(`"producer": {`), []byte(`"rank": 0, "decoder": "gpt", "producer": {`), 1)
	require.NoError(t, os.WriteFile(path, text, 0o644))
	again := mustConvert(t, theirs, export.Options{})
	ranks, config := whole(t, again)
	want, wantConfig := whole(t, base)
	require.Equal(t, want, ranks)
	wantConfig["rank"], wantConfig["decoder"] = 0.0, "gpt"
	require.Equal(t, wantConfig, config)
}

// pack writes a directory as a tar archive.
func pack(t *testing.T, dir, prefix, to string, compress bool) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: prefix + e.Name(), Mode: 0o644, Size: int64(len(data))}))
		_, err = w.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	path := filepath.Join(t.TempDir(), to)
	if compress {
		var z bytes.Buffer
		g := gzip.NewWriter(&z)
		_, err := g.Write(b.Bytes())
		require.NoError(t, err)
		require.NoError(t, g.Close())
		b = z
	}
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o644))
	return path
}

func TestArchivesOfCheckpoints(t *testing.T) {
	divided := mustConvert(t, testmodel.Dir(t, "llama-text"), export.Options{TPSize: 2})
	base := mustConvert(t, divided, export.Options{})
	for name, path := range map[string]string{
		"qnemo":         pack(t, divided, "", "model.qnemo", false),
		"dots":          pack(t, divided, "./", "model.qnemo", false),
		"in a dir":      pack(t, divided, "model/", "model.tar", false),
		"gzip":          pack(t, divided, "./", "model.qnemo", true),
		"unnamed":       pack(t, divided, "", "model.tar", false),
		"named as NeMo": pack(t, divided, "", "model.nemo", false),
	} {
		out, report, err := convert(t, path, export.Options{})
		require.NoError(t, err, name)
		require.Equal(t, export.FormatQnemo, report.Format)
		requireSame(t, base, out, name)
		require.FileExists(t, filepath.Join(out, "tokenizer.json"))
		d, err := export.Inspect(t.Context(), path, export.SourceOptions{})
		require.NoError(t, err)
		require.Equal(t, "qnemo", d.Format)
		require.Empty(t, d.Problems)
		require.Equal(t, "rank1.safetensors", d.Tensors[len(d.Tensors)-1].File)
	}
	for name, spoil := range map[string]func(dir string){
		"rank1.safetensors":       func(dir string) { os.Remove(filepath.Join(dir, "rank1.safetensors")) },
		"config.json":             func(dir string) { os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o644) },
		"only 30000 (truncated?)": func(dir string) { os.Truncate(filepath.Join(dir, "rank0.safetensors"), 30000) },
	} {
		dir := mustConvert(t, testmodel.Dir(t, "llama-text"), export.Options{TPSize: 2})
		spoil(dir)
		path := pack(t, dir, "", "model.qnemo", false)
		_, _, err := convert(t, path, export.Options{})
		require.ErrorIs(t, err, export.ErrInvalid, name)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, path)
		d, err := export.Inspect(t.Context(), path, export.SourceOptions{})
		require.NoError(t, err)
		require.Contains(t, d.Problems[0], name)
	}
	other := filepath.Join(t.TempDir(), "x.qnemo")
	require.NoError(t, os.WriteFile(other, []byte("no archive at all, for 512 bytes"), 0o644))
	_, _, err := convert(t, other, export.Options{})
	require.ErrorIs(t, err, export.ErrInvalid)
}

// TestCheckpointConverted: another dtype and other forms of a checkpoint's weights.
func TestCheckpointConverted(t *testing.T) {
	source := testmodel.Dir(t, "llama-gqa")
	base := mustConvert(t, source, export.Options{TPSize: 2, Dtype: "bfloat16"})
	requireSame(t, mustConvert(t, source, export.Options{Dtype: "float32"}), mustConvert(t, base, export.Options{Dtype: "float32"}), "float32")
	requireSame(t, mustConvert(t, source, export.Options{QFormat: "int8_wo"}), mustConvert(t, base, export.Options{QFormat: "int8_wo"}), "int8_wo")
	weightOnly := mustConvert(t, base, export.Options{QFormat: "int4_wo"})
	requireSame(t, mustConvert(t, source, export.Options{}), mustConvert(t, weightOnly, export.Options{QFormat: "full_prec"}), "back")

	fp8 := testmodel.QuantisedDir(t, "nemotron.fp8")
	undone, _ := whole(t, mustConvert(t, mustConvert(t, fp8, export.Options{TPSize: 2}), export.Options{QFormat: "full_prec"}))
	direct, _ := whole(t, mustConvert(t, fp8, export.Options{QFormat: "full_prec"}))
	for i, tensor := range direct[0] {
		require.Equal(t, tensor.Name, undone[0][i].Name)
		if !bytes.Contains([]byte(tensor.Name), []byte("qkv")) { // their numbers were rounded to one scale
			require.Equal(t, tensor, undone[0][i])
		}
	}
}

// TestAWQUndone computes a few weights by hand: the low half of a byte is the even row,
// the input's factor multiplies the column.
func TestAWQUndone(t *testing.T) {
	source := testmodel.QuantisedDir(t, "llama-gqa.awq")
	const proj, qkv = "transformer.layers.1.mlp.proj", "transformer.layers.1.attention.qkv"
	from := load(t, filepath.Join(source, checkpoint.RankName(0)))
	for _, tp := range []int{1, 2} {
		divided := mustConvert(t, source, export.Options{TPSize: tp, QFormat: "int4_awq"})
		out := mustConvert(t, divided, export.Options{QFormat: "full_prec"})
		require.Equal(t, map[string]any{"quant_algo": nil, "kv_cache_quant_algo": nil}, readQuantization(t, out))
		to := load(t, filepath.Join(out, checkpoint.RankName(0)))
		for module, columns := range map[string]int{proj: 88, qkv: 64} {
			weight := from[module+".weight"]
			scales, factors := decoded(from[module+checkpoint.WeightScale]), decoded(from[module+checkpoint.InputFactor])
			got := decoded(to[module+".weight"])
			require.Len(t, got, 2*len(weight.data))
			for _, row := range []int{0, 1, 6, 37, 63} {
				for _, k := range []int{0, 5, columns - 1} {
					code := weight.data[row/2*columns+k] >> (4 * (row % 2)) & 15
					number := float32(int(code) - int(code&8)*2)
					want := number * roundedTo(scales[(row*columns+k)/4], "BF16") * factors[k]
					require.Equal(t, roundedTo(want, "BF16"), got[row*columns+k], "%s %d %d", module, row, k)
				}
			}
		}
	}
	_, _, err := convert(t, source, export.Options{TPSize: 4})
	require.ErrorIs(t, err, export.ErrMapping)
	require.ErrorContains(t, err, "intermediate_size 22 on each of tp_size 4 ranks is no multiple of quantization.group_size 4")
}

func decoded(tensor stored) []float32 {
	values := make([]float32, len(tensor.data)/floatformat.Size(tensor.dtype))
	floatformat.Decode(values, tensor.data, tensor.dtype)
	return values
}

func roundedTo(v float32, dtype string) float32 {
	raw, value := make([]byte, 4), []float32{v}
	floatformat.Encode(raw, value, dtype)
	floatformat.Decode(value, raw, dtype)
	return value[0]
}

func TestCheckpointRefused(t *testing.T) {
	const module = "transformer.layers.0.mlp.proj"
	for name, test := range map[string]struct {
		rank    int
		tensor  string
		data    []byte
		message string
	}{
		"scales that differ": {1, module + checkpoint.WeightScale, []byte{0, 0, 0x80, 0x3f}, "rank1.safetensors: invalid checkpoint: tensor " + module + ".weights_scaling_factor is 1 and "},
		"scale of zero":      {0, module + checkpoint.InputScale, []byte{0, 0, 0, 0}, "activation_scaling_factor is 0, not a number above 0"},
		"scale of NaN":       {0, module + checkpoint.WeightScale, []byte{0, 0, 0xc0, 0x7f}, "weights_scaling_factor is NaN"},
		"cache of infinity":  {1, "transformer.layers.0.attention.kv_cache_scaling_factor", []byte{0, 0, 0x80, 0x7f}, "kv_cache_scaling_factor is +Inf"},
		"NaN among weights":  {1, module + ".weight", bytes.Repeat([]byte{0x7f}, 48*52), "has NaN in row 0"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := mustConvert(t, testmodel.QuantisedDir(t, "nemotron.fp8"), export.Options{TPSize: 2})
			path := filepath.Join(dir, checkpoint.RankName(test.rank))
			tensors := load(t, path)
			tensor := tensors[test.tensor]
			require.Len(t, tensor.data, len(test.data))
			tensor.data = test.data
			tensors[test.tensor] = tensor
			save(t, path, tensors)
			_, _, err := convert(t, dir, export.Options{})
			require.ErrorIs(t, err, export.ErrInvalid)
			require.ErrorContains(t, err, test.message)
		})
	}
	one := edited(t, "nemotron.fp8", func(tensors map[string]stored) { unquantise(tensors, "model.layers.1.mlp.down_proj") }, nil)
	dir := mustConvert(t, one, export.Options{})
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	text = bytes.Replace(bytes.Replace(text, []byte(`"pp_size": 1`), []byte(`"pp_size": 2`), 1), []byte(`"world_size": 1`), []byte(`"world_size": 2`), 1)
	stages := mustConvert(t, testmodel.QuantisedDir(t, "nemotron.fp8"), export.Options{PPSize: 2})
	for r := range 2 {
		name := checkpoint.RankName(r)
		tensors := load(t, filepath.Join(stages, name))
		unquantised := map[string]stored{}
		for name, tensor := range tensors {
			unquantised[name] = tensor
		}
		tensor := unquantised["transformer.layers.1.mlp.proj.weight"]
		unquantised["transformer.layers.1.mlp.proj.weight"] = stored{"BF16", tensor.shape, make([]byte, 2*len(tensor.data))}
		save(t, filepath.Join(stages, name), unquantised)
	}
	require.NoError(t, os.WriteFile(filepath.Join(stages, "config.json"), text, 0o644))
	_, _, err = convert(t, stages, export.Options{})
	require.ErrorIs(t, err, export.ErrUnsupported)
	require.ErrorContains(t, err, "transformer.layers.1.mlp.proj), which count from 0 on each of pp_size 2 stages")
}

func TestUnexpectedTensorsAreNoted(t *testing.T) {
	dir := mustConvert(t, testmodel.Dir(t, "llama-gqa"), export.Options{})
	path := filepath.Join(dir, checkpoint.RankName(0))
	tensors := load(t, path)
	tensors["rotary_inv_freq"] = stored{"F32", []int64{1}, make([]byte, 4)}
	save(t, path, tensors)
	_, report, err := convert(t, dir, export.Options{})
	require.NoError(t, err)
	require.Len(t, report.Notes, 1)
	require.Contains(t, report.Notes[0], "rotary_inv_freq")
}
