package trtllm

import (
	"fmt"
	"slices"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Request is a prompt and what to make of it. One of Prompt, InputIDs and Messages
// is set. The engine keeps nothing of it after Generate has returned or the loop
// over Stream has begun.
type Request struct {
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
	// stays in the output, as in TensorRT-LLM, with the token that completed it.
	StopWords []string
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
	ContextLogits     bool // float32 [prompt][vocab_size] in Response.ContextLogits
	GenerationLogits  bool // float32 [tokens][vocab_size] in Sequence.Logits

	// Timeout ends the request with FinishTimeout, which is no error, and what there
	// is by then. It counts from the call, waiting included. Zero is none.
	Timeout time.Duration
	// Priority orders waiting requests, larger first; 0 to 1.
	Priority float32
}

// Sampling says how tokens are chosen. The zero value is greedy: always the token
// with the largest logit. Setting Temperature, TopK, TopP or MinP draws instead, and
// those that are zero then do nothing; Temperature 1 alone draws from the model's own
// distribution. Drawing is reproducible: it depends on the request and its Seed
// alone, not on what else runs. The fields mean what they mean in TensorRT-LLM's
// SamplingConfig.
type Sampling struct {
	// Temperature divides the logits. Zero is 1 when TopK, TopP or MinP is set.
	Temperature float32
	// TopK keeps the k best tokens. Zero keeps all; 1 is greedy.
	TopK int
	// TopP keeps the best tokens that together have this probability, of those that
	// MinP and TopK kept; the last one with the part of its probability that lies
	// inside. Zero and 1 keep all.
	TopP float32
	// MinP leaves out tokens with less than this share of the best one's probability.
	MinP float32
	// Seed starts the random numbers. Two requests that differ in nothing draw alike.
	Seed uint64

	// NumReturnSequences is how many sequences are generated, with seeds Seed,
	// Seed+1 …; zero is 1.
	NumReturnSequences int
	// BeamWidth above 1 would be beam search, which fails with ErrUnsupported.
	BeamWidth int
	// MinTokens holds end ids and stop words back.
	MinTokens int

	// The penalties are for tokens that stand in prompt or output. A logit above
	// zero is divided by RepetitionPenalty, another multiplied by it (zero is 1);
	// PresencePenalty is subtracted once, FrequencyPenalty for each occurrence, both
	// after the temperature.
	RepetitionPenalty float32
	PresencePenalty   float32
	FrequencyPenalty  float32
	// NoRepeatNgramSize forbids that an n-gram of this size occurs twice in prompt
	// and output. Zero forbids nothing.
	NoRepeatNgramSize int
	// Bias is added to the logits of tokens, before the temperature; -Inf forbids one.
	Bias map[int32]float32
}

// leaf gives the executor's form, in which greedy is a top_k of 1.
func (s *Sampling) leaf() executor.Sampling {
	topK := s.TopK
	if s.Temperature == 0 && s.TopK == 0 && s.TopP == 0 && s.MinP == 0 {
		topK = 1
	}
	return executor.Sampling{
		NumReturnSequences: s.NumReturnSequences, BeamWidth: s.BeamWidth, TopK: topK, TopP: s.TopP, MinP: s.MinP, Temperature: s.Temperature,
		Seed: s.Seed, MinTokens: s.MinTokens, RepetitionPenalty: s.RepetitionPenalty, PresencePenalty: s.PresencePenalty,
		FrequencyPenalty: s.FrequencyPenalty, NoRepeatNgramSize: s.NoRepeatNgramSize, Bias: s.Bias,
	}
}

// prepare turns a request into the executor's.
func (e *Engine) prepare(r *Request) (executor.Request, error) {
	ids, err := e.inputIDs(r)
	if err != nil {
		return executor.Request{}, err
	}
	if len(r.StopWords) > 0 && e.tokenizer == nil {
		return executor.Request{}, fmt.Errorf("stop words need text: %w", e.tokenizerErr)
	}
	bad, err := e.encodeWords(r.BadWords)
	if err != nil {
		return executor.Request{}, err
	}
	maxTokens := r.MaxTokens
	if maxTokens == 0 {
		// The last token's keys and values are never needed. At least 1, so that
		// the executor says what is too long.
		maxTokens = max(1, min(e.config.MaxSeqLen, e.config.KVCacheTokens+1)-len(ids))
	}
	end := r.EndIDs
	if end == nil && e.tokenizer != nil {
		end = e.known(e.tokenizer.EOS())
	}
	return executor.Request{
		InputIDs: ids, MaxTokens: maxTokens, Sampling: r.Sampling.leaf(), EndIDs: end,
		StopSequences: r.StopSequences, BadSequences: append(bad, r.BadSequences...),
		LogProbs: r.LogProbs, ContextLogits: r.ContextLogits, GenerationLogits: r.GenerationLogits,
		Priority: r.Priority, AllottedTime: r.Timeout,
	}, nil
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
	t, err := e.Tokenizer()
	if err != nil {
		return nil, err
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

func (e *Engine) encodeWords(words []string) ([][]int32, error) {
	var all [][]int32
	for _, word := range words {
		t, err := e.Tokenizer()
		if err != nil {
			return nil, fmt.Errorf("bad words need text: %w", err)
		}
		ids, err := t.Encode(word, tokenizer.EncodeOptions{})
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			all = append(all, ids)
		}
	}
	return all, nil
}
