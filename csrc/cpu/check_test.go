//go:build cgo && linux && (amd64 || arm64)

package cpu

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trtgo/trtgo/internal/executor"
)

// TestRefusedSteps gives a runner every batch that it must not run. Each is refused
// with one sentence that names the values, and neither the keys and values nor the
// result are changed.
func TestRefusedSteps(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{MaxBatchSize: 3, MaxNumTokens: 50, MaxSeqLen: 80, KVCacheTokens: 192, Threads: 2})
	limits := r.Limits()
	require.EqualValues(t, 192/32*kvBytesPerBlock(m.program, "fast"), limits.Memory.KVCache)
	limits.Memory = executor.Memory{}
	require.Equal(t, executor.Limits{
		VocabSize: 61, MaxSeqLen: 80, MaxBatchSize: 3, MaxNumTokens: 50, BlockSize: 32, NumBlocks: 6, SharedBlocks: true,
		MaxCandidates: 61, KVCacheDtype: "bfloat16",
	}, limits)
	tokens := randomTokens(1, 40, m.vocab)
	want := rowLogits(step(t, r, wanting(piece(tokens, 0, 4, 5), 0)))[39:]

	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	one := piece([]int32{7}, 0, 0)
	sequence := func(change func(s *executor.Sequence)) []executor.Sequence {
		s := piece([]int32{1, 2, 3}, 0, 3)
		change(&s)
		return []executor.Sequence{one, s}
	}
	row := func(row executor.LogitsRow) []executor.Sequence {
		return sequence(func(s *executor.Sequence) { s.Rows = []executor.LogitsRow{{}, row} })
	}
	edit := func(e executor.LogitEdit) []executor.Sequence {
		return row(executor.LogitsRow{Edits: []executor.LogitEdit{{Token: 1}, e}})
	}
	tests := map[string]struct {
		batch []executor.Sequence
		want  string
	}{
		"no sequence":        {nil, "the step has no sequence"},
		"too many sequences": {[]executor.Sequence{one, one, one, one}, "4 sequences in a step, max_batch_size is 3"},
		"too many tokens": {
			[]executor.Sequence{piece(make([]int32, 30), 0, 0), piece(make([]int32, 21), 0, 1)}, "51 tokens in a step, max_num_tokens is 50",
		},
		"no tokens": {
			sequence(func(s *executor.Sequence) { s.Tokens, s.Positions = nil, nil }),
			"sequence 1: 0 tokens and 0 positions; want at least one of each, and equally many",
		},
		"fewer positions":             {sequence(func(s *executor.Sequence) { s.Positions = s.Positions[:2] }), "sequence 1: 3 tokens and 2 positions"},
		"more positions":              {sequence(func(s *executor.Sequence) { s.Positions = append(s.Positions, 3) }), "sequence 1: 3 tokens and 4 positions"},
		"negative token":              {sequence(func(s *executor.Sequence) { s.Tokens[1] = -1 }), "sequence 1: token id -1 is outside the vocabulary of 61"},
		"token behind the vocabulary": {sequence(func(s *executor.Sequence) { s.Tokens[2] = 61 }), "sequence 1: token id 61 is outside the vocabulary of 61"},
		"gap in the positions": {
			sequence(func(s *executor.Sequence) { s.Positions[2] = 5 }),
			"sequence 1: position 5 stands at index 2 after a beginning at 0; positions ascend by one",
		},
		"negative position": {
			sequence(func(s *executor.Sequence) { s.Positions, s.SeqLen = []int32{-1, 0, 1}, 2 }),
			"sequence 1: position -1 stands at index 0 after a beginning at -1",
		},
		"positions beyond int32": {
			sequence(func(s *executor.Sequence) {
				s.Positions, s.SeqLen = []int32{math.MaxInt32 - 1, math.MaxInt32, math.MinInt32}, 1
			}),
			"sequence 1: 2147483649 tokens, max_seq_len is 80",
		},
		"too long": {
			sequence(func(s *executor.Sequence) { *s = piece(make([]int32, 81), 79, 0, 1, 2) }), "sequence 1: 81 tokens, max_seq_len is 80",
		},
		"wrong sequence length": {sequence(func(s *executor.Sequence) { s.SeqLen = 4 }), "sequence 1: sequence length is 4, the last position 2"},
		"no sequence length":    {sequence(func(s *executor.Sequence) { s.SeqLen = 0 }), "sequence 1: sequence length is 0, the last position 2"},
		"no block table":        {sequence(func(s *executor.Sequence) { s.BlockTable = nil }), "sequence 1: block table has 0 blocks, 3 tokens need 1"},
		"too short a block table": {
			sequence(func(s *executor.Sequence) { *s = piece(make([]int32, 33), 31, 1) }), "sequence 1: block table has 1 blocks, 33 tokens need 2",
		},
		"negative block":     {sequence(func(s *executor.Sequence) { s.BlockTable[0] = -1 }), "sequence 1: KV block -1 is none of the 6"},
		"block that is none": {sequence(func(s *executor.Sequence) { s.BlockTable[0] = 6 }), "sequence 1: KV block 6 is none of the 6"},
		"unused block that is none": {
			sequence(func(s *executor.Sequence) { s.BlockTable = []int32{3, 1000} }), "sequence 1: KV block 1000 is none of the 6",
		},
		"slot written twice by two sequences": {
			[]executor.Sequence{piece([]int32{1, 2}, 0, 3), one, piece([]int32{4, 5}, 0, 3)}, "sequence 2 writes position 0 to KV block 3",
		},
		"slot written twice by one": {
			sequence(func(s *executor.Sequence) { *s = piece(make([]int32, 33), 0, 3, 3) }), "sequence 1 writes position 32 to KV block 3",
		},
		"row before the tokens": {row(executor.LogitsRow{Index: -1}), "sequence 1: row 1 is after token -1 of 3"},
		"row behind the tokens": {row(executor.LogitsRow{Index: 3}), "sequence 1: row 1 is after token 3 of 3"},
		"negative candidates":   {row(executor.LogitsRow{Candidates: -1}), "sequence 1: row 1 wants -1 candidates, at most 61 come back"},
		"too many candidates":   {row(executor.LogitsRow{Candidates: 62}), "sequence 1: row 1 wants 62 candidates, at most 61 come back"},
		"negative temperature":  {row(executor.LogitsRow{Temperature: -0.5}), "sequence 1: row 1 has temperature -0.5, want 0 (off) or 1e-30 to 3.4"},
		"tiny temperature":      {row(executor.LogitsRow{Temperature: 1e-31}), "sequence 1: row 1 has temperature 1e-31"},
		"infinite temperature":  {row(executor.LogitsRow{Temperature: inf}), "sequence 1: row 1 has temperature +Inf"},
		"temperature NaN":       {row(executor.LogitsRow{Temperature: nan}), "sequence 1: row 1 has temperature NaN"},
		"edit of no token":      {edit(executor.LogitEdit{Token: -3}), "sequence 1: row 1 edits token id -3, outside the vocabulary of 61"},
		"edit behind the vocabulary": {
			edit(executor.LogitEdit{Token: 61}), "sequence 1: row 1 edits token id 61, outside the vocabulary of 61",
		},
		"negative penalty": {edit(executor.LogitEdit{Penalty: -2}), "row 1 edits token id 0 with penalty -2, want a positive number or 0 (off)"},
		"infinite penalty": {edit(executor.LogitEdit{Penalty: inf}), "row 1 edits token id 0 with penalty +Inf"},
		"penalty NaN":      {edit(executor.LogitEdit{Penalty: nan}), "row 1 edits token id 0 with penalty NaN"},
		"bias NaN":         {edit(executor.LogitEdit{Bias: nan}), "row 1 edits token id 0 with bias NaN, want a number or -Inf"},
		"infinite bias":    {edit(executor.LogitEdit{Bias: inf}), "row 1 edits token id 0 with bias +Inf, want a number or -Inf"},
		"subtract NaN":     {edit(executor.LogitEdit{Subtract: nan}), "row 1 subtracts NaN from the logit of token id 0, want a finite number"},
		"subtract all":     {edit(executor.LogitEdit{Subtract: inf}), "row 1 subtracts +Inf from the logit of token id 0, want a finite number"},
		"target of no token": {
			row(executor.LogitsRow{Targets: []int32{0, -1}}), "sequence 1: row 1 wants the logit of token id -1, outside the vocabulary of 61",
		},
		"target behind the vocabulary": {
			row(executor.LogitsRow{Targets: []int32{61}}), "sequence 1: row 1 wants the logit of token id 61, outside the vocabulary of 61",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			out := executor.StepResult{Rows: []executor.RowResult{{Max: 5, Logits: []float32{6}}}}
			err := r.Step(t.Context(), test.batch, &out)
			require.ErrorIs(t, err, executor.ErrInvalidRequest)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, executor.StepResult{Rows: []executor.RowResult{{Max: 5, Logits: []float32{6}}}}, out)
			require.False(t, slices.ContainsFunc(r.written, func(word uint32) bool { return word != 0 }), "a mark is left")
			sameRows(t, want, rowLogits(step(t, r, wantingLast(piece(tokens, 39, 4, 5), 0))), "after the refusal")
		})
	}
}

// TestStepsAtTheLimits runs what is just not refused.
func TestStepsAtTheLimits(t *testing.T) {
	m := smallModel(bf16)
	r := openEngine(t, m.write(t), Options{MaxBatchSize: 3, MaxNumTokens: 50, MaxSeqLen: 80, KVCacheTokens: 192})
	step(t, r, piece(make([]int32, 20), 0, 0), piece(make([]int32, 29), 0, 1), piece([]int32{60}, 0, 2))
	step(t, r, piece(make([]int32, 50), 0, 0, 1))
	step(t, r, piece(make([]int32, 80), 79, 0, 1, 5))
	// A table longer than needed, and one block read by two sequences.
	step(t, r, piece(make([]int32, 33), 32, 3, 4, 0, 0, 0), piece(make([]int32, 33), 32, 3, 5))
	s := piece([]int32{1}, 0, 0)
	s.Rows = []executor.LogitsRow{{Candidates: 61, Temperature: executor.MinTemperature, Edits: []executor.LogitEdit{
		{Token: 60, Penalty: math.MaxFloat32, Bias: float32(math.Inf(-1))}, {Token: 0, Penalty: 1e-38, Bias: -math.MaxFloat32},
	}}, {Candidates: 61, Temperature: math.MaxFloat32}}
	rows := step(t, r, s)
	for _, c := range rows[0].Candidates {
		require.False(t, math.IsNaN(float64(c.Logit)))
	}
	require.Equal(t, int32(60), rows[0].Candidates[60].Token)
	require.InDelta(t, math.Log(61), rows[1].LogSumExp, 1e-5)
}
