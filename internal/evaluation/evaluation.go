// Package evaluation holds the logic behind the commands that judge a model: summarising articles with ROUGE ([Summarize]),
// scoring predictions that exist already ([Rouge]) and texts ([EvaluatePerplexity]), asking multiple-choice questions
// ([EvaluateMMLU]), and comparing what two models predict ([Compare]).
//
// It knows neither the command line nor an engine. The caller supplies a [Generator], which continues prompts, a [Scorer],
// which tells the log-probs of given tokens, or a [LogitsSource], and a [Tokenizer]; a *tokenizer.Tokenizer is one.
//
// Summarize does what TensorRT-LLM's examples/summarize.py does, so that the numbers can be compared: the same articles in the
// same order, the same prompt, cut the same way, and the same bootstrap median. It departs where upstream errs: with batches
// that are partly skipped, outputs keep their own references, and the indices in trtllm.out are right.
package evaluation

import (
	"context"
	"errors"

	"github.com/trtgo/trtgo/tokenizer"
)

var (
	// ErrAccuracy is wrapped by the error of a check that the model failed.
	ErrAccuracy = errors.New("accuracy check failed")
	// ErrOptions is wrapped by errors about options that contradict each other or are out of range.
	ErrOptions = errors.New("bad evaluation options")
	// ErrNoSamples is returned when no article was long enough to be summarised.
	ErrNoSamples = errors.New("no samples to evaluate")
)

// Tokenizer is what an evaluation needs of a *tokenizer.Tokenizer.
type Tokenizer interface {
	Encode(text string, options tokenizer.EncodeOptions) ([]int32, error)
	Decode(ids []int32, options tokenizer.DecodeOptions) (string, error)
	HasChatTemplate() bool
	ApplyChatTemplate(messages []tokenizer.Message, options tokenizer.ChatOptions) (string, error)
}

// Generator continues a batch of prompts. Sampling, output length and the number of beams are its own matter. It returns for
// each prompt the generated ids of each beam or sequence, best first, without the prompt and without padding; every prompt has
// the same number of them, at least one.
//
// While it runs it may call onTokens with ids that were added to the first sequence of a prompt, from several goroutines if it
// likes, but not after it has returned. onTokens is never nil.
type Generator func(ctx context.Context, prompts [][]int32, onTokens func(prompt int, ids []int32)) ([][][]int32, error)
