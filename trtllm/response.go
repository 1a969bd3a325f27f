package trtllm

import (
	"github.com/trtgo/trtgo/internal/executor"
)

// FinishReason tells why a sequence ended. Its String is one of "end", "stop",
// "length", "timeout", "cancelled" and "unknown", or "" while it runs.
type FinishReason = executor.FinishReason

// Reasons for a sequence's end.
const (
	FinishNone      = executor.FinishNone
	FinishEnd       = executor.FinishEnd       // an end id
	FinishStop      = executor.FinishStop      // a stop word
	FinishLength    = executor.FinishLength    // MaxTokens
	FinishTimeout   = executor.FinishTimeout   // Timeout
	FinishCancelled = executor.FinishCancelled // the context, or Close
)

// Response is all that came of a request. The embedded Sequence is the first one.
type Response struct {
	InputIDs []int32
	Sequence
	// Sequences are all of them, NumReturnSequences many.
	Sequences []Sequence
	// ContextLogits are raw logits [prompt][vocab_size] when asked for.
	ContextLogits [][]float32
}

// Sequence is one continuation of the prompt.
type Sequence struct {
	OutputIDs    []int32 // without the prompt and without the end id
	Text         string  // OutputIDs decoded without special tokens; "" without a tokenizer
	FinishReason FinishReason
	LogProbs     []float32   // of each token under the model, when asked for
	CumLogProb   float32     // their sum
	Logits       [][]float32 // raw logits [tokens][vocab_size], when asked for
	Timing       Timing
}

// Timing tells when things happened to a sequence, measured from the request.
type Timing = executor.Timing

// Chunk is what is new in a stream. Text never ends inside a character; the texts
// of a sequence's chunks, joined, are its Text, and so are the ids.
type Chunk struct {
	Sequence     int
	Text         string
	OutputIDs    []int32
	LogProbs     []float32
	CumLogProb   float32      // so far
	FinishReason FinishReason // not FinishNone in a sequence's last chunk
	Timing       Timing       // in a sequence's last chunk
}

// Stats is a snapshot of an engine.
type Stats struct {
	ActiveRequests, QueuedRequests int // sequences, in fact: each counts
	Iterations                     uint64
	ContextTokens, GeneratedTokens uint64
	FinishedRequests               uint64
	KVBlocksUsed, KVBlocksTotal    int
	TokensPerBlock                 int
}

func statsOf(s executor.Stats) Stats { return Stats(s) }
