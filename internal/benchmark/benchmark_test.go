//go:build cgo && linux && (amd64 || arm64)

package benchmark

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/internal/benchdoc"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tiny(nemotron bool) Shape {
	return Shape{Name: "tiny", VocabSize: 130, HiddenSize: 96, NumLayers: 2, NumAttentionHeads: 6, NumKeyValueHeads: 2, HeadSize: 16, IntermediateSize: 160,
		RotaryDim: 16, Tied: !nemotron, Nemotron: nemotron}
}

func madeUpFile(t *testing.T, s Shape, w Weights) string {
	path := filepath.Join(t.TempDir(), "rank0.engine")
	var last int64
	require.NoError(t, WriteMadeUp(t.Context(), path, s, w, func(done, total int64) {
		require.GreaterOrEqual(t, done, last)
		require.LessOrEqual(t, done, total)
		last = done
	}))
	size, err := MadeUpBytes(s, w)
	require.NoError(t, err)
	require.Equal(t, size, last)
	return path
}

// Engines of every weight type open, and compute finite numbers of a usual size.
func TestMadeUpWeights(t *testing.T) {
	for _, w := range []Weights{
		{Dtype: cpuengine.DtypeF32}, {Dtype: cpuengine.DtypeBF16}, {Dtype: cpuengine.DtypeF16}, {Dtype: cpuengine.DtypeInt8}, {Dtype: cpuengine.DtypeFP8},
		{Dtype: cpuengine.DtypeInt4}, {Dtype: cpuengine.DtypeInt4, Group: 32},
	} {
		for _, nemotron := range []bool{false, true} {
			path := madeUpFile(t, tiny(nemotron), w)
			file, err := cpuengine.Open(path)
			require.NoError(t, err)
			require.NoError(t, file.Verify(t.Context(), nil))
			r, err := cpu.Open(t.Context(), path, cpu.Options{Threads: 1, MaxSeqLen: 32})
			require.NoError(t, err)
			s := sequence([]int32{1, 2, 3}, 0, []int32{0})
			s.Rows[0].Logits = true
			var out executor.StepResult
			require.NoError(t, r.Step(t.Context(), []executor.Sequence{s}, &out))
			require.NoError(t, r.Close())
			squares := 0.0
			for _, x := range out.Rows[0].Logits {
				squares += float64(x) * float64(x) / float64(len(out.Rows[0].Logits))
			}
			require.Greater(t, math.Sqrt(squares), 0.2, "%v", w)
			require.Less(t, math.Sqrt(squares), 50.0, "%v", w)
		}
	}
}

func TestMadeUpWeightsRefused(t *testing.T) {
	_, err := MadeUpBytes(tiny(false), Weights{Dtype: cpuengine.DtypeInt4, Group: 64})
	require.ErrorIs(t, err, ErrShape)
	require.ErrorContains(t, err, "groups of 64 for 96 columns, want 32, 64 or 128 and a divisor")
	path := filepath.Join(t.TempDir(), "e")
	require.ErrorIs(t, WriteMadeUp(t.Context(), path, tiny(false), Weights{Dtype: cpuengine.DtypeInt8, Group: 32}, nil), ErrShape)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, WriteMadeUp(ctx, path+"2", tiny(false), Weights{Dtype: cpuengine.DtypeBF16}, nil), context.Canceled)
}

// The cost of SmolLM2-135M, whose numbers stand in its paper and can be added up by hand.
func TestCost(t *testing.T) {
	l := lower(Shapes[0], Weights{Dtype: cpuengine.DtypeBF16})
	for i := range l.sections {
		size, err := cpuengine.PackedSize(l.sections[i])
		require.NoError(t, err)
		l.sections[i].Size = size
	}
	require.NoError(t, l.program.Validate(l.sections))
	m := &model{program: l.program, sections: l.sections, isa: "avx512bf16", precision: "fast"}
	const layers, layer, head = 30, 576*(960+576+3072) + 1536*576, 49152 * 576
	const norms = 4 * 576 * (2*layers + 1)
	decode := sum(m.works(Case{Phase: Decode, BatchSize: 8, Tokens: 8, Context: 128}))
	require.EqualValues(t, 2*(layers*layer+head)+norms, decode.WeightBytes)
	require.EqualValues(t, 8*layers*2*3*64*2*(129+1), decode.KVBytes)
	require.EqualValues(t, 8*576*2, decode.EmbeddingBytes)
	require.Equal(t, 8.0*2*(layers*layer+head), decode.LinearOperations)
	require.Equal(t, 8.0*4*9*64*129*layers, decode.AttentionOperations)

	prefill := m.works(Case{Phase: Prefill, BatchSize: 1, Tokens: 128})
	total := sum(prefill)
	rows := 128.0*(layers*layer) - 127*(576*3072+1536*576) // the last layer's MLP and the head are of one row
	require.Equal(t, 2*(rows+head), total.LinearOperations)
	require.Equal(t, 4.0*9*64*128*129/2*layers, total.AttentionOperations)
	require.EqualValues(t, layers*2*3*64*2*(128+128), total.KVBytes)

	// A window bounds what is seen.
	for i := range l.program.Ops {
		l.program.Ops[i].Window = 100
	}
	windowed := sum(m.works(Case{Phase: Decode, BatchSize: 1, Tokens: 1, Context: 128}))
	require.EqualValues(t, layers*2*3*64*2*(100+1), windowed.KVBytes)
	require.Equal(t, 4.0*9*64*100*layers, windowed.AttentionOperations)
	l.program.KVCacheDtype = cpuengine.DtypeInt8
	require.Equal(t, windowed.KVBytes/2, sum(m.works(Case{Phase: Decode, BatchSize: 1, Tokens: 1, Context: 128})).KVBytes)
}

// The limit of work of two kinds of arithmetic is the sum of their times.
func TestLimitOfMixture(t *testing.T) {
	l := limits{stream: 10, peak: map[cpu.Arithmetic]float64{cpu.Pairs: 4, cpu.Integers: 8}}
	works := []work{
		{Cost: Cost{WeightBytes: 30, LinearOperations: 8}, arithmetic: cpu.Integers},
		{Cost: Cost{KVBytes: 20, AttentionOperations: 8}, arithmetic: cpu.Pairs},
	}
	require.Equal(t, 5.0, l.memorySeconds(works))
	require.Equal(t, 3.0, l.arithmeticSeconds(works))
	s := samples{}
	s.add(10, &l, works)
	r := Result{Case: Case{Phase: Decode, BatchSize: 2, Tokens: 2}, Cost: sum(works)}
	s.summarize(&r)
	require.Equal(t, BoundMemory, r.Bound)
	require.Equal(t, []float64{0.5, 0.3, 0.5}, []float64{r.OfStream.Median, r.OfPeak.Median, r.OfLimit.Median})
	require.InDelta(t, 16/3.0/1e9, r.Peak.Median, 1e-15)
	require.Equal(t, 0.2, r.TokensPerSecond.Median)
}

func run(t *testing.T) *Report {
	path := madeUpFile(t, tiny(false), Weights{Dtype: cpuengine.DtypeBF16})
	var done, total int64
	r, err := Run(t.Context(), path, Options{
		Name: "tiny & made up", Threads: []int{1}, Prefill: []int{40}, BatchSizes: []int{1, 3}, Contexts: []int{0, 70}, Rounds: 3, Operations: true,
		Progress: func(d, n int64) { done, total = d, n },
	})
	require.NoError(t, err)
	require.Equal(t, total, done)
	return r
}

func TestRun(t *testing.T) {
	r := run(t)
	require.Len(t, r.Cases, 5)
	require.Equal(t, "bf16", r.WeightDtypes)
	for i := range r.Cases {
		c := &r.Cases[i]
		require.Equal(t, 3, c.Rounds)
		require.Positive(t, c.TokensPerSecond.Least)
		require.GreaterOrEqual(t, c.MeanSeconds, c.Seconds.Least)
		require.LessOrEqual(t, c.MeanSeconds, c.Seconds.Most)
		require.Positive(t, c.Stream.Median)
		require.Positive(t, c.OfLimit.Median)
		require.LessOrEqual(t, c.OfLimit.Least, c.OfLimit.Most)
		share, bytes := 0.0, 0.0
		for _, k := range c.Kinds {
			share += k.OfStep
			bytes += k.Bytes
		}
		require.InDelta(t, 1, share, 1e-9)
		require.Equal(t, c.Bytes(), bytes)
		require.Len(t, c.Operations, 2*8+4)
		require.Len(t, ByLayer(c.Operations), 3)
		require.Equal(t, []string{"no layer", "layer 0", "layer 1"}, []string{ByLayer(c.Operations)[0].Name, ByLayer(c.Operations)[1].Name, ByLayer(c.Operations)[2].Name})
	}
	require.Equal(t, Case{Phase: Decode, Threads: 1, BatchSize: 3, Tokens: 3, Context: 70}, r.Cases[4].Case)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	for _, key := range []string{`"tokens_per_second":{"min":`, `"bytes_per_token":`, `"operations_per_token":`, `"stream_gb_per_second":`, `"peak_gflop_per_second":`, `"of_stream":`, `"of_peak":`, `"of_limit":`} {
		require.Contains(t, string(text), key)
	}
}

func TestRunRefuses(t *testing.T) {
	path := madeUpFile(t, tiny(false), Weights{Dtype: cpuengine.DtypeBF16})
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Threads: []int{cpu.AvailableCPUs() + 1}}, "threads, this process may use " + strconv.Itoa(cpu.AvailableCPUs()) + " CPUs"},
		{Options{Threads: []int{1}, Prefill: []int{40000}}, "prefill of 40000 tokens behind a context of 0, and the engine has 32768 positions"},
		{Options{Threads: []int{1}, BatchSizes: []int{1}, Contexts: []int{-1}}, "a context of -1"},
	} {
		_, err := Run(t.Context(), path, c.o)
		require.ErrorIs(t, err, executor.ErrInvalidOption)
		require.ErrorContains(t, err, c.want)
	}
	_, err := Run(t.Context(), t.TempDir(), Options{})
	require.ErrorIs(t, err, cpuengine.ErrFormat)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = Run(ctx, path, Options{Threads: []int{1}, Prefill: []int{8}, Rounds: 1000, Progress: func(done, _ int64) {
		if done > 2 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestLastLevelCache(t *testing.T) {
	const dir = "sys/devices/system/cpu/cpu0/cache/"
	require.EqualValues(t, 32<<20, lastLevelCache(fstest.MapFS{dir + "index0/size": {Data: []byte("48K\n")}, dir + "index1/size": {Data: []byte("32768K\n")}}))
	require.Zero(t, lastLevelCache(fstest.MapFS{}))
	require.True(t, (&Report{EngineBytes: 100 << 20, LastLevelCache: 32 << 20}).Cached())
	require.False(t, (&Report{EngineBytes: 100 << 20}).Cached())
}

// The trace is what viewers of the format want: complete events with times, none of
// which overlaps another in its row.
func TestTrace(t *testing.T) {
	var b bytes.Buffer
	r := run(t)
	require.NoError(t, WriteTrace(&b, r))
	var trace struct {
		TraceEvents []struct {
			Name, Ph string
			Ts, Dur  float64
			Pid, Tid int
			Args     map[string]any
		} `json:"traceEvents"`
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &trace))
	end, complete := map[[2]int]float64{}, 0
	for _, e := range trace.TraceEvents {
		require.NotEmpty(t, e.Name)
		require.Contains(t, []string{"X", "M"}, e.Ph)
		if e.Ph == "M" {
			require.NotEmpty(t, e.Args["name"])
			continue
		}
		row := [2]int{e.Pid, e.Tid}
		require.GreaterOrEqual(t, e.Ts, end[row]-1e-6)
		end[row] = e.Ts + e.Dur
		if e.Tid == 0 {
			require.Contains(t, e.Args, "bytes")
			complete++
		}
	}
	require.Equal(t, len(r.Cases)*len(r.Cases[0].Operations), complete)
}

// exampleReport has the longest texts that a picture must hold.
func exampleReport() *Report {
	r := &Report{Name: "minitron-4b-shaped int4 g128 <made up>", Machine: "2 cores of AMD EPYC", ISA: "avx512bf16", Precision: "exact", EngineBytes: 8.4e9, LastLevelCache: 32 << 20}
	for i, c := range []Case{{Phase: Prefill, Threads: 1, BatchSize: 1, Tokens: 512}, {Phase: Decode, Threads: 16, BatchSize: 16, Tokens: 16, Context: 16384}} {
		wide := benchdoc.Spread{Least: 0.5, Median: 0.9, Most: 1.5}
		r.Cases = append(r.Cases, Result{Case: c, Bound: []string{BoundArithmetic, BoundMemory}[i], OfLimit: wide, Goal: 0.85,
			TokensPerSecond: benchdoc.Spread{Median: 12404}, GBPerSecond: benchdoc.Spread{Median: 123.4}, Stream: benchdoc.Spread{Median: 123.4},
			GFLOPPerSecond: benchdoc.Spread{Median: 1234}, Peak: benchdoc.Spread{Median: 1234}})
	}
	return r
}

// The picture is well-formed, and no text stands in another or outside.
func TestSVG(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, WriteSVG(&b, []*Report{exampleReport(), exampleReport()}))
	type box struct {
		text           string
		left, right, y float64
	}
	var boxes []box
	decoder := xml.NewDecoder(&b)
	goals := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attributes := map[string]string{}
		for _, a := range start.Attr {
			attributes[a.Name.Local] = a.Value
		}
		if attributes["class"] == "goal" {
			goals++
		}
		if start.Name.Local != "text" {
			continue
		}
		inner, err := decoder.Token()
		require.NoError(t, err)
		text := string(inner.(xml.CharData))
		x, err := strconv.ParseFloat(attributes["x"], 64)
		require.NoError(t, err)
		y, err := strconv.ParseFloat(attributes["y"], 64)
		require.NoError(t, err)
		width := float64(len([]rune(text))) * map[string]float64{"title": 10, "head": 8.4, "faint": 6.6, "": 7.2}[attributes["class"]]
		left := x - width*map[string]float64{"start": 0, "middle": 0.5, "end": 1}[attributes["text-anchor"]]
		require.GreaterOrEqual(t, left, 0.0, text)
		require.LessOrEqual(t, left+width, float64(svgWidth), text)
		for _, o := range boxes {
			if math.Abs(o.y-y) < 12 {
				require.False(t, left < o.right && o.left < left+width, "%q and %q overlap", o.text, text)
			}
		}
		boxes = append(boxes, box{text, left, left + width, y})
	}
	require.Equal(t, 4+1, goals)
	require.Greater(t, len(boxes), 20)
}
