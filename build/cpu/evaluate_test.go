package cpu_test

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// Two evaluators in plain Go and float64: one of networks with a checkpoint's
// weights, one of programs with an engine file's packed weights. They share
// only the mathematics below. Every token is selected.

// matrix is rows of activations.
type matrix [][]float64

func newMatrix(rows, columns int) matrix {
	m := make(matrix, rows)
	for i := range m {
		m[i] = make([]float64, columns)
	}
	return m
}

func linear(x matrix, w matrix, bias []float64) matrix {
	out := newMatrix(len(x), len(w))
	for i, row := range x {
		for n, weights := range w {
			sum := 0.0
			for k, v := range row {
				sum += v * weights[k]
			}
			if bias != nil {
				sum += bias[n]
			}
			out[i][n] = sum
		}
	}
	return out
}

func norm(x matrix, layer bool, weight, bias []float64, epsilon float32) matrix {
	out := newMatrix(len(x), len(weight))
	for i, row := range x {
		mean, square := 0.0, 0.0
		if layer {
			for _, v := range row {
				mean += v / float64(len(row))
			}
		}
		for _, v := range row {
			square += (v - mean) * (v - mean) / float64(len(row))
		}
		for k, v := range row {
			out[i][k] = (v - mean) / math.Sqrt(square+float64(epsilon)) * weight[k]
			if layer {
				out[i][k] += bias[k]
			}
		}
	}
	return out
}

func activate(function string, x float64) float64 {
	switch function {
	case "silu":
		return x / (1 + math.Exp(-x))
	case "relu":
		return max(x, 0)
	case "squared-relu":
		return max(x, 0) * max(x, 0)
	case "gelu":
		return x / 2 * (1 + math.Erf(x/math.Sqrt2))
	case "gelu-tanh":
		return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}
	panic("unknown function " + function)
}

// rotate turns the first 2·len(frequencies) values of a head by position.
func rotate(head []float64, frequencies []float32, magnitude float64, position int) {
	half := len(frequencies)
	for j, f := range frequencies {
		angle := float64(float32(position) * f)
		cos, sin := magnitude*math.Cos(angle), magnitude*math.Sin(angle)
		a, b := head[j], head[j+half]
		head[j], head[j+half] = a*cos-b*sin, b*cos+a*sin
	}
}

func attention(qkv matrix, heads, kvHeads, size, window int, scale float32, frequencies []float32, magnitude float64) matrix {
	rows := newMatrix(len(qkv), 0)
	for p := range qkv {
		rows[p] = append([]float64(nil), qkv[p]...)
		for h := range heads + kvHeads {
			rotate(rows[p][h*size:(h+1)*size], frequencies, magnitude, p)
		}
	}
	out := newMatrix(len(qkv), heads*size)
	for p := range rows {
		first := 0
		if window > 0 {
			first = max(0, p-window+1)
		}
		for h := range heads {
			kv := h / (heads / kvHeads)
			q := rows[p][h*size:]
			scores, sum, most := make([]float64, p+1), 0.0, math.Inf(-1)
			for s := first; s <= p; s++ {
				for d := range size {
					scores[s] += q[d] * rows[s][(heads+kv)*size+d] * float64(scale)
				}
				most = max(most, scores[s])
			}
			for s := first; s <= p; s++ {
				scores[s] = math.Exp(scores[s] - most)
				sum += scores[s]
			}
			for s := first; s <= p; s++ {
				for d := range size {
					out[p][h*size+d] += scores[s] / sum * rows[s][(heads+kvHeads+kv)*size+d]
				}
			}
		}
	}
	return out
}

// checkpointWeights reads tensors of a rank as matrices; a vector is one row.
func checkpointWeights(t testing.TB, rank *checkpoint.Rank, w *network.Weight) matrix {
	t.Helper()
	if w == nil {
		return nil
	}
	tensor, ok := rank.Tensor(w.Name)
	require.True(t, ok, w.Name)
	columns := w.Shape[len(w.Shape)-1]
	raw := make([]byte, tensor.Size())
	require.NoError(t, tensor.ReadAll(raw))
	values := make([]float32, len(raw)/floatformat.Size(tensor.Dtype))
	floatformat.Decode(values, raw, tensor.Dtype)
	m := newMatrix(len(values)/columns, columns)
	for i, v := range values {
		m[i/columns][i%columns] = float64(v)
	}
	return m
}

// groupsOf gives the weight of a W4A16_AWQ linear: numbers times the scales of their groups.
func groupsOf(t testing.TB, rank *checkpoint.Rank, o *network.Linear) matrix {
	t.Helper()
	tensor, _ := rank.Tensor(o.Weight.Name)
	raw := make([]byte, tensor.Size())
	require.NoError(t, tensor.ReadAll(raw))
	scales := checkpointWeights(t, rank, o.Quantisation.WeightScale)
	m := newMatrix(o.Out.Width, o.In.Width)
	for n := range m {
		for k := range m[n] {
			number := int8(raw[n/2*o.In.Width+k]<<(4*(1-n%2))) >> 4
			m[n][k] = float64(number) * scales[n][k/o.Quantisation.Group]
		}
	}
	return m
}

func first(m matrix) []float64 {
	if m == nil {
		return nil
	}
	return m[0]
}

// evaluateNetwork returns the logits after every token of a prompt.
func evaluateNetwork(t testing.TB, net *network.Network, rank *checkpoint.Rank, prompt []int32) matrix {
	t.Helper()
	values := map[*network.Tensor]matrix{}
	weights := func(w *network.Weight) matrix { return checkpointWeights(t, rank, w) }
	for _, op := range net.Ops {
		switch o := op.(type) {
		case *network.Embedding:
			table := weights(o.Weight)
			var rows matrix
			for _, id := range prompt {
				rows = append(rows, table[id])
			}
			values[o.Out] = rows
		case *network.Norm:
			values[o.Out] = norm(values[o.In], o.Kind == network.LayerNorm, first(weights(o.Weight)), first(weights(o.Bias)), o.Epsilon)
		case *network.Linear:
			x, w := values[o.In], matrix(nil)
			if o.Quantisation != nil && o.Quantisation.Algo == checkpoint.W4A16AWQ {
				w = groupsOf(t, rank, o)
				factor := first(weights(o.Quantisation.InputFactor))
				x = mapped(x, func(_, k int, v float64) float64 { return v * factor[k] })
			} else {
				w = weights(o.Weight)
			}
			values[o.Out] = linear(x, w, first(weights(o.Bias)))
		case *network.Attention:
			values[o.Out] = attention(values[o.In], o.Heads, o.KVHeads, o.HeadSize, o.Window, o.Scale, o.Rotary.InvFreq, o.Rotary.Magnitude)
		case *network.Activation:
			values[o.Out] = mapped(values[o.In], func(i, k int, x float64) float64 { return activate(string(o.Function), x) })
		case *network.Gated:
			values[o.Out] = mapped(values[o.In], func(i, k int, x float64) float64 { return activate(string(o.Function), x) * values[o.Gate][i][k] })
		case *network.Add:
			values[o.Out] = mapped(values[o.A], func(i, k int, x float64) float64 { return x + values[o.B][i][k] })
		case *network.SelectLastTokens:
			values[o.Out] = values[o.In]
		case *network.Logits:
			return values[o.In]
		default:
			require.Fail(t, "operation "+op.OpName()+" cannot be evaluated")
		}
	}
	return nil
}

func mapped(x matrix, f func(i, k int, v float64) float64) matrix {
	out := newMatrix(len(x), len(x[0]))
	for i, row := range x {
		for k, v := range row {
			out[i][k] = f(i, k, v)
		}
	}
	return out
}

// engine is an engine file in memory.
type engine struct {
	file *cpuengine.File
	data []byte
}

func openEngine(t testing.TB, path string) *engine {
	t.Helper()
	file, err := cpuengine.Open(path)
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return &engine{file, data}
}

// section unpacks a section as the package comment of cpuengine describes it.
func (e *engine) section(i int) matrix {
	if i < 0 {
		return nil
	}
	s := e.file.Sections[i]
	raw := e.data[s.Offset : s.Offset+s.Size]
	m := newMatrix(s.Rows, s.Cols)
	for n := range m {
		for k := range m[n] {
			m[n][k] = element(s, raw, n, k)
		}
	}
	return m
}

func decoded(raw []byte, at int, dtype string) float64 {
	var v [1]float32
	size := floatformat.Size(dtype)
	floatformat.Decode(v[:], raw[at*size:][:size], dtype)
	return float64(v[0])
}

// element is one number of a section.
func element(s cpuengine.Section, raw []byte, n, k int) float64 {
	plain := map[string]string{cpuengine.DtypeF32: "F32", cpuengine.DtypeF16: "F16", cpuengine.DtypeBF16: "BF16"}[s.Dtype]
	if s.Layout == cpuengine.LayoutRows {
		return decoded(raw, n*s.Cols+k, plain)
	}
	panel := raw[len(raw)/((s.Rows+15)/16)*(n/16):]
	lane := n % 16
	switch s.Dtype {
	case cpuengine.DtypeBF16:
		return decoded(panel, (k/2*16+lane)*2+k%2, plain)
	case cpuengine.DtypeF32, cpuengine.DtypeF16:
		return decoded(panel, k*16+lane, plain)
	case cpuengine.DtypeInt8:
		place := []int{0, 2, 1, 3}[k%4]
		return float64(int(panel[64+(k/4*16+lane)*4+place])-128) * decoded(panel, lane, "F32")
	case cpuengine.DtypeFP8:
		place := []int{0, 2, 1, 3}[k%4]
		return float64(floatformat.ScaledE4M3(1)[panel[64+(k/4*16+lane)*4+place]]) * decoded(panel, lane, "F32")
	}
	scale, lines, in := 0.0, panel[64:], k // in counts from the first number of the lines
	switch g := k / max(s.Group, 1); {
	case s.Group == 0:
		scale = decoded(panel, lane, "F32")
	case s.ScaleDtype == cpuengine.DtypeF32:
		block := panel[g*(64+8*s.Group):]
		scale, lines, in = decoded(block, lane, "F32"), block[64:], k%s.Group
	default:
		block := panel[g/2*(64+16*s.Group):]
		scale, lines, in = decoded(block, g%2*16+lane, "BF16"), block[64:], k%(2*s.Group)
	}
	word := lines[(in/8*16+lane)*4+in%2*2:]
	bits := (int(word[0]) | int(word[1])<<8) >> (in % 8 / 2 * 4) & 15
	return float64(bits-8) * scale
}

// evaluate runs the program and returns the logits after every token.
func (e *engine) evaluate(t testing.TB, prompt []int32) matrix {
	t.Helper()
	p := e.file.Program
	buffers := make([]matrix, len(p.Buffers))
	for _, o := range p.Ops {
		var in, out matrix
		if o.In >= 0 {
			in = buffers[o.In]
		}
		switch o.Kind {
		case cpuengine.OpEmbedding:
			table := e.section(o.Weight)
			for _, id := range prompt {
				out = append(out, table[id])
			}
		case cpuengine.OpNorm:
			out = norm(in, o.Norm == cpuengine.NormLayer, first(e.section(o.Weight)), first(e.section(o.Bias)), o.Epsilon)
		case cpuengine.OpLinear:
			out = linear(in, e.section(o.Weight), first(e.section(o.Bias)))
			if o.Accumulate {
				old := buffers[o.Out]
				out = mapped(out, func(i, k int, v float64) float64 { return v + old[i][k] })
			}
		case cpuengine.OpAttention:
			var frequencies []float32
			for _, f := range first(e.section(o.InvFreq)) {
				frequencies = append(frequencies, float32(f))
			}
			require.Equal(t, o.RotaryDim, 2*len(frequencies))
			out = attention(in, o.Heads, o.KVHeads, o.HeadSize, o.Window, o.Scale, frequencies, 1)
			if o.OutFactor >= 0 {
				factor := first(e.section(o.OutFactor))
				out = mapped(out, func(_, k int, v float64) float64 { return v * factor[k] })
			}
		case cpuengine.OpActivation:
			out = newMatrix(len(in), o.Width)
			for i := range in {
				for k := range o.Width {
					out[i][k] = activate(o.Function, in[i][k])
					if o.Gated {
						out[i][k] *= in[i][o.Width+k]
					}
					if o.OutFactor >= 0 {
						out[i][k] *= first(e.section(o.OutFactor))[k]
					}
				}
			}
		case cpuengine.OpSelect:
			out = mapped(in, func(_, _ int, v float64) float64 { return v })
		}
		buffers[o.Out] = out
	}
	return buffers[p.Ops[len(p.Ops)-1].Out]
}
