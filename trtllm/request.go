package trtllm

import (
	"fmt"
	"time"

	"github.com/trtgo/trtgo/internal/executor"
	"github.com/trtgo/trtgo/tokenizer"
)

// Request is a prompt and what to make of it. Exactly one of Prompt, InputIDs and
// Messages is set.
type Request struct {
	// Prompt is text. It is encoded with the model's special tokens around it,
	// unless NoSpecialTokens is set.
	Prompt          string
	NoSpecialTokens bool
	// InputIDs are token ids, taken as they are.
	InputIDs []int32
	// Messages are a conversation, rendered by the model's chat template.
	Messages []tokenizer.Message

	// MaxTokens bounds the generated tokens of each sequence. Zero is what is left
	// of the engine's max_seq_len after the prompt.
	MaxTokens int
	Sampling  Sampling

	// StopWords end a sequence when its text holds one of them. The word is looked
	// for in the text, so that it does not matter how it is cut into tokens, and
	// stays in the output, as in TensorRT-LLM.
	StopWords []string
	// BadWords are never generated, in the way that the tokenizer encodes them.
	BadWords []string
	// EndIDs end a sequence and are not in the output. Nil means the model's own,
	// an empty list none.
	EndIDs []int32

	LogProbs         bool // log-probs of generated tokens under the model
	ContextLogits    bool // float32 [prompt][vocab_size] in Response.ContextLogits
	GenerationLogits bool // float32 [tokens][vocab_size] in Sequence.Logits

	// Timeout ends the request with FinishTimeout and what there is by then. Zero
	// is none.
	Timeout time.Duration
	// Priority orders waiting requests, larger first; 0 to 1.
	Priority float32
}

// Sampling says how tokens are chosen. The zero value is greedy; setting
// Temperature, TopK, TopP or MinP draws. Drawing is reproducible: it depends on
// the request and its Seed alone.
type Sampling struct {
	// Temperature divides the logits. Zero is 1 when TopK, TopP or MinP is set.
	Temperature float32
	// TopK keeps the k best tokens. Zero keeps all; 1 is greedy.
	TopK int
	// TopP keeps the fewest best tokens that together have this probability, of
	// those TopK kept. Zero and 1 keep all.
	TopP float32
	// MinP leaves out tokens with less than this share of the best one's probability.
	MinP float32
	Seed uint64

	// NumReturnSequences is how many sequences are generated, with seeds Seed,
	// Seed+1 …; zero is 1.
	NumReturnSequences int
	// MinTokens holds end ids and stop words back.
	MinTokens int

	RepetitionPenalty float32           // above 1 discourages tokens of prompt and output; zero is 1
	PresencePenalty   float32           // subtracted once
	FrequencyPenalty  float32           // subtracted for each occurrence
	NoRepeatNgramSize int               // no n-gram of this size twice
	Bias              map[int32]float32 // added to the logit of a token
}

// leaf gives the executor's form, in which greedy is a top_k of 1.
func (s *Sampling) leaf() executor.Sampling {
	topK := s.TopK
	if s.Temperature == 0 && s.TopK == 0 && s.TopP == 0 && s.MinP == 0 {
		topK = 1
	}
	return executor.Sampling{
		NumReturnSequences: s.NumReturnSequences, TopK: topK, TopP: s.TopP, MinP: s.MinP, Temperature: s.Temperature,
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
	maxTokens := r.MaxTokens
	if maxTokens == 0 {
		maxTokens = max(e.config.MaxSeqLen-len(ids), 1)
	}
	end := r.EndIDs
	if end == nil && e.tokenizer != nil {
		end = e.tokenizer.EOS()
	}
	if len(r.StopWords) > 0 && e.tokenizer == nil {
		return executor.Request{}, fmt.Errorf("stop words need text: %w", e.tokenizerErr)
	}
	bad, err := e.encodeWords(r.BadWords)
	if err != nil {
		return executor.Request{}, err
	}
	return executor.Request{
		InputIDs: ids, MaxTokens: maxTokens, Sampling: r.Sampling.leaf(), EndIDs: e.known(end), BadSequences: bad,
		Streaming: true, LogProbs: r.LogProbs, ContextLogits: r.ContextLogits, GenerationLogits: r.GenerationLogits,
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
		return r.InputIDs, nil
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

// known drops end ids that the model cannot produce: tokenizers may name more
// tokens than the vocabulary has rows.
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
		all = append(all, ids)
	}
	return all, nil
}
