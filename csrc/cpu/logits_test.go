//go:build cgo && linux && (amd64 || arm64)

package cpu_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	buildcpu "github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/export"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/compatibility"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/internal/testmodel"
)

// buildEngine takes a tiny model through export and build and returns the engine file.
func buildEngine(t testing.TB, source, dtype string) string {
	t.Helper()
	return engineOf(t, source, export.Options{Dtype: dtype})
}

// engineOf does so with other options.
func engineOf(t testing.TB, source string, o export.Options) string {
	t.Helper()
	o.OutputDir = filepath.Join(t.TempDir(), "checkpoint")
	_, err := export.Convert(t.Context(), source, o)
	require.NoError(t, err)
	return checkpointEngine(t, o.OutputDir)
}

// checkpointEngine builds a checkpoint and returns the engine file.
func checkpointEngine(t testing.TB, dir string) string {
	t.Helper()
	return checkpointEngineWith(t, dir, buildcpu.Options{})
}

func checkpointEngineWith(t testing.TB, dir string, o buildcpu.Options) string {
	t.Helper()
	c, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer c.Close()
	plan, err := buildcpu.New(t.Context(), c, o)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rank0.engine")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, plan.Write(t.Context(), file, buildcpu.WriteOptions{}))
	configs.Store(path, c.Config())
	return path
}

// configs are those of the checkpoints that engines were built from, by the engine's path.
var configs sync.Map

// executed notes that the test compares the logits of an engine, and returns its path.
func executed(t testing.TB, engine string) string {
	t.Helper()
	c, ok := configs.Load(engine)
	require.True(t, ok)
	cpu.Executed.Passed(t, compatibility.CPU(c.(*checkpoint.Config)))
	return engine
}

func openRunner(t testing.TB, path string, o cpu.Options) *cpu.Runner {
	t.Helper()
	if o.Threads == 0 {
		o.Threads = 1
	}
	r, err := cpu.Open(t.Context(), path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// chunk makes the sequence of tokens[from:to] over blocks from firstBlock on, with
// a full row wanted after each token.
func chunk(tokens []int32, from, to int, firstBlock int32) executor.Sequence {
	s := executor.Sequence{Tokens: tokens[from:to], SeqLen: to}
	for i := from; i < to; i++ {
		s.Positions = append(s.Positions, int32(i))
		s.Rows = append(s.Rows, executor.LogitsRow{Index: i - from, Candidates: 4, Logits: true})
	}
	for b := range int32(to+31) / 32 {
		s.BlockTable = append(s.BlockTable, firstBlock+b)
	}
	return s
}

// forward runs tokens in steps of size n and returns the logits after each.
func forward(t testing.TB, r *cpu.Runner, tokens []int32, n int, firstBlock int32) [][]float32 {
	t.Helper()
	var logits [][]float32
	for from := 0; from < len(tokens); from += n {
		var out executor.StepResult
		require.NoError(t, r.Step(t.Context(), []executor.Sequence{chunk(tokens, from, min(from+n, len(tokens)), firstBlock)}, &out))
		for _, row := range out.Rows {
			logits = append(logits, row.Logits)
		}
	}
	return logits
}

// difference gives the largest and the root mean square difference.
func difference(want, got [][]float32) (largest, rms float64) {
	n := 0
	for i := range want {
		for j := range want[i] {
			d := math.Abs(float64(want[i][j]) - float64(got[i][j]))
			if math.IsNaN(d) {
				return math.NaN(), math.NaN()
			}
			largest = max(largest, d)
			rms += d * d
			n++
		}
	}
	return largest, math.Sqrt(rms / float64(n))
}

// TestLogitsEqualTransformers checks every position of every prompt of every tiny
// model against transformers' float32 run, with the project's tolerances.
func TestLogitsEqualTransformers(t *testing.T) {
	for _, name := range testmodel.Names() {
		t.Run(name, func(t *testing.T) {
			golden := testmodel.Golden(t, name)
			source := testmodel.Dir(t, name)
			t.Run("float32", func(t *testing.T) {
				compareLogits(t, openRunner(t, executed(t, buildEngine(t, source, "float32")), cpu.Options{}), golden, 1.5e-4, 2e-5)
			})
			if golden.Weights != "bfloat16" {
				return // other weights are not the golden's once they are rounded
			}
			engine := buildEngine(t, source, "bfloat16")
			t.Run("bfloat16 exact", func(t *testing.T) {
				compareLogits(t, openRunner(t, executed(t, engine), cpu.Options{Precision: "exact"}), golden, 2e-3, 2e-3)
			})
			t.Run("bfloat16 fast", func(t *testing.T) {
				compareLogits(t, openRunner(t, engine, cpu.Options{Precision: "fast"}), golden, math.Inf(1), 1.25*golden.BF16RMSAll)
			})
		})
	}
}

// TestNemoLogitsEqualTransformers does the same from NeMo's forms of the weights,
// against the logits of the Hugging Face form.
func TestNemoLogitsEqualTransformers(t *testing.T) {
	for _, name := range []string{"nemotron.ckpt", "nemotron.torch-dist", "nemotron-f32.tp2-pp2", "nemotron-f32.zarr-tp2", "llama-f16.torch-dist", "mistral-headdim.nemo2"} {
		t.Run(name, func(t *testing.T) {
			model, _, _ := strings.Cut(name, ".")
			compareLogits(t, openRunner(t, executed(t, buildEngine(t, testmodel.Nemo(t, name), "float32")), cpu.Options{}), testmodel.Golden(t, model), 1.5e-4, 2e-5)
		})
	}
}

// TestRotaryLogitsEqualTransformers runs rotary embeddings that no tiny model was made
// with, from either spelling of them.
func TestRotaryLogitsEqualTransformers(t *testing.T) {
	for _, name := range testmodel.RotaryNames() {
		golden := testmodel.RotaryGolden(t, name)
		for spelling, old := range map[string]bool{"transformers 4": true, "transformers 5": false} {
			t.Run(name+" "+spelling, func(t *testing.T) {
				r := openRunner(t, executed(t, buildEngine(t, golden.Dir(t, old), "float32")), cpu.Options{})
				var got [][]float32
				all := forward(t, r, golden.Prompt, len(golden.Prompt), 0)
				for _, p := range golden.Positions {
					got = append(got, all[p])
				}
				largest, rms := difference(golden.Logits, got)
				t.Logf("largest difference %.2e, rms %.2e", largest, rms)
				require.LessOrEqual(t, largest, 1.5e-4)
				require.LessOrEqual(t, rms, 2e-5)
			})
		}
	}
}

func compareLogits(t *testing.T, r *cpu.Runner, golden testmodel.Reference, maxLargest, maxRMS float64) {
	t.Helper()
	var want, got [][]float32
	for p, prompt := range golden.Prompts {
		want = append(want, golden.Logits[p]...)
		got = append(got, forward(t, r, prompt, len(prompt), 0)...)
	}
	largest, rms := difference(want, got)
	t.Logf("largest difference %.2e (limit %.2e), rms %.2e (limit %.2e)", largest, maxLargest, rms, maxRMS)
	require.LessOrEqual(t, largest, maxLargest)
	require.LessOrEqual(t, rms, maxRMS)
}

// TestGreedyEqualsTransformers continues each prompt by 32 tokens. Ids must be
// equal until the first step whose float32 margin is below the precision's limit.
func TestGreedyEqualsTransformers(t *testing.T) {
	for _, name := range testmodel.Names() {
		golden := testmodel.Golden(t, name)
		for _, precision := range []struct {
			name, dtype string
			margin      float32
			wanted      bool
		}{
			{"exact", "float32", 0.02, true},
			{"exact", "bfloat16", 0.02, golden.Weights == "bfloat16"},
			{"fast", "bfloat16", 0.25, golden.Fast},
		} {
			if !precision.wanted {
				continue
			}
			t.Run(fmt.Sprintf("%s %s %s", name, precision.dtype, precision.name), func(t *testing.T) {
				r := openRunner(t, buildEngine(t, testmodel.Dir(t, name), precision.dtype), cpu.Options{Precision: precision.name})
				for p := range golden.Prompts {
					compareGreedy(t, r, golden, p, precision.margin)
				}
			})
		}
	}
}

func compareGreedy(t *testing.T, r *cpu.Runner, golden testmodel.Reference, p int, margin float32) {
	t.Helper()
	tokens := append([]int32(nil), golden.Prompts[p]...)
	done := 0
	compared := 0
	for step, want := range golden.GreedyIDs[p] {
		if golden.Margins[p][step] < margin {
			t.Logf("prompt %d: stopped at step %d, margin %.3f", p, step, golden.Margins[p][step])
			break
		}
		s := chunk(tokens, done, len(tokens), 0)
		s.Rows = s.Rows[len(s.Rows)-1:]
		var out executor.StepResult
		require.NoError(t, r.Step(t.Context(), []executor.Sequence{s}, &out))
		best := out.Rows[0].Candidates[0]
		require.Equal(t, want, best.Token, "prompt %d, step %d, margin %.3f", p, step, golden.Margins[p][step])
		logProb := best.Raw - out.Rows[0].RawLogSumExp
		if margin < 0.1 {
			limit := 3e-4
			if r.Describe().Precision == "exact" && golden.Weights == "bfloat16" {
				limit = 2e-3
			}
			require.InDelta(t, golden.LogProbs[p][step], logProb, limit, "prompt %d, step %d", p, step)
		}
		done = len(tokens)
		tokens = append(tokens, want)
		compared++
	}
	require.GreaterOrEqual(t, compared, testmodel.Steps/2, "prompt %d: too few steps compared", p)
}

// TestBitsDoNotDependOnTheBatch runs prompts alone, in chunks and together, on every
// kernel set that this machine has and on one to three threads: the bits are equal.
func TestBitsDoNotDependOnTheBatch(t *testing.T) {
	chunks := map[int][]int{1: {1, 7, 33}, 2: {16}, 3: {2}}
	for _, name := range []string{"llama-gqa", "nemotron", "mistral-window"} {
		prompts := testmodel.Golden(t, name).Prompts
		engine := buildEngine(t, testmodel.Dir(t, name), "bfloat16")
		for _, isa := range []string{"scalar", "avx2", "avx512bf16", "neon", "neondotprod", "neonbf16"} {
			for _, precision := range []string{"exact", "fast"} {
				t.Run(name+" "+isa+" "+precision, func(t *testing.T) {
					var alone [][][]float32
					for threads := 1; threads <= 3; threads++ {
						r := openKernelSet(t, engine, cpu.Options{ISA: isa, Precision: precision, Threads: threads, MaxBatchSize: 8})
						for p, prompt := range prompts {
							if threads == 1 {
								alone = append(alone, forward(t, r, prompt, len(prompt), 0))
							}
							for _, n := range chunks[threads] {
								requireSame(t, alone[p], forward(t, r, prompt, n, 3), "prompt %d in steps of %d, %d threads", p, n, threads)
							}
						}
						for p, got := range together(t, r, prompts) {
							requireSame(t, alone[p], got, "prompt %d together, %d threads", p, threads)
						}
					}
				})
			}
		}
	}
}

// openKernelSet skips the test by name when this machine lacks the kernel set.
func openKernelSet(t *testing.T, engine string, o cpu.Options) *cpu.Runner {
	t.Helper()
	r, err := cpu.Open(t.Context(), engine, o)
	if err != nil && strings.Contains(err.Error(), "this machine cannot run the kernel set "+o.ISA) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	require.Equal(t, o.ISA, r.Describe().ISA)
	return r
}

// requireSame compares bits.
func requireSame(t *testing.T, want, got [][]float32, format string, args ...any) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		if !slices.EqualFunc(want[i], got[i], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }) {
			require.Failf(t, "bits differ", "row %d of "+format, append([]any{i}, args...)...)
		}
	}
}

// together runs all prompts in one step, their blocks interleaved backwards.
func together(t *testing.T, r *cpu.Runner, prompts [][]int32) [][][]float32 {
	t.Helper()
	var batch []executor.Sequence
	block := int32(30)
	for _, prompt := range prompts {
		s := chunk(prompt, 0, len(prompt), 0)
		for i := range s.BlockTable {
			s.BlockTable[i] = block
			block--
		}
		batch = append(batch, s)
	}
	var out executor.StepResult
	require.NoError(t, r.Step(context.Background(), batch, &out))
	logits := make([][][]float32, len(prompts))
	n := 0
	for p, prompt := range prompts {
		for range prompt {
			logits[p] = append(logits[p], out.Rows[n].Logits)
			n++
		}
	}
	return logits
}
