package trtllm

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/trtgo/trtgo/internal/engineconfig"
	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Request is a prompt and what to make of it. One of Prompt, InputIDs and Messages
// is set. The engine keeps nothing of it after Generate has returned or the loop
// over Stream has begun. Later versions add fields, for LoRA adapters, structured
// output and speculative decoding; so literals must name their fields.
type Request struct {
	_ struct{}

	// Prompt is text. It is encoded with the model's special tokens around it,
	// unless NoSpecialTokens is set. What reads like a special token is one.
	Prompt          string
	NoSpecialTokens bool
	// InputIDs are token ids, taken as they are.
	InputIDs []int32
	// Messages are a conversation, rendered by the model's chat template up to the
	// beginning of the assistant's answer.
	Messages []tokenizer.Message

	// MaxTokens bounds the generated tokens of each sequence. Zero is all that
	// max_seq_len and the KV cache leave after the prompt. KV cache for all of them
	// is set aside before a request starts, so a bound near to what is needed lets
	// more requests run at once. A prompt and MaxTokens that do not fit the engine
	// fail with ErrTooLong before anything is queued.
	MaxTokens int
	Sampling  Sampling

	// StopWords end a sequence when its text holds one of them. The word is looked
	// for in the text, so that it does not matter how it is cut into tokens. It
	// stays in the output, as in TensorRT-LLM, with the token that completed it. Of
	// several words the one that ends first ends the sequence. In a stream, text that
	// may be the beginning of a word waits until it is known to be none.
	//
	// Beams end where the tokenizer's own encoding of a word is generated; their texts
	// are cut where a word stands in them when all is there.
	StopWords []string
	// TrimStopWords leaves the stop word that ended a sequence out of Text. OutputIDs
	// and what belongs to them stay as they are.
	TrimStopWords bool
	// StopSequences end a sequence when its output ends with one of them, which
	// stays in the output.
	StopSequences [][]int32
	// BadWords are never generated in the way that the tokenizer encodes them as
	// they stand; " word" and "word" are two.
	BadWords []string
	// BadSequences are never generated.
	BadSequences [][]int32
	// EndIDs end a sequence and are not in the output. Nil means the model's own,
	// an empty list none.
	EndIDs []int32

	KeepSpecialTokens bool // show special tokens in Text
	LogProbs          bool // log-probs of generated tokens under the model, before penalties and temperature
	TopLogProbs       int  // how many of the best tokens to tell beside each generated one, up to 1024
	PromptLogProbs    bool // log-probs of the prompt's tokens, in Response.PromptLogProbs; these are then computed, not reused
	PromptTopLogProbs int  // how many of the best tokens to tell beside each of the prompt's
	ContextLogits     bool // float32 [prompt][vocab_size] in Response.ContextLogits; nothing of the prompt is reused then
	// PromptFrom is the first token of the prompt that the three fields above tell of, up
	// to the prompt's length; zero is all. What stands before it may be reused. The
	// response has 0 or nil in the places of what it does not tell; ContextLogits begin
	// with the row that the token is predicted from. It is for scoring many continuations
	// of one text, and for texts that are scored in overlapping windows.
	PromptFrom       int
	GenerationLogits bool // float32 [tokens][vocab_size] in Sequence.Logits

	// ProcessorData, when not nil, sends the request's logits through the engine's
	// LogitsProcessor, which gets it with each row.
	ProcessorData any
	// CacheSalt separates the reuse of the KV cache: a prompt takes over only what a
	// request of the same salt left, so that no tenant can tell from the time whether
	// another one sent a prompt.
	CacheSalt uint64

	// Timeout ends the request with FinishTimeout, which is no error, and what there
	// is by then. It counts from the call, waiting included. Zero is none.
	Timeout time.Duration
	// Priority orders waiting requests, larger first; up to 1. Zero is 0.5,
	// TensorRT-LLM's default; a very small one comes last.
	Priority float32
}

// defaultPriority is TensorRT-LLM's.
const defaultPriority = 0.5

// Sampling says how tokens are chosen. The zero value is greedy: always the token
// with the largest logit. To leave it, set Temperature, TopK, TopP or MinP: tokens are
// then drawn, and those of the four that are zero do nothing; Temperature 1 alone
// draws from the model's own distribution. TopK 1 is greedy whatever else is set.
// Drawing is reproducible: it depends on the request and its Seed alone, not on what
// else runs. BeamWidth above 1 searches instead.
//
// The fields mean what they mean in TensorRT-LLM's SamplingConfig. As with Request,
// literals must name their fields.
type Sampling struct {
	_ struct{}

	// Temperature divides the logits. Zero is 1 when TopK, TopP or MinP is set.
	Temperature float32
	// TopK keeps the k best tokens. Zero keeps all; 1 is greedy.
	TopK int
	// TopP keeps the best tokens that together have this probability, of those that
	// MinP and TopK kept; the last one with the part of its probability that lies
	// inside. Zero and 1 keep all.
	TopP float32
	// TopP is multiplied by TopPDecay (above 0 and up to 1; zero is 1) after each
	// token, down to TopPMin (zero is 1e-6), and is as at first again after one of the
	// tokens TopPResetIDs.
	TopPDecay    float32
	TopPMin      float32
	TopPResetIDs []int32
	// MinP leaves out tokens with less than this share of the best one's probability.
	MinP float32
	// Seed starts the random numbers. Two requests that differ in nothing draw alike.
	Seed uint64

	// NumReturnSequences is how many sequences are generated, with seeds Seed,
	// Seed+1 …; zero is 1. With beams it is how many of them are returned, the best
	// ones; zero is all.
	NumReturnSequences int
	// MinTokens holds end ids, stop words and stop sequences back: a sequence does not
	// end with one before it has so many tokens.
	MinTokens int

	// BeamWidth above 1 is beam search: the BeamWidth likeliest beginnings are kept
	// after each step. Beams may change until the end, so a stream gives them as one
	// chunk each at the end. TopK, TopP, MinP and Seed then do nothing. Where bans
	// leave fewer beams than are asked for, the others are empty, with a CumLogProb of
	// -math.MaxFloat32.
	BeamWidth int
	// A beam's score is its cumulative log-prob / length^LengthPenalty, length being the
	// number of its generated tokens, with the end id. Zero is TensorRT-LLM's default: no
	// division.
	LengthPenalty float32
	// EarlyStopping says when the search ends. With 1, and nil, as soon as BeamWidth beams
	// have ended; with 0 when no other can become better than these by the length it has
	// now; with any other number when none can by MaxTokens.
	EarlyStopping *int
	// BeamSearchDiversityRate makes beams differ: an extension of the n-th beam, from 0,
	// is ranked by its cumulative log-prob + n times this.
	BeamSearchDiversityRate float32

	// The penalties are for tokens that stand in prompt or output. After the temperature,
	// a logit above zero is divided by RepetitionPenalty and another multiplied by it
	// (zero is 1); then PresencePenalty is subtracted once, and FrequencyPenalty for each
	// occurrence.
	RepetitionPenalty float32
	PresencePenalty   float32
	FrequencyPenalty  float32
	// PromptIgnoreLength is how many tokens at the prompt's beginning the presence and
	// the frequency penalty do not count; the repetition penalty counts them.
	PromptIgnoreLength int
	// NoRepeatNgramSize forbids that an n-gram of this size occurs twice in prompt
	// and output. Zero forbids nothing.
	NoRepeatNgramSize int
	// Bias is added to the logits of tokens, before temperature and penalties; -Inf
	// forbids one.
	Bias map[int32]float32
}

// sequences is how many sequences come back.
func (s *Sampling) sequences() int {
	if s.NumReturnSequences == 0 {
		return max(1, s.BeamWidth)
	}
	return max(1, s.NumReturnSequences)
}

// beams tells whether s is beam search.
func (s *Sampling) beams() bool { return s.BeamWidth > 1 }

// leaf gives the executor's form, in which greedy is a top_k of 1.
func (s *Sampling) leaf() executor.Sampling {
	topK := s.TopK
	if s.Temperature == 0 && s.TopK == 0 && s.TopP == 0 && s.MinP == 0 {
		topK = 1
	}
	return executor.Sampling{
		NumReturnSequences: s.NumReturnSequences, TopK: topK, TopP: s.TopP, MinP: s.MinP, Temperature: s.Temperature,
		Seed: s.Seed, MinTokens: s.MinTokens, TopPDecay: s.TopPDecay, TopPMin: s.TopPMin, TopPResetIDs: s.TopPResetIDs,
		RepetitionPenalty: s.RepetitionPenalty, PresencePenalty: s.PresencePenalty, FrequencyPenalty: s.FrequencyPenalty,
		PromptIgnoreLength: s.PromptIgnoreLength, NoRepeatNgramSize: s.NoRepeatNgramSize, Bias: s.Bias,
		BeamWidth: s.BeamWidth, LengthPenalty: s.LengthPenalty, EarlyStopping: s.EarlyStopping,
		BeamSearchDiversityRate: s.BeamSearchDiversityRate,
	}
}

// prepare turns a request into the executor's.
func (e *Engine) prepare(r *Request) (executor.Request, error) {
	ids, err := e.inputIDs(r)
	if err != nil {
		return executor.Request{}, err
	}
	if err := e.checkStopWords(r); err != nil {
		return executor.Request{}, err
	}
	bad, err := e.encodeWords("bad words", r.BadWords)
	if err != nil {
		return executor.Request{}, err
	}
	var stop [][]int32
	if r.Sampling.beams() { // nobody sees their texts before the end
		if stop, err = e.encodeWords("stop words", r.StopWords); err != nil {
			return executor.Request{}, err
		}
	}
	maxTokens := r.MaxTokens
	if maxTokens == 0 {
		// The last token's keys and values are never needed. At least 1, so that
		// the executor says what is too long.
		maxTokens = max(1, min(e.config.MaxSeqLen, e.cacheTokens(r.Sampling.BeamWidth, len(ids))+1)-len(ids))
	}
	end := r.EndIDs
	if end == nil && e.tokenizer != nil {
		end = e.known(e.tokenizer.EOS())
	}
	priority := r.Priority
	if priority == 0 {
		priority = defaultPriority
	}
	return executor.Request{
		InputIDs: ids, MaxTokens: maxTokens, Sampling: r.Sampling.leaf(), EndIDs: end,
		StopSequences: append(stop, r.StopSequences...), BadSequences: append(bad, r.BadSequences...),
		LogProbs: r.LogProbs || len(r.StopWords) > 0 && e.alwaysSums(), TopLogProbs: r.TopLogProbs,
		PromptLogProbs: r.PromptLogProbs, PromptTopLogProbs: r.PromptTopLogProbs,
		ContextLogits: r.ContextLogits, PromptFrom: r.PromptFrom, GenerationLogits: r.GenerationLogits,
		ProcessorData: r.ProcessorData, CacheSalt: r.CacheSalt, Priority: priority, AllottedTime: r.Timeout,
	}, nil
}

// alwaysSums tells whether CumLogProb is told without LogProbs. Then the log-probs of what a stop word cuts off are
// needed, to be taken from the sum.
func (e *Engine) alwaysSums() bool { return e.config.Backend != engineconfig.BackendTensorRTLLM }

// cacheTokens is how many tokens each beam may have for all of a request's to fit into
// the KV cache; they share the full blocks of the prompt.
func (e *Engine) cacheTokens(beams, prompt int) int {
	all := e.config.KVCacheTokens
	if all == 0 { // not known
		return e.config.MaxSeqLen
	}
	size := e.executor.Stats().TokensPerBlock
	if beams < 2 || size == 0 || prompt == 0 {
		return all
	}
	shared := min(prompt-1, all) / size
	return (shared + (all/size-shared)/beams) * size
}

// checkStopWords refuses stop words that can stand in no text.
func (e *Engine) checkStopWords(r *Request) error {
	if len(r.StopWords) > 0 && e.tokenizer == nil {
		return fmt.Errorf("stop words need text: %w", e.tokenizerErr)
	}
	for i, word := range r.StopWords {
		if !utf8.ValidString(word) {
			return fmt.Errorf("%w: stop word %d is %q, which is not UTF-8: no text has it", ErrInvalidRequest, i, word)
		}
	}
	return nil
}

func (e *Engine) inputIDs(r *Request) ([]int32, error) {
	given := 0
	for _, set := range []bool{r.Prompt != "", r.InputIDs != nil, r.Messages != nil} {
		if set {
			given++
		}
	}
	if given > 1 {
		return nil, fmt.Errorf("%w: one of Prompt, InputIDs and Messages is wanted, %d are set", ErrInvalidRequest, given)
	}
	if r.InputIDs != nil {
		return slices.Clone(r.InputIDs), nil // a part of the response
	}
	t := e.tokenizer
	if t == nil {
		return nil, e.tokenizerErr
	}
	if r.Messages == nil {
		return t.Encode(r.Prompt, tokenizer.EncodeOptions{AddSpecialTokens: !r.NoSpecialTokens})
	}
	text, err := t.ApplyChatTemplate(r.Messages, tokenizer.ChatOptions{AddGenerationPrompt: true, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	return t.Encode(text, tokenizer.EncodeOptions{})
}

// known drops the tokenizer's end ids that the model cannot produce: tokenizers may
// name more tokens than the vocabulary has rows.
func (e *Engine) known(ids []int32) []int32 {
	var known []int32
	for _, id := range ids {
		if id >= 0 && int(id) < e.config.VocabSize {
			known = append(known, id)
		}
	}
	return known
}

// encodeWords gives the tokens of words, without those that have none.
func (e *Engine) encodeWords(what string, words []string) ([][]int32, error) {
	var all [][]int32
	for _, word := range words {
		if e.tokenizer == nil {
			return nil, fmt.Errorf("%s need text: %w", what, e.tokenizerErr)
		}
		ids, err := e.tokenizer.Encode(word, tokenizer.EncodeOptions{})
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			all = append(all, ids)
		}
	}
	return all, nil
}
