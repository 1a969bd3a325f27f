package inflight

import (
	"fmt"
	"math"

	"github.com/trtgo/trtgo/internal/executor"
)

// maxReturnSequences bounds NumReturnSequences: each costs a queue entry at once.
const maxReturnSequences = 4096

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", executor.ErrInvalidRequest, fmt.Sprintf(format, args...))
}

// validate refuses what this executor can never run.
func (e *Executor) validate(r *executor.Request) error {
	if len(r.InputIDs) == 0 {
		return invalid("no input tokens")
	}
	if r.MaxTokens < 1 {
		return invalid("max tokens is %d, at least 1 is needed", r.MaxTokens)
	}
	if r.AllottedTime < 0 {
		return invalid("allotted time is %v", r.AllottedTime)
	}
	if !(r.Priority >= 0 && r.Priority <= 1) {
		return invalid("priority is %v, 0 to 1 is allowed", r.Priority)
	}
	if err := validateSampling(&r.Sampling); err != nil {
		return err
	}
	if err := validateTokens(r, e.limits.VocabSize); err != nil {
		return err
	}
	return e.validateLength(r)
}

// validateLength refuses what would not fit even on an idle engine.
func (e *Executor) validateLength(r *executor.Request) error {
	n := len(r.InputIDs)
	if n > e.maxInputLen {
		return fmt.Errorf("%w: the prompt has %d tokens, max_input_len is %d", executor.ErrTooLong, n, e.maxInputLen)
	}
	if r.MaxTokens > e.limits.MaxSeqLen-n {
		why, remedy := "", ""
		if e.limits.MaxSeqLen == e.limits.NumBlocks*e.limits.BlockSize { // the runner lowered it
			why, remedy = ", which is all that the KV cache holds", ", or open the engine with a larger KV cache"
		}
		return fmt.Errorf("%w: a prompt of %d tokens and %d to generate, max_seq_len is %d%s: shorten the prompt or ask for at most %d tokens%s",
			executor.ErrTooLong, n, r.MaxTokens, e.limits.MaxSeqLen, why, max(0, e.limits.MaxSeqLen-n), remedy)
	}
	if need := blocksFor(n+r.MaxTokens-1, e.limits.BlockSize); need > e.limits.NumBlocks {
		return fmt.Errorf("%w: a prompt of %d tokens and %d to generate need %d KV blocks of %d tokens, the KV cache has %d: open the engine with a larger KV cache",
			executor.ErrTooLong, n, r.MaxTokens, need, e.limits.BlockSize, e.limits.NumBlocks)
	}
	return nil
}

// validateSampling checks the ranges of TensorRT-LLM's SamplingConfig.
func validateSampling(s *executor.Sampling) error {
	inside := func(v, low, high float32) bool { return v >= low && v <= high } // false for NaN
	const most = math.MaxFloat32
	switch {
	case s.BeamWidth > 1:
		return fmt.Errorf("%w: beam width %d (beam search)", executor.ErrUnsupported, s.BeamWidth)
	case s.BeamWidth < 0:
		return invalid("beam width is %d", s.BeamWidth)
	case s.NumReturnSequences < 0 || s.NumReturnSequences > maxReturnSequences:
		return invalid("number of return sequences is %d, 1 to %d is allowed", s.NumReturnSequences, maxReturnSequences)
	case s.TopK < 0:
		return invalid("top_k is %d, at least 0 is needed", s.TopK)
	case !inside(s.TopP, 0, 1):
		return invalid("top_p is %v, above 0 and up to 1 is allowed", s.TopP)
	case !inside(s.MinP, 0, 1):
		return invalid("min_p is %v, 0 to 1 is allowed", s.MinP)
	case !inside(s.Temperature, 0, most):
		return invalid("temperature is %v, at least 0 is needed", s.Temperature)
	case s.MinTokens < 0:
		return invalid("min tokens is %d, at least 0 is needed", s.MinTokens)
	case !inside(s.RepetitionPenalty, 0, most):
		return invalid("repetition penalty is %v, above 0 is needed", s.RepetitionPenalty)
	case !inside(s.PresencePenalty, -most, most):
		return invalid("presence penalty is %v", s.PresencePenalty)
	case !inside(s.FrequencyPenalty, -most, most):
		return invalid("frequency penalty is %v", s.FrequencyPenalty)
	case s.NoRepeatNgramSize < 0:
		return invalid("no repeat n-gram size is %d, at least 0 is needed", s.NoRepeatNgramSize)
	}
	return nil
}

// validateTokens refuses tokens outside the vocabulary, wherever they stand.
func validateTokens(r *executor.Request, vocabSize int) error {
	check := func(what string, i int, id int32) error {
		if id < 0 || int(id) >= vocabSize {
			return invalid("%s %d is token %d, the vocabulary has %d", what, i, id, vocabSize)
		}
		return nil
	}
	for i, id := range r.InputIDs {
		if err := check("input", i, id); err != nil {
			return err
		}
	}
	for i, id := range r.EndIDs {
		if err := check("end id", i, id); err != nil {
			return err
		}
	}
	lists := []struct {
		what string
		list [][]int32
	}{{"stop sequence", r.StopSequences}, {"bad sequence", r.BadSequences}}
	for _, l := range lists {
		for i, sequence := range l.list {
			if len(sequence) == 0 {
				return invalid("%s %d is empty", l.what, i)
			}
			for _, id := range sequence {
				if err := check(l.what, i, id); err != nil {
					return err
				}
			}
		}
	}
	for id, bias := range r.Sampling.Bias {
		if id < 0 || int(id) >= vocabSize {
			return invalid("bias of token %d, the vocabulary has %d", id, vocabSize)
		}
		if !(bias <= math.MaxFloat32) { // NaN and +Inf; -Inf bans a token
			return invalid("bias of token %d is %v", id, bias)
		}
	}
	return nil
}

// blocksFor is the number of blocks of size that n tokens need.
func blocksFor(n, size int) int { return (n + size - 1) / size }
