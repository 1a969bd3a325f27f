package cpu_test

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/safetensors"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// patch writes bytes into a tensor of rank 0.
func patch(t *testing.T, dir, tensor string, at int64, data []byte) {
	t.Helper()
	path := filepath.Join(dir, checkpoint.RankName(0))
	file, err := safetensors.Open(path)
	require.NoError(t, err)
	found, ok := file.Tensor(tensor)
	require.True(t, ok, tensor)
	require.NoError(t, file.Close())
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt(data, found.Offset+at)
	require.NoError(t, err)
}

func number(v float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)) }

func exported(t *testing.T, source string, o export.Options) string {
	t.Helper()
	o.OutputDir = filepath.Join(t.TempDir(), "checkpoint")
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return o.OutputDir
}

// built writes an engine and returns it.
func built(t *testing.T, dir string) (*engine, *cpu.Plan, error) {
	t.Helper()
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer c.Close()
	p, err := cpu.New(t.Context(), c, cpu.Options{})
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(t.TempDir(), "engine")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	if err := p.Write(t.Context(), f, cpu.WriteOptions{Workers: 2}); err != nil {
		return nil, nil, err
	}
	return openEngine(t, path), p, nil
}

// matrixOf unpacks a section by its name.
func (e *engine) matrixOf(t *testing.T, name string) matrix {
	t.Helper()
	for i, s := range e.file.Sections {
		if s.Name == name {
			return e.section(i)
		}
	}
	require.Fail(t, "no section "+name)
	return nil
}

func (e *engine) sectionOf(t *testing.T, name string) cpuengine.Section {
	t.Helper()
	i := slices.IndexFunc(e.file.Sections, func(s cpuengine.Section) bool { return s.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return e.file.Sections[i]
}

func (e *engine) linearOf(t *testing.T, name string) cpuengine.Op {
	t.Helper()
	for _, o := range e.file.Program.Ops {
		if o.Name == name {
			return o
		}
	}
	require.Fail(t, "no operation "+name)
	return cpuengine.Op{}
}

// TestKeepFP8: a weight is its code times its own scale; what reads one buffer shares
// the larger of the inputs' scales; what is not quantised is left alone.
func TestKeepFP8(t *testing.T) {
	dir := exported(t, testmodel.QuantisedDir(t, "llama-gqa.fp8"), export.Options{Dtype: "float32"})
	const fc, gate = "transformer.layers.0.mlp.fc", "transformer.layers.0.mlp.gate"
	patch(t, dir, fc+checkpoint.WeightScale, 0, number(0.5))
	patch(t, dir, gate+checkpoint.WeightScale, 0, number(2))
	patch(t, dir, fc+checkpoint.InputScale, 0, number(0.25))
	patch(t, dir, gate+checkpoint.InputScale, 0, number(0.75))
	patch(t, dir, fc+".weight", 64+3, []byte{0x3a})       // 1.25
	patch(t, dir, gate+".weight", 87*64+63, []byte{0xc1}) // -2.25
	e, p, err := built(t, dir)
	require.NoError(t, err)
	m := e.matrixOf(t, fc+".weight|"+gate+".weight")
	require.Len(t, m, 2*88)
	require.Equal(t, 0.625, m[1][3])
	require.Equal(t, -4.5, m[88+87][63])
	require.EqualValues(t, 0.75, e.linearOf(t, "layers.0.mlp.fc|layers.0.mlp.gate").InputScale)
	require.Positive(t, e.linearOf(t, "layers.0.attention.qkv").InputScale)
	require.Zero(t, e.linearOf(t, "lm_head").InputScale)
	require.Equal(t, cpuengine.DtypeFP8, e.sectionOf(t, fc+".weight|"+gate+".weight").Dtype)
	require.NotContains(t, strings.Join(p.Notes, "\n"), "expands")
	require.Equal(t, cpuengine.DtypeFP8, p.Program.KVCacheDtype)
	require.Positive(t, e.linearOf(t, "layers.0.attention").KVScale)
}

// TestKeepWeightOnly rounds by the rules of symmetric_quantize, written out for one
// row: halves go away from zero, the largest positive weight is cut.
func TestKeepWeightOnly(t *testing.T) {
	for _, dtype := range []string{"float32", "bfloat16"} {
		dir := exported(t, testmodel.Dir(t, "llama-gqa"), export.Options{Dtype: dtype, QFormat: "int4_wo"})
		row := make([]float32, 64)
		copy(row, []float32{8.5, 2.65625, -2.65625, 0.25, 4, -8.5}) // scale 1.0625: 8, 2.5, -2.5 …
		format := checkpoint.SafetensorsDtype(dtype)
		raw := make([]byte, len(row)*floatformat.Size(format))
		floatformat.Encode(raw, row, format)
		patch(t, dir, "transformer.layers.1.mlp.gate.weight", int64(2*len(raw)), raw)
		patch(t, dir, "transformer.layers.1.mlp.gate.weight", int64(3*len(raw)), make([]byte, len(raw)))
		e, _, err := built(t, dir)
		require.NoError(t, err)
		m := e.matrixOf(t, "transformer.layers.1.mlp.fc.weight|transformer.layers.1.mlp.gate.weight")[88+2:]
		require.Equal(t, []float64{7 * 1.0625, 3 * 1.0625, -3 * 1.0625, 0, 4 * 1.0625, -8 * 1.0625, 0}, m[0][:7])
		require.Equal(t, make([]float64, 64), m[1], "a row of zeros")
		require.Equal(t, cpuengine.DtypeInt4, e.sectionOf(t, "transformer.layers.1.attention.qkv.weight").Dtype)
	}
}

// TestExpandAWQ: the low half of a byte is the even row, halves are signed, and the
// factor of the input multiplies the column.
func TestExpandAWQ(t *testing.T) {
	dir := testmodel.QuantisedDir(t, "llama-gqa.awq")
	const proj = "transformer.layers.2.mlp.proj"
	patch(t, dir, proj+".weight", 5*88+9, []byte{0x9c}) // rows 10 and 11: -4 and -7
	patch(t, dir, proj+checkpoint.WeightScale, (10*22+2)*4, number(0.5))
	patch(t, dir, proj+checkpoint.WeightScale, (11*22+2)*4, number(0.25))
	patch(t, dir, proj+checkpoint.InputFactor, 9*2, []byte{0x40, 0x40}) // 3 in bfloat16
	e, p, err := built(t, dir)
	require.NoError(t, err)
	m := e.matrixOf(t, proj+".weight")
	require.Equal(t, -4*0.5*3.0, m[10][9])
	require.Equal(t, -7*0.25*3.0, m[11][9])
	require.Contains(t, strings.Join(p.Notes, "\n"), "expands 12 of 12 W4A16_AWQ weights to bf16") // groups of 4
}

// TestKeepGroups: numbers and scales stay; factors move into norms, and behind activations
// and attentions. All of it computes the same.
func TestKeepGroups(t *testing.T) {
	for _, dtype := range []string{"bfloat16", "float16", "float32"} {
		dir := exported(t, testmodel.Dir(t, "llama-text"), export.Options{Dtype: dtype, QFormat: "int4_wo", GroupSize: 32})
		e, p, err := built(t, dir)
		require.NoError(t, err)
		require.Empty(t, p.Notes, "factors of one are none")
		require.Equal(t, checkpoint.W4A16AWQ, p.WeightDtype)
		s := e.sectionOf(t, "transformer.layers.0.attention.dense.weight")
		require.Equal(t, cpuengine.DtypeInt4, s.Dtype)
		require.Equal(t, 32, s.Group)
		require.Equal(t, map[string]string{"bfloat16": "bf16"}[dtype] == "bf16", s.ScaleDtype == cpuengine.DtypeBF16)
		sameLogits(t, dir, e)

		format := checkpoint.SafetensorsDtype(dtype)
		for _, module := range []string{"attention.qkv", "attention.dense", "mlp.fc", "mlp.gate", "mlp.proj"} {
			factor := make([]float32, 32)
			if module == "mlp.proj" {
				factor = make([]float32, 64)
			}
			for k := range factor {
				factor[k] = 0.5 + float32((k*7+len(module))%16)/8
			}
			if module == "mlp.gate" { // reads what fc reads
				for k := range factor {
					factor[k] = 0.5 + float32((k*7+len("mlp.fc"))%16)/8
				}
			}
			raw := make([]byte, len(factor)*floatformat.Size(format))
			floatformat.Encode(raw, factor, format)
			patch(t, dir, "transformer.layers.1."+module+checkpoint.InputFactor, 0, raw)
		}
		e, p, err = built(t, dir)
		require.NoError(t, err)
		require.Empty(t, p.Notes)
		for _, kind := range []cpuengine.OpKind{cpuengine.OpActivation, cpuengine.OpAttention} {
			require.True(t, slices.ContainsFunc(e.file.Program.Ops, func(o cpuengine.Op) bool { return o.Kind == kind && o.OutFactor >= 0 }))
		}
		require.Equal(t, cpuengine.DtypeInt4, e.sectionOf(t, "transformer.layers.1.mlp.proj.weight").Dtype)
		sameLogits(t, dir, e)

		// Twins with factors of their own cannot share an input.
		patch(t, dir, "transformer.layers.1.mlp.gate"+checkpoint.InputFactor, 0, make([]byte, floatformat.Size(format)))
		e, p, err = built(t, dir)
		require.NoError(t, err)
		require.Contains(t, strings.Join(p.Notes, "\n"), "expands 1 of 8 W4A16_AWQ weights")
		sameLogits(t, dir, e)
	}
}

// sameLogits compares an engine with the network of its checkpoint.
func sameLogits(t *testing.T, dir string, e *engine) {
	t.Helper()
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer c.Close()
	rank, err := c.Rank(0)
	require.NoError(t, err)
	net, err := model.New(c.Config(), 0)
	require.NoError(t, err)
	prompt := []int32{1, 5, 3, 7, 2}
	want, got := evaluateNetwork(t, net, rank, prompt), e.evaluate(t, prompt)
	// An expanded weight is rounded to the engine's dtype, a factor's product to float32.
	tolerance := map[string]float64{cpuengine.DtypeBF16: 3e-2, cpuengine.DtypeF16: 3e-3, cpuengine.DtypeF32: 1e-5}[e.file.Program.WeightDtype]
	sum, n := 0.0, 0
	for i := range want {
		for k := range want[i] {
			sum, n = sum+(want[i][k]-got[i][k])*(want[i][k]-got[i][k]), n+1
		}
	}
	require.Less(t, math.Sqrt(sum/float64(n)), tolerance)
}

func TestExpandRefuses(t *testing.T) {
	const proj = "transformer.layers.2.mlp.proj"
	for name, test := range map[string]struct {
		tensor  string
		data    []byte
		message string
	}{
		"scale of zero":     {proj + checkpoint.WeightScale, number(0), proj + ".weights_scaling_factor is 0, not a number above 0"},
		"scale of NaN":      {proj + checkpoint.WeightScale, number(float32(math.NaN())), "is NaN"},
		"negative input":    {proj + checkpoint.InputScale, number(-1), proj + ".activation_scaling_factor is -1"},
		"infinite input":    {proj + checkpoint.InputScale, number(float32(math.Inf(1))), "is +Inf"},
		"NaN among weights": {proj + ".weight", []byte{0x7f}, proj + ".weight has NaN in row 0"},
		"too large":         {proj + checkpoint.WeightScale, number(3e38), "too large for F32"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := exported(t, testmodel.QuantisedDir(t, "nemotron.fp8"), export.Options{})
			patch(t, dir, test.tensor, 0, test.data)
			_, _, err := built(t, dir)
			require.ErrorContains(t, err, test.message)
		})
	}
}

// TestKeepFloat16: the scales of a float16 model are float16 numbers.
func TestKeepFloat16(t *testing.T) {
	dir := exported(t, testmodel.Dir(t, "llama-f16"), export.Options{QFormat: "int8_wo"})
	e, p, err := built(t, dir)
	require.NoError(t, err)
	require.Equal(t, cpuengine.DtypeF16, e.file.Program.WeightDtype)
	require.Equal(t, cpuengine.DtypeInt8, e.sectionOf(t, "transformer.layers.0.attention.qkv.weight").Dtype)
	require.Empty(t, p.Notes)
	m := e.matrixOf(t, "transformer.layers.0.attention.qkv.weight")
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer c.Close()
	rank, err := c.Rank(0)
	require.NoError(t, err)
	tensor, _ := rank.Tensor("transformer.layers.0.attention.qkv.weight")
	row := make([]float32, tensor.Shape[1])
	require.NoError(t, tensor.ReadFloat32(row, 5))
	codes := make([]int8, len(row))
	scale := []float32{floatformat.RoundSymmetric(codes, row, 8)}
	raw := make([]byte, 2)
	floatformat.Encode(raw, scale, "F16")
	floatformat.Decode(scale, raw, "F16")
	for k, code := range codes {
		require.Equal(t, float64(code)*float64(scale[0]), m[5][k])
	}
}
