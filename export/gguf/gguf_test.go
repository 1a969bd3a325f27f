package gguf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/export/gguf"
	"github.com/trtgo/trtgo/export/source"
	"github.com/trtgo/trtgo/tokenizer"
)

func read(t *testing.T, m *gguf.Model, w checkpoint.Weight) []byte {
	t.Helper()
	tensor, err := m.Tensor(w.Name, w.Shape)
	require.NoError(t, err)
	require.Equal(t, "F32", tensor.Dtype)
	size := 4 * w.Shape[0]
	if len(w.Shape) == 2 {
		size *= w.Shape[1]
	}
	data := make([]byte, size)
	require.NoError(t, tensor.Rows.ReadRows(data, 0))
	return data
}

func TestWeights(t *testing.T) {
	for _, version := range []uint32{2, 3} {
		w, values := tinyLlama()
		w.version = version
		m, err := open(w)
		require.NoError(t, err)
		for _, weight := range m.Config().Weights() {
			require.Equal(t, float32Bytes(values[weight.Name]), read(t, m, weight), weight.Name)
			delete(values, weight.Name)
		}
		require.Empty(t, values)
		require.NoError(t, m.Close())
	}
}

// Rows come in the model's order whatever block of them is asked for.
func TestPermutedRowsInPieces(t *testing.T) {
	w, values := tinyLlama()
	m, err := open(w)
	require.NoError(t, err)
	const name = "transformer.layers.1.attention.q.weight"
	tensor, err := m.Tensor(name, []int64{heads * headSize, hidden})
	require.NoError(t, err)
	want := float32Bytes(values[name])
	for first := range int64(heads * headSize) {
		for n := int64(1); first+n <= heads*headSize; n++ {
			got := make([]byte, n*4*hidden)
			require.NoError(t, tensor.Rows.ReadRows(got, first))
			require.Equal(t, want[first*4*hidden:(first+n)*4*hidden], got)
		}
	}
}

func TestConfig(t *testing.T) {
	w, _ := tinyLlama()
	w.set("llama.attention.sliding_window", uint32(32))
	m, err := open(w)
	require.NoError(t, err)
	require.Equal(t, &checkpoint.Config{
		Architecture: "LlamaForCausalLM", Dtype: checkpoint.Float32, LogitsDtype: checkpoint.Float32,
		VocabSize: vocab, HiddenSize: hidden, NumHiddenLayers: layers, NumAttentionHeads: heads, NumKeyValueHeads: kvHeads,
		HeadSize: headSize, IntermediateSize: ffn, MaxPositionEmbeddings: 64, HiddenAct: "silu", NormEpsilon: 1e-5,
		PositionEmbeddingType: "rope_gpt_neox", RotaryPct: 1, RotaryBase: 10000,
		Mapping:         checkpoint.Mapping{WorldSize: 1, TPSize: 1, PPSize: 1},
		RuntimeDefaults: &checkpoint.RuntimeDefaults{MaxAttentionWindow: []int64{32}},
	}, m.Config())

	for _, key := range []string{"head_count_kv", "key_length", "value_length", "sliding_window"} {
		w.drop("llama.attention." + key)
	}
	w.drop("llama.rope.dimension_count")
	w.drop("llama.rope.freq_base")
	w.set("llama.embedding_length", uint32(24))
	_, err = open(w) // defaults: all heads, 24/4, 10000
	require.ErrorContains(t, err, "shape [11 12], the config gives [11 24]")
}

func TestTiedAndBiased(t *testing.T) {
	w, values := tinyLlama()
	w.tensors = w.tensors[:len(w.tensors)-1] // output.weight
	bias := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	w.tensors = append(w.tensors, written{"blk.0.attn_k.bias", 0, []int64{12}, float32Bytes(bias)})
	m, err := open(w)
	require.NoError(t, err)
	require.True(t, m.Config().AttnBias)
	require.False(t, m.Config().MLPBias)
	for _, weight := range m.Config().Weights() {
		switch weight.Name {
		case "lm_head.weight":
			require.Equal(t, float32Bytes(values["transformer.vocab_embedding.weight"]), read(t, m, weight))
		case "transformer.layers.0.attention.k.bias": // permuted as the rows are
			require.Equal(t, float32Bytes([]float32{1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12}), read(t, m, weight))
		case "transformer.layers.1.attention.k.bias", "transformer.layers.0.attention.dense.bias":
			tensor, err := m.Tensor(weight.Name, weight.Shape)
			require.NoError(t, err)
			require.Nil(t, tensor.Rows, "absent biases are zero")
		}
	}
}

func divisors(base float64, dim int, factor, low, high, original float64) []float32 {
	var list []float32
	for i := range dim / 2 {
		wavelength := 2 * math.Pi * math.Pow(base, 2*float64(i)/float64(dim))
		smooth := (original/wavelength - low) / (high - low)
		switch {
		case wavelength < original/high:
			list = append(list, 1)
		case wavelength > original/low:
			list = append(list, float32(factor))
		default:
			list = append(list, float32(1/((1-smooth)/factor+smooth)))
		}
	}
	return list
}

func TestRopeScaling(t *testing.T) {
	wide := func() *fileWriter { // heads of 64
		w, _ := tinyLlama()
		for _, key := range []string{"llama.attention.key_length", "llama.attention.value_length", "llama.rope.dimension_count"} {
			w.set(key, uint32(64))
		}
		for i := range w.tensors {
			t := &w.tensors[i]
			switch t.name[max(0, len(t.name)-13):] {
			case ".attn_q.weight"[1:]:
				t.shape = []int64{heads * 64, hidden}
			case ".attn_k.weight"[1:], ".attn_v.weight"[1:]:
				t.shape = []int64{kvHeads * 64, hidden}
			case "output.weight":
				if t.name != "output.weight" {
					t.shape = []int64{hidden, heads * 64}
				}
			}
			n := int64(4)
			for _, d := range t.shape {
				n *= d
			}
			t.data = make([]byte, n)
		}
		return w
	}
	for _, want := range []checkpoint.RotaryScaling{
		{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192},
		{Type: "llama3", Factor: 32, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 8192},
		{Type: "llama3", Factor: 8, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 32},
		{Type: "llama3", Factor: 2.5, LowFreqFactor: 1, HighFreqFactor: 4, OriginalMaxPositionEmbeddings: 1000},
	} {
		for _, base := range []float32{10000, 500000} {
			w := wide()
			w.set("llama.rope.freq_base", base)
			list := divisors(float64(base), 64, want.Factor, 1, 4, float64(want.OriginalMaxPositionEmbeddings))
			w.tensors = append(w.tensors, written{"rope_freqs.weight", 0, []int64{32}, float32Bytes(list)})
			m, err := open(w)
			require.NoError(t, err)
			require.Equal(t, &want, m.Config().RotaryScaling)
			require.Contains(t, m.Notes()[0], "rope_freqs.weight")
		}
	}
	// In a short head one frequency alone is scaled, and in part: many numbers would do.
	short, _ := tinyLlama()
	short.set("llama.rope.freq_base", float32(27000))
	short.tensors = append(short.tensors, written{"rope_freqs.weight", 0, []int64{3}, float32Bytes(divisors(27000, 6, 32, 1, 4, 8192))})
	llama32, err := open(short)
	require.NoError(t, err)
	require.Equal(t, 32.0, llama32.Config().RotaryScaling.Factor)
	require.Equal(t, int64(8192), llama32.Config().RotaryScaling.OriginalMaxPositionEmbeddings)

	for name, list := range map[string][]float32{
		"other factors": divisors(10000, 64, 8, 2, 4, 8192),
		"below one":     append(make([]float32, 31), 1),
	} {
		w := wide()
		w.tensors = append(w.tensors, written{"rope_freqs.weight", 0, []int64{32}, float32Bytes(list)})
		_, err := open(w)
		require.ErrorContains(t, err, "rope_freqs.weight", name)
	}
	w := wide()
	w.tensors = append(w.tensors, written{"rope_freqs.weight", 0, []int64{31}, make([]byte, 124)})
	_, err = open(w)
	require.ErrorIs(t, err, checkpoint.ErrInvalid)

	for i, set := range []func(w *fileWriter){
		func(w *fileWriter) {
			w.set("llama.rope.scaling.type", "linear")
			w.set("llama.rope.scaling.factor", float32(4))
		},
		func(w *fileWriter) { w.set("llama.rope.scale_linear", float32(4)) },
	} {
		w, _ := tinyLlama()
		set(w)
		m, err := open(w)
		require.NoError(t, err)
		require.Equal(t, &checkpoint.RotaryScaling{Type: "linear", Factor: 4}, m.Config().RotaryScaling, i)
	}
	plain, _ := tinyLlama()
	plain.tensors = append(plain.tensors, written{"rope_freqs.weight", 0, []int64{3}, float32Bytes([]float32{1, 1, 1})})
	m, err := open(plain)
	require.NoError(t, err)
	require.Nil(t, m.Config().RotaryScaling)

	plain, _ = tinyLlama() // a factor of 0 is none
	plain.set("llama.rope.scaling.factor", float32(0))
	m, err = open(plain)
	require.NoError(t, err)
	require.Nil(t, m.Config().RotaryScaling)
}

func TestAlignment(t *testing.T) {
	for _, alignment := range []uint32{1, 8, 4096} {
		w, _ := tinyLlama()
		w.set("general.alignment", alignment)
		w.align = int(alignment)
		_, err := open(w)
		require.NoError(t, err, alignment)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		spoil   func(w *fileWriter)
		is      error
		message string
	}{
		{"architecture", func(w *fileWriter) { w.set("general.architecture", "qwen2") }, checkpoint.ErrUnsupported, `"qwen2"`},
		{"split", func(w *fileWriter) { w.set("split.count", uint16(3)) }, checkpoint.ErrUnsupported, "llama-gguf-split --merge"},
		{"experts", func(w *fileWriter) { w.set("llama.expert_count", uint32(8)) }, checkpoint.ErrUnsupported, "experts"},
		{"quantised", func(w *fileWriter) { w.find("blk.1.ffn_up.weight").kind = 12 }, checkpoint.ErrUnsupported, "tensor blk.1.ffn_up.weight: type Q4_K is not supported: BF16, F16, F32, Q4_0, Q4_1, Q6_K, Q8_0 are"},
		{"unknown type", func(w *fileWriter) { w.find("blk.1.ffn_up.weight").kind = 99 }, checkpoint.ErrUnsupported, "tensor blk.1.ffn_up.weight: type unknown (99) is not supported"},
		{"unknown type", func(w *fileWriter) { w.find("blk.1.ffn_up.weight").kind = 40 }, checkpoint.ErrUnsupported, "type NVFP4"},
		{"yarn", func(w *fileWriter) { w.set("llama.rope.scaling.type", "yarn") }, checkpoint.ErrUnsupported, "yarn"},
		{"base of text", func(w *fileWriter) { w.set("llama.rope.freq_base", "10000") }, checkpoint.ErrInvalid, "llama.rope.freq_base is a string, not a number"},
		{"factor of truth", func(w *fileWriter) { w.set("llama.rope.scaling.factor", true) }, checkpoint.ErrInvalid, "llama.rope.scaling.factor is a bool"},
		{"scaling by number", func(w *fileWriter) { w.set("llama.rope.scaling.type", uint32(1)) }, checkpoint.ErrInvalid, "llama.rope.scaling.type is a uint32, not a text"},
		{"windows", func(w *fileWriter) { w.set("llama.attention.sliding_window", []uint32{16, 32}) }, checkpoint.ErrUnsupported, "sliding_window"},
		{"linear without factor", func(w *fileWriter) { w.set("llama.rope.scaling.type", "linear") }, checkpoint.ErrInvalid, "factor"},
		{"partial rotary", func(w *fileWriter) { w.set("llama.rope.dimension_count", uint32(4)) }, checkpoint.ErrUnsupported, "dimension_count 4"},
		{"value length", func(w *fileWriter) { w.set("llama.attention.value_length", uint32(8)) }, checkpoint.ErrUnsupported, "value_length 8"},
		{"layers differ", func(w *fileWriter) { w.set("llama.attention.head_count_kv", []int32{2, 1}) }, checkpoint.ErrUnsupported, "differs by layer"},
		{"layers differ", func(w *fileWriter) { w.set("llama.feed_forward_length", []int32{20, 10}) }, checkpoint.ErrUnsupported, "feed_forward_length"},
		{"key missing", func(w *fileWriter) { w.drop("llama.block_count") }, checkpoint.ErrInvalid, "llama.block_count is missing"},
		{"epsilon missing", func(w *fileWriter) { w.drop("llama.attention.layer_norm_rms_epsilon") }, checkpoint.ErrInvalid, "epsilon is missing"},
		{"tensor missing", func(w *fileWriter) { w.find("blk.1.ffn_up.weight").name = "blk.1.ffn_upper.weight" }, checkpoint.ErrInvalid, "missing tensor blk.1.ffn_up.weight"},
		{"tensor left over", func(w *fileWriter) {
			w.tensors = append(w.tensors, written{"blk.0.attn_q_norm.weight", 0, []int64{6}, make([]byte, 24)})
		}, checkpoint.ErrInvalid, "blk.0.attn_q_norm.weight"},
		{"no embedding", func(w *fileWriter) { w.find("token_embd.weight").name = "x" }, checkpoint.ErrInvalid, "token_embd.weight"},
		{"shape", func(w *fileWriter) { w.find("blk.0.attn_q.weight").shape = []int64{12, 24} }, checkpoint.ErrInvalid, "[12 24], the config gives [24 12]"},
		{"many layers", func(w *fileWriter) { w.set("llama.block_count", uint32(math.MaxUint32)) }, checkpoint.ErrInvalid, "num_hidden_layers"},
		{"no heads", func(w *fileWriter) { w.set("llama.attention.head_count", uint32(0)) }, checkpoint.ErrInvalid, "num_attention_heads"},
		{"two of a name", func(w *fileWriter) { w.tensors = append(w.tensors, w.tensors[0]) }, checkpoint.ErrInvalid, "occurs twice"},
		{"five dimensions", func(w *fileWriter) { w.tensors[0].shape = []int64{1, 1, 1, 1, 1} }, checkpoint.ErrInvalid, "5 dimensions"},
		{"no dimension", func(w *fileWriter) { w.tensors[0].shape = nil }, checkpoint.ErrInvalid, "0 dimensions"},
		{"empty dimension", func(w *fileWriter) { w.tensors[0].shape = []int64{0, 4} }, checkpoint.ErrInvalid, "dimension of 0"},
		{"huge", func(w *fileWriter) { w.tensors[0].shape = []int64{1 << 40, 1 << 40} }, checkpoint.ErrInvalid, "larger than any file"},
		{"beyond the end", func(w *fileWriter) { w.tensors[len(w.tensors)-1].shape = []int64{1 << 20, 12} }, checkpoint.ErrInvalid, "beyond the end"},
		{"half a block", func(w *fileWriter) { w.tensors[0].kind = 8 }, checkpoint.ErrInvalid, "blocks of 32"},
		{"alignment", func(w *fileWriter) { w.set("general.alignment", uint32(0)) }, checkpoint.ErrInvalid, "alignment"},
		{"alignment", func(w *fileWriter) { w.set("general.alignment", uint32(24)) }, checkpoint.ErrInvalid, "general.alignment is 24, not a power of two"},
		{"alignment", func(w *fileWriter) { w.set("general.alignment", "32") }, checkpoint.ErrInvalid, "alignment"},
		{"off the alignment", func(w *fileWriter) { w.set("general.alignment", uint32(64)) }, checkpoint.ErrInvalid, "multiple of the alignment"},
		{"version", func(w *fileWriter) { w.version = 4 }, checkpoint.ErrUnsupported, "version 4"},
		{"big-endian", func(w *fileWriter) { w.version = 3 << 24 }, checkpoint.ErrUnsupported, "big-endian"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, _ := tinyLlama()
			test.spoil(w)
			_, err := open(w)
			require.ErrorIs(t, err, test.is)
			require.ErrorContains(t, err, test.message)
			require.Equal(t, 1, strings.Count(err.Error(), "x.gguf: "), err)
		})
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	w, _ := tinyLlama()
	w.set("tokenizer.ggml.tokens", []string{"a", "b"})
	file := w.bytes()
	for n := 0; n < len(file)-31; n += 7 { // the last 31 bytes may be padding
		_, err := gguf.New(bytes.NewReader(file[:n]), int64(n), "x.gguf")
		require.Error(t, err, n)
	}
}

// A count may claim anything; memory follows the file's own size.
func TestClaimsAllocateNothing(t *testing.T) {
	head := append([]byte("GGUF"), 3, 0, 0, 0)
	u64 := binary.LittleEndian.AppendUint64
	u32 := binary.LittleEndian.AppendUint32
	key := func(b []byte) []byte { return append(u64(b, 1), 'k') }
	files := [][]byte{
		u64(u64(head, 1<<60), 0),
		u64(u64(head, 0), 1<<60),
		u64(u64(u64(head, 0), 1), 1<<60),
		append(u64(u32(u32(key(u64(u64(head, 0), 1)), 9), 8), 1<<60), make([]byte, 99)...),
		append(u64(u32(u32(key(u64(u64(head, 0), 1)), 9), 0), 1<<40), make([]byte, 99)...),
		append(u64(u32(key(u64(u64(head, 0), 1)), 8), 1<<40), make([]byte, 99)...),
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, file := range files {
		_, err := gguf.New(bytes.NewReader(file), int64(len(file)), "x.gguf")
		require.ErrorIs(t, err, checkpoint.ErrInvalid)
		require.ErrorContains(t, err, "do not fit")
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

// sparse is a file of zeros after its first bytes.
type sparse []byte

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(s)) {
		copy(p, s[off:])
	}
	return len(p), nil
}

// A sparse file may be larger than memory, and claim a header that is too.
func TestHeaderIsBounded(t *testing.T) {
	u64 := binary.LittleEndian.AppendUint64
	for _, value := range [][]byte{
		u64([]byte{9, 0, 0, 0, 8, 0, 0, 0}, 14<<20), // an array of texts, eight bytes or more each
		u64([]byte{8, 0, 0, 0}, 200<<20),            // a text
	} {
		file := u64(u64(append([]byte("GGUF"), 3, 0, 0, 0), 0), 1)
		file = append(append(u64(file, 1), 'k'), value...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := gguf.New(sparse(file), 1<<40, "x.gguf")
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, checkpoint.ErrInvalid)
		require.ErrorContains(t, err, "do not fit")
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
	}
}

func TestMetadataTypes(t *testing.T) {
	w, _ := tinyLlama()
	values := map[string]any{
		"a": uint8(1), "b": int8(-1), "c": uint16(2), "d": int16(-2), "e": uint32(3), "f": int32(-3), "g": float32(1.5), "h": true,
		"i": "text", "j": uint64(1 << 63), "k": int64(-4), "l": float64(2.5),
		"A": []uint8{1}, "B": []int8{-1}, "C": []uint16{2}, "D": []int16{-2}, "E": []uint32{3}, "F": []int32{-3}, "G": []float32{1.5},
		"H": []bool{true, false}, "I": []string{"x", ""}, "J": []uint64{1}, "K": []int64{-1}, "L": []float64{2.5}, "M": []int32{},
		"N": []any{[]int32{1, 2}, []string{"y"}},
	}
	for key, value := range values {
		w.set(key, value)
	}
	m, err := open(w)
	require.NoError(t, err)
	for key, value := range values {
		require.Equal(t, value, m.Metadata()[key], key)
	}
	deep := []any{[]any{[]any{[]any{[]any{[]int32{1}}}}}}
	w.set("deep", deep)
	_, err = open(w)
	require.ErrorContains(t, err, "nested deeper")
}

func files(t *testing.T, m *gguf.Model) map[string]source.File {
	t.Helper()
	list, err := m.Files()
	require.NoError(t, err)
	byName := map[string]source.File{}
	for _, f := range list {
		byName[f.Name] = f
	}
	return byName
}

func TestTokenizerFiles(t *testing.T) {
	w, _ := tinyLlama()
	m, err := open(w)
	require.NoError(t, err)
	require.Empty(t, files(t, m))
	require.Contains(t, m.Notes()[0], "no tokenizer")

	w.set("tokenizer.ggml.model", "gpt2")
	w.set("tokenizer.ggml.pre", "gpt-2")
	w.set("tokenizer.ggml.tokens", []string{"a", "b", "ab", "<|end|>", "c", "d", "e", "f", "g", "h", "i"})
	w.set("tokenizer.ggml.token_type", []int32{1, 1, 1, 3, 1, 1, 1, 1, 1, 1, 1})
	w.set("tokenizer.ggml.merges", []string{"a b"})
	w.set("tokenizer.ggml.eos_token_id", uint32(3))
	m, err = open(w)
	require.NoError(t, err)
	require.Empty(t, m.Notes())
	made := files(t, m)
	require.Contains(t, made, "tokenizer.json")
	require.Contains(t, made, "generation_config.json")
	require.NotContains(t, made, checkpoint.GGUFTokenizerName)

	// SentencePiece's vocabulary goes back to SentencePiece's file.
	w.set("tokenizer.ggml.model", "llama")
	w.set("tokenizer.ggml.token_type", []int32{1, 1, 1, 3, 2, 1, 1, 1, 1, 1, 1})
	w.set("tokenizer.ggml.scores", []float32{-1, -2, -3, 0, 0, -4, -5, -6, -7, -8, -9})
	w.set("tokenizer.ggml.add_space_prefix", false)
	m, err = open(w)
	require.NoError(t, err)
	require.Empty(t, m.Notes())
	made = files(t, m)
	require.NotContains(t, made, "tokenizer.json")
	dir := t.TempDir()
	for name, f := range made {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), f.Data, 0o644))
	}
	tok, err := tokenizer.Open(dir)
	require.NoError(t, err)
	ids, err := tok.Encode("abi<|end|>", tokenizer.EncodeOptions{})
	require.NoError(t, err)
	require.Equal(t, []int32{2, 10, 3}, ids)

	// Another kind: kept, said so, and no failure.
	w.set("tokenizer.ggml.model", "rwkv")
	w.set("tokenizer.ggml.scores", []float32{1, float32(math.Inf(-1)), float32(math.NaN())})
	m, err = open(w)
	require.NoError(t, err)
	made = files(t, m)
	require.NotContains(t, made, "tokenizer.json")
	require.Contains(t, m.Notes()[0], "rwkv")
	var kept map[string]any
	require.NoError(t, json.Unmarshal(made[checkpoint.GGUFTokenizerName].Data, &kept))
	require.Equal(t, "rwkv", kept["tokenizer.ggml.model"])
	require.Equal(t, []any{1.0, nil, nil}, kept["tokenizer.ggml.scores"])
	require.Len(t, kept["tokenizer.ggml.tokens"], 11)
}

func TestOpenAndDescribe(t *testing.T) {
	dir := t.TempDir()
	_, err := gguf.Open(filepath.Join(dir, "none.gguf"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = gguf.Open(dir)
	require.Error(t, err)

	w, _ := tinyLlama()
	path := filepath.Join(dir, "model.gguf")
	require.NoError(t, os.WriteFile(path, w.bytes(), 0o644))
	m, err := gguf.Open(path)
	require.NoError(t, err)
	require.Equal(t, "gguf", m.Format())
	require.Len(t, m.Inventory(), 21)
	require.Equal(t, source.Info{Name: "token_embd.weight", Dtype: "F32", Shape: []int64{vocab, hidden}, Bytes: 4 * vocab * hidden}, m.Inventory()[0])
	require.NoError(t, m.Close())
	d, err := gguf.Describe(path)
	require.NoError(t, err)
	require.Empty(t, d.Problems)
	require.Equal(t, "llama", d.Architecture)

	w.find("blk.0.ffn_up.weight").kind = 12
	w.find("blk.1.ffn_up.weight").name = "blk.1.extra"
	require.NoError(t, os.WriteFile(path, w.bytes(), 0o644))
	d, err = gguf.Describe(path)
	require.NoError(t, err)
	require.Len(t, d.Problems, 3)

	w.set("general.architecture", "phi3")
	require.NoError(t, os.WriteFile(path, w.bytes(), 0o644))
	d, err = gguf.Describe(path)
	require.NoError(t, err)
	require.Equal(t, "phi3", d.Architecture)
	require.Contains(t, d.Problems[0], "phi3")
	require.Len(t, d.Tensors, 21)
	require.Contains(t, d.Config, "llama.block_count")

	split := filepath.Join(dir, "model-00001-of-00002.gguf")
	require.NoError(t, os.WriteFile(split, w.bytes(), 0o644))
	_, err = gguf.Open(split)
	require.ErrorContains(t, err, "several parts")
}

func FuzzGGUF(f *testing.F) {
	w, _ := tinyLlama()
	f.Add(w.bytes())
	w.set("tokenizer.ggml.model", "gpt2")
	w.set("tokenizer.ggml.tokens", []string{"a", "b"})
	w.set("nested", []any{[]int32{1}, []string{"x"}})
	f.Add(w.bytes())
	w.tensors = w.tensors[:2]
	w.tensors[1].kind = 14
	f.Add(w.bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := gguf.New(bytes.NewReader(file), int64(len(file)), "x.gguf")
		if err != nil {
			return
		}
		for _, weight := range m.Config().Weights() {
			tensor, err := m.Tensor(weight.Name, weight.Shape)
			require.NoError(t, err)
			if tensor.Rows != nil {
				width := map[string]int64{"F32": 4, "F16": 2, "BF16": 2}[tensor.Dtype]
				if len(weight.Shape) == 2 {
					width *= weight.Shape[1]
				}
				require.NoError(t, tensor.Rows.ReadRows(make([]byte, width), weight.Shape[0]-1))
			}
		}
		_, err = m.Files()
		require.NoError(t, err)
		m.Notes()
	})
}
