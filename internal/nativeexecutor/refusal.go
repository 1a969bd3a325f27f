package nativeexecutor

import (
	"fmt"
	"slices"

	"github.com/trtgo/trtgo/internal/executor"
)

// maxTopK is upstream's TOP_K_MAX: above it cuts silently.
const maxTopK = 1024

// maxNgramSize is what upstream's kernel has shared memory for: a larger one writes beyond
// it, after which nothing runs on the GPU in this process any more.
const maxNgramSize = 32

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %s", executor.ErrUnsupported, fmt.Sprintf(format, args...))
}

// validate refuses what no engine, or not this one, could run.
func (e *Executor) validate(r *executor.Request) error {
	if err := r.CheckValues(); err != nil {
		return err
	}
	if most := e.options.MaxBeamWidth; r.Sampling.BeamWidth > max(1, most) {
		return unsupported("beam width is %d, 1 to %d is allowed, the engine's max_beam_width: build the engine with --max-beam-width", r.Sampling.BeamWidth, most)
	}
	if err := r.Sampling.CheckReturnedBeams(); err != nil {
		return err
	}
	if err := r.CheckTopLogProbs(min(executor.MaxCandidates, e.options.VocabSize)); err != nil {
		return err
	}
	if err := r.CheckTokens(e.options.VocabSize); err != nil {
		return err
	}
	if err := r.CheckLength(e.lengths); err != nil {
		return err
	}
	return e.checkBlocks(r)
}

// checkBlocks refuses beams for which upstream would never have enough KV blocks: it wants
// a place for the last token too, and nothing behind a request that waits gets a turn.
func (e *Executor) checkBlocks(r *executor.Request) error {
	n, width, size := len(r.InputIDs), r.Sampling.BeamWidth, e.lengths.BlockSize
	if width <= 1 || e.lengths.NumBlocks == 0 {
		return nil
	}
	shared := n / size
	need := shared + width*((n+r.MaxTokens+size-1)/size-shared)
	if need <= e.lengths.NumBlocks {
		return nil
	}
	return fmt.Errorf("%w: a prompt of %d tokens and %d to generate by each of %d beams need %d KV blocks of %d tokens in TensorRT-LLM, the KV cache has %d: open the engine with a larger KV cache",
		executor.ErrTooLong, n, r.MaxTokens, width, need, size, e.lengths.NumBlocks)
}

// refuse refuses what upstream cannot do of a request that is normalized.
func (e *Executor) refuse(r *executor.Request) error {
	if err := e.refuseSampling(r); err != nil {
		return err
	}
	return e.refuseOutputs(r)
}

// refuseSampling refuses ways to choose tokens that upstream has not.
func (e *Executor) refuseSampling(r *executor.Request) error {
	s := &r.Sampling
	beams := s.BeamWidth > 1
	switch {
	case r.ProcessorData != nil:
		return unsupported("processor data is given, but TensorRT-LLM's executor calls no logits processor of a Go program: leave the data out")
	case len(s.TopPResetIDs) > 1 && !beams:
		return unsupported("%d top_p reset ids are given, TensorRT-LLM takes one", len(s.TopPResetIDs))
	case s.TopK > maxTopK && s.TopK < e.options.VocabSize && !beams:
		return unsupported("top_k is %d, TensorRT-LLM takes up to %d, or 0 for all", s.TopK, maxTopK)
	case s.NoRepeatNgramSize > maxNgramSize:
		return unsupported("no repeat n-gram size is %d, TensorRT-LLM takes up to %d", s.NoRepeatNgramSize, maxNgramSize)
	case len(s.Bias) > 0 && e.options.VocabSize%e.options.Ranks != 0:
		return unsupported("a logit bias is given, TensorRT-LLM takes none where the vocabulary (%d) is no multiple of the ranks (%d)", e.options.VocabSize, e.options.Ranks)
	case s.MinTokens > 0 && len(distinct(r.EndIDs)) > 1:
		return unsupported("min tokens is %d and there are %d end ids, TensorRT-LLM holds back one only: name one end id", s.MinTokens, len(distinct(r.EndIDs)))
	case s.MinTokens == 1 && r.MaxTokens > 1 && len(r.EndIDs) > 0:
		return unsupported("min tokens is 1, which TensorRT-LLM takes for none where all requests that run have it: ask for 2, or 0")
	case s.MinTokens > 0 && len(r.StopSequences) > 0 && beams:
		return unsupported("min tokens is %d and there are stop sequences, which TensorRT-LLM does not hold back for beams", s.MinTokens)
	}
	return nil
}

// refuseOutputs refuses results that upstream, or this engine, does not give.
func (e *Executor) refuseOutputs(r *executor.Request) error {
	const (
		generation = "open the engine with gatherGenerationLogits"
		context    = "build the engine with gather_context_logits"
	)
	beams := r.Sampling.BeamWidth > 1
	prompt := r.ContextLogits || r.PromptLogProbs || r.PromptTopLogProbs > 0
	var what, remedy string
	switch {
	case e.options.Orchestrator && prompt:
		return unsupported("context logits or prompt log-probs are asked for, TensorRT-LLM's orchestrator carries no logits: start the engine by mpirun instead")
	case beams && r.GenerationLogits:
		return unsupported("generation logits are asked for with beams, TensorRT-LLM does not tell which rows belong to which beam")
	case beams && r.TopLogProbs > 0:
		return unsupported("top log-probs are asked for with beams, TensorRT-LLM has only those of the tokens themselves")
	case beams && r.LogProbs && changesDistribution(r):
		return unsupported("log-probs of beams are asked for with temperature, penalties, bias or bans, TensorRT-LLM tells only those after them")
	case r.GenerationLogits && !e.options.GenerationLogits:
		what, remedy = "generation logits are", generation
	case r.TopLogProbs > 0 && !e.options.GenerationLogits:
		what, remedy = "top log-probs are", generation
	case r.LogProbs && changesDistribution(r) && !e.options.GenerationLogits:
		what, remedy = "log-probs with temperature, penalties, bias, bans or min_p are", generation
	case r.ContextLogits && !e.options.ContextLogits:
		what, remedy = "context logits are", context
	case (r.PromptLogProbs || r.PromptTopLogProbs > 0) && !e.options.ContextLogits:
		what, remedy = "prompt log-probs are", context
	default:
		return nil
	}
	return unsupported("%s asked for, which this engine does not give: %s", what, remedy)
}

// changesDistribution tells whether upstream draws the tokens of r from another
// distribution than the model's, of which it tells the log-probs then. r is normalized.
func changesDistribution(r *executor.Request) bool {
	s := &r.Sampling
	return s.Temperature != 0 && s.Temperature != 1 || s.MinP > 0 ||
		s.RepetitionPenalty != 0 && s.RepetitionPenalty != 1 || s.PresencePenalty != 0 || s.FrequencyPenalty != 0 ||
		s.NoRepeatNgramSize > 0 || len(s.Bias) > 0 || len(r.BadSequences) > 0 || s.MinTokens > 0 && len(r.EndIDs) > 0
}

// distinct are ids without those that stand before.
func distinct(ids []int32) []int32 {
	var list []int32
	for _, id := range ids {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}
