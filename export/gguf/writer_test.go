package gguf_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/trtgo/trtgo/export/gguf"
)

// fileWriter makes GGUF files for the tests. Metadata keep their order.
type fileWriter struct {
	version uint32
	align   int // 0 for 32
	keys    []string
	values  map[string]any
	tensors []written
}

type written struct {
	name  string
	kind  uint32
	shape []int64 // outermost first
	data  []byte
}

func (w *fileWriter) set(key string, value any) {
	if w.values == nil {
		w.values = map[string]any{}
	}
	if _, there := w.values[key]; !there {
		w.keys = append(w.keys, key)
	}
	w.values[key] = value
}

func (w *fileWriter) drop(key string) {
	w.keys = slices.DeleteFunc(w.keys, func(k string) bool { return k == key })
	delete(w.values, key)
}

func (w *fileWriter) find(name string) *written {
	for i := range w.tensors {
		if w.tensors[i].name == name {
			return &w.tensors[i]
		}
	}
	return nil
}

func (w *fileWriter) bytes() []byte {
	var b bytes.Buffer
	put := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	text := func(s string) { put(uint64(len(s))); b.WriteString(s) }
	b.WriteString("GGUF")
	put(max(w.version, 2))
	put(uint64(len(w.tensors)))
	put(uint64(len(w.keys)))
	for _, key := range w.keys {
		text(key)
		writeValue(&b, w.values[key], true)
	}
	align := w.align
	if align == 0 {
		align = 32
	}
	offset := uint64(0)
	for _, t := range w.tensors {
		text(t.name)
		put(uint32(len(t.shape)))
		for _, d := range slices.Backward(t.shape) {
			put(uint64(d))
		}
		put(t.kind)
		put(offset)
		offset += uint64((len(t.data) + align - 1) / align * align)
	}
	pad := func() { b.Write(make([]byte, (align-b.Len()%align)%align)) }
	pad()
	for _, t := range w.tensors {
		b.Write(t.data)
		pad()
	}
	return b.Bytes()
}

// writeValue writes a value with its type before it.
func writeValue(b *bytes.Buffer, value any, typed bool) {
	put := func(kind uint32, v any) {
		if typed {
			binary.Write(b, binary.LittleEndian, kind)
		}
		binary.Write(b, binary.LittleEndian, v)
	}
	array := func(kind uint32, n int) {
		put(9, kind)
		binary.Write(b, binary.LittleEndian, uint64(n))
	}
	switch v := value.(type) {
	case uint8:
		put(0, v)
	case int8:
		put(1, v)
	case uint16:
		put(2, v)
	case int16:
		put(3, v)
	case uint32:
		put(4, v)
	case int32:
		put(5, v)
	case float32:
		put(6, v)
	case bool:
		put(7, v)
	case string:
		put(8, uint64(len(v)))
		b.WriteString(v)
	case uint64:
		put(10, v)
	case int64:
		put(11, v)
	case float64:
		put(12, v)
	case []uint8:
		array(0, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []int8:
		array(1, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []uint16:
		array(2, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []int16:
		array(3, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []uint32:
		array(4, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []int32:
		array(5, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []float32:
		array(6, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []bool:
		array(7, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []string:
		array(8, len(v))
		for _, s := range v {
			writeValue(b, s, false)
		}
	case []uint64:
		array(10, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []int64:
		array(11, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []float64:
		array(12, len(v))
		binary.Write(b, binary.LittleEndian, v)
	case []any: // arrays of arrays
		array(9, len(v))
		for _, inner := range v {
			var typed bytes.Buffer
			writeValue(&typed, inner, true)
			b.Write(typed.Bytes()[4:]) // their type is known
		}
	default:
		panic("no GGUF type")
	}
}

const (
	layers, hidden, heads, kvHeads, headSize, ffn, vocab = 2, 12, 4, 2, 6, 20, 11
)

// tinyLlama is a float32 model whose tensors are named as transformers does; the
// file's own are derived from them as llama.cpp's converter does.
func tinyLlama() (*fileWriter, map[string][]float32) {
	w := &fileWriter{version: 3}
	w.set("general.architecture", "llama")
	w.set("llama.block_count", uint32(layers))
	w.set("llama.context_length", uint32(64))
	w.set("llama.embedding_length", uint32(hidden))
	w.set("llama.feed_forward_length", uint32(ffn))
	w.set("llama.attention.head_count", uint32(heads))
	w.set("llama.attention.head_count_kv", uint32(kvHeads))
	w.set("llama.attention.key_length", uint32(headSize))
	w.set("llama.attention.value_length", uint32(headSize))
	w.set("llama.attention.layer_norm_rms_epsilon", float32(1e-5))
	w.set("llama.rope.dimension_count", uint32(headSize))
	w.set("llama.rope.freq_base", float32(10000))
	random := rand.New(rand.NewPCG(7, 7))
	values := map[string][]float32{}
	add := func(name, weight string, shape ...int64) {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		values[weight] = v
		stored := v
		if strings.HasSuffix(name, "attn_q.weight") || strings.HasSuffix(name, "attn_k.weight") {
			stored = permute(v, int(shape[0]), int(shape[1]))
		}
		w.tensors = append(w.tensors, written{name, 0, shape, float32Bytes(stored)})
	}
	add("token_embd.weight", "transformer.vocab_embedding.weight", vocab, hidden)
	for i := range layers {
		b, l := "blk."+string(rune('0'+i))+".", "transformer.layers."+string(rune('0'+i))+"."
		add(b+"attn_norm.weight", l+"input_layernorm.weight", hidden)
		add(b+"attn_q.weight", l+"attention.q.weight", heads*headSize, hidden)
		add(b+"attn_k.weight", l+"attention.k.weight", kvHeads*headSize, hidden)
		add(b+"attn_v.weight", l+"attention.v.weight", kvHeads*headSize, hidden)
		add(b+"attn_output.weight", l+"attention.dense.weight", hidden, heads*headSize)
		add(b+"ffn_norm.weight", l+"post_layernorm.weight", hidden)
		add(b+"ffn_gate.weight", l+"mlp.fc.weight", ffn, hidden)
		add(b+"ffn_up.weight", l+"mlp.gate.weight", ffn, hidden)
		add(b+"ffn_down.weight", l+"mlp.proj.weight", hidden, ffn)
	}
	add("output_norm.weight", "transformer.ln_f.weight", hidden)
	add("output.weight", "lm_head.weight", vocab, hidden)
	return w, values
}

// permute is LlamaModel.permute of llama.cpp's converter, written from its numpy:
// reshape(heads, 2, d/2, …).swapaxes(1, 2).
func permute(v []float32, rows, columns int) []float32 {
	out := make([]float32, 0, len(v))
	for h := range rows / headSize {
		for j := range headSize / 2 {
			for i := range 2 {
				row := h*headSize + i*headSize/2 + j
				out = append(out, v[row*columns:(row+1)*columns]...)
			}
		}
	}
	return out
}

func float32Bytes(v []float32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func open(w *fileWriter) (*gguf.Model, error) {
	file := w.bytes()
	return gguf.New(bytes.NewReader(file), int64(len(file)), "x.gguf")
}
