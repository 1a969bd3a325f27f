//go:build cgo && linux && (amd64 || arm64)

package tensorrt_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	buildcpu "github.com/trtgo/trtgo/build/cpu"
	"github.com/trtgo/trtgo/build/internal/tinycheckpoint"
	"github.com/trtgo/trtgo/build/tensorrt"
	"github.com/trtgo/trtgo/build/tensorrt/internal/evaluator"
	"github.com/trtgo/trtgo/csrc/cpu"
	"github.com/trtgo/trtgo/export/checkpoint"
	"github.com/trtgo/trtgo/internal/executor"
)

func init() { runsCPU = true }

// cpuRunner runs the checkpoint in dir on the CPU backend, in float32.
func cpuRunner(t testing.TB, dir string) *cpu.Runner {
	t.Helper()
	ckpt, err := checkpoint.Open(dir)
	require.NoError(t, err)
	defer ckpt.Close()
	plan, err := buildcpu.New(t.Context(), ckpt, buildcpu.Options{})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "rank0.engine")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, plan.Write(t.Context(), file, buildcpu.WriteOptions{}))
	r, err := cpu.Open(t.Context(), path, cpu.Options{Precision: "exact", Threads: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// cpuLogits gives the logits after each token.
func cpuLogits(t testing.TB, r *cpu.Runner, tokens []int32) [][]float32 {
	t.Helper()
	s := executor.Sequence{Tokens: tokens, SeqLen: len(tokens)}
	for i := range tokens {
		s.Positions = append(s.Positions, int32(i))
		s.Rows = append(s.Rows, executor.LogitsRow{Index: i, Candidates: 1, Logits: true})
	}
	for b := range int32(len(tokens)+r.Limits().BlockSize-1) / int32(r.Limits().BlockSize) {
		s.BlockTable = append(s.BlockTable, b)
	}
	var out executor.StepResult
	require.NoError(t, r.Step(t.Context(), []executor.Sequence{s}, &out))
	var rows [][]float32
	for _, row := range out.Rows {
		rows = append(rows, row.Logits)
	}
	return rows
}

func randomTokens(chance *rand.Rand, n int, vocab int64) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(chance.Int64N(vocab))
	}
	return tokens
}

// Of tokens drawn at random, more than windows and blocks hold, lowered networks and the CPU's
// runner give the same logits.
func TestNumbersEqualTheCPURunner(t *testing.T) {
	for _, name := range []string{"llama-gqa", "mistral-window", "nemotron"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tinycheckpoint.Dir(t, name, nil)
			e := lowered(t, dir, options(small, gather))
			chance := rand.New(rand.NewPCG(7, 8))
			var prompts, output [][]int32
			for _, n := range []int{61, 3, 17} {
				prompts, output = append(prompts, randomTokens(chance, n, e.config.VocabSize)), append(output, randomTokens(chance, 9, e.config.VocabSize))
			}
			got, err := serve(e.runtime(t, false), prompts, output, 9)
			require.NoError(t, err)
			r := cpuRunner(t, dir)
			for p := range prompts {
				want := cpuLogits(t, r, append(prompts[p], output[p]...))
				require.Len(t, got[p], len(want))
				for position, row := range want {
					for v, x := range row {
						require.InDelta(t, x, got[p][position][v], 1.5e-4, "prompt %d, position %d, token %d", p, position, v)
					}
				}
			}
		})
	}
}

// Beams leave one another's past by cache_indirection, two requests beside a context. Each has
// the logits of its own history.
func TestNumbersOfBeams(t *testing.T) {
	const beams = 3
	for _, name := range []string{"llama-gqa", "nemotron"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tinycheckpoint.Dir(t, name, nil)
			e := lowered(t, dir, options(small, func(o *tensorrt.Options) { o.MaxBeamWidth = beams }))
			vocab, chance := e.config.VocabSize, rand.New(rand.NewPCG(9, 10))
			engine, reference := e.runtime(t, false), cpuRunner(t, dir)
			check := func(s *evaluator.Sequence, rows [][]float32) {
				for beam, row := range rows {
					want := cpuLogits(t, reference, s.Tokens(beam))
					for v, x := range want[len(want)-1] {
						require.InDelta(t, x, row[v], 1.5e-4, "beam %d, %v, token %d", beam, s.Tokens(beam), v)
					}
				}
			}
			requests := []*evaluator.Sequence{engine.AddBeams(randomTokens(chance, 11, vocab), beams), engine.AddBeams(randomTokens(chance, 16, vocab), beams)}
			_, err := engine.Step([]evaluator.Work{{Sequence: requests[0], Tokens: 11}, {Sequence: requests[1], Tokens: 16}})
			require.NoError(t, err)
			late := engine.AddBeams(randomTokens(chance, 12, vocab), beams)
			for step := range 12 {
				var batch []evaluator.Work
				if step < 2 { // its prompt comes in two chunks
					batch = append(batch, evaluator.Work{Sequence: late, Tokens: 6})
				}
				for _, s := range requests {
					// Two beams may go on from one, in any order; the first time all do from the first.
					parents := []int{chance.IntN(beams), chance.IntN(beams), chance.IntN(beams)}
					if step == 0 {
						parents = []int{0, 0, 0}
					}
					s.Append(randomTokens(chance, beams, vocab), parents)
					batch = append(batch, evaluator.Work{Sequence: s})
				}
				got, err := engine.Step(batch)
				require.NoError(t, err)
				for i, s := range requests {
					check(s, got[len(got)-len(requests)+i])
				}
				if step == 1 {
					check(late, got[0][:1])
				}
			}
		})
	}
}
