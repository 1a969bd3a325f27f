//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/cpuengine"
	"github.com/trtgo/trtgo/internal/executor"
)

const f32, bf16 = cpuengine.DtypeF32, cpuengine.DtypeBF16

// eachISA runs f for every kernel set that a user can ask for; those that this
// machine cannot run are skipped by name.
func eachISA(t *testing.T, f func(t *testing.T, isa string)) {
	t.Helper()
	for _, isa := range kernelSets {
		t.Run(isa, func(t *testing.T) {
			if !newKernelSet(isa).supported() {
				t.Skipf("this processor cannot run kernel set %s", isa)
			}
			f(t, isa)
		})
	}
}

// blocksFrom lists the blocks of a sequence of n tokens from block `first` on.
func blocksFrom(first, n int) []int32 {
	var blocks []int32
	for b := range (n + blockSize - 1) / blockSize {
		blocks = append(blocks, int32(first+b))
	}
	return blocks
}

// rowLogits copies the full rows.
func rowLogits(rows []executor.RowResult) [][]float32 {
	var logits [][]float32
	for _, row := range rows {
		logits = append(logits, slices.Clone(row.Logits))
	}
	return logits
}

func sameRows(t *testing.T, want, got [][]float32, message ...any) {
	t.Helper()
	require.Len(t, got, len(want), message...)
	for i := range want {
		sameBits(t, want[i], got[i], append([]any{"row", i}, message...)...)
	}
}

// smallModels are shapes that differ in one thing each.
func smallModels() map[string]*modelShape {
	shapes := map[string]*modelShape{
		"plain": {}, "window": {window: 9}, "window of a block": {window: 32}, "two layers": {layers: 2},
		"head in panels": {embedding: cpuengine.LayoutPanel}, "one KV head": {kvHeads: 1}, "as many KV heads": {kvHeads: 4},
		"odd": {hidden: 33, ffn: 19, vocab: 50},
	}
	for _, s := range shapes {
		small := smallModel("")
		for _, field := range []struct {
			value    *int
			fallback int
		}{
			{&s.vocab, small.vocab}, {&s.hidden, small.hidden}, {&s.heads, small.heads}, {&s.kvHeads, small.kvHeads}, {&s.head, small.head},
			{&s.ffn, small.ffn}, {&s.layers, small.layers}, {&s.maxPositions, small.maxPositions},
		} {
			if *field.value == 0 {
				*field.value = field.fallback
			}
		}
		s.seed = small.seed
	}
	return shapes
}

// TestStepAgreesWithFloat64 compares every row of a sequence of three blocks with an
// evaluation of the same weights in float64.
func TestStepAgreesWithFloat64(t *testing.T) {
	eachISA(t, func(t *testing.T, isa string) {
		for name, shape := range smallModels() {
			for _, precision := range []struct {
				dtype, precision string
				largest, rms     float64 // of logits of standard deviation 1.7
			}{
				{f32, "exact", 2e-5, 2e-6},
				{bf16, "exact", 2e-5, 2e-6},
				// A value beside a tie of two bfloat16 may round the other way.
				{bf16, "fast", 5e-3, 1e-4},
			} {
				t.Run(fmt.Sprintf("%s %s %s", name, precision.dtype, precision.precision), func(t *testing.T) {
					m := *shape
					m.dtype, m.pairs = precision.dtype, strings.Contains(isa, "bf16")
					r := openEngine(t, m.write(t), Options{ISA: isa, Precision: precision.precision})
					require.Equal(t, isa, r.Describe().ISA)
					tokens := randomTokens(11, 75, m.vocab)
					largest, rms := differences(m.logits(precision.precision == "fast", tokens),
						rowLogits(step(t, r, wanting(piece(tokens, 0, 5, 0, 2), 0))))
					require.LessOrEqual(t, largest, precision.largest)
					require.LessOrEqual(t, rms, precision.rms)
				})
			}
		}
	})
}

// A cache of int8 or FP8 gives what rounded keys and values give, in `exact` as well.
func TestQuantisedCaches(t *testing.T) {
	eachISA(t, func(t *testing.T, isa string) {
		for dtype, scale := range map[string]float32{cpuengine.DtypeInt8: 0.05, cpuengine.DtypeFP8: 0.02} {
			for precision, held := range map[string]string{"exact": "float32", "fast": dtype} {
				t.Run(dtype+" "+precision, func(t *testing.T) {
					m := smallModel(bf16)
					m.layers, m.kvDtype, m.kvScale, m.pairs = 2, dtype, scale, strings.Contains(isa, "bf16")
					r := openEngine(t, m.write(t), Options{ISA: isa, Precision: precision})
					require.Equal(t, held, r.Limits().KVCacheDtype)
					tokens := randomTokens(11, 75, m.vocab)
					got := rowLogits(step(t, r, wanting(piece(tokens, 0, 5, 0, 2), 0)))
					_, rms := differences(m.logits(precision == "fast", tokens), got)
					m.kvDtype = ""
					_, unrounded := differences(m.logits(precision == "fast", tokens), got)
					require.Greater(t, unrounded, 1e-3)
					require.LessOrEqual(t, rms, unrounded/10)
				})
			}
		}
	})
}

// differences gives the largest and the root mean square difference.
func differences(want [][]float64, got [][]float32) (largest, rms float64) {
	if len(want) != len(got) {
		return math.NaN(), math.NaN()
	}
	n := 0
	for i := range want {
		for j := range want[i] {
			d := math.Abs(want[i][j] - float64(got[i][j]))
			if !(d <= largest) {
				largest = d
			}
			rms += d * d
			n++
		}
	}
	return largest, math.Sqrt(rms / float64(n))
}

// A float32 engine is exact whatever is asked for, and a step of it keeps float32 keys.
func TestFloat32EnginesAreExact(t *testing.T) {
	m := smallModel(f32)
	path := m.write(t)
	tokens := randomTokens(1, 40, m.vocab)
	exact := openEngine(t, path, Options{Precision: "exact"})
	fast := openEngine(t, path, Options{Precision: "fast"})
	require.Equal(t, "exact", fast.Describe().Precision)
	require.Equal(t, "float32", fast.Limits().KVCacheDtype)
	sameRows(t, rowLogits(step(t, exact, wanting(piece(tokens, 0, 0, 1), 0))), rowLogits(step(t, fast, wanting(piece(tokens, 0, 0, 1), 0))))
}

// TestBitsAreTheSequencesOwn runs sequences alone, token by token, in chunks and all
// in one step with prompt chunks beside decoded tokens, on one to three threads: the
// bits are those of one thread and one sequence.
func TestBitsAreTheSequencesOwn(t *testing.T) {
	eachISA(t, func(t *testing.T, isa string) {
		for _, precision := range []string{"exact", "fast"} {
			for _, window := range []int{0, 21} {
				t.Run(fmt.Sprintf("%s window %d", precision, window), func(t *testing.T) {
					m := smallModel(bf16)
					m.layers, m.window, m.hidden, m.ffn = 2, window, 40, 100
					path := m.write(t)
					var sequences [][]int32
					for i, n := range []int{1, 31, 32, 33, 70} {
						sequences = append(sequences, randomTokens(uint64(i), n, m.vocab))
					}
					chunks := map[int][]int{1: {1, 7, 16, 33}, 2: {13}, 3: {40}}
					var alone [][][]float32
					for threads := 1; threads <= 3; threads++ {
						r := openEngine(t, path, Options{ISA: isa, Precision: precision, Threads: threads, MaxBatchSize: 8})
						if threads == 1 {
							alone = eachAlone(t, r, sequences)
						}
						for i, tokens := range sequences {
							for _, size := range chunks[threads] {
								sameRows(t, alone[i], inChunks(t, r, tokens, size), "threads", threads, "sequence", i, "chunks of", size)
							}
						}
						for i, got := range together(t, r, sequences) {
							sameRows(t, alone[i], got, "threads", threads, "sequence", i, "in one batch")
						}
					}
				})
			}
		}
	})
}

func eachAlone(t *testing.T, r *Runner, sequences [][]int32) [][][]float32 {
	var logits [][][]float32
	for _, tokens := range sequences {
		logits = append(logits, inChunks(t, r, tokens, len(tokens)))
	}
	return logits
}

// inChunks runs a sequence in steps of `size` tokens.
func inChunks(t *testing.T, r *Runner, tokens []int32, size int) [][]float32 {
	t.Helper()
	var logits [][]float32
	for from := 0; from < len(tokens); from += size {
		to := min(from+size, len(tokens))
		logits = append(logits, rowLogits(step(t, r, wanting(piece(tokens[:to], from, blocksFrom(2, to)...), 0)))...)
	}
	return logits
}

// together runs all sequences in the same steps; each goes on by another number of
// tokens, so that chunks and single tokens meet in changing company.
func together(t *testing.T, r *Runner, sequences [][]int32) [][][]float32 {
	t.Helper()
	logits := make([][][]float32, len(sequences))
	done := make([]int, len(sequences))
	for round := 0; ; round++ {
		var batch []executor.Sequence
		var who []int
		for i, tokens := range sequences {
			to := min(done[i]+1+(i*5+round*13)%29, len(tokens))
			if to == done[i] {
				continue
			}
			batch = append(batch, wanting(piece(tokens[:to], done[i], blocksFrom(4*i, to)...), 0))
			for range to - done[i] {
				who = append(who, i)
			}
			done[i] = to
		}
		if batch == nil {
			return logits
		}
		for row, l := range rowLogits(step(t, r, batch...)) {
			logits[who[row]] = append(logits[who[row]], l)
		}
	}
}

// TestSharedBlocksAreRead continues one prompt in two ways at once, over the same
// blocks of the prompt.
func TestSharedBlocksAreRead(t *testing.T) {
	for _, precision := range []string{"exact", "fast"} {
		m := smallModel(bf16)
		r := openEngine(t, m.write(t), Options{Precision: precision})
		prompt := randomTokens(1, 64, m.vocab)
		one := append(slices.Clone(prompt), randomTokens(2, 9, m.vocab)...)
		other := append(slices.Clone(prompt), randomTokens(3, 20, m.vocab)...)
		wantOne, wantOther := inChunks(t, r, one, len(one))[64:], inChunks(t, r, other, len(other))[64:]

		step(t, r, piece(prompt, 0, 7, 9))
		got := rowLogits(step(t, r, wanting(piece(one, 64, 7, 9, 1), 0), wanting(piece(other, 64, 7, 9, 0), 0)))
		sameRows(t, wantOne, got[:9], "first continuation")
		sameRows(t, wantOther, got[9:], "second continuation")
	}
}

// TestCopyBlock forks a sequence in the middle of a block: the first n tokens of the
// copy are those of the source, the others stay what they were.
func TestCopyBlock(t *testing.T) {
	for _, dtype := range []string{f32, bf16} {
		m := smallModel(dtype)
		m.layers = 2
		r := openEngine(t, m.write(t), Options{})
		source, old := randomTokens(1, 32, m.vocab), randomTokens(2, 40, m.vocab)
		for n := 1; n <= 32; n++ {
			step(t, r, piece(source, 0, 3))
			step(t, r, piece(old[:32], 0, 5))
			require.NoError(t, r.CopyBlock(3, 5, n))
			// The source goes on from n tokens with the tokens of old.
			fork := append(slices.Clone(source[:n]), old[:40-n]...)
			want := inChunks(t, r, fork, len(fork))[n:]
			sameRows(t, want, rowLogits(step(t, r, wanting(piece(fork, n, 5, 1), 0))), dtype, "fork after", n)
		}
		t.Run("the other tokens stay", func(t *testing.T) {
			after := append(slices.Clone(old[:32]), 7)
			want := inChunks(t, r, after, len(after))[32:]
			for _, n := range []int{0, 1, 15, 16, 31} {
				step(t, r, piece(old[:32], 0, 5))
				step(t, r, piece(source, 0, 3))
				require.NoError(t, r.CopyBlock(3, 5, n))
				step(t, r, piece(old[:n+1], 0, 5)) // writes the copied tokens and one more again
				sameRows(t, want, rowLogits(step(t, r, wanting(piece(after, 32, 5, 8), 0))), n)
			}
			require.NoError(t, r.CopyBlock(5, 5, 32))
			sameRows(t, want, rowLogits(step(t, r, wanting(piece(after, 32, 5, 8), 0))), "onto itself")
		})
	}
}

func TestCopyBlockRefusals(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{KVCacheTokens: 96})
	require.Equal(t, 3, r.Limits().NumBlocks)
	tokens := randomTokens(1, 33, m.vocab)
	want := rowLogits(step(t, r, wanting(piece(tokens, 0, 0, 2), 0)))[32:]
	for _, bad := range [][3]int{{-1, 0, 1}, {0, -1, 1}, {3, 0, 1}, {0, 3, 1}, {0, 1, -1}, {0, 1, 33}, {math.MaxInt32, 0, 1}, {0, 1 << 33, 32}, {1 << 32, 0, 32}} {
		err := r.CopyBlock(bad[0], bad[1], bad[2])
		require.ErrorIs(t, err, executor.ErrInvalidRequest, "%v", bad)
		require.ErrorContains(t, err, fmt.Sprintf("copy of %d tokens from KV block %d to %d: there are 3 blocks of 32 tokens", bad[2], bad[0], bad[1]))
	}
	sameRows(t, want, rowLogits(step(t, r, wanting(piece(tokens, 32, 0, 2), 0))), "after refusals")
}

// Rows are answered in order of sequences and, within one, as asked for; a row may be
// wanted twice, and a step may want none.
func TestRowsComeInOrder(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{})
	tokens := randomTokens(1, 10, m.vocab)
	all := rowLogits(step(t, r, wanting(piece(tokens, 0, 0), 0)))
	first, second := piece(tokens, 0, 0), piece(tokens[:4], 0, 1)
	for _, index := range []int{9, 0, 9, 3} {
		first.Rows = append(first.Rows, executor.LogitsRow{Index: index, Logits: true})
	}
	second.Rows = []executor.LogitsRow{{Index: 2, Candidates: 3}, {Index: 1, Logits: true}}
	rows := step(t, r, first, second)
	require.Len(t, rows, 6)
	for i, index := range []int{9, 0, 9, 3} {
		sameBits(t, all[index], rows[i].Logits)
		require.Empty(t, rows[i].Candidates)
	}
	require.Len(t, rows[4].Candidates, 3)
	require.Empty(t, rows[4].Logits)
	requireCandidates(t, sorted(all[2], all[2])[:3], rows[4].Candidates)
	sameBits(t, all[1], rows[5].Logits)
	require.Empty(t, step(t, r, piece(tokens, 0, 0)))
}

// A result is reused by later steps and holds nothing of earlier ones.
func TestResultsAreReused(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{})
	tokens := randomTokens(1, 40, m.vocab)
	var out executor.StepResult
	for _, n := range []int{40, 3, 17, 40} {
		for _, candidates := range []int{5, 0} {
			batch := []executor.Sequence{wanting(piece(tokens[:n], 0, 0, 1), candidates)}
			require.NoError(t, r.Step(t.Context(), batch, &out))
			var fresh executor.StepResult
			require.NoError(t, r.Step(t.Context(), batch, &fresh))
			require.Len(t, out.Rows, n)
			for i, want := range fresh.Rows {
				got := out.Rows[i]
				requireCandidates(t, want.Candidates, got.Candidates)
				sameBits(t, want.Logits, got.Logits)
				sameBits(t, []float32{want.Max, want.LogSumExp, want.RawLogSumExp}, []float32{got.Max, got.LogSumExp, got.RawLogSumExp})
			}
		}
	}
	before := &out.Rows[0].Logits[0]
	require.NoError(t, r.Step(t.Context(), []executor.Sequence{wanting(piece(tokens, 0, 0, 1), 5)}, &out))
	require.Same(t, before, &out.Rows[0].Logits[0])
}

// Weights that are NaN or infinite give NaN logits, no crash; and candidates are
// still token ids.
func TestWeightsOfNaNAndInfinity(t *testing.T) {
	eachISA(t, func(t *testing.T, isa string) {
		for _, spoiler := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			for _, dtype := range []string{f32, bf16} {
				m := smallModel(dtype)
				m.write(t)
				for _, w := range m.weights {
					w.values[len(w.values)/2] = float32(spoiler)
				}
				r := openEngine(t, writeEngine(t, m.program, m.weights), Options{ISA: isa})
				tokens := randomTokens(1, 40, m.vocab)
				for _, row := range step(t, r, wanting(piece(tokens, 0, 0, 1), 9)) {
					require.Len(t, row.Candidates, 9)
					for _, c := range row.Candidates {
						require.Less(t, c.Token, int32(m.vocab))
						require.GreaterOrEqual(t, c.Token, int32(0))
					}
					require.True(t, slices.ContainsFunc(row.Logits, func(v float32) bool { return v != v }))
					require.True(t, row.LogSumExp != row.LogSumExp)
				}
			}
		}
	})
}
