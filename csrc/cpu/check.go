package cpu

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/internal/executor"
)

// checkBatch refuses what does not fit the limits, because C++ trusts a batch.
// written is a word of zeros for each KV block; it is zeros again afterwards.
func checkBatch(l *executor.Limits, sequences []executor.Sequence, written []uint32) error {
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
	return checkWrites(sequences, written)
}

// checkWrites refuses a batch that writes one token of a KV block twice: threads
// would race, and one sequence would read the other's. Blocks that are only read
// may be shared. written holds a bit for each token of a block.
func checkWrites(sequences []executor.Sequence, written []uint32) error {
	var err error
	for i := range sequences {
		for _, p := range sequences[i].Positions {
			word, bit := &written[sequences[i].BlockTable[p/blockSize]], uint32(1)<<(p%blockSize)
			if *word&bit != 0 && err == nil {
				err = fmt.Errorf("%w: sequence %d writes position %d to KV block %d, where the step writes another token",
					executor.ErrInvalidRequest, i, p, sequences[i].BlockTable[p/blockSize])
			}
			*word |= bit
		}
	}
	for i := range sequences {
		for _, p := range sequences[i].Positions {
			written[sequences[i].BlockTable[p/blockSize]] = 0
		}
	}
	return err
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

// checkCopy refuses a copy of blocks that are not there.
func checkCopy(l *executor.Limits, src, dst, n int) error {
	if src < 0 || dst < 0 || n < 0 || src >= l.NumBlocks || dst >= l.NumBlocks || n > l.BlockSize {
		return fmt.Errorf("%w: copy of %d tokens from KV block %d to %d: there are %d blocks of %d tokens",
			executor.ErrInvalidRequest, n, src, dst, l.NumBlocks, l.BlockSize)
	}
	return nil
}

func checkRows(l *executor.Limits, s *executor.Sequence) error {
	for i := range s.Rows {
		r := &s.Rows[i]
		switch {
		case r.Index < 0 || r.Index >= len(s.Tokens):
			return fmt.Errorf("row %d is after token %d of %d", i, r.Index, len(s.Tokens))
		case r.Candidates < 0 || r.Candidates > l.MaxCandidates:
			return fmt.Errorf("row %d wants %d candidates, at most %d come back", i, r.Candidates, l.MaxCandidates)
		case r.Temperature != 0 && !(r.Temperature >= executor.MinTemperature && r.Temperature <= math.MaxFloat32):
			return fmt.Errorf("row %d has temperature %v, want 0 (off) or %v to %v", i, r.Temperature, executor.MinTemperature, float32(math.MaxFloat32))
		}
		for _, e := range r.Edits {
			if e.Token < 0 || int(e.Token) >= l.VocabSize {
				return fmt.Errorf("row %d edits token id %d, outside the vocabulary of %d", i, e.Token, l.VocabSize)
			}
			if e.Penalty != 0 && !(e.Penalty > 0 && e.Penalty <= math.MaxFloat32) {
				return fmt.Errorf("row %d edits token id %d with penalty %v, want a positive number or 0 (off)", i, e.Token, e.Penalty)
			}
			if !(e.Bias <= math.MaxFloat32) {
				return fmt.Errorf("row %d edits token id %d with bias %v, want a number or -Inf", i, e.Token, e.Bias)
			}
			if !(math.Abs(float64(e.Subtract)) <= math.MaxFloat32) {
				return fmt.Errorf("row %d subtracts %v from the logit of token id %d, want a finite number", i, e.Subtract, e.Token)
			}
		}
		for _, token := range r.Targets {
			if token < 0 || int(token) >= l.VocabSize {
				return fmt.Errorf("row %d wants the logit of token id %d, outside the vocabulary of %d", i, token, l.VocabSize)
			}
		}
	}
	return nil
}
