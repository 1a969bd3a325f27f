package tensorrt_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/build/network"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/graph"
	"github.com/trtgo/trtgo/build/tensorrt/internal/mixedgemm"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// quantisedCheckpoint is a quantised form of internal/testmodel as a checkpoint: model.form
// with form fp8, int8_wo, int4_wo or awq.
func quantisedCheckpoint(t testing.TB, name, form, dtype string, tp int) string {
	t.Helper()
	if form == "awq" {
		return testmodel.QuantisedDir(t, name+".awq")
	}
	o := export.Options{Dtype: dtype, TPSize: tp, OutputDir: filepath.Join(t.TempDir(), "checkpoint")}
	source := testmodel.Dir(t, name)
	if form == "fp8" {
		source = testmodel.QuantisedDir(t, name+".fp8")
	} else {
		o.QFormat = form
	}
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return o.OutputDir
}

func networkOf(t testing.TB, dir string, rank int) *network.Network {
	t.Helper()
	c, err := checkpoint.ReadConfig(filepath.Join(dir, checkpoint.ConfigName))
	require.NoError(t, err)
	net, err := model.New(c, rank)
	require.NoError(t, err)
	return net
}

// lowerCheckpoint lowers a rank of a checkpoint.
func lowerCheckpoint(t testing.TB, dir string, rank int, o tensorrt.Options) (*graph.Network, *tensorrt.Source) {
	t.Helper()
	source := openSource(t, dir, rank)
	o.Scale = source.Scale
	g, err := tensorrt.Lower(networkOf(t, dir, rank), o)
	require.NoError(t, err)
	return g, source
}

// values reads the weights called name.
func values(t testing.TB, g *graph.Network, source graph.Source, name string) (*graph.Weights, []byte) {
	t.Helper()
	for _, w := range g.Weights() {
		if w.Name == name {
			data, err := w.Values(source)
			require.NoError(t, err, name)
			return w, data
		}
	}
	require.Fail(t, "no weights "+name)
	return nil, nil
}

// numbers decodes values of a floating type.
func numbers(w *graph.Weights, data []byte) []float32 {
	list := make([]float32, w.Elements())
	floatformat.Decode(list, data, map[graph.DataType]string{graph.Float: "F32", graph.Half: "F16", graph.BF16: "BF16"}[w.Type])
	return list
}

func storedNumbers(t testing.TB, source graph.Source, name string) []float32 {
	t.Helper()
	s, err := source.Tensor(name)
	require.NoError(t, err)
	list := make([]float32, len(s.Bytes)/floatformat.Size(s.Dtype))
	floatformat.Decode(list, s.Bytes, s.Dtype)
	return list
}

// layer finds the layer called name.
func layer(t testing.TB, g *graph.Network, name string) graph.Layer {
	t.Helper()
	i := slices.IndexFunc(g.Layers, func(l graph.Layer) bool { return l.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return g.Layers[i]
}

// maker finds the layer that gives a tensor.
func maker(t testing.TB, g *graph.Network, tensor *graph.Tensor) graph.Layer {
	t.Helper()
	i := slices.IndexFunc(g.Layers, func(l graph.Layer) bool { return slices.Contains(l.Outputs, tensor) })
	require.GreaterOrEqual(t, i, 0, tensor.String())
	return g.Layers[i]
}

func withGemm(dtype string) func(o *tensorrt.Options) {
	return func(o *tensorrt.Options) { o.Plugins.GemmPlugin = &dtype }
}

const dense = "transformer.layers.1.attention.dense"

// Both sides of the product are E4M3 that scales make numbers of the model's type.
func TestFP8Layers(t *testing.T) {
	dir := quantisedCheckpoint(t, "nemotron", "fp8", "bfloat16", 1)
	for name, o := range map[string]tensorrt.Options{"native": options(), "the plugin is of plain numbers": options(withGemm("bfloat16"))} {
		t.Run(name, func(t *testing.T) {
			g, source := lowerCheckpoint(t, dir, 0, o)
			product := layer(t, g, "layers.1.mlp.fc/MatrixMultiply")
			require.Equal(t, graph.MatrixMultiply{Op0: graph.None, Op1: graph.Transpose}, product.Op)
			for i, scale := range []string{checkpoint.InputScale, checkpoint.WeightScale} {
				dequantized := maker(t, g, product.Inputs[i])
				require.Equal(t, graph.Dequantize{To: graph.BF16, Axis: -1}, dequantized.Op)
				require.Equal(t, graph.FP8, dequantized.Inputs[0].Type)
				cast := maker(t, g, dequantized.Inputs[1])
				require.Equal(t, graph.Cast{To: graph.BF16}, cast.Op)
				w, data := values(t, g, source, maker(t, g, cast.Inputs[0]).Op.(graph.Constant).Weights.Name)
				require.Equal(t, "transformer.layers.1.mlp.fc"+scale, w.Name)
				require.Empty(t, w.Shape)
				require.Equal(t, storedNumbers(t, source, w.Name), numbers(w, data))
				if i == 0 {
					quantized := maker(t, g, dequantized.Inputs[0])
					require.Equal(t, graph.Quantize{To: graph.FP8, Axis: -1}, quantized.Op)
					require.Same(t, dequantized.Inputs[1], quantized.Inputs[1])
				}
			}
			w, data := values(t, g, source, "transformer.layers.1.mlp.fc.weight")
			require.Equal(t, graph.FP8, w.Type)
			stored, err := source.Tensor(w.Name)
			require.NoError(t, err)
			require.Equal(t, stored.Bytes, data)
			require.Equal(t, graph.BF16, layer(t, g, "lm_head/"+map[bool]string{true: "MatrixMultiply", false: "Gemm"}[name == "native"]).Inputs[1].Type, "the head is not quantised")
		})
	}
}

func TestFP8GemmPlugin(t *testing.T) {
	for _, c := range []struct{ name, dtype string }{{"nemotron", "bfloat16"}, {"llama-gqa", "float16"}} {
		g, source := lowerCheckpoint(t, quantisedCheckpoint(t, c.name, "fp8", c.dtype, 1), 0, options(withGemm("fp8")))
		plugin := layer(t, g, "layers.1.attention.qkv/Gemm")
		require.Equal(t, graph.FP8, plugin.Inputs[0].Type)
		require.Equal(t, graph.FP8, plugin.Inputs[1].Type)
		model := map[string]graph.DataType{"bfloat16": graph.BF16, "float16": graph.Half}[c.dtype]
		require.Equal(t, model, plugin.Outputs[0].Type)
		fields := map[string]graph.Field{}
		for _, f := range plugin.Op.Fields() {
			fields[f.Name] = f
		}
		require.Equal(t, graph.Int32Field("use_fp8", 1), fields["use_fp8"])
		require.Equal(t, graph.Int32Field("type_id", int64(model.Number())), fields["type_id"])
		const qkv = "transformer.layers.1.attention.qkv"
		product := storedNumbers(t, source, qkv+checkpoint.WeightScale)[0] * storedNumbers(t, source, qkv+checkpoint.InputScale)[0]
		require.Equal(t, graph.Float32Field("alpha", product), fields["alpha"])
		head := layer(t, g, "lm_head/Gemm")
		require.Contains(t, head.Op.Fields(), graph.Int32Field("use_fp8", 0))
		require.Contains(t, head.Op.Fields(), graph.Float32Field("alpha", 1))
	}

	net := networkOf(t, quantisedCheckpoint(t, "nemotron", "fp8", "bfloat16", 1), 0)
	_, err := tensorrt.Lower(net, options(withGemm("fp8")))
	require.ErrorIs(t, err, tensorrt.ErrUnsupported, "nobody reads the scales")
	o := options(withGemm("fp8"))
	o.Scale = func(string) (float32, error) { return 0, fmt.Errorf("no disk") }
	_, err = tensorrt.Lower(net, o)
	require.ErrorContains(t, err, "no disk")
}

// nearestE4M3 is the code of a number by definition: the nearest one, of two the even one.
func nearestE4M3(v float64) byte {
	best, distance := byte(0), math.Inf(1)
	for code := range byte(floatformat.E4M3NaN) {
		d := math.Abs(float64(floatformat.FromE4M3(code)) - math.Abs(v))
		if d < distance || d == distance && code%2 == 0 {
			best, distance = code, d
		}
	}
	if math.Signbit(v) {
		best |= 0x80
	}
	return best
}

// The fused matrix has the larger scale, and rows of gate before those of fc.
func TestFP8FusedMLP(t *testing.T) {
	g, source := lowerCheckpoint(t, quantisedCheckpoint(t, "llama-gqa", "fp8", "bfloat16", 2), 1, options())
	const mlp = "transformer.layers.0.mlp."
	w, data := values(t, g, source, mlp+"fused_fc.weight")
	require.Equal(t, graph.FP8, w.Type)
	require.Equal(t, []string{mlp + "gate.weight", mlp + "gate" + checkpoint.WeightScale, mlp + "fc.weight", mlp + "fc" + checkpoint.WeightScale}, w.From)
	scales := map[string]float32{}
	for _, part := range []string{"gate", "fc"} {
		scales[part] = storedNumbers(t, source, mlp+part+checkpoint.WeightScale)[0]
	}
	largest := max(scales["gate"], scales["fc"])
	require.NotEqual(t, scales["gate"], scales["fc"])
	s, own := values(t, g, source, mlp+"fused_fc"+checkpoint.WeightScale)
	require.Equal(t, []float32{largest}, numbers(s, own))
	s, own = values(t, g, source, mlp+"fused_fc"+checkpoint.InputScale)
	require.Equal(t, []float32{max(storedNumbers(t, source, mlp+"gate"+checkpoint.InputScale)[0], storedNumbers(t, source, mlp+"fc"+checkpoint.InputScale)[0])}, numbers(s, own))
	changed := 0
	for _, part := range []string{"gate", "fc"} {
		stored, err := source.Tensor(mlp + part + ".weight")
		require.NoError(t, err)
		for i, code := range stored.Bytes {
			v := floatformat.FromE4M3(code) * scales[part]
			require.Equal(t, nearestE4M3(float64(v/largest)), data[i], "%s %d", part, i)
			if data[i] != code {
				changed++
			}
		}
		data = data[len(stored.Bytes):]
	}
	require.Empty(t, data)
	require.NotZero(t, changed)

	o := options()
	o.Plugins.UseFusedMLP = false
	g, _ = lowerCheckpoint(t, quantisedCheckpoint(t, "llama-gqa", "fp8", "bfloat16", 1), 0, o)
	layer(t, g, "layers.0.mlp.gate/MatrixMultiply")
}

func TestFP8NaNIsRefused(t *testing.T) {
	dir := quantisedCheckpoint(t, "nemotron", "fp8", "bfloat16", 1)
	g, source := lowerCheckpoint(t, dir, 0, options())
	for _, w := range g.Weights() {
		if w.Name != dense+".weight" {
			continue
		}
		_, err := w.Values(edited{source, w.Name, func(data []byte) { data[len(data)-1] = 0xff }})
		require.ErrorIs(t, err, checkpoint.ErrInvalid)
		require.ErrorContains(t, err, fmt.Sprintf("tensor %s has NaN in row %d", w.Name, w.Shape[0]-1))
		return
	}
	require.Fail(t, "no such weight")
}

// edited is a source of which one tensor is changed.
type edited struct {
	graph.Source
	name   string
	change func(data []byte)
}

func (e edited) Tensor(name string) (graph.Stored, error) {
	s, err := e.Source.Tensor(name)
	if name == e.name && err == nil {
		s.Bytes = slices.Clone(s.Bytes)
		e.change(s.Bytes)
	}
	return s, err
}

func up(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// roundedByDefinition is what upstream's symmetric_quantize makes of one output.
func roundedByDefinition(row []float32, most float32) (codes []int8, scale float32) {
	for _, v := range row {
		scale = max(scale, v, -v)
	}
	scale /= most
	for _, v := range row {
		q := float64(v / scale)
		codes = append(codes, int8(min(max(math.Copysign(math.Floor(math.Abs(q)+0.5), q), -float64(most)), float64(most)-1)))
	}
	return codes, scale
}

// The plugin's weights are those of the CPU backend in another order, made up to whole tiles.
func TestWeightOnly(t *testing.T) {
	for _, c := range []struct {
		form, dtype string
		bits        int
		capability  int
	}{{"int8_wo", "bfloat16", 8, 0}, {"int4_wo", "float16", 4, 89}, {"int4_wo", "bfloat16", 4, 90}, {"int8_wo", "float16", 8, 120}} {
		for rank, name := range []string{"nemotron", "llama-gqa"} {
			t.Run(fmt.Sprint(name, c), func(t *testing.T) {
				o := options()
				o.ComputeCapability = c.capability
				dir := quantisedCheckpoint(t, name, c.form, c.dtype, 2)
				net := networkOf(t, dir, rank)
				g, source := lowerCheckpoint(t, dir, rank, o)
				layout, err := mixedgemm.For(mixedgemm.Weight(c.bits), mixedgemm.Float16, max(c.capability, 80))
				require.NoError(t, err)
				count := 0
				for _, op := range net.Ops {
					l, ok := op.(*network.Linear)
					if !ok || l.Quantisation == nil {
						continue
					}
					count++
					out, in := l.Weight.Shape[0], l.Weight.Shape[1]
					tallOut, tallIn := up(out, 64), up(in, 64)
					w, data := values(t, g, source, l.Weight.Name)
					require.Equal(t, graph.Int8, w.Type)
					require.Equal(t, []int64{int64(tallIn), int64(tallOut * c.bits / 8)}, w.Shape)
					s, scales := values(t, g, source, strings.TrimSuffix(l.Weight.Name, "weight")+"per_channel_scale")
					require.Equal(t, []int64{int64(tallOut)}, s.Shape)
					got := numbers(s, scales)
					plain := storedNumbers(t, source, l.Weight.Name)
					back := make([]int8, tallIn)
					for n := range tallOut {
						layout.Get(back, data, n)
						if n >= out {
							require.Equal(t, make([]int8, tallIn), back)
							require.Zero(t, got[n])
							continue
						}
						codes, scale := roundedByDefinition(plain[n*in:][:in], float32(int(1)<<(c.bits-1)))
						require.Equal(t, codes, back[:in], "%s row %d", l.Weight.Name, n)
						require.Equal(t, make([]int8, tallIn-in), back[in:])
						rounded := make([]byte, s.Type.Bytes(1))
						floatformat.Encode(rounded, []float32{scale}, map[string]string{"bfloat16": "BF16", "float16": "F16"}[c.dtype])
						require.Equal(t, rounded, scales[n*2:][:2])
					}
					plugin := layer(t, g, l.Name+"/WeightOnlyQuantMatmul")
					require.Equal(t, []graph.Field{
						graph.Int32Field("type_id", int64(s.Type.Number())), graph.Int32Field("weight_type_id", int64(8/c.bits)),
					}, plugin.Op.Fields())
					require.Equal(t, int64(tallIn), plugin.Inputs[0].Shape[1].Size)
					require.Equal(t, int64(tallOut), plugin.Outputs[0].Shape[1].Size)
				}
				require.NotZero(t, count)
				for _, w := range g.Weights() { // the head is not quantised
					if w.Name == "lm_head.weight" {
						require.True(t, w.Type == graph.BF16 || w.Type == graph.Half)
					}
				}
			})
		}
	}
}

func TestWeightOnlyRefusals(t *testing.T) {
	_, err := tensorrt.Lower(networkOf(t, quantisedCheckpoint(t, "nemotron", "int8_wo", "float32", 1), 0), options())
	require.ErrorIs(t, err, tensorrt.ErrUnsupported)
	require.ErrorContains(t, err, "W8A16 of a model in float32")

	dir := quantisedCheckpoint(t, "nemotron", "int8_wo", "bfloat16", 1)
	o := options()
	o.ComputeCapability = 100
	_, err = tensorrt.Lower(networkOf(t, dir, 0), o)
	require.ErrorIs(t, err, tensorrt.ErrUnsupported)
	require.ErrorContains(t, err, "on compute capability 10.0: 7.5 to 9.0 and 12.0 on have one; export the checkpoint without --qformat, or for 8.9 and later with --qformat fp8")

	g, source := lowerCheckpoint(t, dir, 0, options())
	for _, w := range g.Weights() {
		if strings.HasPrefix(w.Name, dense+".weight") || strings.HasPrefix(w.Name, dense+".per_channel_scale") {
			_, err := w.Values(edited{source, dense + ".weight", func(data []byte) { data[2], data[3] = 0x80, 0x7f }})
			require.ErrorContains(t, err, "tensor "+dense+".weight has NaN or an infinity in row 0")
		}
	}
}

// nibble is a number of an AWQ checkpoint: rows 2i and 2i+1 lie in one.
func nibble(stored []byte, row, column, columns int) int8 {
	return int8(stored[row/2*columns+column]<<(4-4*(row%2))) >> 4
}

func TestGroupwise(t *testing.T) {
	dir := quantisedCheckpoint(t, "llama-gqa", "awq", "", 1)
	net := networkOf(t, dir, 0)
	g, source := lowerCheckpoint(t, dir, 0, options())
	layout, err := mixedgemm.For(mixedgemm.Int4, mixedgemm.Float16, 80)
	require.NoError(t, err)
	count := 0
	for _, op := range net.Ops {
		l, ok := op.(*network.Linear)
		if !ok || l.Quantisation == nil {
			continue
		}
		count++
		name := strings.TrimSuffix(l.Weight.Name, ".weight")
		out, in, group := l.Weight.Shape[0], l.Weight.Shape[1], l.Quantisation.Group
		tallOut, tallIn := up(out, 64), up(in, 64)
		w, data := values(t, g, source, l.Weight.Name)
		require.Equal(t, graph.BF16, w.Type)
		require.Equal(t, []int64{int64(tallIn), int64(tallOut / 4)}, w.Shape)
		s, raw := values(t, g, source, name+checkpoint.WeightScale)
		require.Equal(t, graph.BF16, s.Type)
		require.Equal(t, []int64{int64(tallIn / group), int64(tallOut)}, s.Shape)
		scales := numbers(s, raw)
		f, raw := values(t, g, source, name+checkpoint.InputFactor)
		require.Equal(t, []int64{1, int64(tallIn)}, f.Shape)
		require.Equal(t, append(storedNumbers(t, source, name+checkpoint.InputFactor), make([]float32, tallIn-in)...), numbers(f, raw))
		stored, err := source.Tensor(l.Weight.Name)
		require.NoError(t, err)
		own := storedNumbers(t, source, name+checkpoint.WeightScale)
		rounded := make([]byte, 2*len(own))
		floatformat.Encode(rounded, own, "BF16")
		floatformat.Decode(own, rounded, "BF16")
		back := make([]int8, tallIn)
		for n := range tallOut {
			layout.Get(back, data, n)
			for k := range tallIn {
				if n >= out || k >= in {
					require.Zero(t, back[k])
					require.True(t, n < out && k/group < in/group || scales[k/group*tallOut+n] == 0)
					continue
				}
				require.Equal(t, nibble(stored.Bytes, n, k, in), back[k], "%s row %d, column %d", name, n, k)
				require.Equal(t, own[n*(in/group)+k/group], scales[k/group*tallOut+n])
			}
		}
		plugin := layer(t, g, l.Name+"/WeightOnlyGroupwiseQuantMatmul")
		require.Len(t, plugin.Inputs, 4)
		require.Equal(t, []graph.Field{
			graph.Int32Field("type_id", 7), graph.Int32Field("quant_algo", 4), graph.Int32Field("group_size", int64(group)), graph.Float32Field("alpha", 1),
		}, plugin.Op.Fields())
	}
	require.Equal(t, 5*3, count)
}

// A bias is the plugin's last input.
func TestGroupwiseBias(t *testing.T) {
	b := network.NewBuilder(network.Network{
		Architecture: "LlamaForCausalLM", Dtype: network.Float16, Mapping: network.Mapping{TPSize: 1, PPSize: 1},
		VocabSize: 8, HiddenSize: 64, NumLayers: 1, MaxPositionEmbeddings: 8,
	})
	b.Quantise(func(module string) network.Scheme {
		if module == "lm_head" {
			return network.Scheme{}
		}
		return network.Scheme{Algo: checkpoint.W4A16AWQ, Group: 64}
	}, false)
	qkv := b.Linear("transformer.layers.0.attention.qkv", b.Embedding("transformer.vocab_embedding", 0, 8, 64), 192, true)
	x := b.Attention("transformer.layers.0.attention", qkv, network.Attention{Heads: 1, KVHeads: 1, KVHeadsAll: 1, HeadSize: 64, Scale: 0.125})
	b.Logits(b.Linear("lm_head", b.SelectLastTokens(x), 8, false))
	net, err := b.Network()
	require.NoError(t, err)
	g, err := tensorrt.Lower(net, options())
	require.NoError(t, err)
	plugin := layer(t, g, "layers.0.attention.qkv/WeightOnlyGroupwiseQuantMatmul")
	require.Contains(t, plugin.Op.Fields(), graph.Int32Field("quant_algo", 1))
	require.Len(t, plugin.Inputs, 4)
	require.Equal(t, "transformer.layers.0.attention.qkv.bias", maker(t, g, plugin.Inputs[3]).Op.(graph.Constant).Weights.Name)
}

// A source whose tensors are not those of the network is refused by tensor, with both shapes or dtypes.
func TestWeightsOfAnotherCheckpoint(t *testing.T) {
	refused := func(net *network.Network, source graph.Source, wants ...string) {
		t.Helper()
		g, err := tensorrt.Lower(net, options())
		require.NoError(t, err)
		var messages []string
		for _, w := range g.Weights() {
			if _, err := w.Values(source); err != nil {
				require.ErrorIs(t, err, graph.ErrInvalid)
				messages = append(messages, err.Error())
			}
		}
		for _, want := range wants {
			require.True(t, slices.ContainsFunc(messages, func(m string) bool { return strings.Contains(m, want) }), want)
		}
	}
	fp8 := networkOf(t, quantisedCheckpoint(t, "nemotron", "fp8", "bfloat16", 1), 0)
	int8 := quantisedCheckpoint(t, "nemotron", "int8_wo", "bfloat16", 1)
	refused(fp8, openSource(t, int8, 0),
		"the checkpoint has "+dense+".weight as BF16[48 96], the network needs float8_e4m3 in shape [48 96]", "the checkpoint has no tensor "+dense+checkpoint.WeightScale)
	refused(networkOf(t, int8, 0), openSource(t, quantisedCheckpoint(t, "llama-gqa", "int8_wo", "bfloat16", 1), 0),
		"the checkpoint has "+dense+".weight as BF16[64 64], the network needs bfloat16 in shape [48 96]")
	refused(networkOf(t, testmodel.QuantisedDir(t, "llama-gqa.awq"), 0), openSource(t, quantisedCheckpoint(t, "llama-gqa", "int4_wo", "bfloat16", 1), 0),
		"the checkpoint has "+dense+".weight as BF16[64 64], the network needs int4 in shape [32 64]")
}

// A scale has to be a number above 0, wherever it goes.
func TestScales(t *testing.T) {
	dir := quantisedCheckpoint(t, "nemotron", "fp8", "bfloat16", 1)
	source := openSource(t, dir, 0)
	const name = dense + checkpoint.InputScale
	v, err := source.Scale(name)
	require.NoError(t, err)
	require.Equal(t, storedNumbers(t, source, name)[0], v)
	_, err = source.Scale(dense + ".weight")
	require.ErrorIs(t, err, graph.ErrInvalid)
	g, _ := lowerCheckpoint(t, dir, 0, options())
	for bits, want := range map[uint32]string{0: "is 0, not a number above 0", 0x7fc00000: "is NaN", 0x7f800000: "is +Inf", 0xbf800000: "is -1"} {
		broken := edited{source, name, func(data []byte) { binary.LittleEndian.PutUint32(data, bits) }}
		for _, w := range g.Weights() {
			if w.Name == name {
				_, err := w.Values(broken)
				require.ErrorIs(t, err, checkpoint.ErrInvalid)
				require.ErrorContains(t, err, "tensor "+name+" "+want)
			}
		}
	}
}
