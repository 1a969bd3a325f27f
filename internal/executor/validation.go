package executor

import (
	"fmt"
	"math"
)

// MaxReturnSequences bounds Sampling.NumReturnSequences: each costs a queue entry at
// once.
const MaxReturnSequences = 4096

// Invalid makes an error that wraps ErrInvalidRequest.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidRequest, fmt.Sprintf(format, args...))
}

// CheckValues refuses what no executor could run, whatever its engine: numbers out of
// their ranges. Errors wrap ErrInvalidRequest.
func (r *Request) CheckValues() error {
	if len(r.InputIDs) == 0 {
		return Invalid("no input tokens")
	}
	if r.MaxTokens < 1 {
		return Invalid("max tokens is %d, at least 1 is needed", r.MaxTokens)
	}
	if r.PromptFrom < 0 || r.PromptFrom > len(r.InputIDs) {
		return Invalid("prompt from is %d, 0 to %d is allowed, the prompt's length", r.PromptFrom, len(r.InputIDs))
	}
	if r.AllottedTime < 0 {
		return Invalid("allotted time is %v, at least 0 is needed", r.AllottedTime)
	}
	if !(r.Priority >= 0 && r.Priority <= 1) {
		return Invalid("priority is %v, 0 to 1 is allowed", r.Priority)
	}
	return r.Sampling.Check()
}

// Check refuses what is outside the ranges of TensorRT-LLM's SamplingConfig. Upstream
// takes any length penalty and early stopping.
func (s *Sampling) Check() error {
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
			return Invalid("%s is %v, %s", v.name, v.value, v.want)
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
			return Invalid("%s is %d, at least 0 is needed", v.name, v.value)
		}
	}
	if s.NumReturnSequences < 0 || s.NumReturnSequences > MaxReturnSequences {
		return Invalid("number of return sequences is %d, 1 to %d is allowed, 0 is the default", s.NumReturnSequences, MaxReturnSequences)
	}
	if s.BeamWidth < 0 {
		return Invalid("beam width is %d, at least 1 is needed, 0 is the default", s.BeamWidth)
	}
	return nil
}

// CheckReturnedBeams refuses more sequences than there are beams.
func (s *Sampling) CheckReturnedBeams() error {
	if s.BeamWidth > 1 && s.NumReturnSequences > s.BeamWidth {
		return Invalid("number of return sequences is %d, beam width is %d: at most that many beams come back", s.NumReturnSequences, s.BeamWidth)
	}
	return nil
}

// CheckTopLogProbs refuses more tokens beside each than most.
func (r *Request) CheckTopLogProbs(most int) error {
	for _, v := range []struct {
		name  string
		value int
	}{{"top log-probs", r.TopLogProbs}, {"prompt top log-probs", r.PromptTopLogProbs}} {
		if v.value < 0 || v.value > most {
			return Invalid("%s is %d, 0 to %d is allowed, the candidates that the engine returns", v.name, v.value, most)
		}
	}
	return nil
}

// CheckTokens refuses tokens outside the vocabulary, wherever they stand, and biases
// that are not numbers.
func (r *Request) CheckTokens(vocabSize int) error {
	check := func(what string, i int, id int32) error {
		if id < 0 || int(id) >= vocabSize {
			return Invalid("%s %d is token %d, the vocabulary has %d", what, i, id, vocabSize)
		}
		return nil
	}
	for _, l := range []struct {
		what string
		list []int32
	}{{"input", r.InputIDs}, {"end id", r.EndIDs}, {"top_p reset id", r.Sampling.TopPResetIDs}} {
		for i, id := range l.list {
			if err := check(l.what, i, id); err != nil {
				return err
			}
		}
	}
	for _, l := range []struct {
		what string
		list [][]int32
	}{{"stop sequence", r.StopSequences}, {"bad sequence", r.BadSequences}} {
		for i, sequence := range l.list {
			if len(sequence) == 0 {
				return Invalid("%s %d is empty", l.what, i)
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
			return Invalid("bias of token %d, the vocabulary has %d", id, vocabSize)
		}
		if !(bias <= math.MaxFloat32) { // NaN and +Inf; -Inf bans a token
			return Invalid("bias of token %d is %v, a finite number is needed, or -Inf to ban it", id, bias)
		}
	}
	return nil
}

// Lengths are what bounds a prompt and its output.
type Lengths struct {
	MaxInputLen int
	MaxSeqLen   int
	BlockSize   int // tokens in one KV block
	NumBlocks   int // KV blocks in all; 0 where it is not known
}

// CheckLength refuses what would not fit even on an idle engine, with an error that
// wraps ErrTooLong and tells the numbers.
func (r *Request) CheckLength(l Lengths) error {
	n := len(r.InputIDs)
	if n > l.MaxInputLen {
		return fmt.Errorf("%w: the prompt has %d tokens, max_input_len is %d", ErrTooLong, n, l.MaxInputLen)
	}
	if r.MaxTokens > l.MaxSeqLen-n {
		why, remedy := "", ""
		if l.MaxSeqLen == l.NumBlocks*l.BlockSize { // it was lowered to that
			why, remedy = ", which is all that the KV cache holds", ", or open the engine with a larger KV cache"
		}
		return fmt.Errorf("%w: a prompt of %d tokens and %d to generate, max_seq_len is %d%s: shorten the prompt or ask for at most %d tokens%s",
			ErrTooLong, n, r.MaxTokens, l.MaxSeqLen, why, max(0, l.MaxSeqLen-n), remedy)
	}
	if l.NumBlocks == 0 {
		return nil
	}
	if need := r.KVBlocks(n+r.MaxTokens-1, l.BlockSize); need > l.NumBlocks {
		beams := ""
		if r.Sampling.BeamWidth > 1 {
			beams = fmt.Sprintf(" by each of %d beams", r.Sampling.BeamWidth)
		}
		return fmt.Errorf("%w: a prompt of %d tokens and %d to generate%s need %d KV blocks of %d tokens, the KV cache has %d: open the engine with a larger KV cache",
			ErrTooLong, n, r.MaxTokens, beams, need, l.BlockSize, l.NumBlocks)
	}
	return nil
}

// FirstRow is the first prompt position whose logits say something that is asked for:
// the one before PromptFrom.
func (r *Request) FirstRow() int { return max(0, r.PromptFrom-1) }

// KVBlocks is how many blocks of size a sequence of r, or all its beams together, hold
// at most for a number of tokens each. Beams share the prompt.
func (r *Request) KVBlocks(tokens, size int) int {
	n := (tokens + size - 1) / size
	if width := r.Sampling.BeamWidth; width > 1 {
		shared := (len(r.InputIDs) - 1) / size
		n = shared + width*(n-shared)
	}
	return n
}
