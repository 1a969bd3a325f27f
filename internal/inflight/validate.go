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
		return invalid("allotted time is %v, at least 0 is needed", r.AllottedTime)
	}
	if !(r.Priority >= 0 && r.Priority <= 1) {
		return invalid("priority is %v, 0 to 1 is allowed", r.Priority)
	}
	if err := validateSampling(&r.Sampling); err != nil {
		return err
	}
	if err := e.validateBeams(&r.Sampling); err != nil {
		return err
	}
	if err := e.validateOutputs(r); err != nil {
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
	if need := kvBlocks(r, n+r.MaxTokens-1, e.limits.BlockSize); need > e.limits.NumBlocks {
		beams := ""
		if r.Sampling.BeamWidth > 1 {
			beams = fmt.Sprintf(" by each of %d beams", r.Sampling.BeamWidth)
		}
		return fmt.Errorf("%w: a prompt of %d tokens and %d to generate%s need %d KV blocks of %d tokens, the KV cache has %d: open the engine with a larger KV cache",
			executor.ErrTooLong, n, r.MaxTokens, beams, need, e.limits.BlockSize, e.limits.NumBlocks)
	}
	return nil
}

// validateSampling checks the ranges of TensorRT-LLM's SamplingConfig. Upstream takes
// any length penalty and early stopping.
func validateSampling(s *executor.Sampling) error {
	const most = math.MaxFloat32
	for _, v := range []struct {
		name      string
		value     float32
		low, high float32
		want      string
	}{
		{"top_p", s.TopP, 0, 1, "above 0 and up to 1 is allowed, 0 is off"},
		{"top_p decay", s.TopPDecay, 0, 1, "above 0 and up to 1 is allowed, 0 is off"},
		{"top_p min", s.TopPMin, 0, 1, "0 to 1 is allowed"},
		{"min_p", s.MinP, 0, 1, "0 to 1 is allowed"},
		{"temperature", s.Temperature, 0, most, "a finite number of at least 0 is needed"},
		{"repetition penalty", s.RepetitionPenalty, 0, most, "a finite number above 0 is needed, 0 is off"},
		{"presence penalty", s.PresencePenalty, -most, most, "a finite number is needed"},
		{"frequency penalty", s.FrequencyPenalty, -most, most, "a finite number is needed"},
		{"length penalty", s.LengthPenalty, -most, most, "a finite number is needed"},
		{"beam search diversity rate", s.BeamSearchDiversityRate, 0, most, "a finite number of at least 0 is needed"},
	} {
		if !(v.value >= v.low && v.value <= v.high) { // NaN too
			return invalid("%s is %v, %s", v.name, v.value, v.want)
		}
	}
	for _, v := range []struct {
		name  string
		value int
	}{
		{"top_k", s.TopK}, {"min tokens", s.MinTokens}, {"no repeat n-gram size", s.NoRepeatNgramSize},
		{"prompt ignore length", s.PromptIgnoreLength},
	} {
		if v.value < 0 {
			return invalid("%s is %d, at least 0 is needed", v.name, v.value)
		}
	}
	if s.NumReturnSequences < 0 || s.NumReturnSequences > maxReturnSequences {
		return invalid("number of return sequences is %d, 1 to %d is allowed, 0 is the default", s.NumReturnSequences, maxReturnSequences)
	}
	return nil
}

// validateBeams refuses beams that no step could hold.
func (e *Executor) validateBeams(s *executor.Sampling) error {
	if s.BeamWidth < 0 {
		return invalid("beam width is %d, at least 1 is needed, 0 is the default", s.BeamWidth)
	}
	if s.BeamWidth < 2 {
		return nil
	}
	unsupported := func(format string, args ...any) error {
		return fmt.Errorf("%w: beam width is %d, %s", executor.ErrUnsupported, s.BeamWidth, fmt.Sprintf(format, args...))
	}
	switch l := &e.limits; {
	case s.BeamWidth > l.MaxBatchSize:
		return unsupported("1 to %d is allowed, the engine's max_batch_size, for each beam is a sequence of a step", l.MaxBatchSize)
	case s.BeamWidth > l.MaxNumTokens:
		return unsupported("1 to %d is allowed, the engine's max_num_tokens, for each beam has a token in a step", l.MaxNumTokens)
	case !l.SharedBlocks:
		return unsupported("this runner's KV blocks cannot be shared, so it has no beams: ask for 1")
	case l.StateSlots > 0:
		return unsupported("the model's recurrent state cannot be copied, so it has no beams: ask for 1")
	case s.NumReturnSequences > s.BeamWidth:
		return invalid("number of return sequences is %d, beam width is %d: at most that many beams come back", s.NumReturnSequences, s.BeamWidth)
	}
	return nil
}

// validateOutputs refuses what the runner or the options do not give.
func (e *Executor) validateOutputs(r *executor.Request) error {
	most := min(e.limits.MaxCandidates, e.limits.VocabSize)
	for _, v := range []struct {
		name  string
		value int
	}{{"top log-probs", r.TopLogProbs}, {"prompt top log-probs", r.PromptTopLogProbs}} {
		if v.value < 0 || v.value > most {
			return invalid("%s is %d, 0 to %d is allowed, the candidates that the engine returns", v.name, v.value, most)
		}
	}
	if r.ProcessorData != nil && e.options.LogitsProcessor == nil {
		return invalid("processor data is given, but the executor was opened without a logits processor: set one in its options, or leave the data out")
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
	for i, id := range r.Sampling.TopPResetIDs {
		if err := check("top_p reset id", i, id); err != nil {
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
			return invalid("bias of token %d is %v, a finite number is needed, or -Inf to ban it", id, bias)
		}
	}
	return nil
}

// blocksFor is the number of blocks of size that n tokens need.
func blocksFor(n, size int) int { return (n + size - 1) / size }
