package tensorrt_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/internal/floatformat"
)

// tensors are a checkpoint in memory.
type tensors map[string]graph.Stored

func (m tensors) Tensor(name string) (graph.Stored, error) {
	s, ok := m[name]
	if !ok {
		return s, fmt.Errorf("no tensor %s", name)
	}
	return s, nil
}

// stored makes a tensor whose values count from first.
func stored(t testing.TB, dtype string, first float32, shape ...int64) graph.Stored {
	t.Helper()
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = first + float32(i)
	}
	data := make([]byte, len(values)*floatformat.Size(dtype))
	require.False(t, floatformat.Encode(data, values, dtype))
	return graph.Stored{Dtype: dtype, Shape: shape, Bytes: data}
}

// weights finds weights of a network by name.
func weights(t testing.TB, g *graph.Network, name string) *graph.Weights {
	t.Helper()
	for _, w := range g.Weights() {
		if w.Name == name {
			return w
		}
	}
	require.Fail(t, "no weights "+name)
	return nil
}

func floats(t testing.TB, data []byte, dtype string) []float32 {
	t.Helper()
	values := make([]float32, len(data)/floatformat.Size(dtype))
	floatformat.Decode(values, data, dtype)
	return values
}

func TestStoredWeights(t *testing.T) {
	w := weights(t, lower(t, rank(t, "llama-f16", 0, layers(1)), options()), "transformer.ln_f.weight")
	same := stored(t, "F16", 1, 32)
	data, err := w.Values(tensors{w.Name: same})
	require.NoError(t, err)
	require.Same(t, &same.Bytes[0], &data[0], "nothing is copied")

	data, err = w.Values(tensors{w.Name: stored(t, "BF16", 1, 32)})
	require.NoError(t, err)
	require.Equal(t, same.Bytes, data)

	for want, source := range map[string]tensors{
		"weights transformer.ln_f.weight: no tensor transformer.ln_f.weight":         {},
		"the checkpoint has transformer.ln_f.weight as [16], the network needs [32]": {w.Name: stored(t, "F16", 1, 16)},
		"the checkpoint has transformer.ln_f.weight as I8, the network needs HALF":   {w.Name: {Dtype: "I8", Shape: []int64{32}, Bytes: make([]byte, 32)}},
		"transformer.ln_f.weight has values beyond HALF":                             {w.Name: stored(t, "F32", 65500, 32)},
		"weights transformer.ln_f.weight have 8 bytes, HALF[32] needs 64":            {w.Name: {Dtype: "F16", Shape: []int64{32}, Bytes: make([]byte, 8)}},
	} {
		_, err := w.Values(source)
		require.ErrorContains(t, err, want)
	}
}

func TestConcatenatedWeights(t *testing.T) {
	g := lower(t, rank(t, "llama-bias", 0, layers(1)), options())
	const mlp = "transformer.layers.0.mlp."
	w := weights(t, g, mlp+"fused_fc.bias")
	require.Equal(t, []int64{176}, w.Shape)
	data, err := w.Values(tensors{mlp + "gate.bias": stored(t, "BF16", 0, 88), mlp + "fc.bias": stored(t, "F32", 100, 88)})
	require.NoError(t, err)
	got := floats(t, data, "BF16")
	require.Equal(t, []float32{0, 87, 100, 187}, []float32{got[0], got[87], got[88], got[175]}, "gate first")
	require.Equal(t, []int64{176, 48}, weights(t, g, mlp+"fused_fc.weight").Shape)
	_, err = w.Values(tensors{mlp + "gate.bias": stored(t, "BF16", 0, 88)})
	require.ErrorContains(t, err, "weights "+mlp+"fused_fc.bias: no tensor "+mlp+"fc.bias")
}

func TestCacheScales(t *testing.T) {
	const scale = "transformer.layers.0.attention.kv_cache_scaling_factor"
	w := weights(t, lower(t, rank(t, "llama-gqa", 0, layers(1), quantisedCache), options()), "transformer.layers.0.attention.kv_cache_rcp_scaling_factor")
	data, err := w.Values(tensors{scale: stored(t, "F32", 0.25, 1)})
	require.NoError(t, err)
	require.Equal(t, []float32{4}, floats(t, data, "F32"))
	for _, bad := range []float32{0, -1, float32(math.NaN())} {
		_, err = w.Values(tensors{scale: stored(t, "F32", bad, 1)})
		require.ErrorIs(t, err, graph.ErrInvalid)
		require.ErrorContains(t, err, "the scale "+scale+" is")
	}
}

// TestRotaryTables: rows of positions, pairs of cosine and sine, products rounded to float32.
func TestRotaryTables(t *testing.T) {
	r := &network.Rotary{Dim: 4, InvFreq: []float32{1, 0.01}, Magnitude: 2}
	table := tensorrt.CosSin(r, 3)
	require.Len(t, table, 3*4)
	require.Equal(t, []float32{2, 0, 2, 0}, table[:4])
	require.InDeltaSlice(t, []float64{2 * math.Cos(2), 2 * math.Sin(2), 2 * math.Cos(0.02), 2 * math.Sin(0.02)}, []float64{
		float64(table[8]), float64(table[9]), float64(table[10]), float64(table[11])}, 1e-6)
	far := tensorrt.CosSin(&network.Rotary{Dim: 2, InvFreq: []float32{0.7}, Magnitude: 1}, 20000)
	require.Equal(t, float32(math.Cos(float64(float32(float32(19999)*float32(0.7))))), far[2*19999])

	net := rank(t, "llama-gqa", 0)
	g := lower(t, net, options())
	data, err := weights(t, g, "rotary_cos_sin").Values(nil)
	require.NoError(t, err)
	attention := net.Ops[3].(*network.Attention)
	require.Equal(t, tensorrt.CosSin(attention.Rotary, net.MaxPositionEmbeddings), floats(t, data, "F32"))
	data, err = weights(t, g, "rotary_inv_freq").Values(nil)
	require.NoError(t, err)
	require.Equal(t, attention.Rotary.InvFreq, floats(t, data, "F32"))
}

// TestRotaryTablesAreShared: layers that turn alike have one table, others their own.
func TestRotaryTablesAreShared(t *testing.T) {
	net := rank(t, "llama-gqa", 0)
	other := *net.Ops[3].(*network.Attention).Rotary
	other.InvFreq = append([]float32{0.5}, other.InvFreq[1:]...)
	last := 0
	for i, op := range net.Ops {
		if _, ok := op.(*network.Attention); ok {
			last = i
		}
	}
	net.Ops[last].(*network.Attention).Rotary = &other
	names := map[string]int{}
	for _, w := range lower(t, net, options()).Weights() {
		names[w.Name]++
	}
	for _, name := range []string{"rotary_inv_freq", "rotary_cos_sin", "rotary_inv_freq_1", "rotary_cos_sin_1"} {
		require.Equal(t, 1, names[name], name)
	}
	require.Zero(t, names["rotary_inv_freq_2"])
	other = *net.Ops[3].(*network.Attention).Rotary
	other.Magnitude = 1.5
	for _, w := range lower(t, net, options()).Weights() {
		names[w.Name]++
	}
	require.Equal(t, 1+1, names["rotary_cos_sin_1"], "the same frequencies, larger")
}
