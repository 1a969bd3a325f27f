package inflight

import (
	"fmt"

	"github.com/trtgo/trtgo/internal/executor"
)

// validate refuses what this executor can never run.
func (e *Executor) validate(r *executor.Request) error {
	l := &e.limits
	if err := r.CheckValues(); err != nil {
		return err
	}
	if err := e.validateBeams(&r.Sampling); err != nil {
		return err
	}
	if err := r.CheckTopLogProbs(min(l.MaxCandidates, l.VocabSize)); err != nil {
		return err
	}
	if r.ProcessorData != nil && e.options.LogitsProcessor == nil {
		return executor.Invalid("processor data is given, but the executor was opened without a logits processor: set one in its options, or leave the data out")
	}
	if err := r.CheckTokens(l.VocabSize); err != nil {
		return err
	}
	return r.CheckLength(executor.Lengths{MaxInputLen: e.maxInputLen, MaxSeqLen: l.MaxSeqLen, BlockSize: l.BlockSize, NumBlocks: l.NumBlocks})
}

// validateBeams refuses beams that no step could hold.
func (e *Executor) validateBeams(s *executor.Sampling) error {
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
	}
	return s.CheckReturnedBeams()
}
