package trtllm

import (
	"time"

	"github.com/trtgo/trtgo/internal/executor"
)

// Response is all that came of a request. The embedded Sequence is the first one; of
// beams, which are ordered by score, it is the best.
type Response struct {
	RequestID uint64  // the engine's number of the request, from 1
	InputIDs  []int32 // the prompt, [prompt]
	Sequence
	// Sequences are all of them, NumReturnSequences many; the first one too.
	Sequences []Sequence
	// ContextLogits are raw logits, [prompt][vocab_size], when asked for; of the rows
	// before Request.PromptFrom-1 none.
	ContextLogits [][]float32
	// PromptLogProbs are log-probs of the prompt's tokens under the model, [prompt],
	// when asked for. The first token's is 0: nothing stands before it. So are those of
	// the tokens before Request.PromptFrom.
	PromptLogProbs []float32
	// PromptTopLogProbs are the best tokens at each place of the prompt,
	// [prompt][PromptTopLogProbs], when asked for; none at the first, nor before
	// Request.PromptFrom.
	PromptTopLogProbs [][]LogProb
}

// Sequence is one continuation of the prompt.
type Sequence struct {
	OutputIDs    []int32 // without the prompt and without the end id, [tokens]
	Text         string  // OutputIDs decoded; "" without a tokenizer. Unless TrimStopWords is set, it ends with the stop word that ended it
	FinishReason FinishReason
	LogProbs     []float32   // of each token under the model, [tokens], when asked for
	TopLogProbs  [][]LogProb // the best tokens at each token, [tokens][TopLogProbs], when asked for; descending
	// CumLogProb is the sum of the log-probs, also when LogProbs was not asked for; by
	// TensorRT-LLM only of beams then, and 0 otherwise. A
	// beam's is what it was ranked by: after penalties and temperature, with the end id, and
	// with what a stop word cut off.
	CumLogProb float32
	Logits     [][]float32   // raw logits, [tokens][vocab_size], when asked for
	Timing     Timing        // when things happened
	Cache      SequenceCache // what the KV cache did
}

// LogProb is a token and its log-prob: the natural logarithm of its probability
// under the model, before penalties and temperature.
type LogProb struct {
	Token   int32
	LogProb float32
}

// Timing tells when things happened to a sequence, each measured from when the
// request was queued. What has not happened is 0.
type Timing struct {
	Scheduled  time.Duration // left the queue
	FirstToken time.Duration
	LastToken  time.Duration
}

// SequenceCache tells what the KV cache did for a sequence.
type SequenceCache struct {
	ReusedTokens int // tokens whose keys and values were there already, not computed
	Paused       int // how often it gave its blocks away and was computed again; see MaxUtilization
}

// FinishReason tells why a sequence ended. The numbers are TensorRT-LLM's.
type FinishReason int

// Reasons for a sequence's end.
const (
	FinishUnknown   FinishReason = -1 // one that this version does not know
	FinishNone      FinishReason = 0  // it has not ended
	FinishEnd       FinishReason = 1  // an end id
	FinishStop      FinishReason = 2  // a stop word or stop sequence
	FinishLength    FinishReason = 3  // MaxTokens
	FinishTimeout   FinishReason = 4  // Timeout
	FinishCancelled FinishReason = 5  // the context, or Close
)

// String gives "end", "stop", "length", "timeout", "cancelled" or "unknown"; "" for
// FinishNone.
func (f FinishReason) String() string { return executor.FinishReason(f).String() }

// finishReason turns the executor's reason into one that this package knows. A
// sequence that is final has ended, whatever its reason says.
func finishReason(r executor.FinishReason, final bool) FinishReason {
	f := FinishReason(r)
	if f < FinishNone || f > FinishCancelled || f == FinishNone && final {
		return FinishUnknown
	}
	return f
}

// Chunk is what is new of one sequence in a stream. Text never ends inside a
// character, and what may be the beginning of a stop word waits until that is known:
// a chunk may have ids and no text, and text of earlier ids. The texts of a
// sequence's chunks, joined, are its Text, and so are ids and all that goes with them.
type Chunk struct {
	RequestID    uint64 // the engine's number of the request
	Sequence     int    // 0 … NumReturnSequences-1
	Text         string
	OutputIDs    []int32
	LogProbs     []float32     // of OutputIDs under the model, when asked for
	TopLogProbs  [][]LogProb   // the best tokens at each of OutputIDs, when asked for
	CumLogProb   float32       // of all tokens so far; see Sequence
	Logits       [][]float32   // raw logits, [tokens][vocab_size], when asked for
	FinishReason FinishReason  // not FinishNone in a sequence's last chunk
	Timing       Timing        // so far
	Cache        SequenceCache // so far

	// What is about the prompt, when asked for, comes in the request's first chunk;
	// see Response.
	ContextLogits     [][]float32
	PromptLogProbs    []float32
	PromptTopLogProbs [][]LogProb
}

// logProbs makes the package's own of the executor's.
func logProbs(rows [][]executor.LogProb) [][]LogProb {
	if rows == nil {
		return nil
	}
	own := make([][]LogProb, len(rows))
	for i, row := range rows {
		own[i] = make([]LogProb, len(row))
		for j, p := range row {
			own[i][j] = LogProb(p)
		}
	}
	return own
}
