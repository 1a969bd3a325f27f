//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	buildcpu "github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// BenchmarkModel measures decoding and prefill of SmolLM2-135M in bfloat16, or without
// its file of random weights of the same shape:
//
//	go test -run '^$' -bench BenchmarkModel ./csrc/cpu
//
// Decoding is compared with what as many threads of this process read from memory,
// prefill with the multiply-adds of registers, both measured between the steps:
// machines shared with others change from one second to the next. Each metric is the
// median of the rounds; "min" and "max" are those of the ratio. A decode step reads
// the weights of all linear layers once ("GB/s"), a prefill does two operations for
// each weight and token ("GFLOP/s"; attention is not counted).
func BenchmarkModel(b *testing.B) {
	real := false
	b.Run("SmolLM2-135M", func(b *testing.B) {
		gguf := testmodel.SmolLM2GGUF(b)
		real = true
		benchmarkModel(b, exportEngine(b, gguf))
	})
	if !real {
		b.Run("random-135M", func(b *testing.B) { benchmarkModel(b, randomSmolLM2(b)) })
	}
}

func exportEngine(b *testing.B, source string) string {
	directory := b.TempDir()
	_, err := export.Convert(b.Context(), source, export.Options{OutputDir: filepath.Join(directory, "checkpoint"), Dtype: "auto"})
	require.NoError(b, err)
	c, err := checkpoint.Open(filepath.Join(directory, "checkpoint"))
	require.NoError(b, err)
	defer c.Close()
	plan, err := buildcpu.New(b.Context(), c, buildcpu.Options{})
	require.NoError(b, err)
	path := filepath.Join(directory, "rank0.engine")
	file, err := os.Create(path)
	require.NoError(b, err)
	defer file.Close()
	require.NoError(b, plan.Write(b.Context(), file, buildcpu.WriteOptions{}))
	return path
}

func randomSmolLM2(b *testing.B) string {
	m := &modelShape{dtype: bf16, vocab: 49152, hidden: 576, heads: 9, kvHeads: 3, head: 64, ffn: 1536, layers: 30, maxPositions: 2048,
		embedding: cpuengine.LayoutPanel, seed: 1}
	path := m.write(b)
	m.weights = nil
	return path
}

func benchmarkModel(b *testing.B, path string) {
	for _, precision := range []string{"fast", "exact"} {
		for _, threads := range []int{1, 2} {
			for _, batch := range []int{1, 8} {
				b.Run(fmt.Sprintf("decode/%s/batch=%d/threads=%d", precision, batch, threads), func(b *testing.B) {
					benchmarkDecode(b, path, Options{Precision: precision, Threads: threads, MaxSeqLen: 1024}, batch)
				})
			}
			for _, tokens := range []int{128, 512} {
				b.Run(fmt.Sprintf("prefill/%s/tokens=%d/threads=%d", precision, tokens, threads), func(b *testing.B) {
					benchmarkPrefill(b, path, Options{Precision: precision, Threads: threads, MaxSeqLen: 1024}, tokens)
				})
			}
		}
	}
}

// linearWeights counts the weights of the linear layers; those behind the selection
// are counted for each wanted row only.
func linearWeights(p *cpuengine.Program) (perToken, perRow int64) {
	for _, op := range p.Ops {
		if op.Kind != cpuengine.OpLinear {
			continue
		}
		if p.Buffers[op.In].Selected {
			perRow += int64(op.N) * int64(op.K)
		} else {
			perToken += int64(op.N) * int64(op.K)
		}
	}
	return perToken, perRow
}

func benchmarkDecode(b *testing.B, path string, o Options, sequences int) {
	r := openEngine(b, path, o)
	const context128 = 128 // tokens before the decoded one
	tokens := randomTokens(1, context128+1, r.Limits().VocabSize)
	var batch []executor.Sequence
	for i := range sequences {
		blocks := blocksFrom(i*8, len(tokens))
		step(b, r, piece(tokens[:context128], 0, blocks...))
		s := piece(tokens, context128, blocks...)
		s.Rows = []executor.LogitsRow{{Candidates: 1}}
		batch = append(batch, s)
	}
	perToken, perRow := linearWeights(r.program)
	var out executor.StepResult
	limits := openLimits(b, o)
	report(b, float64(sequences), 2*float64(perToken+perRow), "GB/s", "stream",
		func() { require.NoError(b, r.Step(context.Background(), batch, &out)) },
		func() (float64, time.Duration) {
			bytes, took, err := limits.Read(b.Context(), 64<<20)
			require.NoError(b, err)
			return float64(bytes), took
		})
}

func benchmarkPrefill(b *testing.B, path string, o Options, n int) {
	r := openEngine(b, path, o)
	s := piece(randomTokens(1, n, r.Limits().VocabSize), 0, blocksFrom(0, n)...)
	s.Rows = []executor.LogitsRow{{Index: n - 1, Candidates: 1}}
	perToken, perRow := linearWeights(r.program)
	var out executor.StepResult
	limits, arithmetic := openLimits(b, o), ArithmeticOf(r.Describe().ISA, o.Precision, cpuengine.DtypeBF16)
	report(b, float64(n), 2*(float64(perToken)*float64(n)+float64(perRow)), "GFLOP/s", "peak",
		func() { require.NoError(b, r.Step(context.Background(), []executor.Sequence{s}, &out)) },
		func() (float64, time.Duration) {
			operations, took, err := limits.Multiply(b.Context(), arithmetic, 1e9)
			require.NoError(b, err)
			return operations, took
		})
}

// report measures work, which does `amount` for so many tokens, between two runs of
// the limit, which returns how much it did; the ratio is to the mean of both.
func report(b *testing.B, tokens, amount float64, unit, limitName string, work func(), limit func() (float64, time.Duration)) {
	work() // pages in, threads awake
	measured := func() float64 {
		done, took := limit()
		return done / took.Seconds()
	}
	var rates, limits, ratios []float64
	before := measured()
	for b.Loop() {
		for range 5 { // never a median of one
			start := time.Now()
			work()
			rate := amount / time.Since(start).Seconds()
			after := measured()
			rates, limits, ratios = append(rates, rate), append(limits, (before+after)/2), append(ratios, 2*rate/(before+after))
			before = after
		}
	}
	for _, x := range [][]float64{rates, limits, ratios} {
		slices.Sort(x)
	}
	median := func(x []float64) float64 { return x[len(x)/2] }
	b.ReportMetric(0, "ns/op") // of both together: of no use
	b.ReportMetric(median(rates)/amount*tokens, "tokens/s")
	b.ReportMetric(median(rates)/1e9, unit)
	b.ReportMetric(median(limits)/1e9, limitName+"-"+unit)
	b.ReportMetric(median(ratios), "of-"+limitName)
	b.ReportMetric(ratios[0], "of-"+limitName+"-min")
	b.ReportMetric(ratios[len(ratios)-1], "of-"+limitName+"-max")
}

func openLimits(b *testing.B, o Options) *Limits {
	limits, err := OpenLimits(o)
	require.NoError(b, err)
	b.Cleanup(limits.Close)
	return limits
}

// BenchmarkAbort cancels prefills of 2048 tokens of a model shaped as SmolLM2-135M at
// random moments, and reports how long each step took to return from then on.
//
//	go test -run '^$' -bench BenchmarkAbort ./csrc/cpu
func BenchmarkAbort(b *testing.B) {
	path := randomSmolLM2(b)
	tokens := randomTokens(1, 2048, 49152)
	batch := []executor.Sequence{piece(tokens, 0, blocksFrom(0, len(tokens))...)}
	for _, precision := range []string{"fast", "exact"} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d threads", precision, threads), func(b *testing.B) {
				r := openEngine(b, path, Options{Precision: precision, Threads: threads, MaxBatchSize: 1})
				random := newRand(1)
				var latencies []float64
				for b.Loop() {
					for range 20 {
						ctx, cancel := context.WithCancel(b.Context())
						var cancelled time.Time
						timer := time.AfterFunc(time.Duration(random.Int64N(int64(700*time.Millisecond))), func() {
							cancelled = time.Now()
							cancel()
						})
						err := r.Step(ctx, batch, &executor.StepResult{})
						returned := time.Now()
						if timer.Stop() { // the prefill was over
							cancel()
							continue
						}
						<-ctx.Done()
						if err != nil {
							require.Equal(b, executor.ErrAborted, err)
							latencies = append(latencies, returned.Sub(cancelled).Seconds()*1e3)
						}
					}
				}
				require.NotEmpty(b, latencies)
				slices.Sort(latencies)
				b.ReportMetric(latencies[0], "min-ms")
				b.ReportMetric(latencies[len(latencies)/2], "median-ms")
				b.ReportMetric(latencies[len(latencies)-1], "max-ms")
				b.ReportMetric(float64(len(latencies)), "aborts")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkIdle opens an engine, runs a step, and reports the processor time of this
// process over the next three seconds, in percent of a core.
func BenchmarkIdle(b *testing.B) {
	m := mediumModel()
	r := openEngine(b, m.write(b), Options{Threads: availableCPUs()})
	for b.Loop() {
		step(b, r, piece(randomTokens(1, 40, m.vocab), 0, 0, 1))
		before, start := processorTime(b), time.Now()
		time.Sleep(3 * time.Second)
		b.ReportMetric(100*(processorTime(b)-before).Seconds()/time.Since(start).Seconds(), "%core")
	}
	b.ReportMetric(0, "ns/op")
}

func processorTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
