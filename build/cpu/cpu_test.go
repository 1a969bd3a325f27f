package cpu_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/model"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/floatformat"
	"github.com/trtgo/trtgo/internal/testmodel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, dir string) *checkpoint.Checkpoint {
	t.Helper()
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func plan(t testing.TB, dir string) *cpu.Plan {
	t.Helper()
	p, err := cpu.New(context.Background(), open(t, dir), cpu.Options{})
	require.NoError(t, err)
	return p
}

func write(t testing.TB, p *cpu.Plan) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rank0.engine")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, p.Write(context.Background(), f, cpu.WriteOptions{Workers: 2}))
	return path
}

// difference is the greatest and the root mean square difference of logits.
func difference(got []matrix, want [][][]float32) (most, rms float64) {
	n := 0
	for p := range want {
		for i := range want[p] {
			for v := range want[p][i] {
				d := math.Abs(got[p][i][v] - float64(want[p][i][v]))
				most, rms, n = max(most, d), rms+d*d, n+1
			}
		}
	}
	return most, math.Sqrt(rms / float64(n))
}

// Each family's network, and the engine that it becomes, gives transformers'
// float32 logits on the same weights.
func TestLogits(t *testing.T) {
	for _, name := range testmodel.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tinycheckpoint.Dir(t, name, nil)
			ckpt := open(t, dir)
			rank, err := ckpt.Rank(0)
			require.NoError(t, err)
			net, err := model.New(ckpt.Config(), 0)
			require.NoError(t, err)
			file := openEngine(t, write(t, plan(t, dir)))
			require.NoError(t, file.file.Verify(context.Background(), nil))

			want := testmodel.Golden(t, name)
			var network, program []matrix
			for _, prompt := range want.Prompts {
				network = append(network, evaluateNetwork(t, net, rank, prompt))
				program = append(program, file.evaluate(t, prompt))
			}
			for what, got := range map[string][]matrix{"network": network, "program": program} {
				most, rms := difference(got, want.Logits)
				t.Logf("%s: greatest difference %.2g, rms %.2g", what, most, rms)
				require.LessOrEqual(t, most, 1.5e-4, what)
				require.LessOrEqual(t, rms, 2e-5, what)
			}
		})
	}
}

// The same with rotary embeddings that no tiny model was made with.
func TestRotaryLogits(t *testing.T) {
	for _, name := range testmodel.RotaryNames() {
		t.Run(name, func(t *testing.T) {
			want := testmodel.RotaryGolden(t, name)
			dir := tinycheckpoint.Convert(t, want.Dir(t, false), nil)
			ckpt := open(t, dir)
			rank, err := ckpt.Rank(0)
			require.NoError(t, err)
			net, err := model.New(ckpt.Config(), 0)
			require.NoError(t, err)
			for what, all := range map[string]matrix{
				"network": evaluateNetwork(t, net, rank, want.Prompt),
				"program": openEngine(t, write(t, plan(t, dir))).evaluate(t, want.Prompt),
			} {
				var got matrix
				for _, p := range want.Positions {
					got = append(got, all[p])
				}
				most, rms := difference([]matrix{got}, [][][]float32{want.Logits})
				t.Logf("%s: greatest difference %.2g, rms %.2g", what, most, rms)
				require.LessOrEqual(t, most, 1.5e-4, what)
				require.LessOrEqual(t, rms, 2e-5, what)
			}
		})
	}
}

// describe prints a program, one operation a line.
func describe(p *cpu.Plan) string {
	var s strings.Builder
	section := func(i int) string {
		if i < 0 {
			return "-"
		}
		x := p.Sections[i]
		return fmt.Sprintf("%s %s %s[%d %d]", x.Name, x.Dtype, x.Layout, x.Rows, x.Cols)
	}
	buffer := func(i int) string {
		if i < 0 {
			return "ids"
		}
		b := p.Program.Buffers[i]
		flags := ""
		if b.Selected {
			flags += " selected"
		}
		if b.LinearInput {
			flags += " linear-input"
		}
		return fmt.Sprintf("%d<%s %d%s>", i, b.Name, b.Width, flags)
	}
	for _, o := range p.Program.Ops {
		fmt.Fprintf(&s, "%s %s: %s -> %s", o.Kind, o.Name, buffer(o.In), buffer(o.Out))
		if o.Accumulate {
			s.WriteString(" accumulate")
		}
		for _, i := range []int{o.Weight, o.Bias, o.InvFreq} {
			if i >= 0 {
				s.WriteString("; " + section(i))
			}
		}
		s.WriteByte('\n')
	}
	return s.String()
}

func TestFusedProgram(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "llama-gqa", nil)
	p := plan(t, dir)
	c := open(t, dir).Config()
	if c.NumHiddenLayers < 2 {
		t.Fatal("the model is too small for this test")
	}
	text := describe(p)
	t.Log("\n" + text)
	for _, l := range []string{"0", "1"} {
		require.Regexp(t, `linear layers\.`+l+`\.attention\.dense: .* -> 0<vocab_embedding \d+> accumulate`, text)
		require.Contains(t, text, "linear layers."+l+".mlp.fc|layers."+l+".mlp.gate: ")
	}
	require.Regexp(t, `norm ln_f: [^\n]* selected linear-input>`, text)
	require.NotContains(t, text, "add")
	// The selection stands right behind the last attention's residual.
	last := fmt.Sprintf("layers.%d.", c.NumHiddenLayers-1)
	require.Regexp(t, `linear `+last+`attention\.dense: [^\n]*\nselect [^\n]*\nnorm `+last+`post_layernorm: [^\n]* selected`, text)
	// Layers share buffers: as many as one layer needs, twice for the selected ones.
	require.Len(t, p.Program.Buffers, 10)
	require.Equal(t, 1, strings.Count(text, "select "))
	require.NotContains(t, text, "lm_head.weight f32")
	require.Equal(t, cpuengine.DtypeBF16, p.Program.WeightDtype)
}

// A head that equals the embedding shares its section; one that differs in the
// last value does not.
func TestTiedHead(t *testing.T) {
	tied := plan(t, tinycheckpoint.Dir(t, "llama-tied-llama3", nil))
	require.Contains(t, describe(tied), "transformer.vocab_embedding.weight bf16 panel16")
	require.NotContains(t, describe(tied), "lm_head.weight")

	f32 := tinycheckpoint.Dir(t, "llama-tied-llama3", func(c *checkpoint.Config) { c.Dtype = checkpoint.Float32 })
	size := plan(t, f32).Size()
	c := open(t, f32).Config()
	tinycheckpoint.Edit(t, f32, "lm_head.weight", func(v []float32) { v[len(v)-1] += 0.125 })
	untied := plan(t, f32)
	require.Contains(t, describe(untied), "transformer.vocab_embedding.weight f32 rows")
	require.Contains(t, describe(untied), "lm_head.weight f32 panel16")
	require.Equal(t, size+4*c.VocabSize*c.HiddenSize, untied.Size(), "a table of rows more")
}

// TestHeadDtype: the head alone becomes numbers of 8 bits, as int8_wo would round it, and an
// embedding that was equal stays.
func TestHeadDtype(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "llama-tied-llama3", nil)
	c := open(t, dir)
	p, err := cpu.New(t.Context(), c, cpu.Options{HeadDtype: "int8"})
	require.NoError(t, err)
	require.False(t, p.TiedHead)
	require.Equal(t, checkpoint.BFloat16, p.WeightDtype)
	text := describe(p)
	require.Contains(t, text, "transformer.vocab_embedding.weight bf16 rows")
	require.Contains(t, text, "lm_head.weight int8 panel16")
	require.Equal(t, 1, strings.Count(text, " int8 "))

	e := openEngine(t, write(t, p))
	rank, err := c.Rank(0)
	require.NoError(t, err)
	head, ok := rank.Tensor("lm_head.weight")
	require.True(t, ok)
	vocab, hidden := c.Config().VocabSize, c.Config().HiddenSize
	weights := make([]float32, vocab*hidden)
	require.NoError(t, head.ReadFloat32(weights, 0))
	got, embedding := e.matrixOf(t, "lm_head.weight"), e.matrixOf(t, "transformer.vocab_embedding.weight")
	for i := range vocab {
		row, codes := weights[i*hidden:][:hidden], make([]int8, hidden)
		scale := []byte{0, 0}
		floatformat.Encode(scale, []float32{floatformat.RoundSymmetric(codes, row, 8)}, "BF16")
		rounded := make([]float32, 1)
		floatformat.Decode(rounded, scale, "BF16")
		for j, code := range codes {
			require.Equal(t, float64(float32(code)*rounded[0]), got[i][j])
			require.Equal(t, float64(row[j]), embedding[i][j])
		}
	}
	for _, dtype := range []string{"int4", "bf16"} {
		_, err := cpu.New(t.Context(), c, cpu.Options{HeadDtype: dtype})
		require.ErrorIs(t, err, cpu.ErrUnsupported)
		require.ErrorContains(t, err, "it can become int8")
	}
}

// Float16 weights stay what they are.
func TestFloat16Weights(t *testing.T) {
	dir := tinycheckpoint.Dir(t, "llama-f16", nil)
	p := plan(t, dir)
	require.Equal(t, cpuengine.DtypeF16, p.Program.WeightDtype)
	require.Empty(t, p.Notes)
	e := openEngine(t, write(t, p))
	rank, err := open(t, dir).Rank(0)
	require.NoError(t, err)
	for _, name := range []string{"transformer.vocab_embedding.weight", "transformer.layers.0.attention.dense.weight"} {
		tensor, _ := rank.Tensor(name)
		values := make([]float32, tensor.Shape[0]*tensor.Shape[1])
		require.NoError(t, tensor.ReadFloat32(values, 0))
		var got []float32
		for _, row := range e.matrixOf(t, name) {
			for _, v := range row {
				got = append(got, float32(v))
			}
		}
		require.Equal(t, values, got)
	}
}

func TestRefusals(t *testing.T) {
	t.Run("sharded", func(t *testing.T) {
		dir := tinycheckpoint.Dir(t, "llama-gqa", func(c *checkpoint.Config) {
			c.Mapping = checkpoint.Mapping{WorldSize: 2, TPSize: 2, PPSize: 1}
		})
		_, err := cpu.New(context.Background(), open(t, dir), cpu.Options{})
		require.ErrorIs(t, err, cpu.ErrSharded)
		require.ErrorContains(t, err, "tp_size 2 × pp_size 1")
		require.ErrorContains(t, err, "trtgo export SOURCE --tp_size 1 --pp_size 1")
	})
	t.Run("dtype differs", func(t *testing.T) {
		dir := tinycheckpoint.Dir(t, "llama-gqa", nil)
		path := filepath.Join(dir, "config.json")
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), `"dtype": "bfloat16"`, `"dtype": "float32"`, 1)), 0o644))
		_, err = cpu.New(context.Background(), open(t, dir), cpu.Options{})
		require.ErrorContains(t, err, "tensor transformer.vocab_embedding.weight is BF16, config.json says dtype float32")
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := cpu.New(ctx, open(t, tinycheckpoint.Dir(t, "llama-tied-llama3", nil)), cpu.Options{})
		require.ErrorIs(t, err, context.Canceled)
		p := plan(t, tinycheckpoint.Dir(t, "llama-gqa", nil))
		path := filepath.Join(t.TempDir(), "e")
		f, err := os.Create(path)
		require.NoError(t, err)
		defer f.Close()
		require.ErrorIs(t, p.Write(ctx, f, cpu.WriteOptions{}), context.Canceled)
		_, err = cpuengine.Open(path)
		require.ErrorIs(t, err, cpuengine.ErrFormat)
	})
}

func TestProgressReachesTotal(t *testing.T) {
	p := plan(t, tinycheckpoint.Dir(t, "nemotron", nil))
	var seen []int64
	f, err := os.Create(filepath.Join(t.TempDir(), "e"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, p.Write(context.Background(), f, cpu.WriteOptions{Progress: func(done, total int64, section string) {
		require.NotEmpty(t, section)
		require.Equal(t, p.Size(), total)
		seen = append(seen, done)
	}}))
	require.IsIncreasing(t, seen)
	require.Equal(t, p.Size(), seen[len(seen)-1])
}
