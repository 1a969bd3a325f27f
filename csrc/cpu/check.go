package cpu

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/internal/executor"
)

// checkBatch refuses what does not fit the limits, because C++ trusts a batch.
func checkBatch(l *executor.Limits, sequences []executor.Sequence) error {
	if len(sequences) == 0 {
		return fmt.Errorf("%w: the step has no sequence", executor.ErrInvalidRequest)
	}
	if len(sequences) > l.MaxBatchSize {
		return fmt.Errorf("%w: %d sequences in a step, max_batch_size is %d", executor.ErrInvalidRequest, len(sequences), l.MaxBatchSize)
	}
	tokens := 0
	for i := range sequences {
		if err := checkSequence(l, &sequences[i]); err != nil {
			return fmt.Errorf("%w: sequence %d: %w", executor.ErrInvalidRequest, i, err)
		}
		tokens += len(sequences[i].Tokens)
	}
	if tokens > l.MaxNumTokens {
		return fmt.Errorf("%w: %d tokens in a step, max_num_tokens is %d", executor.ErrInvalidRequest, tokens, l.MaxNumTokens)
	}
	return nil
}

func checkSequence(l *executor.Limits, s *executor.Sequence) error {
	n := len(s.Tokens)
	if n == 0 || len(s.Positions) != n {
		return fmt.Errorf("%d tokens and %d positions; want at least one of each, and equally many", n, len(s.Positions))
	}
	for i, token := range s.Tokens {
		if token < 0 || int(token) >= l.VocabSize {
			return fmt.Errorf("token id %d is outside the vocabulary of %d", token, l.VocabSize)
		}
		if s.Positions[i] != s.Positions[0]+int32(i) || s.Positions[0] < 0 {
			return fmt.Errorf("position %d stands at index %d after a beginning at %d; positions ascend by one", s.Positions[i], i, s.Positions[0])
		}
	}
	end := int(s.Positions[0]) + n
	if end > l.MaxSeqLen {
		return fmt.Errorf("%d tokens, max_seq_len is %d", end, l.MaxSeqLen)
	}
	if s.SeqLen != end {
		return fmt.Errorf("sequence length is %d, the last position %d", s.SeqLen, end-1)
	}
	if need := (end + l.BlockSize - 1) / l.BlockSize; len(s.BlockTable) < need {
		return fmt.Errorf("block table has %d blocks, %d tokens need %d", len(s.BlockTable), end, need)
	}
	for _, block := range s.BlockTable {
		if block < 0 || int(block) >= l.NumBlocks {
			return fmt.Errorf("KV block %d is none of the %d", block, l.NumBlocks)
		}
	}
	return checkRows(l, s)
}

func checkRows(l *executor.Limits, s *executor.Sequence) error {
	for i := range s.Rows {
		r := &s.Rows[i]
		switch {
		case r.Index < 0 || r.Index >= len(s.Tokens):
			return fmt.Errorf("row %d is after token %d of %d", i, r.Index, len(s.Tokens))
		case r.Candidates < 0 || r.Candidates > l.MaxCandidates:
			return fmt.Errorf("row %d wants %d candidates, at most %d come back", i, r.Candidates, l.MaxCandidates)
		case r.Temperature < 0 || math.IsNaN(float64(r.Temperature)) || math.IsInf(float64(r.Temperature), 0):
			return fmt.Errorf("row %d has temperature %v", i, r.Temperature)
		}
		for _, e := range r.Edits {
			if e.Token < 0 || int(e.Token) >= l.VocabSize {
				return fmt.Errorf("row %d edits token id %d, outside the vocabulary of %d", i, e.Token, l.VocabSize)
			}
		}
	}
	return nil
}
