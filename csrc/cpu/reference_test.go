//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"math"
	"slices"

	"github.com/trtgo/trtgo/internal/cpuengine"
)

// A reference evaluates a modelShape in float64, one value after the other, from the
// weights in their order and not from the program. With fast it rounds to bfloat16
// what a fast runner keeps in bfloat16; all else stays float64.
type reference struct {
	m       *modelShape
	fast    bool
	weights []*testWeight
	amax    map[string]float64 // of the inputs of each linear, by its name
}

// logits after each of the tokens [len(tokens)][vocab].
func (m *modelShape) logits(fast bool, tokens []int32) [][]float64 {
	logits, _ := m.evaluate(fast, tokens)
	return logits
}

func (m *modelShape) evaluate(fast bool, tokens []int32) (logits [][]float64, amax map[string]float64) {
	ref := &reference{m: m, fast: fast, weights: m.weights, amax: map[string]float64{}}
	embedding := ref.next("embedding.weight")
	frequencies := ref.next("inv_freq")
	x := make([][]float64, len(tokens))
	for t, token := range tokens {
		x[t] = append([]float64(nil), embedding[int(token)*m.hidden:(int(token)+1)*m.hidden]...)
	}
	for range m.layers {
		ref.layer(x, frequencies)
	}
	head := ref.linear("lm_head", ref.norm("ln_f", x), m.hidden)
	return head, ref.amax
}

// next takes the values of the next weight, which must have that name.
func (ref *reference) next(name string) []float64 {
	w := ref.weights[0]
	if w.section.Name != name {
		panic("the next weight is " + w.section.Name + ", not " + name)
	}
	ref.weights = ref.weights[1:]
	values := make([]float64, len(w.values))
	for i, v := range w.values {
		if w.section.Dtype == cpuengine.DtypeBF16 {
			v = widenBF16(roundBF16(v))
		}
		values[i] = float64(v)
	}
	return values
}

// kept is a value as the runner keeps it between operations.
func (ref *reference) kept(v float64) float64 {
	if ref.fast {
		return float64(widenBF16(roundBF16(float32(v))))
	}
	return v
}

func (ref *reference) layer(x [][]float64, frequencies []float64) {
	m := ref.m
	qkv := ref.linear("qkv", ref.norm("input_layernorm", x), m.hidden)
	dense := ref.linear("dense", ref.attention(qkv, frequencies), m.heads*m.head)
	for t := range x {
		for i := range x[t] {
			x[t][i] += dense[t][i]
		}
	}
	activated := ref.linear("fc", ref.norm("post_layernorm", x), m.hidden)
	for t, row := range activated {
		for i := range m.ffn {
			row[i] = ref.kept(row[i] / (1 + math.Exp(-row[i])) * row[m.ffn+i])
		}
		activated[t] = row[:m.ffn]
	}
	proj := ref.linear("proj", activated, m.ffn)
	for t := range x {
		for i := range x[t] {
			x[t][i] += proj[t][i]
		}
	}
}

func (ref *reference) norm(name string, x [][]float64) [][]float64 {
	weight := ref.next(name)
	out := make([][]float64, len(x))
	for t, row := range x {
		var squares float64
		for _, v := range row {
			squares += v * v
		}
		scale := 1 / math.Sqrt(squares/float64(len(row))+1e-5)
		for i, v := range row {
			out[t] = append(out[t], ref.kept(v*scale*weight[i]))
		}
	}
	return out
}

func (ref *reference) linear(name string, x [][]float64, k int) [][]float64 {
	weight, bias := ref.next(name+".weight"), ref.next(name+".bias")
	out := make([][]float64, len(x))
	for t, row := range x {
		out[t] = append([]float64(nil), bias...)
		for n := range out[t] {
			for i, v := range row {
				out[t][n] += v * weight[n*k+i]
				ref.amax[name] = max(ref.amax[name], math.Abs(v))
			}
		}
	}
	return out
}

// rotate turns the first 2·len(frequencies) values of a head. The angle is rounded to
// float32, as transformers does.
func rotate(head, frequencies []float64, position int) {
	half := len(frequencies)
	for j, frequency := range frequencies {
		sin, cos := math.Sincos(float64(float32(position) * float32(frequency)))
		a, b := head[j], head[half+j]
		head[j], head[half+j] = a*cos-b*sin, b*cos+a*sin
	}
}

func (ref *reference) attention(qkv [][]float64, frequencies []float64) [][]float64 {
	m := ref.m
	out := make([][]float64, len(qkv))
	for t, row := range qkv {
		for h := range m.heads + m.kvHeads {
			rotate(row[h*m.head:(h+1)*m.head], frequencies, t)
		}
		for i := m.heads * m.head; i < len(row); i++ { // keys and values
			row[i] = ref.cached(row[i])
		}
		first := 0
		if m.window > 0 {
			first = max(0, t-m.window+1)
		}
		for h := range m.heads {
			key := (m.heads + h*m.kvHeads/m.heads) * m.head
			out[t] = append(out[t], ref.attend(qkv[first:t+1], row[h*m.head:(h+1)*m.head], key, key+m.kvHeads*m.head)...)
		}
	}
	return out
}

// cached is a value as the KV cache holds it.
func (ref *reference) cached(v float64) float64 {
	scale := ref.m.kvScale
	switch ref.m.kvDtype {
	case cpuengine.DtypeInt8:
		return float64(int(encodeKV(kvInt8, []float32{float32(v)}, scale)[0])-128) * float64(scale)
	case cpuengine.DtypeFP8:
		return e4m3(encodeKV(kvFP8, []float32{float32(v)}, scale)[0]) * float64(scale)
	}
	return ref.kept(v)
}

// paired is a value as pairs of bfloat16 have it, where the model's kernels use them.
func (ref *reference) paired(v float64) float64 {
	if ref.m.pairs {
		return ref.kept(v)
	}
	return v
}

// attend gives softmax(0.4 q·k)·v over at most 128 rows, whose keys and values begin at
// columns.
func (ref *reference) attend(rows [][]float64, q []float64, key, value int) []float64 {
	weights := make([]float64, len(rows))
	for t, row := range rows {
		for i, v := range q {
			weights[t] += 0.4 * ref.paired(v) * row[key+i]
		}
	}
	var total float64
	top := slices.Max(weights)
	for t := range weights {
		weight := math.Exp(weights[t] - top)
		total += weight
		weights[t] = ref.paired(weight)
	}
	out := make([]float64, len(q))
	for t, row := range rows {
		for i := range out {
			out[i] += weights[t] / total * row[value+i]
		}
	}
	for i := range out {
		out[i] = ref.kept(out[i])
	}
	return out
}
